package vmac

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

func TestTheLastInterfaceRestoresItsParent(t *testing.T) {
	b := newBench(t)
	b.Sysctl("ipv4/conf/eth0/arp_ignore", "2")
	b.ensure(vrrp(51))
	b.wantSettings("stricter than needed", "ipv4/conf/eth0", "arp_ignore=2 arp_filter=1")
	b.ensure(vrrp(52))
	b.remove("vrrp.51")
	b.wantSettings("one left", "ipv4/conf/eth0", "arp_ignore=2 arp_filter=1")
	// What somebody else has set meanwhile stays.
	b.Sysctl("ipv4/conf/eth0/arp_ignore", "3")
	b.remove("vrrp.52")
	b.wantSettings("none left", "ipv4/conf/eth0", "arp_ignore=3 arp_filter=0")
	for _, name := range []string{"vrrp.51", "vrrp.52"} {
		if b.HasLink(name) {
			t.Errorf("%s is left", name)
		}
		b.remove(name) // There is nothing to remove any more.
	}
}

func TestInterfacesSurviveACrash(t *testing.T) {
	b := newBench(t)
	index := b.ensure(vrrp(51))
	b.ensure(vrrp(52))
	b.AddAddress("vrrp.51", "192.0.2.10/32")

	b.restart()
	if removed := b.sweep("vrrp.51"); !slices.Equal(removed, []string{"vrrp.52"}) {
		t.Errorf("swept %v, want vrrp.52", removed)
	}
	b.wantSettings("one left", "ipv4/conf/eth0", "arp_ignore=1 arp_filter=1")
	if again := b.ensure(vrrp(51)); again != index || !b.HasAddress("vrrp.51", "192.0.2.10") {
		t.Errorf("index %d became %d, or the address went: not adopted", index, again)
	}
	b.restart()
	b.ensure(vrrp(53)) // Learns from the one that is there what the parent had.
	b.restart()
	if removed := b.sweep(); len(removed) != 2 {
		t.Errorf("swept %v, want both", removed)
	}
	b.wantSettings("none left", "ipv4/conf/eth0", untouched)
}

func TestWhatDoesNotFitIsMadeAnew(t *testing.T) {
	b := newBench(t)
	b.lan.Attach(b.Namespace, "eth1")
	b.Sysctl("ipv4/conf/eth0/arp_filter", "1")
	index := b.ensure(vrrp(51))
	for _, change := range []func(*Interface){
		func(i *Interface) { i.Mode = inet.MacvlanBridge },
		func(i *Interface) { i.Parent = "eth1" },
		func(i *Interface) { i.VRID = 9 },
		func(i *Interface) { i.IPv6 = true },
	} {
		want := vrrp(51)
		change(&want)
		again := b.ensure(want)
		if again == index {
			t.Errorf("%+v: the old interface is used", want)
		}
		if mac := b.MAC("vrrp.51").String(); mac != MAC(want.VRID, want.IPv6) {
			t.Errorf("%+v has the MAC address %s", want, mac)
		}
		index = again
		if want.Parent == "eth1" {
			b.wantSettings("moved away", "ipv4/conf/eth0", "arp_ignore=0 arp_filter=1")
			b.wantSettings("moved here", "ipv4/conf/eth1", "arp_ignore=1 arp_filter=1")
		}
	}
}

func TestInterfacesOfOthersAreNotTouched(t *testing.T) {
	b := newBench(t)
	// As Keepalived makes it: the same name, the same address.
	b.ip("link", "add", "link", "eth0", "name", "vrrp.51", "address", MAC(51, false), "up", "type", "macvlan", "mode", "private")
	b.ip("link", "add", "name", "vrrp.52", "type", "veth")
	for _, name := range []string{"vrrp.51", "vrrp.52"} {
		want := vrrp(51)
		want.Name = name
		err := b.Do(func() error { _, err := b.keeper.Ensure(want); return err })
		if !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), name+" on eth0") {
			t.Errorf("%s: %v, want EEXIST", name, err)
		}
		b.remove(name)
	}
	if removed := b.sweep(); len(removed) > 0 {
		t.Errorf("swept %v", removed)
	}
	if !b.HasLink("vrrp.51") || !b.HasLink("vrrp.52") {
		t.Error("somebody else's interface is gone")
	}
	b.wantSettings("nothing made", "ipv4/conf/eth0", untouched)
	// Half made by a process that was killed: nobody's, and not in use.
	b.ip("link", "set", "dev", "vrrp.51", "down")
	b.ensure(vrrp(51))
	b.remove("vrrp.51")
	if b.HasLink("vrrp.51") {
		t.Error("the half-made interface was not adopted")
	}
}

func TestParentThatComesAndGoes(t *testing.T) {
	b := newBench(t)
	b.ensure(vrrp(51))
	b.DeleteLink("eth0")
	if b.HasLink("vrrp.51") {
		t.Error("the interface survived its parent")
	}
	err := b.Do(func() error { _, err := b.keeper.Ensure(vrrp(51)); return err })
	if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "set up virtual interface vrrp.51 on eth0") {
		t.Errorf("without parent: %v, want ENODEV", err)
	}
	b.remove("vrrp.51")
	b.lan.Attach(b.Namespace, "eth0", "192.0.2.1/24")
	b.SetDown("eth0")
	b.ensure(vrrp(51)) // A parent that is down is no reason not to be ready.
	b.SetUp("eth0")
	b.AwaitCarrier("vrrp.51")
	b.remove("vrrp.51")
	b.wantSettings("removed", "ipv4/conf/eth0", untouched)
}

// Somebody deletes the interface, and with it what is remembered in it.
func TestInterfaceDeletedByHand(t *testing.T) {
	b := newBench(t)
	b.ensure(vrrp(51))
	b.DeleteLink("vrrp.51")
	b.ensure(vrrp(51))
	b.remove("vrrp.51")
	b.wantSettings("made again and removed", "ipv4/conf/eth0", untouched)
	b.ensure(vrrp(51))
	b.DeleteLink("vrrp.51")
	b.remove("vrrp.51")
	b.wantSettings("deleted and removed", "ipv4/conf/eth0", untouched)
}
