package checks

import (
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
)

func TestSessionGetsItsSet(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.Apply([]Probe{want(tcp, 1, "a"), want(tcp, 2, "a"), want(misc, 1, "b")})
		equal(t, "before there is a session", b.sink.take(),
			"web 192.0.2.2:80 c: plugin lost", "web 192.0.2.3:80 c: plugin lost", "web 192.0.2.2:80 c: plugin lost")
		s, other := newSession(), newSession()
		b.Opened(tcp, 1, s)
		b.Opened(misc, 2, other)
		probes := s.probes()
		if len(probes) != 2 || len(other.probes()) != 1 {
			t.Fatalf("the processes were told %v and %v", probes, other.probes())
		}
		for id, p := range probes {
			if p.ID != id || p.Type != "t" || !p.Target.RealServer.IsValid() || p.LastOutcome != check.Unknown || p.Schedule.Fall != 3 {
				t.Errorf("probe %d: %+v", id, p)
			}
		}
		equal(t, "with the sessions", b.sink.take())
	})
}

// A reload tells a process what differs and nothing else, and what has not
// changed keeps its id.
func TestApplyTellsTheDifference(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.Apply([]Probe{want(tcp, 1, "a"), want(tcp, 2, "a"), want(tcp, 3, "a")})
		s := newSession()
		b.Opened(tcp, 1, s)
		equal(t, "at first", s.told(), "upsert [1 2 3]", "commit 1")

		b.Apply([]Probe{want(tcp, 3, "a"), want(tcp, 2, "a"), want(tcp, 1, "a")})
		equal(t, "the same in another order", s.told())

		b.Apply([]Probe{want(tcp, 1, "a"), want(tcp, 2, "b"), want(tcp, 4, "a")})
		equal(t, "one changed, one gone, one new", s.told(), "remove [2 3]", "upsert [4 5]", "commit 3")

		slower := want(tcp, 1, "a")
		slower.Wire.Schedule.Interval = time.Minute
		b.Apply([]Probe{slower, want(tcp, 2, "b"), want(tcp, 4, "a")})
		equal(t, "one has another schedule", s.told(), "upsert [1]", "commit 4")
		if got := s.probes()[1].Schedule.Interval; got != time.Minute {
			t.Errorf("its interval is %s", got)
		}

		b.sink.take()
		renamed := slower
		renamed.Check = "renamed"
		b.Apply([]Probe{renamed, want(tcp, 2, "b"), want(tcp, 4, "a")})
		equal(t, "one has another name", s.told())
		b.Received(tcp, 1, results(4, result(1, check.Pass)))
		equal(t, "its results have that name", b.sink.take(), `web 192.0.2.2:80 renamed a: pass none ""`)

		b.Apply(nil)
		equal(t, "nothing is left", s.told(), "remove [1 4 5]", "commit 6")
		equal(t, "and nobody is told that a plugin is away", b.sink.take())
	})
}

// An id that stands for another question must never come back, not even the
// one before the last.
func TestIdsAreNotUsedTwice(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		s := newSession()
		b.Opened(tcp, 1, s)
		seen := make(map[uint64]string)
		for range 3 {
			for _, definition := range []string{"a", "b"} {
				b.Apply([]Probe{want(tcp, 1, definition)})
				for id := range s.probes() {
					if old, used := seen[id]; used {
						t.Fatalf("id %d stands for %q after it stood for %q", id, definition, old)
					}
					seen[id] = definition
				}
			}
		}
	})
}

func TestSameQuestionTwiceIsTwoProbes(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		one, two := want(tcp, 1, "a"), want(tcp, 1, "a")
		one.Check, two.Check = "one", "two"
		b.Apply([]Probe{one, two})
		s := newSession()
		b.Opened(tcp, 1, s)
		equal(t, "both", s.told(), "upsert [1 2]", "commit 1")
		b.sink.take()
		b.Received(tcp, 1, results(1, result(1, check.Pass), result(2, check.Fail)))
		equal(t, "results", b.sink.take(),
			`web 192.0.2.2:80 one a: pass none ""`, `web 192.0.2.2:80 two a: fail none ""`)
		b.Apply([]Probe{one})
		equal(t, "one is gone", s.told(), "remove [2]", "commit 2")
	})
}

