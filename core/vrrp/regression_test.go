package vrrp_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// heardBy collects the lines of a LAN's trace.
func heardBy(l *lan) *[]string {
	var trace []string
	l.trace = func(format string, args ...any) { trace = append(trace, fmt.Sprintf(format, args...)) }
	return &trace
}

func last(trace []string, part string) int {
	for i, line := range slices.Backward(trace) {
		if strings.Contains(line, part) {
			return i
		}
	}
	return -1
}

// Users' scenarios, as far as they are decided here. The rest of R17 to R34 is
// about the kernel and the daemon.

// The active router's machine is stopped for five seconds and another takes over;
// in the end one is active, and announces its addresses behind the other.
func TestR17SnapshotFreeze(t *testing.T) {
	for name, priority := range map[string]uint8{"better": 200, "equal": 100} {
		t.Run(name, func(t *testing.T) {
			l := newLAN(t)
			l.latency = 200 * time.Microsecond
			a := l.add("a", "192.0.2.9", with(func(c *vrrp.Config) { c.Priority = priority }))
			b := l.add("b", "192.0.2.1", baseConfig())
			l.up(a)
			l.run(5 * time.Second)
			l.up(b)
			l.run(5 * time.Second)
			a.frozen = true
			trace := heardBy(l)
			l.run(5 * time.Second)
			if got := l.active(); !slices.Equal(got, []string{"a", "b"}) {
				t.Fatalf("active: %v", got)
			}
			l.thaw(a)
			l.run(10 * time.Second)
			if got := l.active(); !slices.Equal(got, []string{"a"}) {
				t.Errorf("active: %v", got)
			}
			if mine, other := last(*trace, "a announces"), last(*trace, "b announces"); mine < other || mine < last(*trace, "b releases") {
				t.Errorf("the last announcement is not that of who stays:\n%s", strings.Join(*trace, "\n"))
			}
			l.checkHolds()
		})
	}
}

// The wall clock of any machine may jump, at any time, and nobody sees it: the
// same schedule with and without has the same trace. There are frozen machines,
// splits, faults and groups in it.
func TestR18WallClockJump(t *testing.T) {
	steps := 0
	for seed := range uint64(200) {
		var traces [2][]string
		for i := range traces {
			s := newSimulation(t, 1_000_000+seed)
			s.trace = func(format string, args ...any) {
				traces[i] = append(traces[i], fmt.Sprint(s.now.Sub(s.start), " ", fmt.Sprintf(format, args...)))
			}
			for range 10 {
				s.disturb()
				if i == 0 {
					for _, n := range s.nodes {
						n.wall = 0
					}
					for _, g := range s.groups {
						g.wall = 0
					}
				} else {
					for _, n := range s.nodes {
						n.wall += time.Hour * time.Duration(len(traces[i])%7-3)
						steps++
					}
				}
				s.run(s.upTo(5 * s.unit))
			}
		}
		if !slices.Equal(traces[0], traces[1]) {
			t.Fatalf("seed %d: a step of the wall clock makes a difference", seed)
		}
	}
	if steps == 0 {
		t.Error("no clock was stepped")
	}
}

// A group is split and heals: every address of every member is announced again,
// also on the network where nobody else was heard.
func TestR19LowerPriorityInSyncGroup(t *testing.T) {
	for _, heals := range []string{"first", "second"} {
		l := newLAN(t)
		var configs []vrrp.Config
		nodes := map[string]*node{}
		for i, name := range []string{"m1", "m2", "x1", "x2"} {
			c := with(func(c *vrrp.Config) {
				c.Priority = uint8(150 - 50*(i/2))
				c.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i % 2), 9})}
			})
			n := l.add(name, fmt.Sprintf("10.0.%d.%d", i%2, i+1), c)
			n.segment, n.cut = i%2, i >= 2
			nodes[name] = n
			configs = append(configs, c)
		}
		l.join("M", configs[:2], nodes["m1"], nodes["m2"])
		l.join("X", configs[2:], nodes["x1"], nodes["x2"])
		for _, n := range l.nodes {
			l.up(n)
		}
		l.run(30 * time.Second)
		if got := l.active(); len(got) != 4 {
			t.Fatalf("active: %v", got)
		}
		trace := heardBy(l)
		if heals == "first" {
			nodes["x1"].cut = false
		} else {
			nodes["x2"].cut = false
		}
		l.run(20 * time.Second)
		for _, name := range []string{"m1", "m2"} {
			count := 0
			for _, line := range *trace {
				if line == name+" announces 5 times: lower_priority" {
					count++
				}
			}
			if count != 2 {
				t.Errorf("%s healed: %s announces %d times, want now and again later", heals, name, count)
			}
		}
		if got := l.active(); !slices.Equal(got, []string{"m1", "m2"}) {
			t.Errorf("active: %v", got)
		}
	}
}

