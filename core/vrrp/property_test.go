package vrrp_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

func drawConfig(t *rapid.T) vrrp.Config {
	c := baseConfig()
	c.Priority = rapid.Uint8Range(1, 255).Draw(t, "priority")
	c.Preempt = rapid.Bool().Draw(t, "preempt")
	c.AlsoV2 = rapid.Bool().Draw(t, "both versions")
	if rapid.Bool().Draw(t, "delayed") {
		c.PreemptDelay = time.Duration(rapid.IntRange(1, 20).Draw(t, "delay")) * time.Second
	}
	return c
}

// Whatever happened before, once the network is whole and all processes run,
// exactly one router is active, and it stays the same one.
func TestRoutersConverge(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLAN(t)
		l.latency = time.Duration(rapid.IntRange(0, 5000).Draw(rt, "latency µs")) * time.Microsecond
		version := rapid.SampledFrom([]wire.Version{wire.V2, wire.V3}).Draw(rt, "version")
		for i := range rapid.IntRange(2, 4).Draw(rt, "routers") {
			c := drawConfig(rt)
			c.Version, c.AlsoV2 = version, false
			if version == wire.V3 {
				c.Interval = time.Duration(rapid.IntRange(10, 200).Draw(rt, "cs")) * 10 * time.Millisecond
			}
			l.add(fmt.Sprint("r", i), fmt.Sprintf("192.0.2.%d", i+1), c)
		}
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			n := l.nodes[rapid.IntRange(0, len(l.nodes)-1).Draw(rt, "node")]
			switch rapid.IntRange(0, 8).Draw(rt, "what") {
			case 0:
				n.cut = !n.cut
			case 1:
				n.frozen = true
			case 2:
				l.thaw(n)
			case 3:
				l.handle(n, vrrp.InterfaceChanged{Exists: rapid.Bool().Draw(rt, "exists")})
			case 4:
				l.up(n)
			case 5:
				l.handle(n, vrrp.FaultRaised{Cause: vrrp.FaultAddressesLost, For: 3 * time.Second})
			default:
			}
			l.run(time.Duration(rapid.IntRange(0, 5000).Draw(rt, "ms")) * time.Millisecond)
			l.checkHolds()
		}
		for _, n := range l.nodes {
			n.cut = false
			l.thaw(n)
			l.up(n)
		}
		l.run(time.Minute)
		got := l.active()
		if len(got) != 1 {
			rt.Fatalf("active: %v", got)
		}
		// The best of those that preempt, or somebody nobody may preempt.
		winner := l.node(got[0])
		l.run(time.Minute)
		if again := l.active(); len(again) != 1 || again[0] != got[0] {
			rt.Fatalf("active: %v, then %v", got, again)
		}
		for _, n := range l.nodes {
			s, w := n.router.Snapshot(), winner.router.Snapshot()
			if n != winner && s.EffectivePriority > w.EffectivePriority && s.EffectivePriority == 255 {
				rt.Fatalf("%s with %d gives way to %d", n.name, s.EffectivePriority, w.EffectivePriority)
			}
		}
		l.checkHolds()
	})
}

// With preemption everywhere the highest priority wins, and the highest address
// does not lose to a lower one if both are active at once.
func TestHighestPriorityWins(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLAN(t)
		l.latency = 300 * time.Microsecond
		best := uint8(0)
		for i := range rapid.IntRange(2, 5).Draw(rt, "routers") {
			c := baseConfig()
			c.Priority = rapid.Uint8Range(1, 254).Draw(rt, "priority")
			best = max(best, c.Priority)
			n := l.add(fmt.Sprint("r", i), fmt.Sprintf("192.0.2.%d", i+1), c)
			l.up(n)
			l.run(time.Duration(rapid.IntRange(0, 6000).Draw(rt, "ms")) * time.Millisecond)
		}
		l.run(10 * time.Second)
		got := l.active()
		if len(got) != 1 || l.node(got[0]).router.Snapshot().Priority != best {
			rt.Fatalf("active: %v, want one with priority %d", got, best)
		}
	})
}

