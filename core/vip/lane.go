package vip

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Announcements are paced so that thousands of them neither fill the network's
// queues nor take the processor from the advertisements: after chunk packets
// the lane rests for a millisecond, and the packets for one address are at
// least roundPause apart, so that one short disturbance does not lose them all.
const (
	chunk      = 128
	chunkPause = time.Millisecond
	roundPause = 20 * time.Millisecond
)

// lane announces the addresses of one interface. The first packet for every
// address goes out before the second one for any.
type lane struct {
	iface     string
	announcer Announcer
	log       *slog.Logger
	wake      chan struct{}
	started   bool // guarded by the Owner's lock

	turn  chan struct{} // has a value while nobody uses the queue
	queue []*announcement
	// failing keeps a lasting error from being logged for every packet.
	failing bool
}

// announcement is what is left of a burst.
type announcement struct {
	instance  string
	addresses []netip.Addr
	next      int       // index of the next address of this round
	round     int       // rounds done
	repeat    int       // rounds to do
	notBefore time.Time // when the next round may begin
	sent      *atomic.Uint64
}

func newLane(iface string, announcer Announcer, log *slog.Logger) *lane {
	l := &lane{
		iface: iface, announcer: announcer, log: log,
		wake: make(chan struct{}, 1), turn: make(chan struct{}, 1),
	}
	l.turn <- struct{}{}
	return l
}

// whole announces all addresses of an instance, in place of what is waiting
// for it.
func (l *lane) whole(a announcement) {
	l.add(a, true)
}

// some announces a few addresses of an instance, behind what is waiting.
func (l *lane) some(a announcement) {
	l.add(a, false)
}

func (l *lane) add(a announcement, replace bool) {
	<-l.turn
	if replace {
		l.remove(a.instance)
	}
	if len(a.addresses) > 0 && a.repeat > 0 {
		l.queue = append(l.queue, &a)
	}
	l.turn <- struct{}{}
	poke(l.wake)
}

// drop forgets what is waiting for an instance. When it returns, nothing of it
// is on its way out either.
func (l *lane) drop(instance string) {
	<-l.turn
	l.remove(instance)
	l.turn <- struct{}{}
}

func (l *lane) remove(instance string) {
	l.queue = slices.DeleteFunc(l.queue, func(a *announcement) bool { return a.instance == instance })
}

// run sends until ctx ends. What is waiting then is dropped: an interface
// whose instances have all released their addresses has nothing waiting.
func (l *lane) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	budget := chunk
	for {
		<-l.turn
		n, next := l.sendSome(time.Now(), budget)
		l.turn <- struct{}{}
		if budget -= n; budget <= 0 {
			budget = chunk
			next = time.Now().Add(chunkPause)
		} else if n > 0 {
			continue
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		wake := l.wake
		if budget == chunk && n > 0 {
			wake = nil // A rest is not to be cut short.
		}
		select {
		case <-wake:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// sendSome sends up to limit packets of the announcement that is furthest
// behind. It returns how many, or when there will be something to send, zero
// for never.
func (l *lane) sendSome(now time.Time, limit int) (n int, next time.Time) {
	var first *announcement
	for _, a := range l.queue {
		switch {
		case a.notBefore.After(now):
			if next.IsZero() || a.notBefore.Before(next) {
				next = a.notBefore
			}
		case first == nil || a.round < first.round:
			first = a
		}
	}
	if first == nil {
		return 0, next
	}
	addresses := first.addresses[first.next:min(first.next+limit, len(first.addresses))]
	err := l.announcer.Announce(l.iface, addresses)
	switch {
	case err == nil:
		first.sent.Add(uint64(len(addresses)))
		l.failing = false
	case !l.failing:
		// The neighbours learn from the next round, or from the next burst.
		l.failing = true
		l.log.Warn("cannot announce addresses", "iface", l.iface, "instance", first.instance, "reason", err)
	}
	if first.next += len(addresses); first.next == len(first.addresses) {
		first.next, first.notBefore = 0, now.Add(roundPause)
		if first.round++; first.round == first.repeat {
			l.queue = slices.DeleteFunc(l.queue, func(a *announcement) bool { return a == first })
		}
	}
	return len(addresses), time.Time{}
}
