package schedule

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/session"
)

func TestUnsurprisingResultsTravelTogether(t *testing.T) {
	inBubble(t, func(b *bench) {
		const n = 1000
		jobs := make([]Job, n)
		for i := range jobs {
			jobs[i] = known(job(uint64(i+1), plan(time.Second), always(check.Passed(""))), check.Pass)
		}
		b.set(1, jobs...)
		b.pass(10 * time.Second)
		messages, results := 0, 0
		for _, m := range b.messages() {
			if len(m.results) == 0 {
				continue
			}
			messages++
			results += len(m.results)
			for _, r := range m.results {
				if r.Age > batchTime+slack {
					t.Fatalf("a result waited %v", r.Age)
				}
			}
		}
		if results < 9*n || messages > 115 { // A heartbeat takes along what waits.
			t.Errorf("%d results in %d messages, want %d in about 100", results, messages, 10*n)
		}
	})
}

func TestEveryResultIsSentOnceAndInOrder(t *testing.T) {
	inBubble(t, func(b *bench) {
		f := answering(func(n int, _ context.Context) check.Result {
			return check.Result{Outcome: check.Outcome(1 + n%3/2), Took: time.Duration(n + 1)} //nolint:gosec // Small.
		})
		s := plan(20 * time.Millisecond)
		b.set(1, job(1, s, f))
		b.pass(10 * time.Second)
		all := b.results(1)
		for i, r := range all {
			if r.Took != time.Duration(i+1) {
				t.Fatalf("result %d is that of run %d", i, r.Took-1)
			}
		}
		if ran := len(f.times()); ran-len(all) > 6 || ran < 400 {
			t.Errorf("%d results of %d runs", len(all), ran)
		}
	})
}

func TestAChangeIsSentAtOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		var ended time.Duration
		f := answering(func(n int, _ context.Context) check.Result {
			if n < 3 {
				return check.Passed("")
			}
			if n == 3 {
				time.Sleep(30 * time.Millisecond)
				ended = time.Since(b.begin)
			}
			return check.Failed(check.ReasonRefused, "")
		})
		b.set(1, known(job(1, plan(time.Second), f), check.Pass))
		b.pass(10 * time.Second)
		for _, m := range b.messages() {
			for _, r := range m.results {
				if r.Outcome != check.Fail {
					continue
				}
				if m.at != ended || r.Age != 0 {
					t.Errorf("the first failure ended at %v and arrived at %v with age %v", ended, m.at, r.Age)
				}
				return
			}
		}
		t.Error("no failure arrived")
	})
}

func TestWhatTheHostBelievesIsNoChange(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.set(1, known(job(1, plan(time.Minute), always(check.Failed(check.ReasonRefused, ""))), check.Fail))
		b.pass(2 * time.Minute)
		if r := b.results(1)[0]; r.Age < batchTime {
			t.Errorf("a result that told nothing new was sent after %v", r.Age)
		}
	})
}

func TestLargeBatchesAreCut(t *testing.T) {
	inBubble(t, func(b *bench) {
		const n = 2500
		jobs := make([]Job, n)
		for i := range jobs {
			jobs[i] = job(uint64(i+1), plan(10*time.Second), always(check.Passed("")))
		}
		block := make(chan struct{})
		b.mu.Lock()
		b.block = block
		b.mu.Unlock()
		b.set(1, jobs...)
		b.pass(5 * time.Second)
		b.mu.Lock()
		b.block = nil
		b.mu.Unlock()
		close(block)
		b.pass(20 * time.Second)
		for _, m := range b.messages() {
			if len(m.results) > session.MaxChunk {
				t.Fatalf("%d results in one message", len(m.results))
			}
		}
	})
}

