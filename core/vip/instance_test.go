package vip

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// on puts plain addresses on another interface than the instance's.
func on(iface string, addresses ...string) []Address {
	list := plain(addresses...)
	for i := range list {
		list[i].Interface = iface
	}
	return list
}

func TestExcludedAddressesMoveAlong(t *testing.T) {
	run(t, func(b *bench) {
		b.Set(Instance{
			Name: "VI_1", Interface: "eth0", Addresses: plain("192.0.2.10/24"),
			Excluded: plain("2001:db8::10/64", "192.0.2.10/24"), // The second of them is there already.
		})
		b.Acquire("VI_1")
		b.Announce("VI_1", Burst{Repeat: 1})
		b.settle()
		b.want(eth0, own, vip1, "address eth0 2001:db8::10/64",
			"announced eth0 192.0.2.10 x1", "announced eth0 2001:db8::10 x1")
		s := b.Snapshot()["VI_1"].Addresses
		if len(s) != 2 || s[0].Excluded || !s[1].Excluded || s[1].Address.Interface != "eth0" {
			b.Errorf("status %+v", s)
		}
		b.Release("VI_1")
		b.settle()
		b.kernel.Forget()
		b.want(eth0, own)
	})
}

func TestAttributesReachTheKernel(t *testing.T) {
	run(t, func(b *bench) {
		b.kernel.AddLink("ppp0")
		b.Set(Instance{Name: "VI_1", Interface: "eth0", Addresses: []Address{
			{Address: inet.Address{
				Prefix: netip.MustParsePrefix("192.0.2.10/24"), Label: "eth0:1", Scope: inet.ScopeLink,
				Broadcast: netip.MustParseAddr("192.0.2.255"), NoPrefixRoute: true,
			}},
			{Address: inet.Address{Prefix: netip.MustParsePrefix("198.51.100.1/32"), Peer: netip.MustParseAddr("198.51.100.2")}, Interface: "ppp0"},
			{Address: inet.Address{Prefix: netip.MustParsePrefix("2001:db8::10/128"), Deprecated: true}},
			{Address: inet.Address{Prefix: netip.MustParsePrefix("2001:db8::11/64"), PreferredFor: time.Minute, DetectDuplicates: true}},
		}})
		b.Acquire("VI_1")
		b.settle()
		b.want(eth0, own, "address eth0 192.0.2.10/24 brd 192.0.2.255 label eth0:1 scope link noprefixroute",
			"address eth0 2001:db8::11/64 preferred_lft 60 dad", "address eth0 2001:db8::10/128 preferred_lft 0",
			"link ppp0 3 up", "address ppp0 198.51.100.1 peer 198.51.100.2/32")
		b.wantEvents()
	})
}