// The same plugin as two users is two processes.
func TestUsersHaveTheirOwnProcess(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.Apply([]Probe{want(misc, 1, "a"), want(nagios, 2, "a")})
		s, other := newSession(), newSession()
		b.Opened(misc, 1, s)
		b.Opened(nagios, 2, other)
		equal(t, "the one", s.told(), "upsert [1]", "commit 1")
		equal(t, "the other", other.told(), "upsert [2]", "commit 1")
		b.sink.take()
		b.Received(nagios, 2, results(1, result(1, check.Fail)))
		equal(t, "results about the other's probe", b.sink.take())

		// A probe that moves to the other user is removed here and new there.
		b.Apply([]Probe{want(nagios, 1, "a"), want(nagios, 2, "a")})
		equal(t, "the one", s.told(), "remove [1]", "commit 2")
		equal(t, "the other", other.told(), "upsert [3]", "commit 2")
		b.Lost(misc, 1)
		equal(t, "the one ends", b.sink.take())
		if n := len(b.processes); n != 1 {
			t.Errorf("%d processes are known", n)
		}
	})
}

func TestResultsBecomeEvents(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.Apply([]Probe{want(tcp, 1, "a")})
		b.Opened(tcp, 1, newSession())
		b.sink.take()
		weight := 7
		b.Received(tcp, 1, results(1, host.ProbeResult{ID: 1, Result: check.Result{
			Outcome: check.Fail, Reason: check.ReasonRefused, Detail: "connect: refused",
		}}, host.ProbeResult{ID: 1, Result: check.Result{
			Outcome: check.Pass, Weight: &weight, Metrics: map[string]float64{"load": 0.5},
		}}, host.ProbeResult{ID: 1, Result: check.Result{
			Outcome: check.Unknown, Reason: check.ReasonLocalError, Detail: "no descriptor",
		}}, host.ProbeResult{ID: 1, Result: check.Result{Outcome: 77}}))
		b.Received(tcp, 1, &host.Committed{Generation: 1})
		b.Received(tcp, 1, &host.Heartbeat{})
		equal(t, "events", b.sink.take(),
			`web 192.0.2.2:80 c a: fail refused "connect: refused"`,
			`web 192.0.2.2:80 c a: pass none "" weight 7`,
			`web 192.0.2.2:80 c a: unknown local_error "no descriptor"`,
			`web 192.0.2.2:80 c a: unknown none ""`)
	})
}

// A pool is told of what can change something: of steady passes, the first rise,
// and then now and then one.
func TestSteadyPassesAreNotNews(t *testing.T) {
	weight := func(n int) host.ProbeResult {
		return host.ProbeResult{ID: 1, Result: check.Result{Outcome: check.Pass, Weight: &n}}
	}
	repeat := func(r host.ProbeResult, n int) []host.ProbeResult { return slices.Repeat([]host.ProbeResult{r}, n) }
	pass, fail, unknown := result(1, check.Pass), result(1, check.Fail), result(1, check.Unknown)
	for _, tt := range []struct {
		name   string
		before []host.ProbeResult
		// event happens between the two; the pool is told counts from there.
		event func(b *bench)
		after []host.ProbeResult
		told  int
	}{
		{"the first", nil, nil, repeat(pass, 1), 1},
		{"the first rise", nil, nil, repeat(pass, reminder-1), 2},
		{"a reminder", nil, nil, repeat(pass, reminder), 3},
		{"many", nil, nil, repeat(pass, 10*reminder), 12},
		{"every fail", nil, nil, repeat(fail, reminder), reminder},
		{"every unknown", nil, nil, repeat(unknown, reminder), reminder},
		{"passes after a fail", repeat(pass, 10), nil, append(repeat(fail, 1), repeat(pass, 10)...), 3},
		{"passes after an unknown", repeat(pass, 10), nil, append(repeat(unknown, 1), repeat(pass, 10)...), 3},
		{"the same weight", repeat(weight(3), 10), nil, repeat(weight(3), 10), 0},
		{"another weight", repeat(weight(3), 10), nil, repeat(weight(4), 10), 2},
		{"no weight any more", repeat(weight(3), 10), nil, repeat(pass, 10), 2},
		{"a weight at last", repeat(pass, 10), nil, repeat(weight(0), 10), 2},
		// The pool may have forgotten, or has to hear what ends the loss.
		{"passes after a reload", repeat(pass, 10), func(b *bench) { b.Apply([]Probe{want(tcp, 1, "a")}) }, repeat(pass, 10), 2},
		{"passes after a loss", repeat(pass, 10), func(b *bench) { b.Lost(tcp, 1); b.Opened(tcp, 2, newSession()) }, repeat(pass, 10), 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(t *testing.T, b *bench) {
				b.Apply([]Probe{want(tcp, 1, "a")})
				b.Opened(tcp, 1, newSession())
				b.Received(tcp, 1, results(1, tt.before...))
				b.sink.take()
				if tt.event != nil {
					tt.event(b)
				}
				b.Received(tcp, b.processes[tcp].incarnation, results(2, tt.after...))
				if told := b.sink.take(); len(told) != tt.told {
					t.Errorf("the pool was told %d times, want %d: %q", len(told), tt.told, told)
				}
				counts := b.Snapshot().Probes[0].Counts
				if n := counts.Pass + counts.Fail + counts.Unknown; n != uint64(len(tt.before)+len(tt.after)) {
					t.Errorf("%d results were counted", n)
				}
			})
		})
	}
}

