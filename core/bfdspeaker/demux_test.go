package bfdspeaker_test

import (
	"math"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/bfd"
)

// packet is what a peer sends; zero asks for a session by its address.
func packet(state bfd.State, to uint32) bfd.Packet {
	return bfd.Packet{
		State: state, Multiplier: 3, MyDiscriminator: 77, YourDiscriminator: to,
		DesiredMinTx: time.Second, RequiredMinRx: 100 * ms,
	}
}

func path(peer, source, iface string, multihop bool) bfd.Path {
	p := bfd.Path{Peer: netip.MustParseAddr(peer), Interface: iface, Multihop: multihop}
	if source != "" {
		p.Source = netip.MustParseAddr(source)
	}
	return p
}

// Which session gets a packet that names none: the most exact one that its
// source, its interface, its destination and its port allow.
//
//rfc:5880/6.8.6-10 positive negative
//rfc:5881/3-2 positive negative
//rfc:5883/4.1-1 positive negative
//rfc:5883/4.1-2 positive negative
func TestPacketThatNamesNoSession(t *testing.T) {
	const here = "192.0.2.1"
	sessions := map[string]bfd.Path{
		"any":        path("192.0.2.2", "", "", false),
		"eth1":       path("192.0.2.2", "", "eth1", false),
		"multihop":   path("192.0.2.2", "", "", true),
		"from .9":    path("192.0.2.2", "192.0.2.9", "", true),
		"both":       path("192.0.2.3", here, "eth1", false),
		"eth0 of .4": path("192.0.2.4", "", "eth0", false),
	}
	tests := []struct {
		from, to, iface string
		multihop        bool
		want            string
	}{
		{"192.0.2.2", here, "eth0", false, "any"},
		{"192.0.2.2", here, "eth1", false, "eth1"},
		{"192.0.2.2", here, "", false, "any"},
		{"192.0.2.2", here, "eth1", true, "multihop"},
		{"192.0.2.2", "192.0.2.9", "eth0", true, "from .9"},
		{"192.0.2.2", "192.0.2.9", "eth0", false, "any"},
		{"192.0.2.3", here, "eth1", false, "both"},
		{"192.0.2.3", here, "eth0", false, ""},
		{"192.0.2.3", "192.0.2.9", "eth1", false, ""},
		{"192.0.2.3", here, "eth1", true, ""},
		{"192.0.2.4", here, "eth0", false, "eth0 of .4"},
		{"192.0.2.4", here, "eth1", false, ""},
		{"192.0.2.5", here, "eth0", false, ""},
	}
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, here)
		defer h.run()()
		for name, p := range sessions {
			if err := h.Set(name, p, bfd.Defaults()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		counts := func() map[string]uint64 {
			s := h.snapshot()
			all := map[string]uint64{"": s.Counters.Dropped[bfd.DropNoSession]}
			for name, x := range s.Sessions {
				all[name] = x.Counters.Packets
			}
			return all
		}
		for _, tt := range tests {
			before := counts()
			p := packet(bfd.Down, 0)
			h.mu.Lock()
			r := h.receivers[kind{tt.multihop, false}]
			h.mu.Unlock()
			r.arrive(p.Append(nil), bfd.Meta{
				Source: netip.MustParseAddr(tt.from), Destination: netip.MustParseAddr(tt.to),
				Interface: tt.iface, Multihop: tt.multihop, TTL: 255,
			})
			synctest.Wait()
			for name, n := range counts() {
				want := before[name]
				if name == tt.want {
					want++
				}
				if n != want {
					t.Errorf("%+v: %q has %d packets, want %d", tt, name, n, want)
				}
			}
		}
	})
}

