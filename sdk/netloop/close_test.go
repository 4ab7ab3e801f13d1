package netloop_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/netloop"
)

func TestCloseAnswersEverything(t *testing.T) {
	tests := map[string]func(l *netloop.Loop, cancel context.CancelFunc){
		"close":  func(l *netloop.Loop, _ context.CancelFunc) { l.Close(); l.Close() },
		"cancel": func(_ *netloop.Loop, cancel context.CancelFunc) { cancel() },
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			hole := blackHole(t)
			before := descriptors(t)
			l, err := netloop.Open()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- l.Run(ctx) }()
			const attempts = 50
			answers := make(chan netloop.Answer, attempts+1)
			for range attempts {
				l.Dial(hole, netip.Addr{}, time.Now().Add(time.Hour), func(a netloop.Answer) { answers <- a })
			}
			end(l, cancel)
			if err := <-ended; name == "close" && err != nil || name == "cancel" && !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v", err)
			}
			// A Dial that lost the race is answered by Dial itself.
			l.Dial(hole, netip.Addr{}, time.Now().Add(time.Hour), func(a netloop.Answer) { answers <- a })
			for range attempts + 1 {
				var a netloop.Answer
				select {
				case a = <-answers:
				case <-time.After(patience):
					t.Fatal("an attempt was not answered")
				}
				if r := a.Result(); a.State != netloop.Closed || r.Outcome != check.Unknown || r.Reason != check.ReasonLocalError {
					t.Fatalf("answer %+v, result %+v; want Closed and unknown", a, r)
				}
			}
			if n := descriptors(t); n > before {
				t.Errorf("%d descriptors, %d before", n, before)
			}
		})
	}
}

func TestSecondRunIsRefused(t *testing.T) {
	l := open(t)
	for !l.Asleep() {
		time.Sleep(100 * time.Microsecond)
	}
	if err := l.Run(t.Context()); err == nil {
		t.Error("a second Run was accepted")
	}
}

func TestCloseBeforeRun(t *testing.T) {
	before := descriptors(t)
	l, err := netloop.Open()
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan netloop.Answer, 1)
	l.Dial(closedPort(t), netip.Addr{}, time.Now().Add(time.Hour), func(a netloop.Answer) { answer <- a })
	l.Close()
	if a := <-answer; a.State != netloop.Closed {
		t.Errorf("answer %+v, want Closed", a)
	}
	if err := l.Run(t.Context()); err != nil {
		t.Errorf("Run after Close: %v", err)
	}
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
}

func descriptors(tb testing.TB) int {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	return len(entries)
}