// What nobody waits for is dropped, and counted by its reason.
func TestResultsOutOfPlaceAreDropped(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.Apply([]Probe{want(tcp, 1, "a"), want(tcp, 2, "a")})
		b.Received(tcp, 1, results(1, result(1, check.Fail)))
		b.Received(misc, 1, results(1, result(1, check.Fail)))
		b.Opened(tcp, 5, newSession())
		b.Received(tcp, 4, results(1, result(1, check.Fail), result(2, check.Fail)))
		b.Received(tcp, 6, results(1, result(1, check.Fail)))
		b.Received(tcp, 5, results(1, result(0, check.Fail), result(3, check.Fail), result(math.MaxUint64, check.Fail)))

		changed := want(tcp, 1, "a")
		changed.Wire.Schedule.Timeout = 3 * time.Second
		b.Apply([]Probe{changed, want(tcp, 2, "a")})
		b.sink.take()
		// The first probe has other terms since generation 2, the second has not.
		b.Received(tcp, 5, results(1, result(1, check.Fail), result(2, check.Pass)))
		equal(t, "of the generation before", b.sink.take(), `web 192.0.2.3:80 c a: pass none ""`)
		b.Received(tcp, 5, results(2, result(1, check.Fail)))
		equal(t, "of the generation at hand", b.sink.take(), `web 192.0.2.2:80 c a: fail none ""`)

		b.Lost(tcp, 5)
		b.Received(tcp, 5, results(2, result(1, check.Fail)))
		if got, want := b.Snapshot().Dropped, (Dropped{Replaced: 6, Stale: 1, Unknown: 3}); got != want {
			t.Errorf("dropped %+v, want %+v", got, want)
		}
	})
}

// R36, R35: a process that dies says nothing about servers. Each of its probes
// is reported once, as without a plugin, and none as failed.
func TestLossIsNoOpinion(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.Apply([]Probe{want(tcp, 1, "a"), want(tcp, 2, "a"), want(misc, 1, "b")})
		b.Opened(tcp, 1, newSession())
		b.Opened(misc, 2, newSession())
		b.sink.take()
		b.Lost(tcp, 1)
		b.Lost(tcp, 1)
		equal(t, "the loss", b.sink.take(), "web 192.0.2.2:80 c: plugin lost", "web 192.0.2.3:80 c: plugin lost")
		for i, p := range b.Snapshot().Probes {
			if p.Away != (p.Process == tcp) {
				t.Errorf("probe %d of %v: away %v", i, p.Process, p.Away)
			}
		}
	})
}

func TestLossOfAnOlderSessionIsNone(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.Apply([]Probe{want(tcp, 1, "a")})
		first, second := newSession(), newSession()
		b.Opened(tcp, 1, first)
		equal(t, "the first", first.told(), "upsert [1]", "commit 1")
		b.Opened(tcp, 2, second)
		equal(t, "the second", second.told(), "upsert [1]", "commit 1")
		b.sink.take()
		b.Lost(tcp, 1)
		b.Opened(tcp, 1, first) // late
		b.Apply([]Probe{want(tcp, 2, "a")})
		equal(t, "losses", b.sink.take())
		equal(t, "the second", second.told(), "remove [1]", "upsert [2]", "commit 2")
		equal(t, "the first", first.told())
	})
}