func TestASlowHostFindsTheNewestOfEachProbe(t *testing.T) {
	inBubble(t, func(b *bench) {
		const n = 50
		jobs := make([]Job, n)
		for i := range jobs {
			f := answering(func(run int, _ context.Context) check.Result {
				return check.Result{Outcome: check.Pass, Took: time.Duration(run + 1)}
			})
			jobs[i] = known(job(uint64(i+1), plan(time.Second), f), check.Pass)
		}
		b.set(1, jobs...)
		b.pass(5 * time.Second)
		block := make(chan struct{})
		b.mu.Lock()
		b.block = block
		b.mu.Unlock()
		b.pass(time.Minute)
		b.Scheduler.mu.Lock()
		waiting := len(b.outbox.waiting)
		b.Scheduler.mu.Unlock()
		if waiting > n {
			t.Errorf("%d results wait for %d probes", waiting, n)
		}
		b.mu.Lock()
		b.block, b.news = nil, nil
		b.mu.Unlock()
		close(block)
		b.pass(0)
		for id := uint64(1); id <= n; id++ {
			all := b.results(id)
			// One may have been in the message that was blocked.
			if len(all) < 1 || len(all) > 2 {
				t.Fatalf("probe %d: %d results after a minute of silence", id, len(all))
			}
			if newest := all[len(all)-1]; newest.Took < 64 || newest.Age > time.Second {
				t.Fatalf("probe %d: the last result is of run %d, %v old", id, newest.Took-1, newest.Age)
			}
		}
	})
}

func TestHeartbeats(t *testing.T) {
	inBubble(t, func(b *bench) {
		hang := answering(func(_ int, ctx context.Context) check.Result {
			<-ctx.Done()
			return check.FromError(ctx.Err())
		})
		long := plan(time.Hour)
		long.Timeout = time.Hour
		b.set(1, job(1, long, hang), job(2, plan(time.Second), always(check.Passed(""))))
		b.pass(10*time.Second + slack)
		beats := 0
		var last *session.Heartbeat
		for _, m := range b.messages() {
			if m.beat == nil {
				continue
			}
			beats++
			if want := time.Duration(beats) * time.Second; m.at < want || m.at > want+2*slack {
				t.Errorf("heartbeat %d at %v", beats, m.at)
			}
			last = m.beat
		}
		if beats != 10 {
			t.Fatalf("%d heartbeats in 10 s", beats)
		}
		if last.Probes != 2 || last.InFlight != 1 || last.Overdue != 0 || last.Done < 8 || last.Done > 10 {
			t.Errorf("heartbeat = %+v", last)
		}
	})
}

func TestAWedgedLoopLooksDead(t *testing.T) {
	inBubble(t, func(b *bench) {
		wedge := &starter{func(_ time.Time, _ check.Target, done func(check.Result)) {
			time.Sleep(time.Minute)
			done(check.Passed(""))
		}}
		b.set(1, job(1, plan(24*time.Hour), wedge), known(job(2, plan(10*time.Second), always(check.Passed(""))), check.Pass))
		b.pass(50 * time.Second)
		for _, m := range b.messages() {
			if m.beat != nil && m.at > 2*time.Second {
				t.Errorf("a heartbeat at %v while the loop hangs", m.at)
			}
		}
		b.pass(20 * time.Second)
		var worst time.Duration
		for _, m := range b.messages() {
			if m.beat != nil {
				worst = max(worst, m.beat.LoopLag)
			}
		}
		if worst < 50*time.Second {
			t.Errorf("the loop owns up to a lag of %v, want about a minute", worst)
		}
	})
}

func TestOverdueIsCounted(t *testing.T) {
	var q queue
	for i := range 1000 {
		q.push(&probe{at: int64(i)})
	}
	for _, tc := range []struct {
		limit int64
		want  int
	}{{-1, 0}, {0, 0}, {1, 1}, {500, 500}, {5000, 1000}} {
		if got := q.countBefore(tc.limit); got != tc.want {
			t.Errorf("before %d: %d, want %d", tc.limit, got, tc.want)
		}
	}
}

func TestTheEndOfTheSinkIsTheEnd(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.mu.Lock()
		b.fail = errSink
		b.mu.Unlock()
		b.set(1, job(1, plan(time.Second), always(check.Passed(""))))
		b.pass(5 * time.Second)
		select {
		case err := <-b.ended:
			if !errors.Is(err, errSink) {
				t.Errorf("Run = %v, want the sink's error", err)
			}
		default:
			t.Error("Run goes on without a sink")
		}
	})
}

func TestTheEndOfTheContextIsTheEnd(t *testing.T) {
	inBubble(t, func(b *bench) {
		obedient := answering(func(_ int, ctx context.Context) check.Result {
			<-ctx.Done()
			return check.FromError(ctx.Err())
		})
		s := plan(time.Second)
		s.Timeout = time.Hour
		b.set(1, job(1, s, obedient))
		b.pass(2 * time.Second)
		b.end()
		if err := b.Idle(b.t.Context()); err != nil {
			t.Errorf("a run was left: %v", err)
		}
		if err := <-b.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	})
}
