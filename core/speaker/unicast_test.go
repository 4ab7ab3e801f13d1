package speaker_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// peers are peers without bounds.
func peers(list ...string) speaker.Unicast {
	var u speaker.Unicast
	for _, a := range list {
		u.Peers = append(u.Peers, speaker.Peer{Address: addr(a)})
	}
	return u
}

func (h *host) setUnicast(name string, config vrrp.Config, u speaker.Unicast) {
	h.t.Helper()
	if err := h.SetUnicast(name, config, u); err != nil {
		h.t.Fatal(err)
	}
}

// from is what a router at an address sends to one address alone.
func from(t testing.TB, c vrrp.Config, source, destination string, ttl uint8) ([]byte, wire.Meta) {
	t.Helper()
	a := wire.Advertisement{
		Version: c.Version, Family: wire.FamilyOf(c.Addresses[0]), VRID: c.VRID, Priority: c.Priority,
		Interval: c.Interval, Addresses: c.Addresses, Auth: c.Auth,
	}
	m := wire.Meta{Source: addr(source), Destination: addr(destination), TTL: ttl}
	b, err := a.Append(nil, m.Source, m.Destination, c.Checksum)
	if err != nil {
		t.Fatal(err)
	}
	return b, m
}

// Three routers elect by unicast, and one that cannot be reached keeps nothing
// from the others. All have the same list.
func TestUnicastElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		all := peers("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.66")
		hosts := []*host{newHost(t, n, "192.0.2.1"), newHost(t, n, "192.0.2.2"), newHost(t, n, "192.0.2.3")}
		stops := make([]func(), 0, len(hosts))
		for i, h := range hosts {
			stops = append(stops, h.run())
			t.Cleanup(stops[i])
			h.setUnicast("VI_1", config(uint8(150-10*i)), all)
			h.up()
			synctest.Wait()
			h.conn().cutOff(addr("192.0.2.66"))
		}
		time.Sleep(10 * time.Second)
		for i, want := range []vrrp.State{vrrp.Active, vrrp.Backup, vrrp.Backup} {
			if got := hosts[i].state(); got != want {
				t.Errorf("%v is %v", hosts[i].source, got)
			}
			if c := hosts[i].conn(); c.Group || hosts[i].snapshot().Counters.SocketOpened != 1 {
				t.Errorf("%v joined the group: %v", hosts[i].source, c.Group)
			}
		}
		for _, s := range hosts[0].conn().sendings() {
			if s.destination != addr("192.0.2.2") && s.destination != addr("192.0.2.3") || s.source != hosts[0].source {
				t.Errorf("sent from %v to %v", s.source, s.destination)
			}
		}
		// At 3.41 s and each second from then: seven, to each of two.
		r := hosts[0].snapshot().Routers["VI_1"]
		if !r.Unicast || r.Counters.Sent != 7 || r.Counters.SendErrors != 7 || r.SendError != errUnreachable.Error() || r.Gap.Max != time.Second || r.Gap.Count() != 6 {
			t.Errorf("%+v, %q, gap %v of %d", r.Counters, r.SendError, r.Gap.Max, r.Gap.Count())
		}
		for i, want := range []speaker.PeerSnapshot{
			{Peer: all.Peers[0]},
			{Peer: all.Peers[1], Sent: 7},
			{Peer: all.Peers[2], Sent: 7},
			{Peer: all.Peers[3], SendErrors: 7, SendError: errUnreachable.Error()},
		} {
			if r.Peers[i] != want {
				t.Errorf("peer %d: %+v, want %+v", i, r.Peers[i], want)
			}
		}
		if r := hosts[2].snapshot().Routers["VI_1"]; r.Peers[0].Received != 7 || r.Counters.Received != 7 {
			t.Errorf("%+v", r.Peers[0])
		}
		// A goodbye goes to each of them as well.
		stops[0]()
		time.Sleep(time.Second)
		if hosts[1].state() != vrrp.Active || hosts[2].snapshot().Routers["VI_1"].Counters.ReceivedRelease != 1 {
			t.Errorf("%v after the goodbye", hosts[1].state())
		}
	})
}

