package vrrp_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Sentences of RFC 9568 and RFC 3768, one test each, in both versions where both
// have them. core/vrrp/RFC.md lists them all.

// both runs a test in both versions.
func both(t *testing.T, test func(t *testing.T, version wire.Version)) {
	t.Helper()
	for _, version := range []wire.Version{wire.V2, wire.V3} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) { test(t, version) })
	}
}

// of is a configuration of a version.
func of(version wire.Version, change func(c *vrrp.Config)) vrrp.Config {
	return with(func(c *vrrp.Config) {
		c.Version = version
		change(c)
	})
}

func unchanged(*vrrp.Config) {}

// does has a router handle an event and compares what it does.
func does(t *testing.T, r *vrrp.Router, now time.Time, event vrrp.Event, want string) {
	t.Helper()
	if got := lines(r.Handle(now, event, nil)); got != want {
		t.Errorf("%T: did\n%q, want\n%q", event, got, want)
	}
}

// waits compares when a router wants to be called next.
func waits(t *testing.T, r *vrrp.Router, now time.Time, want time.Duration) {
	t.Helper()
	if at, ok := r.Deadline(); !ok || at.Sub(now) != want {
		t.Errorf("waits for %v (%v), want %v", at.Sub(now), ok, want)
	}
}

// from is an advertisement of a version.
func from(source netip.Addr, version wire.Version, priority uint8, interval time.Duration) *vrrp.AdvertReceived {
	e := heard(priority, source)
	e.Advertisement.Version, e.Advertisement.Interval = version, interval
	return e
}

//rfc:9568/6.4.1-1 positive negative
//rfc:9568/6.4.1-2 positive negative
//rfc:3768/6.4.1-1 positive negative
//rfc:3768/6.4.1-2 positive negative
func TestRFCStartup(t *testing.T) {
	up := vrrp.InterfaceChanged{Exists: true, Up: true, Source: own}
	both(t, func(t *testing.T, version wire.Version) {
		owner := vrrp.New(of(version, func(c *vrrp.Config) { c.Priority = 255 }))
		does(t, owner, t0, up, "send 255; acquire; announce 5 active; initialize>active owner")
		waits(t, owner, t0, time.Second)
		for _, interval := range []time.Duration{time.Second, 4 * time.Second} {
			r := vrrp.New(of(version, func(c *vrrp.Config) { c.Priority, c.Interval = 254, interval }))
			does(t, r, t0, up, "release; initialize>backup startup")
			waits(t, r, t0, vrrp.ActiveDownInterval(version, 254, interval))
		}
	})
}

// What a router that was not shut down does at the same time shows that the timer
// has ended.
//
//rfc:9568/6.4.2-6 positive negative
//rfc:9568/6.4.3-8 positive negative
//rfc:3768/6.4.2-4 positive negative
//rfc:3768/6.4.3-5 positive negative
func TestRFCShutdown(t *testing.T) {
	both(t, func(t *testing.T, version wire.Version) {
		for _, row := range []struct {
			from          vrrp.State
			stopped, goes string
		}{
			{vrrp.Backup, "release; backup>initialize stopped", "send 100; acquire; announce 5 active; backup>active active_down"},
			{vrrp.Active, "send 0; release; active>initialize stopped", "send 100"},
		} {
			r, twin := in(t, row.from, of(version, unchanged)), in(t, row.from, of(version, unchanged))
			at, _ := r.Deadline()
			does(t, r, t0, vrrp.Stopped{}, row.stopped)
			if _, ok := r.Deadline(); ok || r.State() != vrrp.Initialize {
				t.Errorf("is %v, and waits for something: %v", r.State(), ok)
			}
			does(t, r, at, vrrp.DeadlineReached{}, "")
			does(t, twin, at, vrrp.DeadlineReached{}, row.goes)
		}
	})
}

//rfc:9568/6.4.2-7 positive negative
//rfc:3768/6.4.2-5 positive negative
func TestRFCActiveDownTimer(t *testing.T) {
	both(t, func(t *testing.T, version wire.Version) {
		r := in(t, vrrp.Backup, of(version, unchanged))
		at, _ := r.Deadline()
		does(t, r, at.Add(-1), vrrp.DeadlineReached{}, "")
		does(t, r, at, vrrp.DeadlineReached{}, "send 100; acquire; announce 5 active; backup>active active_down")
		waits(t, r, at, time.Second)
	})
}