func TestAddressesOnAnotherInterface(t *testing.T) {
	both := Instance{
		Name: "VI_1", Interface: "eth0", Addresses: plain("192.0.2.10/24"),
		Excluded: on("eth1", "198.51.100.10/24"), Repeat: 2,
	}
	const there = "address eth1 198.51.100.10/24"
	t.Run("are announced there", func(t *testing.T) {
		run(t, func(b *bench) {
			b.kernel.AddLink("eth1")
			b.Set(both)
			b.Acquire("VI_1")
			b.Announce("VI_1", Burst{Repeat: 3})
			time.Sleep(time.Second)
			b.want(eth0, own, vip1, "link eth1 3 up", there, "announced eth0 192.0.2.10 x3", "announced eth1 198.51.100.10 x3")
			b.kernel.Take("eth1", "198.51.100.10/24")
			time.Sleep(time.Second)
			b.wantEvents("drift VI_1 removed [198.51.100.10/24 on eth1] <nil>")
			b.kernel.Forget()
			b.Announce("VI_1", Burst{Repeat: 1})
			b.settle()
			b.want(eth0, own, vip1, "link eth1 3 up", there, "announced eth0 192.0.2.10 x1", "announced eth1 198.51.100.10 x1")
			b.Release("VI_1")
			b.settle()
			b.kernel.Forget()
			b.want(eth0, own, "link eth1 3 up")
		})
	})
	t.Run("wait for it", func(t *testing.T) {
		run(t, func(b *bench) {
			b.Set(both)
			b.Acquire("VI_1")
			time.Sleep(time.Hour)
			b.want(eth0, own, vip1)
			if s := b.Snapshot()["VI_1"]; s.Lost || s.Error != "interface eth1 is missing" {
				b.Errorf("status %+v", s)
			}
			b.kernel.AddLink("eth1")
			b.settle()
			b.want(eth0, own, vip1, "link eth1 3 up", there, "announced eth1 198.51.100.10 x2")
			b.kernel.Forget()
			for range 20 {
				b.kernel.DelLink("eth1")
				b.settle()
				b.kernel.AddLink("eth1")
				b.settle()
				b.wantEvents("drift VI_1 interface_recreated [198.51.100.10/24 on eth1] <nil>")
			}
			if journal := b.kernel.Journal(); strings.Contains(journal, "eth0") {
				b.Errorf("the other interface was touched:\n%s", journal)
			}
		})
	})
	t.Run("go with the instance that moves", func(t *testing.T) {
		run(t, func(b *bench) {
			b.kernel.AddLink("eth1")
			b.kernel.AddLink("eth2")
			b.Set(both)
			b.Acquire("VI_1")
			b.settle()
			moved := both
			moved.Interface = "eth2"
			b.Set(moved)
			b.settle()
			b.want(eth0, own, "link eth1 3 up", "link eth2 4 up")
			b.Acquire("VI_1")
			b.settle()
			b.want(eth0, own, "link eth1 3 up", there, "link eth2 4 up", "address eth2 192.0.2.10/24")
			b.wantEvents()
		})
	})
	t.Run("follow a reload", func(t *testing.T) {
		run(t, func(b *bench) {
			b.kernel.AddLink("eth1")
			b.Set(both)
			b.Acquire("VI_1")
			b.settle()
			back := both
			back.Excluded = plain("198.51.100.10/24")
			b.Set(back)
			b.settle()
			b.kernel.Forget()
			b.want(eth0, own, vip1, "address eth0 198.51.100.10/24", "link eth1 3 up")
			b.wantEvents()
		})
	})
}

func TestOptionalAddress(t *testing.T) {
	run(t, func(b *bench) {
		instance := Instance{Name: "VI_1", Interface: "eth0", Addresses: plain("192.0.2.10/24", "192.0.2.11/24")}
		instance.Addresses[1].Optional = true
		b.Set(instance)
		b.kernel.Vanish("192.0.2.11/24", 1000)
		b.Acquire("VI_1")
		b.Announce("VI_1", Burst{Repeat: 1})
		time.Sleep(time.Minute)
		b.kernel.Forget()
		b.want(eth0, own, vip1)
		b.wantEvents()
		if s := b.Snapshot()["VI_1"]; s.Lost || !strings.Contains(s.Error, "[192.0.2.11/24] not there afterwards") {
			b.Errorf("status %+v", s)
		}
		// The other one is still worth everything.
		b.kernel.Vanish("192.0.2.10/24", 1000)
		b.kernel.Take("eth0", "192.0.2.10/24")
		time.Sleep(2 * time.Second)
		if events := b.events.take(); !strings.Contains(events, "lost VI_1") {
			b.Errorf("observer heard %s", events)
		}
	})
}