// As long as fewer than three advertisements in a row are lost, no backup ever
// moves.
func TestTwoLostAdvertisementsChangeNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLAN(t)
		l.latency = 300 * time.Microsecond
		a := l.add("a", "192.0.2.1", with(func(c *vrrp.Config) { c.Priority = 200 }))
		b := l.add("b", "192.0.2.2", baseConfig())
		l.up(a)
		l.up(b)
		l.run(4 * time.Second)
		lost := 0
		l.lose = func(*node, *node) bool {
			if lost < 2 && rapid.Bool().Draw(rt, "lose") {
				lost++
				return true
			}
			lost = 0
			return false
		}
		for range 60 {
			l.run(time.Second)
			if got := l.active(); len(got) != 1 || got[0] != "a" {
				rt.Fatalf("active: %v", got)
			}
		}
	})
}

// Pure: two routers that are told the same do the same, and what they are told
// is not changed.
func TestSameEventsSameActions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		config := drawConfig(rt)
		if rapid.Bool().Draw(rt, "member") {
			config.Group = vrrp.Membership{Name: "G", First: rapid.Bool().Draw(rt, "first"), Settle: 2 * time.Second}
			config.Hold = time.Duration(rapid.Int64Range(0, 9e9).Draw(rt, "hold"))
		}
		x, y := vrrp.New(config), vrrp.New(config)
		now := t0
		for range rapid.IntRange(1, 40).Draw(rt, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 4e9).Draw(rt, "ns")))
			event := drawEvent(rt)
			before := fmt.Sprintf("%+v", event)
			p, q := lines(x.Handle(now, event, nil)), lines(y.Handle(now, event, nil))
			if p != q {
				rt.Fatalf("%T: %q and %q", event, p, q)
			}
			if after := fmt.Sprintf("%+v", event); after != before {
				rt.Fatalf("the event became %s, was %s", after, before)
			}
			a, okA := x.Deadline()
			b, okB := y.Deadline()
			if okA != okB || !a.Equal(b) {
				rt.Fatalf("deadlines %v and %v", a, b)
			}
			// A deadline that was reported is over: the driver would spin.
			if okA && !a.After(now) {
				x.Handle(now, vrrp.DeadlineReached{}, nil)
				y.Handle(now, vrrp.DeadlineReached{}, nil)
				if at, ok := x.Deadline(); ok && !at.After(now) {
					rt.Fatalf("still due %v after it was reported", now.Sub(at))
				}
			}
		}
	})
}

func drawEvent(t *rapid.T) vrrp.Event {
	source := rapid.SampledFrom([]netip.Addr{low, own, high}).Draw(t, "source")
	switch rapid.IntRange(0, 14).Draw(t, "event") {
	case 0:
		return vrrp.InterfaceChanged{Exists: rapid.Bool().Draw(t, "exists"), Up: rapid.Bool().Draw(t, "up"), Source: own}
	case 1, 2:
		return vrrp.InterfaceChanged{Exists: true, Up: true, Source: own}
	case 3, 4, 5:
		e := heard(rapid.Uint8().Draw(t, "priority"), source)
		e.Advertisement.Interval = time.Duration(rapid.IntRange(1, 4095).Draw(t, "cs")) * 10 * time.Millisecond
		e.Findings.Addresses = rapid.Bool().Draw(t, "addresses")
		return e
	case 6:
		return &vrrp.AdvertRejected{Drop: wire.DropReason(rapid.IntRange(0, wire.DropReasonCount-1).Draw(t, "drop")), Source: source}
	case 7:
		return vrrp.Reconfigured{Config: drawConfig(t)}
	case 8:
		return vrrp.FaultRaised{Cause: vrrp.FaultAddressesLost, For: time.Second}
	case 9:
		return vrrp.PriorityChanged{Priority: rapid.IntRange(-300, 300).Draw(t, "asked"), Detail: "nginx"}
	case 10:
		return vrrp.GroupOrdered{Group: "G", Event: vrrp.GroupActivated{Order: rapid.Uint64().Draw(t, "order")}}
	case 11:
		return vrrp.GroupYielded{Order: rapid.Uint64().Draw(t, "order"), Detail: "b: link_down"}
	case 12:
		return vrrp.GroupAnnounced{Reason: vrrp.AnnounceStalled}
	case 13:
		return vrrp.FaultCleared{Cause: vrrp.FaultCause(rapid.IntRange(0, int(vrrp.FaultGroup)).Draw(t, "cause"))}
	default:
		return vrrp.DeadlineReached{}
	}
}
