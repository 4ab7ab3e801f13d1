package radv_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/radv"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// bench is an Advertiser in virtual time. It writes down what is sent, "T" for an
// ordinary advertisement and "T-" for one with a lifetime of zero.
type bench struct {
	t *testing.T
	*radv.Advertiser
	now  time.Time
	sent []string
	// part of the range is what every draw answers, in per cent.
	part int
}

func newBench(t *testing.T, c radv.Config) *bench {
	b := &bench{t: t, now: t0, part: 100}
	b.Advertiser = radv.New(c, func(n time.Duration) time.Duration {
		if n <= 0 {
			t.Errorf("a draw below %v", n)
		}
		return (n - 1) * time.Duration(b.part) / 100
	})
	return b
}

func (b *bench) do(e radv.Event) {
	b.t.Helper()
	for _, action := range b.Handle(b.now, e, nil) {
		send, ok := action.(radv.Send)
		if !ok {
			b.t.Fatalf("action %T", action)
		}
		word := fmt.Sprint(b.now.Sub(t0).Seconds())
		if send.Lifetime == 0 {
			word += "-"
		}
		b.sent = append(b.sent, word)
	}
}

// pass lets time go by, and deadlines come.
func (b *bench) pass(d time.Duration) {
	b.t.Helper()
	end := b.now.Add(d)
	for range 10_000 {
		at, ok := b.Deadline()
		if !ok || at.After(end) {
			b.now = end
			return
		}
		b.now = at
		b.do(radv.DeadlineReached{})
		if next, ok := b.Deadline(); ok && !next.After(b.now) {
			b.t.Fatalf("at %v the next deadline is %v: there is no end of it", b.now, next)
		}
	}
	b.t.Fatal("too many deadlines")
}

// until is pass up to a time since the start.
func (b *bench) until(at time.Duration) {
	b.t.Helper()
	b.pass(t0.Add(at).Sub(b.now))
}

func (b *bench) want(sent ...string) {
	b.t.Helper()
	if !slices.Equal(b.sent, sent) {
		b.t.Errorf("sent at %s, want %s", strings.Join(b.sent, " "), strings.Join(sent, " "))
	}
	b.sent = nil
}

// RFC 4861 §6.2.4: three within 16 seconds of each other, then the interval, whose
// bounds both count.
func TestIntervals(t *testing.T) {
	for part, want := range map[int][]string{100: {"0", "16", "32", "632", "1232"}, 0: {"0", "16", "32", "232", "432", "632", "832", "1032", "1232"}} {
		b := newBench(t, basic())
		b.part = part
		b.do(radv.DeadlineReached{})
		b.do(radv.Solicited{}) // A backup says nothing, whoever asks.
		b.pass(time.Hour)
		b.want()
		b.now = t0
		b.do(radv.Began{})
		b.do(radv.Began{}) // Is no news.
		b.pass(1300 * time.Second)
		b.want(want...)
		// A router that is not active any more is silent at once: its successor
		// has its address.
		b.do(radv.Ceased{})
		b.do(radv.Solicited{})
		b.pass(time.Hour)
		b.want()
		if s := b.Snapshot(); s.Phase != radv.Silent || !s.Next.IsZero() || s.Last != t0.Add(1232*time.Second) {
			t.Errorf("%+v", s)
		}
	}
}

// RFC 4861 §6.2.6.
func TestSolicitations(t *testing.T) {
	b := newBench(t, basic())
	b.do(radv.Began{})
	b.pass(100 * time.Second)
	b.want("0", "16", "32")
	// The answer comes half a second later at most, and is one for all.
	b.do(radv.Solicited{})
	b.pass(200 * time.Millisecond)
	b.do(radv.Solicited{})
	b.pass(time.Second)
	b.want("100.5")
	// A little later: not before the pause is over.
	b.do(radv.Solicited{})
	b.pass(3 * time.Second)
	b.want("104") // 100.5 and three seconds and the half.
	// It has put off the next one that nobody asked for.
	b.pass(599 * time.Second)
	b.want()
	b.pass(2 * time.Second)
	b.want("704")
	// One that is about to come anyway is answer enough.
	b.until(1303800 * time.Millisecond)
	b.do(radv.Solicited{})
	b.pass(400 * time.Millisecond)
	b.want("1304")
	// Without a delay it comes at once.
	b.until(1314 * time.Second)
	b.part = 0
	b.do(radv.Solicited{})
	b.pass(0)
	b.want("1314")
}

