package track_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/scenario"
	"github.com/halo-ha/halo/core/track"
)

// TestStateEventMatrix has a row for every state a tracker can be in and a column
// for every event. A cell is what holds afterwards, and what is shown: "down"
// where both agree, "down (unknown)" where the verdict cannot be confirmed.
func TestStateEventMatrix(t *testing.T) {
	const (
		use     = "\ninstance VI 100 a:-40\ninstance FI 100 a\n"
		plain   = "configure\ntracker a rise=2 fall=3" + use
		strict  = "configure\ntracker a rise=2 fall=3 loss=30s" + use
		assumed = "configure\ntracker a rise=2 fall=3 assume_down" + use
		changed = "configure\ntracker a@2 rise=2 fall=3" + use
	)
	// The version that the tracker has in the state is put in place of %.
	events := []scenario.Column{
		{Name: "up", Script: "up a@%"},
		{Name: "rise ups", Script: "up a@% x2"},
		{Name: "down", Script: "down a@%"},
		{Name: "fall downs", Script: "down a@% x3"},
		{Name: "unknown", Script: "unknown a@%"},
		{Name: "fall unknowns", Script: "unknown a@% x3"},
		{Name: "lost, hold", Script: "lost a\nwait 1h"},
		{Name: "lost, fail", Script: "configure\ntracker a@% rise=2 fall=3 loss=30s" + use + "lost a\nwait 30s"},
		{Name: "timer, long past", Script: "wait 24h\ntimer"},
		{Name: "reload, same", Script: "configure\ntracker a@% rise=2 fall=3" + use},
		{Name: "reload, redefined", Script: "configure\ntracker a@9 rise=2 fall=3" + use},
		{Name: "reload, renamed", Script: "configure\ntracker b@% rise=2 fall=3" + strings.ReplaceAll(use, " a", " b")},
		{Name: "reload, removed", Script: "configure\ntracker c@0" + use},
		{Name: "stale", Script: "up a@0 x9\ndown a@0 x9"},
	}
	states := []scenario.Row{
		{Name: "new", Version: "1", Script: plain, Want: []string{
			"unknown", "up", "unknown", "down", "unknown", "unknown", "unknown",
			"down", "unknown", "unknown", "unknown", "unknown", "gone", "unknown",
		}},
		{Name: "assumed down", Version: "1", Script: assumed + "timer\n", Want: []string{
			"down (unknown)", "up", "down (unknown)", "down", "down (unknown)", "down (unknown)", "down (unknown)",
			"down", "down (unknown)", "unknown", "unknown", "unknown", "gone", "down (unknown)",
		}},
		{Name: "up", Version: "1", Script: plain + "up a x2\n", Want: []string{
			"up", "up", "up", "down", "up", "up (unknown)", "up (unknown)",
			"down", "up", "up", "up (unknown)", "up", "gone", "up",
		}},
		{Name: "down", Version: "1", Script: plain + "down a x3\n", Want: []string{
			"down", "up", "down", "down", "down", "down (unknown)", "down (unknown)",
			"down", "down", "down", "down (unknown)", "down", "gone", "down",
		}},
		{Name: "up, lost", Version: "1", Script: plain + "up a x2\nlost a\n", Want: []string{
			"up", "up", "up", "down", "up", "up (unknown)", "up (unknown)",
			"down", "up (unknown)", "up (unknown)", "up (unknown)", "up (unknown)", "gone", "up (unknown)",
		}},
		{Name: "down, lost", Version: "1", Script: plain + "down a x3\nlost a\n", Want: []string{
			"down", "up", "down", "down", "down", "down (unknown)", "down (unknown)",
			"down", "down (unknown)", "down (unknown)", "down (unknown)", "down (unknown)", "gone", "down (unknown)",
		}},
		{Name: "down by loss", Version: "1", Script: strict + "up a x2\nlost a\nwait 30s\n", Want: []string{
			"down", "up", "down", "down", "down", "down (unknown)", "down",
			"down", "down", "down", "down (unknown)", "down", "gone", "down",
		}},
		{Name: "up, redefined", Version: "2", Script: plain + "up a x2\n" + changed, Want: []string{
			"up (unknown)", "up", "up (unknown)", "down", "up (unknown)", "up (unknown)", "up (unknown)",
			"down", "up (unknown)", "up (unknown)", "up (unknown)", "up (unknown)", "gone", "up (unknown)",
		}},
		{Name: "down, redefined", Version: "2", Script: plain + "down a x3\n" + changed, Want: []string{
			"down (unknown)", "up", "down (unknown)", "down", "down (unknown)", "down (unknown)", "down (unknown)",
			"down", "down (unknown)", "down (unknown)", "down (unknown)", "down (unknown)", "gone", "down (unknown)",
		}},
	}
	scenario.Matrix(t, events, states, func(t *testing.T) scenario.Stage { t.Helper(); return newStage(t) })
}