// Twenty flaps within ten seconds: the state converges, and the last thing told
// is the final state.
func TestR23LinkFlaps(t *testing.T) {
	l := newLAN(t)
	a := l.add("a", "192.0.2.2", with(func(c *vrrp.Config) { c.Priority = 200 }))
	b := l.add("b", "192.0.2.1", baseConfig())
	l.up(b)
	trace := heardBy(l)
	for range 20 {
		l.up(a)
		l.run(250 * time.Millisecond)
		l.handle(a, vrrp.InterfaceChanged{Exists: true, Source: a.source})
		l.run(250 * time.Millisecond)
	}
	if got := l.active(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("active: %v", got)
	}
	l.up(a)
	l.run(10 * time.Second)
	if got := l.active(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("active: %v", got)
	}
	if line := (*trace)[last(*trace, "a fault ->")+1:]; last(line, "a backup -> active") < 0 {
		t.Errorf("the last thing told of a is another:\n%s", strings.Join(line, "\n"))
	}
}

// Another cluster uses the same VRID for other addresses: its advertisements
// count, since to drop a peer's would mean two active routers wherever two
// files differ by one address. It is told once.
func TestR26ForeignClusterSameVRID(t *testing.T) {
	l := newLAN(t)
	a := l.add("a", "192.0.2.1", baseConfig())
	foreign := l.add("f", "192.0.2.7", with(func(c *vrrp.Config) {
		c.Priority, c.Addresses = 200, []netip.Addr{netip.MustParseAddr("198.51.100.1")}
	}))
	l.up(foreign)
	l.run(4 * time.Second)
	trace := heardBy(l)
	l.up(a)
	l.run(time.Hour)
	told := 0
	for _, line := range *trace {
		if strings.HasPrefix(line, "a mismatch") {
			told++
		}
	}
	if told != 1 || a.router.State() != vrrp.Backup {
		t.Errorf("told %d times, and is %v", told, a.router.State())
	}
	if m := a.router.Snapshot().Mismatches; len(m) != 1 || m[0].Peer != foreign.source || m[0].Theirs != "[198.51.100.1]" {
		t.Errorf("shows %+v", m)
	}
}

// Equal priorities on three machines that start together: one is active within
// two timers, the one with the highest address.
func TestR27SamePriority(t *testing.T) {
	for _, latency := range []time.Duration{0, 300 * time.Microsecond, 50 * time.Millisecond} {
		l := newLAN(t)
		l.latency = latency
		for i := range 3 {
			l.add(string(rune('a'+i)), fmt.Sprintf("192.0.2.%d", 9+i), baseConfig())
		}
		for _, n := range l.nodes {
			l.up(n)
		}
		l.run(2 * vrrp.ActiveDownInterval(wire.V3, 100, time.Second))
		got := l.active()
		// Without latency the first to speak keeps the others from it.
		if want := "c"; len(got) != 1 || latency > 0 && got[0] != want {
			t.Errorf("latency %v: active: %v", latency, got)
		}
	}
}

// A neighbour that is not resolved yet, or a port that does not forward yet: the
// returning router hears nothing at first, and with a startup delay longer than
// that it does not seize the addresses.
func TestR30DeafAtFirst(t *testing.T) {
	l := newLAN(t)
	fast := func(p uint8, hold time.Duration) vrrp.Config {
		return with(func(c *vrrp.Config) { c.Priority, c.Interval, c.Hold, c.Preempt = p, 100*time.Millisecond, hold, false })
	}
	a := l.add("a", "192.0.2.1", fast(100, 0))
	l.up(a)
	l.run(time.Second)
	b := l.add("b", "192.0.2.2", fast(200, 2*time.Second))
	b.cut = true
	l.up(b)
	l.run(1500 * time.Millisecond)
	b.cut = false
	l.run(time.Minute)
	if got := l.active(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("active: %v", got)
	}
}
