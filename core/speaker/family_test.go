package speaker_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

func ipv6(o *speaker.Options) { o.Family = wire.IPv6 }

func config6(priority uint8) vrrp.Config {
	c := config(priority)
	c.Addresses = []netip.Addr{addr("fe80::10"), addr("2001:db8::10")}
	return c
}

func TestIPv6Election(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		a, b := newHost(t, n, "fe80::1", ipv6), newHost(t, n, "fe80::2", ipv6)
		stopA := a.run()
		defer b.run()()
		for h, priority := range map[*host]uint8{a: 150, b: 100} {
			h.set("VI_1", config6(priority))
			h.up()
		}
		time.Sleep(4 * time.Second)
		if c := a.conn(); c.Family != wire.IPv6 || !c.Group || c.sendings()[0].destination != wire.GroupIPv6() || c.sendings()[0].source != addr("fe80::1") {
			t.Errorf("%+v, sent %v", c.Socket, c.sendings())
		}
		if s := b.snapshot(); s.Family != wire.IPv6 || s.Routers["VI_1"].State != vrrp.Backup || s.Routers["VI_1"].Peer.Address != addr("fe80::1") {
			t.Errorf("%+v", s.Routers["VI_1"])
		}
		stopA()
		time.Sleep(time.Second)
		if b.state() != vrrp.Active {
			t.Errorf("is %v after the goodbye", b.state())
		}
	})
}

// The two families of one interface are two Speakers; the same VRID in both is two
// virtual routers (RFC 9568 §1).
func TestFamiliesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		four, six := newHost(t, n, "192.0.2.1"), newHost(t, n, "fe80::1", ipv6)
		defer four.run()()
		defer six.run()()
		if err := four.Set("VI_6", config6(100)); err == nil || !strings.Contains(err.Error(), "VI_6") {
			t.Errorf("IPv6 in a Speaker of IPv4: %v", err)
		}
		if err := six.SetUnicast("VI_4", config(100), peers("192.0.2.9")); err == nil {
			t.Error("IPv4 in a Speaker of IPv6")
		}
		c := config6(100)
		c.Source = addr("2001:db8::1")
		if err := six.Set("VI_6", c); err == nil || !strings.Contains(err.Error(), "not link-local") {
			t.Errorf("the group from a routed source: %v", err)
		}
		if err := six.SetUnicast("VI_6", c, peers("2001:db8::9")); err != nil {
			t.Errorf("a peer from a routed source: %v", err)
		}
		six.set("VI_6", config6(100))
		four.set("VI_4", config(100))
		four.up()
		six.up()
		time.Sleep(4 * time.Second)
		if r := four.snapshot().Routers["VI_4"]; r.State != vrrp.Active || r.Counters.Received != 0 {
			t.Errorf("%v, received %d", r.State, r.Counters.Received)
		}
		if r := six.snapshot().Routers["VI_6"]; r.State != vrrp.Active || r.Counters.Received != 0 {
			t.Errorf("%v, received %d", r.State, r.Counters.Received)
		}
	})
}

