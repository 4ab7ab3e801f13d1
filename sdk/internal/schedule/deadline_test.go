package schedule

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/session"
)

func TestDeadlineOfACheckerThatObeys(t *testing.T) {
	inBubble(t, func(b *bench) {
		obedient := answering(func(_ int, ctx context.Context) check.Result {
			deadline, ok := ctx.Deadline()
			if !ok || time.Until(deadline) != time.Second {
				t.Errorf("the context ends in %v, want the timeout", time.Until(deadline))
			}
			<-ctx.Done()
			return check.Failed(check.ReasonTimeout, "no answer to PING")
		})
		b.set(1, job(1, plan(10*time.Second), obedient))
		b.pass(3 * time.Second)
		got := b.last(1)
		if got.Outcome != check.Fail || got.Reason != check.ReasonTimeout || got.Detail != "no answer to PING" || got.Took != time.Second {
			t.Errorf("result = %+v, want its own words for the timeout", got)
		}
	})
}

func TestWhatComesAfterTheDeadlineIsATimeout(t *testing.T) {
	for _, tc := range []struct {
		name    string
		after   time.Duration
		answer  check.Result
		outcome check.Outcome
		reason  check.Reason
		detail  string
	}{
		{"at the deadline it counts", time.Second, check.Passed("just"), check.Pass, check.ReasonNone, "just"},
		{"a pass just after it does not", time.Second + time.Millisecond, check.Passed("late"), check.Fail, check.ReasonTimeout, "no answer within 1s"},
		{"nor does another failure", time.Second + time.Millisecond, check.Failed(check.ReasonStatus, "503"), check.Fail, check.ReasonTimeout, "no answer within 1s"},
		{"a local error stays one", time.Second + time.Millisecond, check.NotKnown(check.ReasonLocalError, "no descriptor"), check.Unknown, check.ReasonLocalError, "no descriptor"},
		{"after the grace it has been told", time.Minute, check.Passed("far too late"), check.Fail, check.ReasonTimeout, "no answer within 1s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				deaf := answering(func(int, context.Context) check.Result {
					time.Sleep(tc.after)
					return tc.answer
				})
				b.set(1, job(1, plan(10*time.Minute), deaf))
				b.pass(2 * time.Minute)
				all := b.results(1)
				if len(all) != 1 {
					t.Fatalf("results = %+v, want one", all)
				}
				if got := all[0]; got.Outcome != tc.outcome || got.Reason != tc.reason || got.Detail != tc.detail {
					t.Errorf("result = %+v", got)
				}
			})
		})
	}
}

func TestARunThatNeverEndsIsNotStartedTwice(t *testing.T) {
	inBubble(t, func(b *bench) {
		release := make(chan struct{})
		stuck := answering(func(n int, _ context.Context) check.Result {
			if n == 0 {
				<-release // Deaf to its context, like a child in an uninterruptible sleep.
			}
			return check.Passed("well again")
		})
		b.set(1, known(job(1, plan(10*time.Second), stuck), check.Pass))
		b.pass(time.Minute + time.Second)
		all := b.results(1)
		if len(all) < 5 || len(all) > 7 {
			t.Fatalf("%d results in a minute, want one an interval", len(all))
		}
		for i, r := range all {
			if r.Outcome != check.Fail || r.Reason != check.ReasonTimeout {
				t.Errorf("result %d = %+v, want a timeout", i, r)
			}
		}
		if all[0].Detail == all[1].Detail {
			t.Errorf("nobody can see that the run is stuck: %q", all[1].Detail)
		}
		if n := len(stuck.times()); n != 1 {
			t.Fatalf("%d runs were started", n)
		}
		close(release)
		b.pass(20 * time.Second)
		if got := b.last(1); got.Outcome != check.Pass || stuck.together() != 1 {
			t.Errorf("after its end: %+v, %d at once", got, stuck.together())
		}
	})
}

func TestDeadTargetsDoNotStarveLiveOnes(t *testing.T) {
	inBubble(t, func(b *bench) {
		const dead, alive = 8000, 200
		hang := answering(func(_ int, ctx context.Context) check.Result {
			<-ctx.Done()
			return check.FromError(ctx.Err())
		})
		s := plan(2 * time.Second)
		s.Timeout = 1900 * time.Millisecond
		var jobs []Job
		for i := range dead {
			jobs = append(jobs, job(uint64(i+1), s, hang))
		}
		live := make([]*fake, alive)
		for i := range live {
			live[i] = always(check.Passed(""))
			jobs = append(jobs, job(uint64(dead+i+1), s, live[i]))
		}
		b.set(1, jobs...)
		b.pass(20 * time.Second)
		for i, f := range live {
			starts := f.times()
			for n := 2; n < len(starts); n++ {
				if gap := starts[n] - starts[n-1]; gap > s.Interval+slack {
					t.Fatalf("live probe %d waited %v between runs", i, gap)
				}
			}
			if len(starts) < 9 {
				t.Fatalf("live probe %d ran %d times in 20 s of 2 s", i, len(starts))
			}
		}
	})
}