// Who may send, with which TTL, and where to.
func TestUnicastSourceCheck(t *testing.T) {
	bounded := peers("192.0.2.9", "192.0.2.8", "192.0.2.7")
	bounded.Peers[0].MinTTL = 254
	bounded.Peers[1].MinTTL, bounded.Peers[1].MaxTTL = 250, 252
	open := peers("192.0.2.9")
	open.AnySource = true
	overruled := bounded
	overruled.AnySource = true
	for _, tt := range []struct {
		name        string
		unicast     speaker.Unicast
		source      string
		destination string
		ttl         uint8
		drop        wire.DropReason
		notPeer     bool
	}{
		{"a peer", peers("192.0.2.9"), "192.0.2.9", "192.0.2.1", 255, wire.DropNone, false},
		{"a peer far away", peers("192.0.2.9"), "192.0.2.9", "192.0.2.1", 1, wire.DropNone, false},
		{"a stranger", peers("192.0.2.8"), "192.0.2.9", "192.0.2.1", 255, wire.DropNone, true},
		{"a stranger where all may", open, "192.0.2.5", "192.0.2.1", 3, wire.DropNone, false},
		{"within the least", bounded, "192.0.2.9", "192.0.2.1", 254, wire.DropNone, false},
		{"below the least", bounded, "192.0.2.9", "192.0.2.1", 253, wire.DropTTL, false},
		{"at the greatest", bounded, "192.0.2.8", "192.0.2.1", 252, wire.DropNone, false},
		{"above the greatest", bounded, "192.0.2.8", "192.0.2.1", 253, wire.DropTTL, false},
		{"without a bound of its own", bounded, "192.0.2.7", "192.0.2.1", 0, wire.DropNone, false},
		{"a stranger beside bounds", overruled, "192.0.2.5", "192.0.2.1", 255, wire.DropNone, true},
		{"a peer to the group", peers("192.0.2.9"), "192.0.2.9", "224.0.0.18", 255, wire.DropDestination, false},
		{"a stranger to the group", peers("192.0.2.9"), "192.0.2.5", "224.0.0.18", 255, wire.DropDestination, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, &network{}, "192.0.2.1")
				defer h.run()()
				h.setUnicast("VI_1", config(100), tt.unicast)
				h.up()
				synctest.Wait()
				h.conn().arrive(from(t, config(200), tt.source, tt.destination, tt.ttl))
				synctest.Wait()
				r := h.snapshot().Routers["VI_1"]
				want := speaker.RouterCounters{Transitions: 1}
				var intruder netip.Addr
				switch {
				case tt.notPeer:
					want.NotPeer, intruder = 1, addr(tt.source)
				case tt.drop != wire.DropNone:
					want.Dropped[tt.drop] = 1
				default:
					want.Received = 1
				}
				if r.Counters != want || r.Intruder != intruder {
					t.Errorf("%+v, intruder %v, want %+v, %v", r.Counters, r.Intruder, want, intruder)
				}
			})
		})
	}
}

// A router that speaks to the group takes nothing that was sent to it alone.
func TestMulticastRouterRefusesUnicast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.set("VI_1", config(100))
		h.up()
		synctest.Wait()
		h.conn().arrive(from(t, config(200), "192.0.2.9", "192.0.2.1", 255))
		synctest.Wait()
		if c := h.snapshot().Routers["VI_1"].Counters; c.Dropped[wire.DropDestination] != 1 || c.Received != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// Lists that cannot be meant are errors; none of them becomes multicast.
func TestSetUnicastRefuses(t *testing.T) {
	bounds := peers("192.0.2.9")
	bounds.Peers[0].MinTTL, bounds.Peers[0].MaxTTL = 255, 254
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.up()
		for want, u := range map[string]speaker.Unicast{
			"at least one peer":                 {},
			"peer 2001:db8::9 is not a unicast": peers("192.0.2.9", "2001:db8::9"),
			"peer 224.0.0.18 is not a unicast":  peers("224.0.0.18"),
			"peer 0.0.0.0 is not a unicast":     peers("0.0.0.0"),
			"peer 192.0.2.9 is there twice":     peers("192.0.2.9", "192.0.2.9"),
			"least TTL 255 is above":            bounds,
		} {
			if err := h.SetUnicast("VI_1", config(100), u); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "VI_1") {
				t.Errorf("error %v, want %q", err, want)
			}
		}
		time.Sleep(10 * time.Second)
		if s := h.snapshot(); len(s.Routers) != 0 || s.Counters.SocketOpened != 0 {
			t.Errorf("%d routers, %d sockets", len(s.Routers), s.Counters.SocketOpened)
		}
	})
}

// A list of nobody but oneself is known only when the source is.
func TestUnicastToOneselfIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.setUnicast("VI_1", config(255), peers("192.0.2.1"))
		h.up()
		synctest.Wait()
		r := h.snapshot().Routers["VI_1"]
		if r.Counters.Sent != 0 || r.Counters.SendErrors != 1 || !strings.Contains(r.SendError, "only peer") {
			t.Errorf("%+v, %q", r.Counters, r.SendError)
		}
	})
}