// A process that comes back gets the same set under the same ids, with what is
// believed of each target: the outcome of the last full row, not of the last
// result.
func TestReplayTellsTheBelief(t *testing.T) {
	tests := []struct {
		name     string
		outcomes []check.Outcome
		want     check.Outcome
	}{
		{"never answered", nil, check.Unknown},
		{"one pass of two", []check.Outcome{check.Pass}, check.Unknown},
		{"passes", []check.Outcome{check.Pass, check.Pass}, check.Pass},
		{"begins to fail", []check.Outcome{check.Pass, check.Pass, check.Fail, check.Fail}, check.Pass},
		{"fails", []check.Outcome{check.Pass, check.Pass, check.Fail, check.Fail, check.Fail}, check.Fail},
		{"an unknown does not interrupt", []check.Outcome{check.Fail, check.Fail, check.Unknown, check.Fail}, check.Fail},
		{"an unknown is no belief", []check.Outcome{check.Pass, check.Pass, check.Unknown, check.Unknown, check.Unknown}, check.Pass},
		{"to and fro", []check.Outcome{check.Pass, check.Fail, check.Pass, check.Fail}, check.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(t *testing.T, b *bench) {
				b.Apply([]Probe{want(tcp, 1, "a")})
				b.Opened(tcp, 1, newSession())
				for _, o := range tt.outcomes {
					b.Received(tcp, 1, results(1, result(1, o)))
				}
				b.Lost(tcp, 1)
				again := newSession()
				b.Opened(tcp, 2, again)
				probes := again.probes()
				if p, ok := probes[1]; len(probes) != 1 || !ok || p.LastOutcome != tt.want {
					t.Errorf("the new process is told %+v, want %v", probes, tt.want)
				}
			})
		})
	}
}

func TestSnapshot(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.Apply([]Probe{want(tcp, 2, "a"), want(tcp, 1, "a")})
		b.Opened(tcp, 1, newSession())
		old := result(1, check.Pass)
		old.Age, old.Took, old.Detail = 2*time.Second, time.Millisecond, "hello"
		lie := result(1, check.Unknown)
		lie.Age = -time.Hour
		b.Received(tcp, 1, results(1, result(1, check.Fail), result(1, check.Fail), old))
		s := b.Snapshot()
		if s.Generation != 1 || len(s.Probes) != 2 || s.Probes[0].Server != server(1) {
			t.Fatalf("%+v", s)
		}
		p := s.Probes[1]
		if p.ID != 1 || p.Service != "web" || p.Check != "c" || p.Process != tcp || p.Away || p.Last.Outcome != check.Pass ||
			p.Last.Detail != "hello" || time.Since(p.At) != 2*time.Second || p.Counts != (Counts{Pass: 1, Fail: 2}) {
			t.Errorf("%+v", p)
		}
		if q := s.Probes[0]; !q.At.IsZero() || q.Counts != (Counts{}) {
			t.Errorf("a probe without results: %+v", q)
		}
		b.Received(tcp, 1, results(1, lie))
		if p := b.Snapshot().Probes[1]; time.Since(p.At) != 0 || p.Counts.Unknown != 1 {
			t.Errorf("a result from the future is dated %s", p.At)
		}
	})
}

func TestCloseEndsFeedersAndTakesNoMore(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.Apply([]Probe{want(tcp, 1, "a")})
		s := newSession()
		b.Opened(tcp, 1, s)
		s.told()
		b.Close()
		b.Opened(tcp, 2, s)
		b.Apply(nil)
		equal(t, "after the end", s.told())
	})
}

// An error of a session is the session's end, which the host notices, too.
func TestFeederEndsWithItsSession(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.Apply([]Probe{want(tcp, 1, "a")})
		s := newSession()
		s.err = errSession
		b.Opened(tcp, 1, s)
		equal(t, "calls", s.told(), "upsert [1]")
		b.Apply([]Probe{want(tcp, 2, "a")})
		equal(t, "calls after the error", s.told())
		if !strings.Contains(b.log.String(), errSession.Error()) {
			t.Errorf("the log says %q", b.log)
		}
		b.Lost(tcp, 1)
		again := newSession()
		b.Opened(tcp, 2, again)
		equal(t, "the next session", again.told(), "upsert [2]", "commit 2")
		synctest.Wait()
	})
}
