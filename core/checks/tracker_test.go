package checks

import (
	"testing"
	"time"

	"github.com/halo-ha/halo/core/track"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
)

var script = Process{"halo-track-script", "nobody"}

// observe is a probe of a tracker.
func observe(name, definition string, interval time.Duration) Probe {
	return Probe{
		Tracker: name, Definition: definition, Process: script,
		Wire: host.Probe{
			Type: "script", Tracker: name, Settings: []byte(`{}`),
			Schedule: host.Schedule{Interval: interval, RetryInterval: interval, Timeout: time.Second, Rise: 1, Fall: 2},
		},
	}
}

// Trackers go the way of checks, to somebody else, and the two do not mix.
func TestTrackers(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.Apply([]Probe{observe("nginx", "a", time.Second), observe("uplink", "a", time.Second), want(tcp, 1, "a")})
		equal(t, "without a plugin", b.sink.take(), "tracker nginx: lost", "tracker uplink: lost", "web 192.0.2.2:80 c: plugin lost")
		s := newSession()
		b.Opened(script, 1, s)
		equal(t, "the session", s.told(), "upsert [1 2]", "commit 1")
		if got := s.probes()[1]; got.Tracker != "nginx" || got.Type != "script" {
			t.Errorf("told as %+v", got)
		}
		bad := result(2, check.Fail)
		bad.Reason, bad.Detail = check.ReasonExit, "exit code 1"
		b.Received(script, 1, results(1, result(1, check.Pass), bad, result(1, check.Unknown), result(3, check.Pass)))
		equal(t, "results", b.sink.take(),
			`tracker nginx a: up  ""`, `tracker uplink a: down exit "exit code 1"`, `tracker nginx a: unknown  ""`)
		if n := b.Snapshot().Dropped.Unknown; n != 1 {
			t.Errorf("%d results of nobody's probe, want the one of another process", n)
		}

		// Another interval is the same question; another program is not.
		b.Apply([]Probe{observe("nginx", "a", time.Minute), observe("uplink", "b", time.Second)})
		equal(t, "a reload", s.told(), "remove [2]", "upsert [1 4]", "commit 2")
		b.Received(script, 1, results(1, result(1, check.Fail)))
		b.Received(script, 1, results(2, result(4, check.Pass)))
		equal(t, "only what was asked now counts", b.sink.take(), `tracker uplink b: up  ""`)

		b.Lost(script, 1)
		equal(t, "the plugin is gone", b.sink.take(), "tracker nginx: lost", "tracker uplink: lost")
		all := b.Snapshot().Probes
		if len(all) != 2 || all[0].Tracker != "nginx" || !all[0].Away || all[0].Counts != (Counts{Pass: 1, Unknown: 1}) {
			t.Errorf("the snapshot is %+v", all)
		}
	})
}

// A tracker that stays up says so no more than a server: nothing follows from it.
func TestSteadyTrackersAreQuiet(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.Apply([]Probe{observe("nginx", "a", time.Second)})
		b.Opened(script, 1, newSession())
		b.sink.take()
		for range reminder - 1 {
			b.Received(script, 1, results(1, result(1, check.Pass)))
		}
		equal(t, "steady passes", b.sink.take(), `tracker nginx a: up  ""`)
		b.Received(script, 1, results(1, result(1, check.Fail), result(1, check.Fail), result(1, check.Pass)))
		equal(t, "all that is not", b.sink.take(), `tracker nginx a: down  ""`, `tracker nginx a: down  ""`, `tracker nginx a: up  ""`)
	})
}

// TestObservedAsTheTallyTakesIt holds the one against the other: what checks
// send is what core/track counts.
func TestObservedAsTheTallyTakesIt(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	tally := track.New(now, track.Config{Trackers: []track.Tracker{{Name: "nginx", Definition: "a", Fall: 2}}})
	p := &assigned{Probe: observe("nginx", "a", time.Second)}
	state := func(o check.Outcome) track.State {
		r := result(1, o)
		tally.Handle(now, p.observed(&r), nil)
		return tally.Snapshot().Trackers[0].State
	}
	for i, step := range []struct {
		outcome check.Outcome
		want    track.State
	}{
		{check.Unknown, track.Unknown},
		{check.Pass, track.Up},
		{check.Fail, track.Up},
		{check.Unknown, track.Up},
		{check.Fail, track.Down},
		{check.Pass, track.Up},
	} {
		if got := state(step.outcome); got != step.want {
			t.Errorf("step %d, %v: %v, want %v", i, step.outcome, got, step.want)
		}
	}
}
