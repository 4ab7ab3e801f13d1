package speaker_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

//rfc:9568/6.4.2-7 positive
//rfc:9568/6.4.2-9 positive
//rfc:9568/6.4.3-8 positive
//rfc:9568/6.4.3-9 positive
func TestElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		a, b := newHost(t, n, "192.0.2.1"), newHost(t, n, "192.0.2.2")
		stopA, stopB := a.run(), b.run()
		defer stopB()
		defer stopA()
		for h, priority := range map[*host]uint8{a: 150, b: 100} {
			h.set("VI_1", config(priority))
			h.up()
		}
		time.Sleep(4 * time.Second)
		a.want(a.told("state"), "state VI_1 initialize>backup startup at 0s", "state VI_1 backup>active active_down at 3.4140625s")
		b.want(b.told(), "release VI_1", "state VI_1 initialize>backup startup at 0s")

		// Advertisements leave to the nanosecond.
		time.Sleep(10 * time.Second)
		sent := a.conn().sendings()
		for i := 1; i < len(sent); i++ {
			if gap := sent[i].at.Sub(sent[i-1].at); gap != time.Second {
				t.Errorf("advertisement %d came after %v", i, gap)
			}
		}
		if len(sent) != 11 {
			t.Errorf("%d advertisements in 10.6 s", len(sent))
		}

		// SIGTERM: priority 0, and the other one takes over after its skew.
		a.told()
		stopA()
		a.want(a.told("release", "state"), "release VI_1", "state VI_1 active>initialize stopped at 14s")
		last := a.conn().sendings()
		if p := last[len(last)-1].Priority; p != 0 {
			t.Errorf("the last advertisement has priority %d", p)
		}
		time.Sleep(time.Second)
		b.want(b.told(), "acquire VI_1", "announce VI_1 5 active", "state VI_1 backup>active active_resigned at 14.609375s")
		s := b.snapshot().Routers["VI_1"]
		if s.Peer.Address != a.source || s.Counters.ReceivedRelease != 1 || s.Counters.Received != 12 || s.Counters.BecameActive != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// Equal priorities that start together leave the highest address active.
func TestEqualPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		hosts := []*host{newHost(t, n, "192.0.2.1"), newHost(t, n, "192.0.2.2"), newHost(t, n, "192.0.2.3")}
		defer hosts[0].run()()
		defer hosts[1].run()()
		defer hosts[2].run()()
		for _, h := range hosts {
			h.set("VI_1", config(100))
			h.up()
		}
		// Let every timer expire before any packet is delivered.
		for _, h := range hosts {
			synctest.Wait()
			h.conn().hooks(nil, func() error { time.Sleep(time.Millisecond); return nil })
		}
		time.Sleep(2 * 3609375 * time.Microsecond)
		for i, h := range hosts {
			want := vrrp.Backup
			if i == 2 {
				want = vrrp.Active
			}
			if got := h.state(); got != want {
				t.Errorf("%v is %v", h.source, got)
			}
		}
	})
}

func TestRemoveAndReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		second := config(100)
		second.VRID = 52
		h.set("VI_1", config(100))
		h.set("VI_2", second)
		h.up()
		time.Sleep(4 * time.Second)
		h.told()

		// Unchanged: not even a timer is touched.
		before := h.snapshot()
		h.set("VI_1", config(100))
		h.set("VI_2", second)
		synctest.Wait()
		h.want(h.told())
		if after := h.snapshot(); after.Routers["VI_1"].Counters != before.Routers["VI_1"].Counters || after.Counters.SocketOpened != 1 {
			t.Errorf("changed: %+v", after)
		}
		time.Sleep(10 * time.Second)
		for name, r := range h.snapshot().Routers {
			if r.Gap.Max != time.Second || r.Gap.Count() != 10 {
				t.Errorf("%s: largest gap %v of %d", name, r.Gap.Max, r.Gap.Count())
			}
		}

		// Another priority is advertised at once; only that router speaks.
		sent := len(h.conn().sendings())
		h.set("VI_1", config(120))
		synctest.Wait()
		if s := h.conn().sendings(); len(s) != sent+1 || s[sent].VRID != 51 || s[sent].Priority != 120 {
			t.Errorf("sent %v", s[sent:])
		}
		h.want(h.told(), "priority VI_1 100>120  at 14s")

		// Another VRID is another router.
		third := config(120)
		third.VRID = 53
		h.set("VI_1", third)
		h.want(h.told(), "release VI_1", "state VI_1 active>initialize stopped at 14s", "state VI_1 initialize>backup startup at 14s")

		// Removing one leaves the other alone.
		h.Remove("VI_2")
		h.Remove("VI_2")
		synctest.Wait()
		if s := h.conn().sendings(); s[len(s)-1].VRID != 52 || s[len(s)-1].Priority != 0 {
			t.Errorf("last sent %v", s[len(s)-1])
		}
		h.want(h.told(), "release VI_2", "state VI_2 active>initialize stopped at 14s", "removed VI_2 at 14s")
		if s := h.snapshot(); len(s.Routers) != 1 {
			t.Errorf("%d routers left", len(s.Routers))
		}
	})
}

// Notes of a reload come in any order: for a moment two routers have one VRID.
func TestExchangedVRIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		x, y := config(100), config(100)
		y.VRID = 52
		h.set("x", x)
		h.set("y", y)
		h.up()
		synctest.Wait()
		h.set("x", y)
		h.set("y", x)
		synctest.Wait()
		for vrid, name := range map[uint8]string{51: "y", 52: "x"} {
			c := config(200)
			c.VRID = vrid
			h.conn().arrive(payload(t, c))
			synctest.Wait()
			if got := h.snapshot().Routers[name].Counters.Received; got != 1 {
				t.Errorf("%s received %d of its own", name, got)
			}
		}
	})
}

func TestSetRefusesAnInvalidConfiguration(t *testing.T) {
	h := newHost(t, &network{}, "192.0.2.1")
	if err := h.Set("VI_1", vrrp.Config{Version: wire.V3}); err == nil {
		t.Error("accepted a configuration without anything")
	}
}

func TestPostedFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.set("VI_1", config(255))
		h.up()
		h.told()
		h.Post("VI_1", vrrp.FaultRaised{Cause: vrrp.FaultAddressesLost})
		h.Post("nobody", vrrp.FaultRaised{Cause: vrrp.FaultAddressesLost})
		h.want(h.told("state", "release"), "release VI_1", "state VI_1 active>fault addresses_lost at 0s")
		h.Post("VI_1", vrrp.FaultCleared{Cause: vrrp.FaultAddressesLost})
		h.want(h.told("state", "acquire"), "acquire VI_1", "state VI_1 fault>active owner at 0s")
	})
}