// Unicast groups with one VRID are told apart by their peers, and from the
// multicast group.
func TestOneVRIDInSeveralGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.setUnicast("x", config(100), peers("192.0.2.8"))
		h.setUnicast("y", config(100), peers("192.0.2.9"))
		h.set("z", config(100))
		h.up()
		synctest.Wait()
		for _, p := range []struct{ source, destination string }{
			{"192.0.2.8", "192.0.2.1"},
			{"192.0.2.9", "192.0.2.1"},
			{"192.0.2.9", "192.0.2.1"},
			{"192.0.2.9", "224.0.0.18"},
		} {
			h.conn().arrive(from(t, config(200), p.source, p.destination, 255))
		}
		synctest.Wait()
		s := h.snapshot()
		for name, want := range map[string]uint64{"x": 1, "y": 2, "z": 1} {
			if c := s.Routers[name].Counters; c.Received != want || c.NotPeer != 0 {
				t.Errorf("%s: %+v", name, c)
			}
		}
		h.Remove("x")
		h.conn().arrive(from(t, config(200), "192.0.2.8", "192.0.2.1", 255))
		synctest.Wait()
		if n := h.snapshot().Routers["z"].Counters.Dropped[wire.DropDestination] + h.snapshot().Routers["y"].Counters.NotPeer; n != 1 {
			t.Errorf("a packet for a router that is gone was counted %d times", n)
		}
	})
}

// A reload moves a router between the group and peers: it stays what it is, and
// what waits on the old socket is not lost.
func TestFromGroupToPeersAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.set("VI_1", config(100))
		h.up()
		time.Sleep(4 * time.Second)
		group := h.conn()
		if !group.Group || h.state() != vrrp.Active {
			t.Fatalf("group %v, %v", group.Group, h.state())
		}
		h.told()
		// A packet has arrived that it has not been woken for, and the note comes first.
		group.mu.Lock()
		b, m := from(t, config(50), "192.0.2.9", "224.0.0.18", 255)
		group.queue = append(group.queue, datagram{b, m})
		group.mu.Unlock()
		h.setUnicast("VI_1", config(100), peers("192.0.2.9"))
		synctest.Wait()
		alone := h.conn()
		if alone.Group || !group.isClosed() {
			t.Errorf("in the group %v, the old socket is closed: %v", alone.Group, group.isClosed())
		}
		if c := h.snapshot().Routers["VI_1"].Counters; c.Dropped[wire.DropDestination] != 1 {
			t.Errorf("%+v", c)
		}
		h.want(h.told("state"))
		time.Sleep(5 * time.Second)
		sent := alone.sendings()
		if len(sent) != 5 || sent[4].destination != addr("192.0.2.9") {
			t.Errorf("sent %v", sent)
		}
		// What is known of a peer survives another list.
		h.setUnicast("VI_1", config(100), peers("192.0.2.8", "192.0.2.9"))
		synctest.Wait()
		p := h.snapshot().Routers["VI_1"].Peers
		if len(p) != 2 || p[0].Sent != 0 || p[1].Sent != 5 || h.conn() != alone {
			t.Errorf("%+v", p)
		}
		h.set("VI_1", config(100))
		time.Sleep(time.Second)
		if c := h.conn(); !c.Group || len(c.sendings()) != 1 || c.sendings()[0].destination != wire.GroupIPv4() {
			t.Errorf("group %v, sent %v", c.Group, c.sendings())
		}
		if r := h.snapshot().Routers["VI_1"]; r.Unicast || r.Peers != nil || r.Gap.Max != time.Second {
			t.Errorf("unicast %v, gap %v", r.Unicast, r.Gap.Max)
		}
	})
}

// A socket that cannot join the group is the fault of those who need it.
func TestGroupSocketFailsBesideUnicast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.failing = func(s speaker.Socket) bool { return s.Group }
		h.failOpen(errDenied)
		h.setUnicast("VI_1", config(100), peers("192.0.2.9"))
		h.up()
		time.Sleep(4 * time.Second)
		second := config(100)
		second.VRID = 52
		h.set("VI_2", second)
		h.want(h.told("state", "socket"), "state VI_1 initialize>backup startup at 0s", "state VI_1 backup>active active_down at 3.609375s",
			"socket eth0 "+errDenied.Error(), "state VI_2 initialize>fault no_socket at 4s")
		time.Sleep(4 * time.Second)
		if r := h.snapshot().Routers["VI_1"]; r.State != vrrp.Active || r.Counters.SendErrors != 0 || r.Gap.Max != time.Second {
			t.Errorf("%v, %+v", r.State, r.Counters)
		}
		h.failOpen(nil)
		time.Sleep(4 * time.Second)
		told := h.told("state", "socket")
		if !slices.Contains(told, "socket eth0 <nil>") || h.snapshot().Routers["VI_2"].State == vrrp.Fault {
			t.Errorf("told %v", told)
		}
		if r := h.snapshot().Routers["VI_1"]; r.Gap.Max != time.Second {
			t.Errorf("gap %v", r.Gap.Max)
		}
		// And given up, when nobody needs it any more.
		h.failOpen(errDenied)
		h.Remove("VI_2")
		synctest.Wait()
		if c := h.conn(); c.Group {
			t.Error("still in the group")
		}
	})
}