//rfc:9568/6.4.2-9 positive negative
//rfc:3768/6.4.2-6 positive negative
func TestRFCPriorityZeroEndsTheWait(t *testing.T) {
	now := t0.Add(time.Second)
	both(t, func(t *testing.T, version wire.Version) {
		r := in(t, vrrp.Backup, of(version, unchanged))
		does(t, r, now, from(high, version, 0, time.Second), "")
		waits(t, r, now, vrrp.SkewTime(version, 100, time.Second))
		r = in(t, vrrp.Backup, of(version, unchanged))
		does(t, r, now, from(high, version, 1, time.Second), "")
		waits(t, r, t0, vrrp.ActiveDownInterval(version, 100, time.Second))
	})
}

//rfc:9568/6.4.2-10 positive negative
//rfc:9568/6.4.2-12 positive negative
//rfc:3768/6.4.2-7 positive negative
//rfc:3768/6.4.2-8 positive negative
func TestRFCBackupHearsAnother(t *testing.T) {
	now := t0.Add(time.Second)
	both(t, func(t *testing.T, version wire.Version) {
		down := vrrp.ActiveDownInterval(version, 100, time.Second)
		for _, row := range []struct {
			priority uint8
			preempt  bool
			restarts bool
		}{
			{255, true, true},
			{101, true, true},
			{100, true, true},
			{99, true, false},
			{1, true, false},
			{101, false, true},
			{99, false, true},
			{1, false, true},
		} {
			r := in(t, vrrp.Backup, of(version, func(c *vrrp.Config) { c.Preempt = row.preempt }))
			does(t, r, now, from(low, version, row.priority, time.Second), "")
			start := t0
			if row.restarts {
				start = now
			}
			if at, _ := r.Deadline(); at.Sub(start) != down {
				t.Errorf("%+v: waits until %v", row, at.Sub(t0))
			}
		}
	})
}

// Only who is accepted is learnt from, and version 2 has nothing to learn.
//
//rfc:9568/6.4.2-11 positive negative
func TestRFCBackupLearnsTheInterval(t *testing.T) {
	slow := 4 * time.Second
	r := in(t, vrrp.Backup, baseConfig())
	does(t, r, t0, from(high, wire.V3, 99, slow), "")
	waits(t, r, t0, vrrp.ActiveDownInterval(wire.V3, 100, time.Second))
	does(t, r, t0, from(high, wire.V3, 200, slow), "")
	waits(t, r, t0, vrrp.ActiveDownInterval(wire.V3, 100, slow))
	does(t, r, t0, from(high, wire.V3, 0, slow), "")
	waits(t, r, t0, vrrp.SkewTime(wire.V3, 100, slow))
	v2 := in(t, vrrp.Backup, of(wire.V2, unchanged))
	does(t, v2, t0, from(high, wire.V2, 200, slow), "")
	waits(t, v2, t0, vrrp.ActiveDownInterval(wire.V2, 100, time.Second))
}

//rfc:9568/6.4.3-9 positive negative
//rfc:3768/6.4.3-6 positive negative
func TestRFCAdverTimer(t *testing.T) {
	both(t, func(t *testing.T, version wire.Version) {
		r := in(t, vrrp.Active, of(version, func(c *vrrp.Config) { c.Announcement = vrrp.Announcement{} }))
		for range 3 {
			at, _ := r.Deadline()
			does(t, r, at.Add(-1), vrrp.DeadlineReached{}, "")
			does(t, r, at, vrrp.DeadlineReached{}, "send 100")
			waits(t, r, at, time.Second)
		}
	})
}

// A backup does not answer it.
//
//rfc:9568/6.4.3-10 positive negative
//rfc:3768/6.4.3-7 positive negative
func TestRFCActiveAnswersPriorityZero(t *testing.T) {
	now := t0.Add(700 * time.Millisecond)
	both(t, func(t *testing.T, version wire.Version) {
		for _, source := range []netip.Addr{low, high} {
			r := in(t, vrrp.Active, of(version, unchanged))
			does(t, r, now, from(source, version, 0, time.Second), "send 100")
			waits(t, r, now, time.Second)
			does(t, in(t, vrrp.Backup, of(version, unchanged)), now, from(source, version, 0, time.Second), "")
		}
	})
}

// The addresses are such that their numbers are in another order than their texts.
//
//rfc:9568/6.4.3-11 positive negative
//rfc:9568/6.4.3-12 positive negative
//rfc:3768/6.4.3-8 positive negative
func TestRFCActiveYields(t *testing.T) {
	const slow = 2 * time.Second
	both(t, func(t *testing.T, version wire.Version) {
		for _, row := range []struct {
			own, source string
			priority    uint8
			yields      string
		}{
			{"192.0.2.5", "192.0.2.1", 101, "higher_priority"},
			{"192.0.2.5", "192.0.2.10", 100, "higher_address"},
			{"192.0.2.5", "200.0.0.1", 100, "higher_address"},
			{"192.0.2.5", "200.0.0.1", 99, ""},
			{"192.0.2.10", "192.0.2.5", 100, ""},
			{"192.0.2.5", "100.255.255.255", 100, ""},
		} {
			r := in(t, vrrp.Active, of(version, unchanged))
			r.Handle(t0, vrrp.InterfaceChanged{Exists: true, Up: true, Source: netip.MustParseAddr(row.own)}, nil)
			e := from(netip.MustParseAddr(row.source), version, row.priority, slow)
			if row.yields == "" {
				does(t, r, t0, e, "send 100; mismatch other_active; announce 5 lower_priority")
				waits(t, r, t0, time.Second)
				continue
			}
			does(t, r, t0, e, "send 100; release; active>backup "+row.yields)
			pace := time.Second
			if version == wire.V3 {
				pace = slow
			}
			waits(t, r, t0, vrrp.ActiveDownInterval(version, 100, pace))
		}
	})
}