func TestStarter(t *testing.T) {
	inBubble(t, func(b *bench) {
		var deadline time.Time
		var target check.Target
		b.set(1, job(1, plan(10*time.Second), &starter{func(d time.Time, got check.Target, done func(check.Result)) {
			deadline, target = d, got
			if until := time.Until(d); until != time.Second {
				t.Errorf("deadline in %v, want the timeout", until)
			}
			go func() {
				time.Sleep(300 * time.Millisecond)
				done(check.Passed("in its own time"))
			}()
		}}))
		b.pass(2 * time.Second)
		got := b.last(1)
		if got.Outcome != check.Pass || got.Took != 300*time.Millisecond || deadline.IsZero() || target.VirtualServer != "web" {
			t.Errorf("result = %+v, target %+v", got, target)
		}
	})
}

func TestStarterThatIsDoneAtOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.set(1, job(1, plan(time.Second), &starter{func(_ time.Time, _ check.Target, done func(check.Result)) {
			done(check.Passed("at once"))
		}}))
		b.pass(10 * time.Second)
		if n := len(b.results(1)); n < 9 || n > 11 {
			t.Errorf("%d results in 10 s of 1 s", n)
		}
	})
}

func TestStarterThatIsDoneTwice(t *testing.T) {
	inBubble(t, func(b *bench) {
		var before func(check.Result)
		b.set(1, known(job(1, plan(time.Second), &starter{func(_ time.Time, _ check.Target, done func(check.Result)) {
			if before != nil {
				before(check.Failed(check.ReasonReset, "of the run before"))
			}
			before = done
			done(check.Passed(""))
			done(check.Failed(check.ReasonReset, "again"))
		}}), check.Pass))
		b.pass(10*time.Second + 500*time.Millisecond)
		all := b.results(1)
		for _, r := range all {
			if r.Outcome != check.Pass {
				t.Errorf("a second answer was taken: %+v", r)
			}
		}
		if len(all) != 10 {
			t.Errorf("%d results of 10 runs", len(all))
		}
	})
}

func TestStarterThatIsNeverDone(t *testing.T) {
	inBubble(t, func(b *bench) {
		var mu sync.Mutex
		var dones []func(check.Result)
		b.set(1, job(1, plan(10*time.Second), &starter{func(_ time.Time, _ check.Target, done func(check.Result)) {
			mu.Lock()
			defer mu.Unlock()
			dones = append(dones, done)
		}}))
		b.pass(time.Minute)
		if got := b.last(1); got.Reason != check.ReasonTimeout || len(dones) != 1 {
			t.Fatalf("result %+v after %d starts", got, len(dones))
		}
		before := len(b.results(1))
		dones[0](check.Passed("at last"))
		b.pass(time.Millisecond)
		if len(b.results(1)) != before {
			t.Error("the answer of a run that has been told about was reported")
		}
		b.pass(11 * time.Second)
		if len(dones) != 2 {
			t.Errorf("%d starts after the first run has ended, want 2", len(dones))
		}
	})
}

func TestAPanicStaysWithItsProbe(t *testing.T) {
	for name, broken := range map[string]func(int, context.Context) check.Result{
		"panic":  func(int, context.Context) check.Result { panic("nil map") },
		"goexit": func(int, context.Context) check.Result { runtime.Goexit(); return check.Result{} },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				good := always(check.Passed(""))
				b.set(1, job(1, plan(time.Second), answering(broken)), job(2, plan(time.Second), good))
				b.pass(10 * time.Second)
				if got := b.last(1); got.Outcome != check.Unknown || got.Reason != check.ReasonLocalError || got.Detail == "" {
					t.Errorf("the broken one: %+v", got)
				}
				if n := len(b.results(1)); n < 9 {
					t.Errorf("the broken one was asked %d times", n)
				}
				if n := len(good.times()); n < 9 {
					t.Errorf("the good one was asked %d times", n)
				}
			})
		})
	}
}

func TestResultsAreCleaned(t *testing.T) {
	inBubble(t, func(b *bench) {
		weight := -5
		b.set(1, job(1, plan(time.Second), always(check.Result{
			Outcome: check.Fail, Reason: check.ReasonLocalError, Detail: "a\x1b[2Jb", Weight: &weight,
		})))
		b.pass(2 * time.Second)
		if got := b.last(1); got.Outcome != check.Unknown || got.Detail != "a [2Jb" || got.Weight != nil {
			t.Errorf("result = %+v", got)
		}
	})
}