// Which address a router advertises from.
//
//rfc:9568/7.2-4 positive negative
//rfc:3768/7.2-4 positive negative
func TestSourceAddress(t *testing.T) {
	addr := netip.MustParseAddr
	tests := []struct {
		name   string
		link   []string
		change func(*vrrp.Config)
		want   string // Empty: no source, a fault.
	}{
		{"the first", []string{"192.0.2.1", "192.0.2.2"}, func(*vrrp.Config) {}, "192.0.2.1"},
		{"not a left-over virtual one", []string{"192.0.2.10", "192.0.2.2"}, func(*vrrp.Config) {}, "192.0.2.2"},
		{"not one of another router", []string{"192.0.2.77", "192.0.2.2"}, func(*vrrp.Config) {}, "192.0.2.2"},
		{"none but virtual ones", []string{"192.0.2.10", "192.0.2.77"}, func(*vrrp.Config) {}, ""},
		{"none at all", nil, func(*vrrp.Config) {}, ""},
		{"the configured one", []string{"192.0.2.1", "192.0.2.2"}, func(c *vrrp.Config) { c.Source = addr("192.0.2.2") }, "192.0.2.2"},
		{"the configured one is missing", []string{"192.0.2.1"}, func(c *vrrp.Config) { c.Source = addr("192.0.2.2") }, ""},
		{"an owner's only address", []string{"192.0.2.10"}, func(c *vrrp.Config) { c.Priority = 255 }, "192.0.2.10"},
		{"an owner's other address", []string{"192.0.2.10", "192.0.2.3"}, func(c *vrrp.Config) { c.Priority = 255 }, "192.0.2.3"},
		{"an owner without", nil, func(c *vrrp.Config) { c.Priority = 255 }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, &network{}, "192.0.2.1")
				defer h.run()()
				other := config(1)
				other.VRID, other.Addresses = 77, []netip.Addr{addr("192.0.2.77")}
				h.set("other", other)
				c := config(100)
				tt.change(&c)
				h.set("VI_1", c)
				link := speaker.Link{Exists: true, Index: 2, Up: true}
				for _, a := range tt.link {
					link.Addresses = append(link.Addresses, addr(a))
				}
				h.SetLink(link)
				s := h.snapshot().Routers["VI_1"]
				if tt.want == "" {
					if !s.Faults.Has(vrrp.FaultNoSourceAddress) || s.State != vrrp.Fault {
						t.Errorf("%v, faults %v, from %v", s.State, s.Faults, s.Source)
					}
					return
				}
				if s.Source != addr(tt.want) || s.Faults != 0 {
					t.Errorf("from %v, faults %v, want %v", s.Source, s.Faults, tt.want)
				}
			})
		})
	}
}

// A packet counts from when the kernel took it in, not from when it was read;
// but never from before what has been handled already.
func TestPacketCountsFromItsArrival(t *testing.T) {
	for name, tc := range map[string]struct {
		arrived time.Duration // since the start; the packet is read after 2 s
		active  string
	}{
		"not known":             {0, "5.609375s"},
		"a moment ago":          {1997 * time.Millisecond, "5.606375s"},
		"before the last event": {999 * time.Millisecond, "5.609375s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, &network{}, "192.0.2.1")
				defer h.run()()
				h.set("VI_1", config(100))
				h.up()
				time.Sleep(time.Second)
				b, meta := payload(t, config(200))
				h.conn().arrive(b, meta)
				time.Sleep(time.Second)
				if tc.arrived != 0 {
					meta.Arrived = h.start.Add(tc.arrived)
				}
				h.conn().arrive(b, meta)
				time.Sleep(10 * time.Second)
				h.want(h.told("state"), "state VI_1 initialize>backup startup at 0s",
					"state VI_1 backup>active active_down at "+tc.active)
			})
		})
	}
}

// A member of a sync group says where it stands, each time and in order, and
// becomes active when it is told to; priorities that trackers ask for go out at
// once.
func TestGroupMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		c := config(100)
		c.Group = vrrp.Membership{Name: "G1", First: true}
		h.set("VI_1", c)
		h.up()
		time.Sleep(4 * time.Second)
		h.want(h.told("stands"), "stands VI_1 backup wants false", "stands VI_1 backup wants true")
		h.Post("VI_1", vrrp.GroupActivated{Order: 1})
		h.want(h.told("stands"), "stands VI_1 active wants false")
		sent := len(h.conn().sendings())
		h.Post("VI_1", vrrp.PriorityChanged{Priority: 40, Detail: "uplink"})
		h.want(h.told("priority"), "priority VI_1 100>40 uplink at 4s")
		if s := h.conn().sendings(); len(s) != sent+1 || s[sent].Priority != 40 {
			t.Errorf("sent %v", s[sent:])
		}
		h.Post("VI_1", vrrp.GroupYielded{Order: 2, Detail: "VI_2: link_down"})
		h.want(h.told("state"), "state VI_1 active>backup sync_group at 4s")
	})
}