// What is discarded teaches nothing: as a backup the router waits by its own
// interval.
//
//rfc:9568/6.4.3-13 positive negative
func TestRFCActiveAnswersTheRest(t *testing.T) {
	for priority, source := range map[uint8]netip.Addr{99: high, 1: high, 100: low} {
		r := in(t, vrrp.Active, baseConfig())
		now := t0.Add(700 * time.Millisecond)
		does(t, r, now, from(source, wire.V3, priority, 2*time.Second), "send 100; mismatch other_active; announce 5 lower_priority")
		waits(t, r, now, time.Second)
		if s := r.Snapshot(); s.ActiveAdverInterval != time.Second {
			t.Errorf("priority %d: has learnt %v", priority, s.ActiveAdverInterval)
		}
	}
	for priority, source := range map[uint8]netip.Addr{101: low, 100: high} {
		r := in(t, vrrp.Active, baseConfig())
		if r.Handle(t0, heard(priority, source), nil); r.State() != vrrp.Backup {
			t.Errorf("priority %d: is %v", priority, r.State())
		}
	}
}

//rfc:9568/6.4.3-14 positive negative
func TestRFCActiveDoesNotAskForPreemptMode(t *testing.T) {
	for _, preempt := range []bool{true, false} {
		config := with(func(c *vrrp.Config) { c.Preempt = preempt })
		does(t, in(t, vrrp.Active, config), t0, heard(101, low), "send 100; release; active>backup higher_priority")
		does(t, in(t, vrrp.Active, config), t0, heard(99, high), "send 100; mismatch other_active; announce 5 lower_priority")
	}
}

// A backup that is made the owner takes over from whoever it hears.
//
//rfc:9568/6.1-5 positive negative
func TestRFCOwnerPreempts(t *testing.T) {
	for priority, want := range map[uint8]vrrp.State{255: vrrp.Active, 254: vrrp.Backup} {
		config := with(func(c *vrrp.Config) { c.Preempt = false })
		r := in(t, vrrp.Backup, config)
		now := t0
		for range 10 {
			now = now.Add(time.Second)
			r.Handle(now, heard(90, high), nil)
		}
		config.Priority = priority
		r.Handle(now, vrrp.Reconfigured{Config: config}, nil)
		for range 10 {
			now = now.Add(time.Second)
			r.Handle(now, heard(90, high), nil)
			r.Handle(now, vrrp.DeadlineReached{}, nil)
		}
		if r.State() != want {
			t.Errorf("priority %d: is %v, want %v", priority, r.State(), want)
		}
	}
}

// Whatever trackers ask for, 255 is an owner's and 0 nobody's.
//
//rfc:9568/5.2.4-1 positive negative
//rfc:9568/5.2.4-2 positive negative
//rfc:3768/5.3.4-1 positive negative
//rfc:3768/5.3.4-2 positive negative
func TestRFCPriorities(t *testing.T) {
	both(t, func(t *testing.T, version wire.Version) {
		sent := func(configured uint8, asked int) uint8 {
			r := vrrp.New(of(version, func(c *vrrp.Config) { c.Priority = configured }))
			r.Handle(t0, vrrp.PriorityChanged{Priority: asked}, nil)
			r.Handle(t0, vrrp.InterfaceChanged{Exists: true, Up: true, Source: own}, nil)
			at, _ := r.Deadline()
			for _, action := range r.Handle(at, vrrp.DeadlineReached{}, nil) {
				if s, ok := action.(*vrrp.SendAdvert); ok {
					return s.Advertisement.Priority
				}
			}
			t.Fatalf("configured %d, asked for %d: nothing was sent", configured, asked)
			return 0
		}
		for asked, want := range map[int]uint8{-300: 1, 0: 1, 1: 1, 100: 100, 254: 254, 255: 254, 1000: 254} {
			if got := sent(100, asked); got != want {
				t.Errorf("asked for %d it sends %d, want %d", asked, got, want)
			}
			if got := sent(255, asked); got != 255 {
				t.Errorf("an owner that is asked for %d sends %d", asked, got)
			}
		}
		nobody := of(version, func(c *vrrp.Config) { c.Priority = 0 })
		if nobody.Validate() == nil {
			t.Error("a router may be configured with priority 0")
		}
	})
}

