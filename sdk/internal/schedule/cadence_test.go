package schedule

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/session"
)

// firstStarts commits n probes and returns when each was first asked, sorted.
func firstStarts(t *testing.T, n int, s session.Schedule, believed check.Outcome) []time.Duration {
	t.Helper()
	var first []time.Duration
	inBubble(t, func(b *bench) {
		fakes := make([]*fake, n)
		jobs := make([]Job, n)
		for i := range fakes {
			fakes[i] = always(check.Passed(""))
			jobs[i] = known(job(uint64(i+1), s, fakes[i]), believed)
		}
		b.set(1, jobs...)
		b.pass(s.Interval + 10*time.Second)
		for _, f := range fakes {
			first = append(first, f.times()[0])
		}
	})
	slices.Sort(first)
	return first
}

func TestFirstRunsAreSpread(t *testing.T) {
	for _, tc := range []struct {
		name     string
		n        int
		interval time.Duration
		believed check.Outcome
		window   time.Duration
	}{
		{"not known: over the warm-up", 1000, 10 * time.Second, check.Unknown, time.Second},
		{"not known, short interval: over the interval", 1000, 600 * time.Millisecond, check.Unknown, 600 * time.Millisecond},
		{"not known, many: 10,000 a second", 20_000, 10 * time.Second, check.Unknown, 2 * time.Second},
		{"known to be good: over the interval", 1000, 10 * time.Second, check.Pass, 10 * time.Second},
		{"known to be bad: over the interval", 1000, 10 * time.Second, check.Fail, 10 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			first := firstStarts(t, tc.n, plan(tc.interval), tc.believed)
			// Evenly means: in each tenth of the window, a tenth of the probes.
			// The loop's slack may move a start across a border.
			for tenth := range 10 {
				from, to := tc.window*time.Duration(tenth)/10, tc.window*time.Duration(tenth+1)/10
				got := 0
				for _, at := range first {
					if at >= from && at < to {
						got++
					}
				}
				if want, most := tc.n/10, tc.n/25; got < want-most || got > want+most {
					t.Errorf("%d starts from %v to %v, want about %d", got, from, to, want)
				}
			}
			if last := first[len(first)-1]; last > tc.window+slack {
				t.Errorf("the last first run is at %v, want within %v", last, tc.window)
			}
		})
	}
}

func TestAnotherSeedIsAnotherPlace(t *testing.T) {
	if fraction(1<<63, 7) == fraction(0, 7) {
		t.Error("the seed moves nothing")
	}
	if got := part(1<<63, time.Second); got != int64(500*time.Millisecond) {
		t.Errorf("half of a second = %v", time.Duration(got))
	}
	if got := part(^uint64(0), time.Second); got >= int64(time.Second) {
		t.Errorf("the last place of a second = %v, want before its end", time.Duration(got))
	}
	if got := part(^uint64(0), -time.Second); got != 0 {
		t.Errorf("a place in a negative interval = %v", time.Duration(got))
	}
}

func TestSettledProbesKeepTheirPlace(t *testing.T) {
	inBubble(t, func(b *bench) {
		slow := answering(func(n int, _ context.Context) check.Result {
			time.Sleep(time.Duration(n%7) * 100 * time.Millisecond)
			return check.Passed("")
		})
		b.set(1, known(job(3, plan(2*time.Second), slow), check.Pass))
		b.pass(time.Hour)
		starts := slow.times()
		if len(starts) != 1800 {
			t.Fatalf("%d runs in an hour of 2 s, want 1800", len(starts))
		}
		for i := 1; i < len(starts); i++ {
			if gap := starts[i] - starts[i-1]; gap != 2*time.Second {
				t.Fatalf("run %d came %v after the one before: it drifts with the answers", i, gap)
			}
		}
	})
}

// script plays outcomes and returns the gaps between the runs.
func gaps(t *testing.T, s session.Schedule, believed check.Outcome, outcomes ...check.Outcome) []time.Duration {
	t.Helper()
	var found []time.Duration
	inBubble(t, func(b *bench) {
		f := answering(func(n int, _ context.Context) check.Result {
			return check.Result{Outcome: outcomes[min(n, len(outcomes)-1)]}
		})
		b.set(1, known(job(1, s, f), believed))
		for len(f.times()) <= len(outcomes) {
			b.pass(100 * time.Millisecond)
		}
		starts := f.times()
		for i := 1; i <= len(outcomes); i++ {
			found = append(found, starts[i]-starts[i-1])
		}
	})
	return found
}

