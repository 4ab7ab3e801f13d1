package vrrp_test

import (
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

func TestTimers(t *testing.T) {
	tests := []struct {
		version  wire.Version
		priority uint8
		interval time.Duration
		skew     time.Duration
		down     time.Duration
	}{
		// RFC 3768 §6.1: the skew does not depend on the interval.
		{wire.V2, 100, time.Second, 609375 * time.Microsecond, 3609375 * time.Microsecond},
		{wire.V2, 254, time.Second, 7812500, 3007812500},
		{wire.V2, 100, 10 * time.Second, 609375 * time.Microsecond, 30609375 * time.Microsecond},
		{wire.V2, 1, 255 * time.Second, 996093750, 765996093750},
		// RFC 9568 §6.1: it is a part of it, and never rounded away.
		{wire.V3, 100, time.Second, 609375 * time.Microsecond, 3609375 * time.Microsecond},
		{wire.V3, 100, 100 * time.Millisecond, 60937500, 360937500},
		{wire.V3, 255, 10 * time.Millisecond, 39062, 30039062},
		{wire.V3, 254, 10 * time.Millisecond, 78125, 30078125},
		{wire.V3, 1, 40950 * time.Millisecond, 40790039062, 163640039062},
	}
	for _, tt := range tests {
		if got := vrrp.SkewTime(tt.version, tt.priority, tt.interval); got != tt.skew {
			t.Errorf("v%d priority %d interval %v: skew %v, want %v", tt.version, tt.priority, tt.interval, got, tt.skew)
		}
		if got := vrrp.ActiveDownInterval(tt.version, tt.priority, tt.interval); got != tt.down {
			t.Errorf("v%d priority %d interval %v: down %v, want %v", tt.version, tt.priority, tt.interval, got, tt.down)
		}
	}
}

// Preemption in all its cases: who holds the addresses in the end, after a
// better router has joined one that is active, or found nobody.
func TestPreemption(t *testing.T) {
	tests := []struct {
		name     string
		priority uint8
		preempt  bool
		delay    time.Duration
		peer     uint8 // Priority of the active router, 0 for none.
		heal     bool  // The router comes out of a fault instead of starting.
		// active is after what time the router is active, 0 for not within an hour.
		active time.Duration
	}{
		{name: "alone", priority: 150, preempt: true, active: 3414062500},
		{name: "alone, no preemption", priority: 150, active: 3414062500},
		{name: "alone, delayed", priority: 150, preempt: true, delay: 300 * time.Second, active: 3414062500},
		{name: "alone, from fault, delayed", priority: 150, preempt: true, delay: 300 * time.Second, heal: true, active: 3414062500},
		{name: "better", priority: 150, preempt: true, peer: 100, active: 3414062500},
		{name: "better, no preemption", priority: 150, peer: 100},
		// The first advertisement comes after 0.5 s. Ten seconds later, the one
		// at 10.5 s is the first to be discarded; the last accepted at 9.5 s.
		{name: "better, delayed", priority: 150, preempt: true, delay: 10 * time.Second, peer: 100, active: 9500*time.Millisecond + 3414062500},
		{name: "better, from fault", priority: 150, preempt: true, peer: 100, heal: true, active: 3414062500},
		{name: "better, from fault, no preemption", priority: 150, peer: 100, heal: true},
		{name: "equal", priority: 100, preempt: true, peer: 100},
		{name: "worse", priority: 90, preempt: true, peer: 100},
		{name: "owner", priority: 255, preempt: true, peer: 100, active: 1},
		{name: "owner, no preemption", priority: 255, peer: 100, active: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLAN(t)
			if tt.peer != 0 {
				p := l.add("peer", "192.0.2.1", with(func(c *vrrp.Config) { c.Priority = tt.peer }))
				l.up(p)
				down := vrrp.ActiveDownInterval(wire.V3, tt.peer, time.Second)
				l.run(down + 10*time.Second + 500*time.Millisecond)
			}
			n := l.add("new", "192.0.2.2", with(func(c *vrrp.Config) {
				c.Priority, c.Preempt, c.PreemptDelay = tt.priority, tt.preempt, tt.delay
			}))
			if tt.heal {
				l.handle(n, vrrp.InterfaceChanged{Exists: true})
			}
			joined := l.now
			l.up(n)
			if tt.active == 0 {
				l.run(time.Hour)
				if n.router.State() != vrrp.Backup {
					t.Errorf("is %v after an hour", n.router.State())
				}
				return
			}
			l.run(tt.active - 1)
			if tt.active > 1 && n.router.State() != vrrp.Backup {
				t.Errorf("is %v already, since %v", n.router.State(), n.router.Snapshot().Since.Sub(joined))
			}
			l.run(1)
			if n.router.State() != vrrp.Active {
				t.Errorf("is %v after %v", n.router.State(), tt.active)
			}
			l.run(time.Minute)
			if got := l.active(); len(got) != 1 || got[0] != "new" {
				t.Errorf("active: %v", got)
			}
			l.checkHolds()
		})
	}
}

// An advertisement that arrives before a late timer is reported counts: the
// timer was not looked at in time, the active router was.
func TestAdvertisementBeforeLateDeadline(t *testing.T) {
	r := in(t, vrrp.Backup, baseConfig())
	at, _ := r.Deadline()
	late := at.Add(200 * time.Millisecond)
	r.Handle(late, heard(200, high), nil)
	if got := lines(r.Handle(late, vrrp.DeadlineReached{}, nil)); got != "" {
		t.Errorf("did %q", got)
	}
}

// How late a backup's timer may be before it is not believed.
func TestLateBackupListensOnce(t *testing.T) {
	r := in(t, vrrp.Backup, baseConfig())
	at, _ := r.Deadline()
	if got := lines(r.Handle(at.Add(time.Second), vrrp.DeadlineReached{}, nil)); got == "" {
		t.Error("one interval late: did nothing")
	}
	r = in(t, vrrp.Backup, baseConfig())
	late := at.Add(time.Second + 1)
	if got := lines(r.Handle(late, vrrp.DeadlineReached{}, nil)); got != "" {
		t.Errorf("later than that: did %q", got)
	}
	next, _ := r.Deadline()
	if next.Sub(late) != 1609375*time.Microsecond {
		t.Errorf("listens for %v, want an interval and the skew", next.Sub(late))
	}
	// Late again: nobody spoke, and waiting for ever helps nobody.
	if got := lines(r.Handle(next.Add(time.Minute), vrrp.DeadlineReached{}, nil)); got == "" {
		t.Error("the second time: did nothing")
	}
}
