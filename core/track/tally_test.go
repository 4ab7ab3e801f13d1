package track_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/track"
)

var t0 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Every enum has a word for every value, each its own.
func TestWords(t *testing.T) {
	check := func(name string, count int, word func(int) fmt.Stringer) {
		t.Helper()
		seen := map[string]bool{}
		for i := range count {
			s := word(i).String()
			if seen[s] || s == "invalid" {
				t.Errorf("%s %d is called %q", name, i, s)
			}
			seen[s] = true
		}
		if s := word(count).String(); s != "invalid" {
			t.Errorf("%s %d, which does not exist, is called %q", name, count, s)
		}
	}
	check("state", 3, func(i int) fmt.Stringer { return track.State(i) })
	check("reason", 10, func(i int) fmt.Stringer { return track.Reason(i) })
	check("finding", track.FindingCount, func(i int) fmt.Stringer { return track.FindingKind(i) })
	check("finding's sentence", track.FindingCount, func(i int) fmt.Stringer { return track.Finding{Kind: track.FindingKind(i)} })
}

func TestWhy(t *testing.T) {
	full := track.Why{Reason: track.ReasonDown, Tracker: "gateway", TrackerReason: "timeout", TrackerDetail: "after 1s"}
	if got := full.String(); got != "tracker down: gateway: timeout: after 1s" {
		t.Error(got)
	}
	if got := (track.Why{Reason: track.ReasonReconfigured}).String(); got != "reconfigured" {
		t.Error(got)
	}
}

func TestConfigEqual(t *testing.T) {
	base := func() track.Config {
		return track.Config{
			Trackers:  []track.Tracker{{Name: "a"}},
			Instances: []track.Instance{{Name: "VI", Priority: 100, Uses: []track.Use{{Tracker: "a"}}}},
			Groups:    []track.Group{{Name: "G", Members: []string{"VI"}, Uses: []track.Use{{Tracker: "a"}}}},
		}
	}
	a, b := base(), base()
	if !a.Equal(&b) {
		t.Error("two of the same differ")
	}
	for name, change := range map[string]func(*track.Config){
		"tracker":           func(c *track.Config) { c.Trackers[0].Grace = 1 },
		"one tracker more":  func(c *track.Config) { c.Trackers = append(c.Trackers, track.Tracker{}) },
		"instance":          func(c *track.Config) { c.Instances[0].Name = "VO" },
		"priority":          func(c *track.Config) { c.Instances[0].Priority++ },
		"use":               func(c *track.Config) { c.Instances[0].Uses[0].Reverse = true },
		"one use fewer":     func(c *track.Config) { c.Instances[0].Uses = nil },
		"group":             func(c *track.Config) { c.Groups[0].Name = "H" },
		"member":            func(c *track.Config) { c.Groups[0].Members[0] = "VO" },
		"group's use":       func(c *track.Config) { c.Groups[0].Uses[0].Weight = 1 },
		"one group fewer":   func(c *track.Config) { c.Groups = nil },
		"one instance more": func(c *track.Config) { c.Instances = append(c.Instances, track.Instance{}) },
	} {
		b := base()
		if change(&b); a.Equal(&b) {
			t.Errorf("a change of %s is not seen", name)
		}
	}
}

// The first Handle tells what New found, also when its event is one that says
// something itself.
func TestFirstEvent(t *testing.T) {
	c := track.Config{
		Trackers: []track.Tracker{{Name: "a", AssumeDown: true}, {Name: "b"}},
		Instances: []track.Instance{
			{Name: "VI", Priority: 100, Uses: []track.Use{{Tracker: "a", Weight: -10}}},
			{Name: "VO", Priority: 100, Uses: []track.Use{{Tracker: "b", Weight: -20}}},
		},
	}
	for name, row := range map[string]struct {
		event track.Event
		want  string
	}{
		"nothing":     {track.DeadlineReached{}, "VI: priority 100 > 90 (assumed down)"},
		"nobody's":    {track.Lost{Tracker: "x"}, "VI: priority 100 > 90 (assumed down)"},
		"another":     {track.Observed{Tracker: "b", State: track.Down}, "tracker b: unknown > down, value 0 (tracker down: b); VI: priority 100 > 90 (assumed down); VO: priority 100 > 80 (tracker down: b)"},
		"its own, up": {track.Observed{Tracker: "a", State: track.Up}, "tracker a: down > up, value 0 (tracker up: a)"},
		"reload":      {track.Reconfigured{Config: c}, "VI: priority 100 > 90 (reconfigured)"},
	} {
		tally := track.New(t0, c)
		var got []string
		for _, a := range tally.Handle(t0, row.event, nil) {
			got = append(got, describe(a))
		}
		if text := strings.Join(got, "; "); text != row.want {
			t.Errorf("%s: %q, want %q", name, text, row.want)
		}
		if again := tally.Handle(t0, track.DeadlineReached{}, nil); len(again) != 0 {
			t.Errorf("%s: told twice: %v", name, again)
		}
	}
}