func TestRetryIntervalWhileNotSettled(t *testing.T) {
	s := session.Schedule{Interval: 10 * time.Second, RetryInterval: time.Second, Timeout: time.Second, Rise: 3, Fall: 2}
	const (
		u, p, f = check.Unknown, check.Pass, check.Fail
		retry   = "retry"
		back    = "back on the grid" // anywhere within an interval
		full    = "interval"
	)
	for _, tc := range []struct {
		name     string
		believed check.Outcome
		outcomes []check.Outcome
		want     []string
	}{
		{"rise to the first verdict", u, []check.Outcome{p, p, p, p}, []string{retry, retry, back, full}},
		{"fall to the first verdict", u, []check.Outcome{f, f, f}, []string{retry, back, full}},
		{"known and still so", p, []check.Outcome{p, p}, []string{full, full}},
		{"known and no longer so", p, []check.Outcome{f, f, f}, []string{retry, back, full}},
		{"a single failure", p, []check.Outcome{p, f, p, p, p, p}, []string{full, retry, retry, retry, back, full}},
		{"cannot find out", u, []check.Outcome{u, u, u}, []string{retry, back, full}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := gaps(t, s, tc.believed, tc.outcomes...)
			for i, want := range tc.want {
				ok := false
				switch want {
				case retry:
					ok = got[i] == s.RetryInterval
				case full:
					ok = got[i] == s.Interval
				case back:
					ok = got[i] > 0 && got[i] <= s.Interval
				}
				if !ok {
					t.Errorf("gap %d is %v, want %s (all: %v)", i, got[i], want, got)
				}
			}
		})
	}
}

func TestRetryCountsFromStartToStart(t *testing.T) {
	inBubble(t, func(b *bench) {
		s := session.Schedule{Interval: time.Minute, RetryInterval: 2 * time.Second, Timeout: 5 * time.Second, Rise: 99, Fall: 99}
		slow := answering(func(n int, _ context.Context) check.Result {
			time.Sleep([]time.Duration{time.Second, 3 * time.Second, 0, 0}[min(n, 3)])
			return check.Passed("")
		})
		b.set(1, job(1, s, slow))
		b.pass(30 * time.Second)
		starts := slow.times()
		for i, want := range []time.Duration{2 * time.Second, 3 * time.Second, 2 * time.Second} {
			if got := starts[i+1] - starts[i]; got < want || got > want+slack {
				t.Errorf("gap %d is %v, want %v", i, got, want)
			}
		}
	})
}

func TestIntervalShorterThanTheRun(t *testing.T) {
	inBubble(t, func(b *bench) {
		s := plan(time.Second)
		s.Timeout = 10 * time.Second
		slow := answering(func(int, context.Context) check.Result {
			time.Sleep(2500 * time.Millisecond)
			return check.Passed("")
		})
		b.set(1, known(job(1, s, slow), check.Pass))
		b.pass(time.Minute)
		if slow.together() != 1 {
			t.Errorf("%d runs of one probe at once", slow.together())
		}
		starts := slow.times()
		for i := 1; i < len(starts); i++ {
			if gap := starts[i] - starts[i-1]; gap != 3*time.Second {
				t.Fatalf("gap %d is %v, want the next free place, 3s", i, gap)
			}
		}
	})
}

func TestLateResultsDoNotCount(t *testing.T) {
	p := &probe{definition: session.Probe{Schedule: session.Schedule{Rise: 2, Fall: 3}}}
	p.forget()
	pass, late := check.Passed(""), check.NotKnown(check.ReasonLate, "")
	if p.remember(&pass); p.settled() {
		t.Error("settled after one pass of two")
	}
	if p.remember(&late) || p.last != check.Pass || p.seen != 1 {
		t.Errorf("a late result changed the history: %v seen %d", p.last, p.seen)
	}
	if p.remember(&pass); !p.settled() {
		t.Error("not settled after two passes")
	}
}