// A thousand solicitations a second get an answer every three seconds.
func TestSolicitationsAreLimited(t *testing.T) {
	b := newBench(t, basic())
	b.part = 0
	b.do(radv.Began{})
	for range 10_000 {
		b.do(radv.Solicited{})
		b.pass(time.Millisecond)
	}
	b.want("0", "3", "6", "9")
}

// RFC 4861 §6.2.5: who is still there and advertises no longer takes it back.
func TestWithdrawal(t *testing.T) {
	b := newBench(t, basic())
	b.do(radv.Began{})
	b.pass(100 * time.Second)
	b.sent = nil
	b.do(radv.Ceased{Withdrawn: true})
	b.do(radv.Ceased{Withdrawn: true})
	b.do(radv.Solicited{})
	if s := b.Snapshot(); s.Phase != radv.Withdrawing {
		t.Errorf("%+v", s)
	}
	b.until(1000 * time.Second)
	b.want("100-", "103-", "106-")
	if _, ok := b.Deadline(); ok || b.Snapshot().Phase != radv.Silent {
		t.Error("does not end")
	}
	// One that lost the address in the middle of it must not go on.
	b.do(radv.Began{})
	b.until(1100 * time.Second)
	b.do(radv.Ceased{Withdrawn: true})
	b.until(1101 * time.Second)
	b.do(radv.Ceased{})
	b.until(2000 * time.Second)
	b.want("1000", "1016", "1032", "1100-")
	// One that changed its mind in the middle of it goes on as before.
	b.do(radv.Began{})
	b.until(2100 * time.Second)
	b.do(radv.Ceased{Withdrawn: true})
	b.until(2101 * time.Second)
	b.do(radv.Began{})
	b.until(2120 * time.Second)
	b.want("2000", "2016", "2032", "2100-", "2103", "2119")
	// One that was no default router has nothing to take back.
	c := basic()
	c.Lifetime = 0
	b = newBench(t, c)
	b.do(radv.Ceased{Withdrawn: true})
	b.do(radv.Began{})
	b.do(radv.Ceased{Withdrawn: true})
	b.pass(time.Hour)
	b.want("0-")
}

// However often a router begins anew, hosts are sent no more than one every three
// seconds.
func TestFlapping(t *testing.T) {
	b := newBench(t, basic())
	for range 100 {
		b.do(radv.Began{})
		b.pass(50 * time.Millisecond)
		b.do(radv.Ceased{})
		b.pass(50 * time.Millisecond)
	}
	b.want("0", "3", "6", "9")
}

// What has changed is told at once, what has not is no news.
func TestReconfigured(t *testing.T) {
	b := newBench(t, basic())
	b.do(radv.Reconfigured{Config: everything()}) // Silent it stays.
	b.pass(time.Hour)
	b.do(radv.Reconfigured{Config: basic()})
	b.now = t0
	b.do(radv.Began{})
	b.pass(100 * time.Second)
	b.do(radv.Reconfigured{Config: basic()})
	b.pass(time.Second)
	b.want("0", "16", "32")
	b.do(radv.Reconfigured{Config: everything()})
	b.pass(10 * time.Second)
	b.want("101", "105", "109")
	c := everything()
	c.Lifetime, c.Preference = 0, radv.Medium
	b.do(radv.Reconfigured{Config: c})
	b.pass(2 * time.Second)
	b.want("112-")
}

// What could not be sent is tried again soon.
func TestUnsent(t *testing.T) {
	b := newBench(t, basic())
	b.do(radv.Unsent{}) // Nobody asked.
	b.do(radv.Began{})
	b.do(radv.Unsent{})
	b.pass(2 * time.Second)
	b.want("0")
	b.pass(2 * time.Second)
	b.want("3")
	b.do(radv.Ceased{})
	b.do(radv.Unsent{})
	b.pass(time.Hour)
	b.want()
}