// The neighbours of the first addresses are told while the last ones are still
// being put.
func TestAnnouncingBeginsBeforeTheLastAddressIsThere(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", many(3*putChunk)...)
		b.Release("VI_1")
		b.settle()
		b.kernel.Forget()
		slow := &slowTable{AddressTable: b.kernel, pause: 10 * time.Millisecond}
		b.Owner.kernel.Addresses = slow
		b.Acquire("VI_1")
		b.Announce("VI_1", Burst{Repeat: 2})
		time.Sleep(25 * time.Millisecond)
		if n := len(b.kernel.Sent()); n != 2*putChunk {
			b.Errorf("%d packets when %d addresses are there", n, 2*putChunk)
		}
		time.Sleep(time.Second)
		if n := strings.Count(b.kernel.String(), "x2"); n != 3*putChunk {
			b.Errorf("%d addresses announced twice", n)
		}
	})
}

// Told to release everything while it is still being put, an instance does not
// put the rest.
func TestReleaseInTheMiddleOfAcquiring(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", many(10*putChunk)...)
		b.Owner.kernel.Addresses = &slowTable{AddressTable: b.kernel, pause: 100 * time.Millisecond}
		b.Acquire("VI_1")
		b.Announce("VI_1", Burst{Repeat: 5})
		time.Sleep(250 * time.Millisecond)
		b.Release("VI_1")
		time.Sleep(time.Second)
		if n := strings.Count(b.kernel.Journal(), "put eth0"); n != 3 {
			b.Errorf("%d requests, want no more than were under way", n)
		}
		b.kernel.Forget()
		b.want(eth0, own)
		b.wantEvents()
	})
}

// slowTable takes its time for every request to put something.
type slowTable struct {
	AddressTable
	pause time.Duration
}

func (s *slowTable) PutAddresses(iface string, addresses []inet.Address) error {
	time.Sleep(s.pause)
	return s.AddressTable.PutAddresses(iface, addresses)
}

// What goes while something else is being put is put back as well.
func TestLossDuringARepair(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24", "192.0.2.11/24")
		b.Acquire("VI_1")
		b.settle()
		b.Owner.kernel.Addresses = &slowTable{AddressTable: b.kernel, pause: 100 * time.Millisecond}
		b.kernel.Take("eth0", "192.0.2.10/24")
		time.Sleep(50 * time.Millisecond)
		b.kernel.Take("eth0", "192.0.2.11/24")
		time.Sleep(time.Second)
		b.kernel.Forget()
		b.want(eth0, own, vip1, vip2)
		b.wantEvents("drift VI_1 removed [192.0.2.10/24 192.0.2.11/24] <nil>")
	})
}

// Two instances that hold the same address and let go of it together do not take
// each other's work for somebody else's.
func TestSharedAddressReleasedTogether(t *testing.T) {
	run(t, func(b *bench) {
		for range 50 {
			b.instance("VI_1", "192.0.2.10/24")
			b.instance("VI_2", "192.0.2.10/24")
			b.Acquire("VI_1")
			b.Acquire("VI_2")
			b.settle()
			b.want(eth0, own, vip1)
			b.Release("VI_1")
			b.Release("VI_2")
			b.settle()
			b.want(eth0, own)
		}
		b.wantEvents()
	})
}

// An interface that takes no packet holds up the release of those instances
// alone that have packets on it.
func TestReleaseWaitsForItsOwnPacketsOnly(t *testing.T) {
	run(t, func(b *bench) {
		b.kernel.AddLink("eth1")
		b.instance("VI_1", "192.0.2.10/24")
		b.Set(Instance{Name: "VI_2", Interface: "eth1", Addresses: plain("198.51.100.10/24")})
		release := b.kernel.Hang(kerneltest.CallAnnounce)
		b.Acquire("VI_1")
		b.Acquire("VI_2")
		b.Announce("VI_1", Burst{Repeat: 1})
		b.settle()
		b.Release("VI_1")
		b.Release("VI_2")
		b.settle()
		b.want(eth0, own, vip1, "link eth1 3 up")
		release()
		b.settle()
		b.kernel.Forget()
		b.want(eth0, own, "link eth1 3 up")
	})
}