func TestInstance(t *testing.T) {
	tally := track.New(t0, track.Config{
		Trackers:  []track.Tracker{{Name: "a", AssumeDown: true}},
		Instances: []track.Instance{{Name: "VI", Priority: 100, Uses: []track.Use{{Tracker: "a"}}}},
	})
	if v, ok := tally.Instance("VI"); !ok || v.Effective != 100 || len(v.Faults) != 1 {
		t.Errorf("%+v, %v", v, ok)
	}
	if v, ok := tally.Instance("VO"); ok {
		t.Errorf("an instance that is not configured: %+v", v)
	}
}

// What was given out is the receiver's: later events leave it alone.
func TestActionsStay(t *testing.T) {
	tally := track.New(t0, track.Config{
		Trackers:  []track.Tracker{{Name: "a"}, {Name: "b"}},
		Instances: []track.Instance{{Name: "VI", Priority: 100, Uses: []track.Use{{Tracker: "b"}, {Tracker: "a"}}}},
	})
	actions := tally.Handle(t0, track.Observed{Tracker: "b", State: track.Down}, nil)
	snapshot := tally.Snapshot()
	tally.Handle(t0, track.Observed{Tracker: "a", State: track.Down}, nil)
	tally.Handle(t0, track.Observed{Tracker: "b", State: track.Up}, nil)
	if got := describe(actions[len(actions)-1]); got != "VI: fault by b (tracker down: b)" {
		t.Errorf("the action has become %q", got)
	}
	if got := fmt.Sprint(snapshot.Instances[0].Faults); got != "[b]" {
		t.Errorf("the snapshot has become %s", got)
	}
}

// The configuration is the caller's: it is not sorted or changed.
func TestConfigStays(t *testing.T) {
	c := track.Config{
		Trackers:  []track.Tracker{{Name: "b"}, {Name: "a"}},
		Instances: []track.Instance{{Name: "V6", Priority: 1}, {Name: "V4", Priority: 2}},
		Groups:    []track.Group{{Name: "H"}, {Name: "G"}},
	}
	before := fmt.Sprint(c)
	tally := track.New(t0, c)
	tally.Handle(t0, track.Reconfigured{Config: c}, nil)
	track.Analyze(c, nil)
	if after := fmt.Sprint(c); after != before {
		t.Errorf("%s has become %s", before, after)
	}
}

func TestNoChangeAllocatesNothing(t *testing.T) {
	c := track.Config{}
	for i := range 50 {
		name := fmt.Sprint("t", i)
		c.Trackers = append(c.Trackers, track.Tracker{Name: name, Fall: 3})
		c.Instances = append(c.Instances, track.Instance{Name: fmt.Sprint("VI", i), Priority: 100, Uses: []track.Use{{Tracker: name, Weight: -10}}})
	}
	tally := track.New(t0, c)
	events := []track.Event{
		track.Observed{Tracker: "t7", State: track.Up, Reason: "fine"},
		track.Observed{Tracker: "t7", State: track.Unknown},
		track.Observed{Tracker: "t7", State: track.Down},
		track.DeadlineReached{},
		track.Lost{Tracker: "t7"},
	}
	for _, e := range events {
		tally.Handle(t0, e, nil)
	}
	actions := make([]track.Action, 0, 8)
	n := testing.AllocsPerRun(100, func() {
		for _, e := range events {
			if got := tally.Handle(t0, e, actions); len(got) != 0 {
				t.Fatalf("%v leads to %v", e, got)
			}
			tally.Deadline()
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for events that change nothing", n)
	}
}

func BenchmarkChange(b *testing.B) {
	c := track.Config{Trackers: []track.Tracker{{Name: "gateway"}}}
	for i := range 255 {
		c.Instances = append(c.Instances, track.Instance{Name: fmt.Sprint("VI", i), Priority: 150, Uses: []track.Use{{Tracker: "gateway", Weight: -60}}})
	}
	tally := track.New(t0, c)
	actions := make([]track.Action, 0, 512)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e := track.Observed{Tracker: "gateway", State: track.Up}
		if i%2 == 0 {
			e.State = track.Down
		}
		actions = tally.Handle(t0, e, actions[:0])
	}
}