// A packet that names a session is that one's, wherever it comes from; and what
// goes out still goes to the address of the configuration.
//
//rfc:5880/6.3-2 positive negative
//rfc:5880/6.8.6-8 positive negative
//rfc:5881/2-2 positive negative
//rfc:5881/4-6 positive negative
//rfc:5881/6-4 positive negative
//rfc:5881/6-5 positive negative
func TestPacketThatNamesASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.set("a", "192.0.2.2")
		h.set("b", "192.0.2.3")
		synctest.Wait()
		s := h.snapshot()
		a, b := s.Sessions["a"].Discriminator, s.Sessions["b"].Discriminator
		h.sendings()
		// The peer of a answers from an address that is configured for b.
		h.from("192.0.2.3", packet(bfd.Down, a))
		h.from("203.0.113.7", packet(bfd.Init, a))
		s = h.snapshot()
		if s.Sessions["a"].State != bfd.Up || s.Sessions["b"].State != bfd.Down || s.Sessions["b"].Counters.Packets != 0 {
			t.Errorf("%+v", s)
		}
		for _, x := range h.sendings() {
			if x.to != netip.MustParseAddr("192.0.2.2") {
				t.Errorf("sent %+v", x)
			}
		}
		// Nobody has this one, and an address does not help.
		h.from("192.0.2.3", packet(bfd.Down, 12345))
		// Nor does one that is right, on the wrong port or of the wrong family.
		multihop := path("198.51.100.1", "", "", true)
		if err := h.Set("c", multihop, bfd.Defaults()); err != nil {
			t.Fatal(err)
		}
		if err := h.Set("d", path("2001:db8::2", "", "", false), bfd.Defaults()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.from("192.0.2.3", packet(bfd.Down, b), func(m *bfd.Meta) { m.Multihop = true })
		p := packet(bfd.Down, b)
		h.mu.Lock()
		r := h.receivers[kind{false, true}]
		h.mu.Unlock()
		r.arrive(p.Append(nil), bfd.Meta{Source: netip.MustParseAddr("2001:db8::2"), Destination: netip.MustParseAddr("2001:db8::1"), TTL: 255})
		synctest.Wait()
		s = h.snapshot()
		if s.Counters.Dropped[bfd.DropDiscriminator] != 3 || s.Sessions["b"].Counters.Packets != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Every reason to drop a packet has its counter, at the session if it got there.
func TestDropCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.set("peer", "192.0.2.2")
		h.set("off", "192.0.2.3", func(c *bfd.Config) { c.Disabled = true })
		synctest.Wait()
		raw := func(change func(b []byte) []byte) {
			p := packet(bfd.Down, 0)
			h.network.deliver(change(p.Append(nil)), bfd.Meta{Source: netip.MustParseAddr("192.0.2.2"), Destination: h.address, TTL: 255})
			synctest.Wait()
		}
		raw(func(b []byte) []byte { b[0] = 0x40; return b })
		raw(func(b []byte) []byte { b[3] = 23; return b })
		raw(func(b []byte) []byte { return b[:23] })
		raw(func(b []byte) []byte { b[2] = 0; return b })
		raw(func(b []byte) []byte { b[1] |= 1; return b })
		raw(func(b []byte) []byte { clear(b[4:8]); return b })
		raw(func(b []byte) []byte { b[1] = 0xc0; return b })
		h.from("192.0.2.2", packet(bfd.Down, 999))
		h.from("192.0.2.9", packet(bfd.Down, 0))
		for reason := bfd.DropVersion; reason <= bfd.DropNoSession; reason++ {
			if n := h.snapshot().Counters.Dropped[reason]; n != 1 {
				t.Errorf("%v: %d", reason, n)
			}
		}
		raw(func(b []byte) []byte { b[1], b[3] = b[1]|4, 26; return append(b, 1, 2) })
		h.from("192.0.2.2", packet(bfd.Down, 0), func(m *bfd.Meta) { m.TTL = 254 })
		h.from("192.0.2.3", packet(bfd.Down, 0))
		s := h.snapshot()
		peer, off := s.Sessions["peer"].Counters, s.Sessions["off"].Counters
		if peer.Packets != 2 || peer.Dropped[bfd.DropTTL] != 1 || peer.Dropped[bfd.DropAuthentication] != 1 {
			t.Errorf("%+v", peer)
		}
		if off.Packets != 1 || off.Dropped[bfd.DropAdminDown] != 1 {
			t.Errorf("%+v", off)
		}
		if s.Counters.Packets != 12 {
			t.Errorf("%d packets", s.Counters.Packets)
		}
	})
}

//rfc:5880/6.3-1 positive negative
//rfc:5880/6.8.1-3 positive negative
func TestDiscriminators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		// The second session draws what the first one has; then the extremes.
		h.random = []uint32{41, 0 /* jitter */, 41, 41, 42, 0, 0, 0, math.MaxUint32 - 1}
		stop := h.run()
		defer stop()
		want := map[string]uint32{"a": 42, "b": 43, "c": 1, "d": math.MaxUint32}
		for i, name := range []string{"a", "b", "c", "d"} {
			h.set(name, netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)}).String())
			synctest.Wait()
		}
		for name, s := range h.snapshot().Sessions {
			if s.Discriminator != want[name] {
				t.Errorf("%s has %d, want %d", name, s.Discriminator, want[name])
			}
		}
	})
}

//rfc:5880/6.8.1-4 positive negative
func TestDiscriminatorsAreRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[uint32]bool{}
		for range 20 {
			h := newHost(t, &network{}, "192.0.2.1", withoutSeed)
			stop := h.run()
			h.set("peer", "192.0.2.2")
			synctest.Wait()
			d := h.snapshot().Sessions["peer"].Discriminator
			if d == 0 || seen[d] {
				t.Errorf("discriminator %d", d)
			}
			seen[d] = true
			stop()
		}
	})
}
