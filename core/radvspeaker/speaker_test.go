package radvspeaker_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/radv"
	"github.com/halo-ha/halo/core/radvspeaker"
)

// A router advertises while it is configured to, active, and there; whichever
// comes last, and whichever goes first.
//
//rfc:9568/6.4.2-3 positive negative
//rfc:9568/6.4.3-4 positive negative
func TestThreeThingsMustBeTrue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		steps := []struct{ come, go_ func() }{
			{func() { m.apply(hour()) }, nil},
			{func() { m.setActive(true) }, func() { m.setActive(false) }},
			{func() { m.put("eth0", vip) }, func() { m.put("eth0", netip.Addr{}) }},
		}
		m.apply(nil) // An instance that is there, so that it can be active.
		for _, order := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			for _, i := range order[:2] {
				steps[i].come()
				m.want()
				if m.sockets() != 0 {
					t.Errorf("%v: a socket is open", order)
				}
			}
			m.restart()
			steps[order[2]].come()
			m.want("eth0 fe80::10 1800s @0s")
			time.Sleep(20 * time.Second)
			m.want("eth0 fe80::10 1800s @16s")
			for _, i := range []int{1, 2} {
				steps[i].go_()
				m.ask(255)
				time.Sleep(time.Hour)
				m.want() // Not even that it ends: the next active router goes on.
				if m.sockets() != 0 {
					t.Errorf("%v: a socket is open", order)
				}
				steps[i].come()
				m.restart()
				time.Sleep(time.Second)
				m.forget()
			}
			m.setActive(false)
			m.put("eth0", netip.Addr{})
			m.apply(nil)
			m.want()
		}
	})
}

// Solicitations that keep the rules are answered, by the active router alone.
func TestSolicitations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.apply(hour())
		m.put("eth0", vip)
		m.setActive(true)
		time.Sleep(40 * time.Second)
		m.want("eth0 fe80::10 1800s @0s", "eth0 fe80::10 1800s @16s", "eth0 fe80::10 1800s @32s")
		for range 100 {
			m.ask(255)
		}
		m.ask(64)
		time.Sleep(10 * time.Second)
		m.want("eth0 fe80::10 1800s @40.5s")
		s := m.snapshot()
		if s.Heard[radv.DropNone] != 100 || s.Heard[radv.DropHopLimit] != 1 || s.Sent != 4 || s.Phase != radv.Advertising ||
			s.Link != "eth0" || s.Source != vip || s.Error != "" || s.Idle != "" || s.Next.Sub(m.start) != 640500*time.Millisecond {
			t.Errorf("%+v", s)
		}
	})
}

// A reload: an unchanged router notices nothing, a changed one tells, one that
// advertises no longer takes it back, and one that is removed is silent, since
// other routers may go on.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.apply(hour())
		m.put("eth0", vip)
		m.setActive(true)
		time.Sleep(50 * time.Second)
		m.forget()
		m.apply(hour())
		time.Sleep(50 * time.Second)
		m.want()
		shorter := hour()
		shorter.Lifetime = 900 * time.Second
		m.apply(shorter)
		m.want("eth0 fe80::10 900s @1m40s")
		time.Sleep(100 * time.Second)
		m.forget()
		m.apply(nil)
		time.Sleep(time.Hour)
		m.want("eth0 fe80::10 0s @3m20s", "eth0 fe80::10 0s @3m23s", "eth0 fe80::10 0s @3m26s")
		if all, err := m.Snapshots(t.Context()); err != nil || len(all) > 0 || m.sockets() != 0 {
			t.Errorf("%v, %v, %d sockets are left", all, err, m.sockets())
		}
		// It is still known to be active.
		m.restart()
		m.apply(hour())
		m.want("eth0 fe80::10 1800s @0s")
		time.Sleep(time.Minute)
		m.forget()
		m.applyAll(nil)
		m.setActive(true) // Comes too late.
		time.Sleep(time.Hour)
		m.want()
		m.apply(hour())
		m.want()
	})
}

// Taking it back needs the address: without it there is nobody to say it.
func TestWithdrawalEndsWithTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.apply(hour())
		m.put("eth0", vip)
		m.setActive(true)
		time.Sleep(time.Minute)
		m.forget()
		m.apply(nil)
		m.put("eth0", netip.Addr{})
		time.Sleep(time.Hour)
		m.want("eth0 fe80::10 0s @1m0s")
		if m.sockets() != 0 {
			t.Error("a socket is open")
		}
	})
}