// What a router has learnt of others is not what it says of itself.
//
//rfc:9568/7.2-1 positive negative
//rfc:3768/7.2-1 positive negative
func TestRFCSentFieldsAreTheConfigured(t *testing.T) {
	both(t, func(t *testing.T, version wire.Version) {
		config := of(version, func(c *vrrp.Config) { c.VRID, c.Priority, c.Interval = 7, 120, 2*time.Second })
		r := vrrp.New(config)
		r.Handle(t0, vrrp.InterfaceChanged{Exists: true, Up: true, Source: own}, nil)
		other := from(high, version, 200, 3*time.Second)
		other.Advertisement.Addresses = []netip.Addr{high}
		r.Handle(t0, other, nil)
		for range 2 {
			at, _ := r.Deadline()
			send, ok := r.Handle(at, vrrp.DeadlineReached{}, nil)[0].(*vrrp.SendAdvert)
			if !ok {
				t.Fatal("sends nothing")
			}
			a := send.Advertisement
			if a.Version != version || a.VRID != 7 || a.Priority != 120 || a.Interval != 2*time.Second ||
				len(a.Addresses) != 1 || a.Addresses[0] != config.Addresses[0] || send.Source != own {
				t.Errorf("sends %v from %v", a, send.Source)
			}
		}
	})
}

// An owner that hears another one says so once, and the packet counts: here the
// higher address makes it yield. One that hears somebody else has nothing to say
// of owners.
//
//rfc:9568/7.1-12 positive negative
//rfc:9568/8.3.2-2 positive negative
func TestRFCTwoOwnersAreTold(t *testing.T) {
	config := with(func(c *vrrp.Config) { c.Priority = 255 })
	r := vrrp.New(config)
	r.Handle(t0, vrrp.InterfaceChanged{Exists: true, Up: true, Source: own}, nil)
	does(t, r, t0.Add(time.Second/2), heard(254, high), "send 255")
	does(t, r, t0.Add(time.Second), heard(255, high), "mismatch two_owners; send 255; release; active>backup higher_address")
	for i := range 100 {
		does(t, r, t0.Add(time.Duration(2+i)*time.Second), heard(255, high), "")
	}
}

// What differs is told once, and is no reason not to count the advertisement.
//
//rfc:9568/7.1-13 positive negative
//rfc:9568/7.1-14 positive negative
func TestRFCDifferencesAreToldAndCount(t *testing.T) {
	for want, findings := range map[string]wire.Findings{
		"":                   {},
		"mismatch interval":  {Interval: true},
		"mismatch addresses": {Addresses: true},
	} {
		r := in(t, vrrp.Backup, baseConfig())
		e := heard(200, high)
		e.Findings = findings
		does(t, r, t0, e, want)
		now := t0
		for range 100 {
			now = now.Add(time.Second)
			does(t, r, now, e, "")
			waits(t, r, now, vrrp.ActiveDownInterval(wire.V3, 100, time.Second))
		}
	}
}

// A backup of both versions, with an interval of its own of 100 ms.
//
//rfc:9568/8.4.2-2 positive negative
//rfc:9568/8.4.2-3 positive negative
//rfc:9568/8.4.2-4 positive negative
func TestRFCBackupOfBothVersions(t *testing.T) {
	const fast = 100 * time.Millisecond
	config := with(func(c *vrrp.Config) { c.AlsoV2, c.Interval = true, fast })
	v2 := from(high, wire.V2, 200, time.Second)
	v3 := from(high, wire.V3, 200, fast)

	// The active router speaks version 2 only: a second is 100 centiseconds.
	r := in(t, vrrp.Backup, config)
	does(t, r, t0, v2, "")
	waits(t, r, t0, vrrp.ActiveDownInterval(wire.V3, 100, time.Second))

	// It speaks version 3, and then both: version 2 is ignored.
	r = in(t, vrrp.Backup, config)
	does(t, r, t0, v3, "")
	waits(t, r, t0, vrrp.ActiveDownInterval(wire.V3, 100, fast))
	does(t, r, t0.Add(fast), v2, "")
	waits(t, r, t0, vrrp.ActiveDownInterval(wire.V3, 100, fast))

	// Version 2 of somebody else is not.
	v2.Source = own.Next()
	does(t, r, t0.Add(fast), v2, "")
	waits(t, r, t0.Add(fast), vrrp.ActiveDownInterval(wire.V3, 100, time.Second))
}