// Standing says how the only tracker stands, and checks that the instances
// stand accordingly: one with weight -40, one that it puts in fault.
func (s *stage) Standing() string {
	s.tb.Helper()
	v := s.tally.Snapshot()
	k := v.Trackers[0]
	gone := k.Tracker == "c"
	weighted, _ := s.tally.Instance("VI")
	faulty, _ := s.tally.Instance("FI")
	down := k.Verdict == track.Down && !gone
	if down != (weighted.Effective == 60) || down == (weighted.Effective == 100) || len(weighted.Faults) != 0 {
		s.tb.Errorf("priority %d while the tracker is %v", weighted.Effective, k.Verdict)
	}
	if down != (len(faulty.Faults) == 1) || faulty.Effective != 100 {
		s.tb.Errorf("faults %v while the tracker is %v", faulty.Faults, k.Verdict)
	}
	switch {
	case gone:
		return "gone"
	case k.State != k.Verdict:
		return fmt.Sprintf("%v (%v)", k.Verdict, k.State)
	default:
		return k.State.String()
	}
}

// TestEffectMatrix has a row for every way to use a tracker and a column for
// what the tracker may be. A cell is what becomes of priority 100.
func TestEffectMatrix(t *testing.T) {
	events := []string{"timer", "up a", "down a"}
	rows := []struct{ tracker, use, want string }{
		{"a", "a", "100 100 fault"},
		{"a", "a:reverse", "100 fault 100"},
		{"a", "a:30", "100 130 100"},
		{"a", "a:30:reverse", "100 100 130"},
		{"a", "a:-30", "100 100 70"},
		{"a", "a:-30:reverse", "100 70 100"},
		{"a", "a:253", "100 254 100"},
		{"a", "a:-253", "100 100 1"},
		{"a valued", "a", "100 100 fault"}, // up with 0
		{"a valued", "a:reverse", "100 fault 100"},
		{"a valued", "a:30", "100 100 100"},
		{"a valued", "a:-30", "100 100 70"},
		{"a assume_down", "a", "fault 100 fault"},
		{"a assume_down", "a:reverse", "100 fault 100"},
		{"a assume_down", "a:-30", "70 100 70"},
		{"a assume_down", "a:30:reverse", "130 100 130"},
	}
	for _, row := range rows {
		var got []string
		for _, event := range events {
			s := newStage(t)
			s.Run("configure\ntracker " + row.tracker + "\ninstance VI 100 " + row.use + "\n" + event)
			v, _ := s.tally.Instance("VI")
			cell := strconv.Itoa(int(v.Effective))
			if len(v.Faults) > 0 {
				cell = "fault"
			}
			got = append(got, cell)
		}
		if text := strings.Join(got, " "); text != row.want {
			t.Errorf("tracker %s, use %s: unknown, up, down give %q, want %q", row.tracker, row.use, text, row.want)
		}
	}
}
