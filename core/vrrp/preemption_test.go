package vrrp_test

import (
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Preemption in all its cases: when a router that joins holds the addresses. It
// has priority 150 unless the case says otherwise, an interval of one second and
// so a timer of 3.4140625 s. A peer has been active for ten seconds and speaks
// half a second after the router has joined, then every second.
func TestPreemption(t *testing.T) {
	const (
		never = time.Duration(0)
		down  = 3414062500 * time.Nanosecond
		// discarded is when the timer ends that the last accepted advertisement
		// of the peer started, with a delay of ten seconds: the first one, at
		// 0.5 s, starts the clock, and the one at 10.5 s is discarded.
		discarded = 9500*time.Millisecond + down
	)
	tests := []struct {
		name     string
		priority uint8
		preempt  bool
		delay    time.Duration
		hold     time.Duration
		// peer is the priority of the active router, 0 for none.
		peer uint8
		// heal has the router come out of a fault instead of starting.
		heal bool
		// deaf is for how long it hears nothing, dies after what time the peer
		// is gone without a word.
		deaf, dies time.Duration
		// active is after what time it is active.
		active time.Duration
	}{
		// A silent network: taking it over is delayed by nothing but the
		// startup delay, which is there for networks that are not up yet.
		{name: "1 silence", preempt: true, active: down},
		{name: "2 silence, preempt=false", active: down},
		{name: "3 silence, preempt_delay (R29)", preempt: true, delay: 300 * time.Second, active: down},
		{name: "4 silence out of a fault, preempt_delay", preempt: true, delay: 300 * time.Second, heal: true, active: down},
		{name: "5 silence, startup_delay", preempt: true, hold: 5 * time.Second, active: 5*time.Second + down},
		{name: "6 silence, delay_after_boot", preempt: true, hold: vrrp.StartupHold(5*time.Second, time.Second, 20*time.Second, 12*time.Second), active: 8*time.Second + down},
		// An active router of lower priority.
		{name: "7 worse active", preempt: true, peer: 100, active: down},
		{name: "8 worse active, preempt=false", peer: 100, active: never},
		{name: "9 worse active, preempt=false, startup_delay, deaf at first (R28)", peer: 100, hold: 5 * time.Second, deaf: 4 * time.Second, active: never},
		{name: "10 worse active, preempt_delay", preempt: true, delay: 10 * time.Second, peer: 100, active: discarded},
		{name: "11 worse active, out of a fault, preempt_delay", preempt: true, delay: 10 * time.Second, peer: 100, heal: true, active: discarded},
		// The last advertisement came at 4.5 s.
		{name: "12 worse active dies within preempt_delay", preempt: true, delay: 300 * time.Second, peer: 100, dies: 5 * time.Second, active: 4500*time.Millisecond + down},

		{name: "worse active, out of a fault", preempt: true, peer: 100, heal: true, active: down},
		{name: "worse active, out of a fault, preempt=false", peer: 100, heal: true, active: never},
		{name: "worse active, preempt=false, deaf without startup_delay", peer: 100, deaf: 4 * time.Second, active: down},
		{name: "worse active, startup_delay", preempt: true, peer: 100, hold: 5 * time.Second, active: 5*time.Second + down},
		{name: "worse active dies, preempt=false", peer: 100, dies: 5 * time.Second, active: 4500*time.Millisecond + down},
		{name: "equal active", preempt: true, peer: 150, active: never},
		{name: "better active", preempt: true, peer: 200, active: never},
		{name: "owner", priority: 255, preempt: true, peer: 100, active: 1},
		{name: "owner, preempt=false, preempt_delay", priority: 255, delay: 300 * time.Second, peer: 100, active: 1},
		{name: "owner, startup_delay", priority: 255, peer: 100, hold: 5 * time.Second, active: 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLAN(t)
			var peer *node
			if tt.peer != 0 {
				peer = l.add("peer", "192.0.2.1", with(func(c *vrrp.Config) { c.Priority = tt.peer }))
				l.up(peer)
				l.run(vrrp.ActiveDownInterval(wire.V3, tt.peer, time.Second) + 10*time.Second + 500*time.Millisecond)
			}
			n := l.add("new", "192.0.2.2", with(func(c *vrrp.Config) {
				c.Priority, c.Preempt, c.PreemptDelay, c.Hold = max(tt.priority, 150), tt.preempt, tt.delay, tt.hold
			}))
			if tt.heal {
				l.handle(n, vrrp.InterfaceChanged{Exists: true})
			}
			joined := l.now
			n.cut = tt.deaf > 0
			l.up(n)
			l.run(tt.deaf)
			n.cut = false
			if tt.dies > 0 {
				l.run(tt.dies)
				peer.cut = true
			}
			if tt.active == never {
				l.run(time.Hour)
				if n.router.State() != vrrp.Backup {
					t.Errorf("is %v after an hour", n.router.State())
				}
				return
			}
			if before := joined.Add(tt.active - 1).Sub(l.now); tt.active > 1 && before >= 0 {
				l.run(before)
				if n.router.State() != vrrp.Backup {
					t.Errorf("is %v already, since %v", n.router.State(), n.router.Snapshot().Since.Sub(joined))
				}
			}
			l.run(1)
			if n.router.State() != vrrp.Active {
				t.Errorf("is %v after %v", n.router.State(), tt.active)
			}
			l.run(time.Minute)
			if n.router.State() != vrrp.Active {
				t.Errorf("is %v a minute later", n.router.State())
			}
			l.checkHolds()
		})
	}
}

// The longer rest of the two delays counts, and what is over is over.
func TestStartupHold(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct{ delay, sinceStart, afterBoot, sinceBoot, want time.Duration }{
		{0, 0, 0, 0, 0},
		{5 * s, 0, 0, 3600 * s, 5 * s},
		{5 * s, 2 * s, 0, 3600 * s, 3 * s},
		{5 * s, 3600 * s, 0, 7200 * s, 0},
		{5 * s, 0, 60 * s, 20 * s, 40 * s},
		{50 * s, 0, 60 * s, 20 * s, 50 * s},
		{0, 0, 60 * s, 3600 * s, 0},
	} {
		if got := vrrp.StartupHold(tt.delay, tt.sinceStart, tt.afterBoot, tt.sinceBoot); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