// Over IPv6 the source is link-local, unless the peers are not.
func TestIPv6SourceAddress(t *testing.T) {
	link := []string{"2001:db8::10", "fe80::10", "2001:db8::1", "fe80::1"}
	far, near := peers("2001:db8::9"), peers("fe80::9")
	for name, tt := range map[string]struct {
		link    []string
		unicast *speaker.Unicast
		change  func(*vrrp.Config)
		want    string // Empty: no source, a fault.
	}{
		"to the group":                   {link, nil, nil, "fe80::1"},
		"to a peer on the link":          {link, &near, nil, "fe80::1"},
		"to a peer elsewhere":            {link, &far, nil, "2001:db8::1"},
		"no link-local one":              {[]string{"2001:db8::1"}, nil, nil, ""},
		"nothing but link-local":         {[]string{"fe80::1"}, &far, nil, ""},
		"an owner's":                     {[]string{"2001:db8::10", "fe80::10"}, nil, func(c *vrrp.Config) { c.Priority = 255 }, "fe80::10"},
		"an owner's, to a peer":          {[]string{"fe80::10", "2001:db8::10"}, &far, func(c *vrrp.Config) { c.Priority = 255 }, "2001:db8::10"},
		"an owner without a link-local":  {[]string{"2001:db8::10"}, nil, func(c *vrrp.Config) { c.Priority = 255 }, ""},
		"the configured one":             {link, &far, func(c *vrrp.Config) { c.Source = addr("fe80::1") }, "fe80::1"},
		"the configured one is not here": {[]string{"fe80::1"}, nil, func(c *vrrp.Config) { c.Source = addr("fe80::7") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, &network{}, "fe80::1", ipv6)
				defer h.run()()
				c := config6(100)
				if tt.change != nil {
					tt.change(&c)
				}
				if tt.unicast != nil {
					h.setUnicast("VI_1", c, *tt.unicast)
				} else {
					h.set("VI_1", c)
				}
				l := speaker.Link{Exists: true, Index: 2, Up: true}
				for _, a := range tt.link {
					l.Addresses = append(l.Addresses, addr(a))
				}
				h.SetLink(l)
				s := h.snapshot().Routers["VI_1"]
				if tt.want == "" {
					if !s.Faults.Has(vrrp.FaultNoSourceAddress) {
						t.Errorf("faults %v, from %v", s.Faults, s.Source)
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

// A version 3 router that speaks version 2 as well hears both, and its
// advertisements are the configured interval apart although each goes out twice.
func TestBothVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		a, b := newHost(t, n, "192.0.2.1"), newHost(t, n, "192.0.2.2")
		defer a.run()()
		defer b.run()()
		both, old := config(150), config(100)
		both.AlsoV2 = true
		old.Version = wire.V2
		a.set("VI_1", both)
		b.set("VI_1", old)
		a.up()
		b.up()
		time.Sleep(10 * time.Second)
		ra, rb := a.snapshot().Routers["VI_1"], b.snapshot().Routers["VI_1"]
		if ra.State != vrrp.Active || rb.State != vrrp.Backup || rb.Counters.Received != 7 {
			t.Errorf("%v and %v, received %d", ra.State, rb.State, rb.Counters.Received)
		}
		if ra.Gap.Max != time.Second || ra.Gap.Count() != 6 || ra.Gap.Sum != 6*time.Second || ra.Counters.Sent != 14 {
			t.Errorf("gap %v, %d, sent %d", ra.Gap.Max, ra.Gap.Count(), ra.Counters.Sent)
		}
		// The other way round.
		old.Priority = 200
		b.set("VI_1", old)
		time.Sleep(10 * time.Second)
		if ra = a.snapshot().Routers["VI_1"]; ra.State != vrrp.Backup || ra.Counters.Received == 0 || ra.Counters.Dropped[wire.DropVersion] != 0 {
			t.Errorf("%v, %+v", ra.State, ra.Counters)
		}
	})
}

// Routers that are not configured here are counted by who speaks for them, as far
// as there is room.
func TestForeignBySource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.set("VI_1", config(100))
		h.up()
		synctest.Wait()
		c := config(100)
		for _, p := range []struct {
			vrid   uint8
			source string
		}{{7, "192.0.2.9"}, {7, "192.0.2.8"}, {9, "192.0.2.9"}, {7, "192.0.2.9"}} {
			c.VRID = p.vrid
			h.conn().arrive(from(t, c, p.source, "224.0.0.18", 255))
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		at := func(ms int) time.Time { return h.start.Add(time.Duration(ms) * time.Millisecond) }
		want := []speaker.Foreign{
			{VRID: 7, Source: addr("192.0.2.8"), Packets: 1, Last: at(1)},
			{VRID: 7, Source: addr("192.0.2.9"), Packets: 2, Last: at(3)},
			{VRID: 9, Source: addr("192.0.2.9"), Packets: 1, Last: at(2)},
		}
		got := h.snapshot().ForeignBySource
		if len(got) != len(want) {
			t.Fatalf("%+v", got)
		}
		for i := range want {
			if got[i].VRID != want[i].VRID || got[i].Source != want[i].Source || got[i].Packets != want[i].Packets || !got[i].Last.Equal(want[i].Last) {
				t.Errorf("%+v, want %+v", got[i], want[i])
			}
		}
		b, m := from(t, c, "192.0.2.9", "224.0.0.18", 255)
		for i := range 3000 {
			m.Source = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			h.conn().arrive(b, m)
		}
		synctest.Wait()
		if s := h.snapshot(); len(s.ForeignBySource) != 1024 || s.Foreign[7] != 3003 {
			t.Errorf("%d sources, %d packets", len(s.ForeignBySource), s.Foreign[7])
		}
	})
}
