package schedule

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/session"
)

func TestACommitLeavesOthersAlone(t *testing.T) {
	// The same probe with and without commits around it starts at the same
	// moments.
	starts := func(disturb bool) []time.Duration {
		var times []time.Duration
		inBubble(t, func(b *bench) {
			f := answering(func(n int, _ context.Context) check.Result {
				return check.Result{Outcome: check.Outcome(1 + n/4%2)} //nolint:gosec // Small.
			})
			s := session.Schedule{Interval: 5 * time.Second, RetryInterval: time.Second, Timeout: time.Second, Rise: 2, Fall: 3}
			j := job(7, s, f)
			b.set(1, j)
			for i := range 100 {
				b.pass(700 * time.Millisecond)
				if !disturb {
					continue
				}
				if !b.Same(&j.Probe) {
					t.Fatal("the probe is not recognised")
				}
				other := uint64(100 + i)                                      //nolint:gosec // Small.
				b.set(uint64(2+2*i), job(other, s, always(check.Passed("")))) //nolint:gosec // Small.
				b.remove(uint64(3+2*i), other)                                //nolint:gosec // Small.
			}
			times = f.times()
		})
		return times
	}
	calm, disturbed := starts(false), starts(true)
	if !slices.Equal(calm, disturbed) {
		t.Errorf("starts\n    calm %v\ndisturbed %v", calm, disturbed)
	}
	if len(calm) < 15 {
		t.Errorf("only %d runs: the test shows nothing", len(calm))
	}
}

func TestSame(t *testing.T) {
	inBubble(t, func(b *bench) {
		j := job(1, plan(time.Second), always(check.Passed("")))
		j.Probe.Settings = []byte(`{"a":1}`)
		b.set(1, j)
		same := j.Probe
		same.Settings = []byte(`{"a":1}`)
		same.LastOutcome = check.Fail // Only for a probe without a history.
		if !b.Same(&same) {
			t.Error("an equal probe is not the same")
		}
		for name, change := range map[string]func(p *session.Probe){
			"id":       func(p *session.Probe) { p.ID = 2 },
			"type":     func(p *session.Probe) { p.Type = "other" },
			"settings": func(p *session.Probe) { p.Settings = []byte(`{"a":2}`) },
			"target":   func(p *session.Probe) { p.Target.Port = 81 },
			"interval": func(p *session.Probe) { p.Schedule.Interval++ },
			"rise":     func(p *session.Probe) { p.Schedule.Rise++ },
		} {
			other := j.Probe
			change(&other)
			if b.Same(&other) {
				t.Errorf("another %s is the same", name)
			}
		}
	})
}

func TestRemovedProbesAreSilent(t *testing.T) {
	inBubble(t, func(b *bench) {
		cancelled := false
		hang := answering(func(_ int, ctx context.Context) check.Result {
			<-ctx.Done()
			cancelled = errors.Is(ctx.Err(), context.Canceled)
			return check.FromError(ctx.Err())
		})
		s := plan(time.Second)
		s.Timeout = time.Hour
		b.set(1, job(1, s, hang), job(2, plan(time.Second), always(check.Passed(""))))
		b.pass(3*time.Second + 40*time.Millisecond)
		b.remove(2, 1, 2, 99)
		b.pass(time.Minute)
		if !cancelled {
			t.Error("the run of a removed probe was not cancelled")
		}
		removed := false
		for _, m := range b.messages() {
			if removed && len(m.results) > 0 {
				t.Errorf("results after the removal: %+v", m)
			}
			removed = removed || m.committed && m.generation == 2
		}
		if !removed {
			t.Error("the removal was not answered")
		}
		if n := len(b.results(1)); n != 0 {
			t.Errorf("%d results of a run that never ended", n)
		}
	})
}

func TestAReplacedProbeWaitsForItsOldRun(t *testing.T) {
	inBubble(t, func(b *bench) {
		deaf := answering(func(int, context.Context) check.Result {
			time.Sleep(30 * time.Second) // Cancelled, and goes on.
			return check.Failed(check.ReasonExit, "of the old definition")
		})
		s := plan(5 * time.Second)
		s.Timeout = time.Minute
		b.set(1, job(1, s, deaf))
		b.pass(2 * time.Second)
		began := deaf.times()[0]
		next := always(check.Passed("of the new definition"))
		next.begin = b.begin
		changed := job(1, s, next)
		changed.Probe.Settings = []byte(`{"v":2}`)
		b.set(2, changed)
		b.pass(20 * time.Second)
		if n := len(next.times()); n != 0 {
			t.Fatalf("%d runs beside the old one", n)
		}
		b.pass(20 * time.Second)
		if first := next.times()[0]; first != began+30*time.Second {
			t.Errorf("first run at %v, want when the old one ends at %v", first, began+30*time.Second)
		}
		for _, r := range b.results(1) {
			if r.Detail != "of the new definition" {
				t.Errorf("result of the old definition: %+v", r)
			}
		}
	})
}

func TestAReplacedProbeStartsOver(t *testing.T) {
	inBubble(t, func(b *bench) {
		s := session.Schedule{Interval: time.Minute, RetryInterval: time.Second, Timeout: time.Second, Rise: 3, Fall: 3}
		b.set(1, known(job(1, s, always(check.Passed("old"))), check.Pass))
		b.pass(5 * time.Minute)
		next := always(check.Passed("new"))
		next.begin = b.begin
		changed := job(1, s, next)
		changed.Probe.Target.Port = 81
		at := time.Since(b.begin)
		b.set(2, changed)
		b.pass(10 * time.Second)
		starts := next.times()
		if len(starts) < 3 || starts[2]-at > 3*time.Second+slack {
			t.Errorf("runs at %v after the change at %v, want three within the warm-up and two retries", starts, at)
		}
	})
}

