package bfd_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/bfd"
)

// clock plays virtual time for one session and notes what it does.
type clock struct {
	t testing.TB
	*bfd.Session
	now  time.Time
	done []note
	// sent is every packet, in order.
	sent []sending
}

type note struct {
	after time.Duration // since t0
	what  string
}

type sending struct {
	after time.Duration
	bfd.Packet
}

func newClock(t testing.TB, s *bfd.Session) *clock {
	t.Helper()
	return &clock{t: t, Session: s, now: t0}
}

// handle gives the session an event now.
func (c *clock) handle(event bfd.Event) {
	c.t.Helper()
	packets := 0
	for _, action := range c.Handle(c.now, event, nil) {
		if a, ok := action.(*bfd.SendPacket); ok {
			packets++
			c.sent = append(c.sent, sending{c.now.Sub(t0), a.Packet})
		}
		c.done = append(c.done, note{c.now.Sub(t0), line(action)})
	}
	if packets > 1 {
		c.t.Fatalf("%d packets for one event", packets)
	}
}

// run lets time pass, each deadline served on time.
func (c *clock) run(d time.Duration) {
	c.t.Helper()
	for end := c.now.Add(d); ; {
		at, ok := c.Deadline()
		if !ok || at.After(end) {
			c.now = end
			return
		}
		if at.After(c.now) {
			c.now = at
		}
		c.handle(bfd.DeadlineReached{})
		if again, ok := c.Deadline(); ok && !again.After(c.now) {
			c.t.Fatalf("the deadline %v stays %v", c.now, again)
		}
	}
}

// hears runs until the end while the packet comes every interval, the first time
// at once.
func (c *clock) hears(e *bfd.PacketReceived, interval, d time.Duration) {
	c.t.Helper()
	for end := c.now.Add(d); c.now.Before(end); {
		c.handle(e)
		c.run(min(interval, end.Sub(c.now)))
	}
}

// did is what was done since the last call, each with its time since t0.
func (c *clock) did() string {
	words := make([]string, 0, len(c.done))
	for _, n := range c.done {
		words = append(words, fmt.Sprintf("%v %s", n.after, n.what))
	}
	c.sent, c.done = nil, nil
	return strings.Join(words, "; ")
}

// packets are those since the last call.
func (c *clock) packets() []sending {
	list := c.sent
	c.sent, c.done = nil, nil
	return list
}

// gaps are the times between packets, the first counted from t0.
func gaps(list []sending) []time.Duration {
	all := make([]time.Duration, 0, len(list))
	last := time.Duration(0)
	for _, s := range list {
		all = append(all, s.after-last)
		last = s.after
	}
	return all
}

func (c *clock) want(want string) {
	c.t.Helper()
	if got := c.did(); got != want {
		c.t.Errorf("did\n\t%s\nwant\n\t%s", strings.ReplaceAll(got, "; ", "\n\t"), strings.ReplaceAll(want, "; ", "\n\t"))
	}
}

func all(list []sending, is func(p bfd.Packet) bool) bool {
	return !slices.ContainsFunc(list, func(s sending) bool { return !is(s.Packet) })
}