func TestStallSpreadsWhatIsOverdue(t *testing.T) {
	const n = 1000
	for _, tc := range []struct {
		name     string
		believed check.Outcome
		schedule session.Schedule
		over     time.Duration // what they are spread over
	}{
		{"settled: over the interval", check.Pass, plan(10 * time.Second), 10 * time.Second},
		{"not settled: over the retry interval", check.Unknown, session.Schedule{
			Interval: time.Hour, RetryInterval: 4 * time.Second, Timeout: time.Second, Rise: 1000, Fall: 1000,
		}, 4 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				var began time.Duration
				stop := &starter{func(_ time.Time, _ check.Target, done func(check.Result)) {
					began = time.Since(b.begin)
					time.Sleep(time.Minute)
					done(check.Passed(""))
				}}
				fakes := make([]*fake, n)
				jobs := []Job{job(n+1, plan(24*time.Hour), stop)}
				for i := range fakes {
					fakes[i] = always(check.Passed(""))
					jobs = append(jobs, known(job(uint64(i+1), tc.schedule, fakes[i]), tc.believed))
				}
				b.set(1, jobs...)
				b.pass(80 * time.Second)
				if began == 0 {
					t.Fatal("the loop was never stopped")
				}
				end := began + time.Minute
				tenths, next := make([]int, 11), 0
				for _, f := range fakes {
					for _, at := range f.times() {
						if at >= end {
							tenths[min(int(10*(at-end)/tc.over), 10)]++
							next++
							break
						}
					}
				}
				if next != n {
					t.Errorf("%d of %d probes ran again", next, n)
				}
				for i, got := range tenths {
					if got > n/6 {
						t.Errorf("%d runs in tenth %d after the stall, want them spread: %v", got, i, tenths)
					}
				}
			})
		})
	}
}

func TestLateLoopKnowsNothing(t *testing.T) {
	for _, tc := range []struct {
		name    string
		timeout time.Duration
		stall   time.Duration
		reason  check.Reason
	}{
		{"later than the timeout", time.Second, 5 * time.Second, check.ReasonLate},
		{"late, but there was time left", 20 * time.Second, 5 * time.Second, check.ReasonNone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				s := plan(time.Hour)
				s.Timeout = tc.timeout
				var blocked bool
				// Both start in one turn; the second one's answer waits while the
				// loop stands still, as it does in a socket of a stopped process.
				held := make(chan struct{})
				asked := &starter{func(_ time.Time, _ check.Target, done func(check.Result)) {
					go func() {
						<-held
						done(check.Passed("in time, but who could tell"))
					}()
				}}
				stall := s
				stall.Timeout = time.Hour
				b.set(1, job(2, s, asked), job(1, stall, &starter{func(_ time.Time, _ check.Target, done func(check.Result)) {
					blocked = true
					time.Sleep(tc.stall)
					close(held)
					done(check.Passed(""))
				}}))
				b.pass(time.Minute)
				if !blocked {
					t.Fatal("the loop was not stopped")
				}
				got := b.results(2)
				if len(got) != 1 || got[0].Reason != tc.reason {
					t.Fatalf("results = %+v, want reason %v", got, tc.reason)
				}
				if tc.reason == check.ReasonLate && got[0].Outcome != check.Unknown {
					t.Errorf("outcome = %v, want unknown", got[0].Outcome)
				}
			})
		})
	}
}

func TestAShortStallThatAteTheTimeIsLateToo(t *testing.T) {
	inBubble(t, func(b *bench) {
		// Asked at 0, the loop stands still for 0.8 s of the 1 s there is: what is
		// read at 1.1 s may have come in at any time.
		s := session.Schedule{Interval: time.Hour, RetryInterval: time.Hour, Timeout: time.Second, Rise: 1, Fall: 1}
		p := &probe{definition: session.Probe{Schedule: s}, startedAt: 0}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.stall = stall{until: int64(900 * time.Millisecond), lag: int64(800 * time.Millisecond)}
		b.wakeAt = never
		if got := b.judge(p, check.Passed(""), int64(1100*time.Millisecond)); got.Reason != check.ReasonLate {
			t.Errorf("judged %+v, want late", got)
		}
		if got := b.judge(p, check.Passed(""), int64(990*time.Millisecond)); got.Outcome != check.Pass {
			t.Errorf("judged %+v, want the pass that came in time", got)
		}
		b.stall.lag = int64(30 * time.Millisecond)
		if got := b.judge(p, check.Passed(""), int64(1010*time.Millisecond)); got.Reason != check.ReasonTimeout {
			t.Errorf("judged %+v, want a timeout: the loop was late by next to nothing", got)
		}
	})
}