// A link that is made anew, another interface and another address need another
// socket.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.apply(hour())
		m.put("eth0", vip)
		m.setActive(true)
		time.Sleep(time.Minute)
		m.forget()
		m.change(func() { m.links["eth0"] = radvspeaker.Place{Link: "eth0", Index: 8} })
		m.put("eth0", vip)
		m.want("eth0 fe80::10 1800s @1m0s")
		m.change(func() { m.links["eth1"] = radvspeaker.Place{Link: "eth1", Index: 9} })
		m.put("eth1", vip)
		time.Sleep(10 * time.Second)
		m.applyAll(map[string]radvspeaker.Router{"VI_1": {Interface: "eth1", Source: vip, Config: hour()}})
		m.want("eth1 fe80::10 1800s @1m10s")
		other := netip.MustParseAddr("fe80::11")
		time.Sleep(10 * time.Second)
		m.applyAll(map[string]radvspeaker.Router{"VI_1": {Interface: "eth1", Source: other, Config: hour()}})
		m.want()
		m.put("eth1", other)
		m.want("eth1 fe80::11 1800s @1m20s")
		if m.sockets() != 1 {
			t.Errorf("%d sockets", m.sockets())
		}
	})
}

// What cannot be opened or sent is told once, tried again, and told when it works.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.change(func() { m.openErr = errNoWay })
		m.apply(hour())
		m.put("eth0", vip)
		m.setActive(true)
		time.Sleep(10 * time.Second)
		if s := m.snapshot(); s.Error != "no way" || s.Link != "" || m.opens() < 5 {
			t.Errorf("%d tries, %+v", m.opens(), s)
		}
		m.change(func() { m.openErr, m.sendErr = nil, errors.New("no buffer") })
		time.Sleep(10 * time.Second)
		m.want()
		if s := m.snapshot(); s.Error != "no buffer" || s.SendErrors < 2 || s.Sent != 0 {
			t.Errorf("%+v", s)
		}
		m.change(func() { m.sendErr = nil })
		time.Sleep(5 * time.Second)
		if s := m.snapshot(); s.Error != "" || s.Sent != 1 {
			t.Errorf("%+v", s)
		}
		m.wantLog(
			`level=WARN msg="router advertisements cannot be sent" instance=VI_1 error="no way"`,
			`level=INFO msg="router advertisements begin" instance=VI_1 iface=eth0 source=fe80::10`,
			`level=WARN msg="router advertisements cannot be sent" instance=VI_1 error="no buffer"`,
			`level=INFO msg="router advertisements are sent again" instance=VI_1`,
		)
	})
}

// A machine that routes nothing must not say that it does (RFC 4861 §6.2.5).
func TestForwardingOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.change(func() { m.idle = true })
		m.apply(hour())
		m.put("eth0", vip)
		m.setActive(true)
		time.Sleep(20 * time.Second)
		m.want("eth0 fe80::10 0s @0s", "eth0 fe80::10 0s @16s")
		if s := m.snapshot(); !strings.Contains(s.Idle, "sysctl -w net.ipv6.conf.all.forwarding=1") {
			t.Errorf("%+v", s)
		}
		m.change(func() { m.idle = false })
		time.Sleep(20 * time.Second)
		m.want("eth0 fe80::10 1800s @32s")
		if s := m.snapshot(); s.Idle != "" {
			t.Errorf("%+v", s)
		}
		m.wantLog(
			`level=INFO msg="router advertisements begin" instance=VI_1 iface=eth0 source=fe80::10`,
			`level=WARN msg="router advertisements say that this is no default router" instance=VI_1 iface=eth0 `+
				`reason="net.ipv6.conf.eth0.forwarding is 0: this machine routes nothing; sysctl -w net.ipv6.conf.all.forwarding=1 changes that"`,
		)
		// One that wants to be none is not warned of.
		none := hour()
		none.Lifetime = 0
		m.change(func() { m.idle = true })
		m.apply(none)
		if s := m.snapshot(); s.Idle != "" {
			t.Errorf("%+v", s)
		}
		m.wantLog()
	})
}

func TestApplyRefuses(t *testing.T) {
	m := radvspeaker.New(radvspeaker.Options{})
	bad := hour()
	bad.MTU = 100
	for want, r := range map[string]radvspeaker.Router{
		"VI_1: MTU 100":                       {Source: vip, Config: bad},
		"VI_1: 2001:db8::1 is not link-local": {Source: netip.MustParseAddr("2001:db8::1"), Config: hour()},
	} {
		if err := m.Apply(map[string]radvspeaker.Router{"VI_1": r}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// After the end nothing is open, nothing was said, and nobody waits for an answer.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.apply(hour())
		m.put("eth0", vip)
		m.setActive(true)
		m.want("eth0 fe80::10 1800s @0s")
		m.stop()
		m.want()
		if m.sockets() != 0 {
			t.Error("a socket is open")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Snapshots(ctx); !errors.Is(err, radvspeaker.ErrNotRunning) {
			t.Errorf("%v", err)
		}
	})
}