func TestCommitIsAnsweredBeforeItsResults(t *testing.T) {
	inBubble(t, func(b *bench) {
		jobs := []Job{
			job(1, plan(50*time.Millisecond), always(check.Passed(""))),
			job(2, plan(50*time.Millisecond), always(check.Passed(""))),
		}
		b.set(1, jobs...)
		for g := uint64(2); g < 100; g++ {
			b.pass(37 * time.Millisecond)
			b.set(g)
		}
		b.pass(time.Second)
		var committed uint64
		for _, m := range b.messages() {
			switch {
			case m.committed && m.generation != committed+1:
				t.Fatalf("commit %d was answered after %d", m.generation, committed)
			case m.committed:
				committed = m.generation
			case len(m.results) > 0 && m.generation != committed:
				t.Fatalf("results of generation %d after commit %d was answered", m.generation, committed)
			}
		}
		if committed != 99 {
			t.Errorf("the last answer was to commit %d", committed)
		}
	})
}

func TestReplacingDropsWhatWaits(t *testing.T) {
	inBubble(t, func(b *bench) {
		old := known(job(1, plan(10*time.Second), always(check.Passed("old"))), check.Pass)
		stay := known(job(2, plan(10*time.Second), always(check.Passed("stay"))), check.Pass)
		b.set(1, old, stay)
		for len(b.results(1)) == 0 || len(b.results(2)) == 0 {
			b.pass(time.Second)
		}
		b.Scheduler.mu.Lock()
		for _, id := range []uint64{1, 2, 1} {
			p := b.probes[id]
			b.outbox.put(p, check.Passed("waiting"), b.now())
		}
		b.Scheduler.mu.Unlock()
		changed := old
		changed.Probe.Target.Port = 81
		b.set(2, changed)
		b.pass(time.Second)
		for _, r := range b.results(1) {
			if r.Detail == "waiting" {
				t.Error("a result of the old definition was sent")
			}
		}
		if b.last(2).Detail != "waiting" {
			t.Error("a result of another probe was lost")
		}
	})
}

func TestDrain(t *testing.T) {
	inBubble(t, func(b *bench) {
		slow := answering(func(int, context.Context) check.Result {
			time.Sleep(3 * time.Second)
			return check.Passed("the last one")
		})
		s := plan(10 * time.Second)
		s.Timeout = 5 * time.Second
		quick := always(check.Passed(""))
		b.set(1, job(1, s, slow), job(2, plan(time.Second), quick))
		b.pass(2 * time.Second)
		if err := b.Drain(b.t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := b.results(1); len(got) != 1 || got[0].Detail != "the last one" {
			t.Errorf("when drained, sent: %+v", got)
		}
		ran := len(quick.times())
		b.pass(time.Minute)
		if after := len(quick.times()); after != ran {
			t.Errorf("%d runs after the drain", after-ran)
		}
		if b.messages()[len(b.messages())-1].beat == nil {
			t.Error("a drained loop has no heartbeat")
		}
	})
}

func TestDrainGivesUp(t *testing.T) {
	inBubble(t, func(b *bench) {
		deaf := answering(func(int, context.Context) check.Result {
			time.Sleep(time.Minute)
			return check.Passed("")
		})
		b.set(1, job(1, plan(time.Second), deaf))
		b.pass(2 * time.Second)
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
		defer cancel()
		if err := b.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain = %v", err)
		}
	})
}

func TestProbesLogUnderTheirName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		s := New(&bench{begin: time.Now()}, slog.New(slog.NewTextHandler(&text, nil)), 0)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = s.Run(ctx) }()
		j := job(1, plan(time.Second), answering(func(n int, ctx context.Context) check.Result {
			if n == 0 {
				check.Logger(ctx).Info("hello")
			}
			return check.Passed("")
		}))
		s.Apply(1, map[uint64]*Job{1: &j})
		time.Sleep(3 * time.Second)
		cancel()
		synctest.Wait()
		for _, want := range []string{"msg=hello", "check=fake", "service=web", "real_server=192.0.2.1:80"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("log %q lacks %s", text.String(), want)
			}
		}
	})
}

func TestTrackersLogUnderTheirName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		s := New(&bench{begin: time.Now()}, slog.New(slog.NewTextHandler(&text, nil)), 0)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = s.Run(ctx) }()
		j := job(1, plan(time.Second), answering(func(int, context.Context) check.Result { panic("oops") }))
		j.Probe.Tracker = "nginx"
		s.Apply(1, map[uint64]*Job{1: &j})
		time.Sleep(time.Second)
		cancel()
		synctest.Wait()
		for _, want := range []string{`msg="checker panicked"`, "panic=oops", "type=fake", "tracker=nginx"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("log %q lacks %s", text.String(), want)
			}
		}
	})
}

func TestQueueIsInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // A repeatable test.
	for round := range 200 {
		var q queue
		var all []*probe
		for range random.IntN(300) {
			p := &probe{at: random.Int64N(100)}
			all = append(all, p)
			q.push(p)
		}
		for range random.IntN(300) {
			if len(all) == 0 {
				break
			}
			i := random.IntN(len(all))
			if random.IntN(3) == 0 {
				q.remove(all[i])
				all = slices.Delete(all, i, i+1)
				continue
			}
			all[i].at = random.Int64N(100)
			q.fix(all[i])
		}
		want := make([]int64, 0, len(all))
		for _, p := range all {
			want = append(want, p.at)
		}
		slices.Sort(want)
		var got []int64
		for len(q) > 0 {
			got = append(got, q[0].at)
			q.remove(q[0].probe)
		}
		if !slices.Equal(got, want) && len(want) > 0 {
			t.Fatalf("round %d: order %v, want %v", round, got, want)
		}
	}
}
