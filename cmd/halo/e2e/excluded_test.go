package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
	"github.com/halo-ha/halo/core/kernel/rawsock"
)

// placed is the configuration of a router with addresses of every kind: of both
// families, advertised and not, plain and with attributes, on two interfaces.
func placed(priority int) string {
	return fmt.Sprintf(`[vrrp_instance.VI_1]
interface         = "eth0"
virtual_router_id = 51
priority          = %d
advert_interval   = "200ms"
addresses         = [{ address = "192.0.2.10/24", label = "eth0:vip", broadcast = "+" }]
excluded_addresses = [
  "192.0.2.11/24",
  { address = "198.51.100.10/32", interface = "eth1", scope = "link" },
  { address = "2001:db8::10/64", preferred_lifetime = "0s" },
  "2001:db8::11",
]
`, priority)
}

// twoLegged makes a host with a second interface on a switch of its own.
func twoLegged(n *lab.Network, inside *kerneltest.Switch, label, address, insideAddress string) *lab.Host {
	h := n.Host(label, address)
	inside.Attach(h.Namespace, "eth1", insideAddress)
	return h
}

// holdsPlaced tells whether a host has all of placed, or none.
func holdsPlaced(h *lab.Host, all bool) bool {
	for address, iface := range map[string]string{
		"192.0.2.10": "eth0", "192.0.2.11": "eth0", "198.51.100.10": "eth1", "2001:db8::10": "eth0", "2001:db8::11": "eth0",
	} {
		if h.HasAddress(iface, address) != all {
			return false
		}
	}
	return true
}

// TestEverythingMovesAlong proves that addresses with attributes, those of the
// other family and those of another interface move with the advertised one, that
// a killed router's are taken over, and that it leaves them when it is back.
func TestEverythingMovesAlong(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	inside := kerneltest.NewSwitch(t, "inside")
	a, b := twoLegged(n, inside, "a", aSource+"/24", "198.51.100.1/24"), twoLegged(n, inside, "b", bSource+"/24", "198.51.100.2/24")
	active := a.Halo(placed(150))
	active.WaitState(t, "VI_1", "active")
	lab.Eventually(t, "a holds everything", func() bool { return holdsPlaced(a, true) })
	for command, want := range map[string][]string{
		"-4 addr show dev eth0": {"192.0.2.10/24 brd 192.0.2.255 scope global secondary proto 104 eth0:vip", "192.0.2.11/24 scope global"},
		"-4 addr show dev eth1": {"198.51.100.10/32 scope link"},
		"-6 addr show dev eth0": {"2001:db8::10/64 scope global nodad deprecated", "2001:db8::11/128 scope global nodad deprecated"},
	} {
		out, err := a.Output("ip", strings.Fields(command)...)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range want {
			// Older programs show no protocol.
			if !strings.Contains(out, line) && !strings.Contains(out, strings.ReplaceAll(line, " proto 104", "")) {
				t.Errorf("ip %s has no %q:\n%s", command, line, out)
			}
		}
	}
	backup := b.Halo(placed(100))
	backup.WaitState(t, "VI_1", "backup")

	t.Log("the active router is killed, and another one has everything")
	active.Kill()
	lab.Eventually(t, "b holds everything", func() bool { return holdsPlaced(b, true) })
	if !holdsPlaced(a, true) {
		t.Error("the killed router's addresses are gone by themselves")
	}
	t.Log("it comes back with a lower priority and cleans up")
	active.Write(t, placed(50))
	active.Start(t)
	lab.Eventually(t, "a holds nothing", func() bool { return holdsPlaced(a, false) })
	if !holdsPlaced(b, true) {
		t.Error("b has lost something meanwhile")
	}
	t.Log("the other one is told to stop")
	if err := backup.Terminate(); err != nil {
		t.Errorf("halo ended with %v after SIGTERM, want success", err)
	}
	if !holdsPlaced(b, false) {
		t.Error("what is stopped has left something")
	}
	lab.Eventually(t, "a holds everything again", func() bool { return holdsPlaced(a, true) })
}

// TestNoAddressThatMovesIsSpokenFrom proves that a router advertises from its own
// address, and not from one that it was given for a while, even where that is
// first in the kernel's list.
func TestNoAddressThatMovesIsSpokenFrom(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	h := n.Host("a")
	h.AddAddress("eth0", "fe80::1/64")
	halo := h.Halo(`[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
advert_interval = "200ms"
addresses = ["fe80::51/64"]
excluded_addresses = ["fe80::52/64"]
`)
	halo.WaitState(t, "VI_1", "active")
	lab.Eventually(t, "both addresses", func() bool { return h.HasAddress("eth0", "fe80::51") && h.HasAddress("eth0", "fe80::52") })
	h.DelAddress("eth0", "fe80::1/64")
	// The kernel's own stays; only one that moves must not take its place.
	lab.Eventually(t, "another source", func() bool { return halo.Status(t).VRRPInstances["VI_1"].SourceAddress != "fe80::1" })
	if s := halo.Status(t).VRRPInstances["VI_1"].SourceAddress; s == "fe80::51" || s == "fe80::52" {
		t.Errorf("advertises from %s, which moves", s)
	}
}

// TestDeletedExcludedAddress proves that what is not advertised is watched like
// what is: put back, counted, and without it the instance goes on.
func TestDeletedExcludedAddress(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	inside := kerneltest.NewSwitch(t, "inside")
	a := twoLegged(n, inside, "a", aSource+"/24", "198.51.100.1/24")
	halo := a.Halo(placed(150))
	halo.WaitState(t, "VI_1", "active")
	lab.Eventually(t, "everything", func() bool { return holdsPlaced(a, true) })
	since := halo.Status(t).VRRPInstances["VI_1"].Since
	a.DelAddress("eth1", "198.51.100.10/32")
	a.DelAddress("eth0", "2001:db8::10/64")
	lab.Eventually(t, "the restores are counted", func() bool {
		return restored(halo.Status(t).VRRPInstances["VI_1"], "198.51.100.10/32", "2001:db8::10/64")
	})
	if !holdsPlaced(a, true) {
		t.Error("something is still missing")
	}
	if v := halo.Status(t).VRRPInstances["VI_1"]; v.State != "active" || !v.Since.Equal(since) {
		t.Errorf("after the restores: %s since %s, want active since %s as before", v.State, v.Since, since)
	}
}

// restored tells whether each of the addresses is there and was put back.
func restored(v control.VRRPInstance, addresses ...string) bool {
	for _, a := range v.Addresses {
		if slices.Contains(addresses, a.Address) && !(a.Present && a.Restores >= 1) {
			return false
		}
	}
	return true
}

// TestInterfaceOfAnAddressGoesDown proves that an instance whose address cannot be
// reached is in fault, and that one that can do without it is not.
func TestInterfaceOfAnAddressGoesDown(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	inside := kerneltest.NewSwitch(t, "inside")
	a := n.Host("a", aSource+"/24")
	port := inside.Attach(a.Namespace, "eth1", "198.51.100.1/24")
	halo := a.Halo(placed(150))
	halo.WaitState(t, "VI_1", "active")
	inside.SetDown(port)
	halo.WaitState(t, "VI_1", "fault")
	halo.MustReload(t, strings.Replace(placed(150), `scope = "link"`, "required = false", 1))
	halo.WaitState(t, "VI_1", "active")
	halo.MustReload(t, placed(150))
	halo.WaitState(t, "VI_1", "fault")
	inside.SetUp(port)
	halo.WaitState(t, "VI_1", "active")
	lab.Eventually(t, "everything", func() bool { return holdsPlaced(a, true) })
}

// TestReloadOfAddresses proves that a reload adds, removes and changes the
// addresses that it names, and that the kernel is told nothing of the others.
func TestReloadOfAddresses(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	inside := kerneltest.NewSwitch(t, "inside")
	a := twoLegged(n, inside, "a", aSource+"/24", "198.51.100.1/24")
	halo := a.Halo(placed(150))
	halo.WaitState(t, "VI_1", "active")
	lab.Eventually(t, "everything", func() bool { return holdsPlaced(a, true) })
	since := halo.Status(t).VRRPInstances["VI_1"].Since
	monitor := a.Start("ip", "-o", "monitor", "address")
	probe := 0
	settle := func() { // What the monitor has not told by now has not happened.
		probe++
		address := fmt.Sprintf("203.0.113.%d/32", probe)
		lab.Eventually(t, "the monitor hears", func() bool {
			a.AddAddress("eth1", address)
			a.DelAddress("eth1", address)
			return strings.Contains(monitor.Output(), address)
		})
	}
	settle()
	report := halo.MustReload(t, strings.NewReplacer(
		`  "192.0.2.11/24",`, `  "192.0.2.12/24",`, `scope = "link"`, `scope = "global"`,
	).Replace(placed(150)))
	for _, want := range []string{
		"excluded_addresses[192.0.2.12/24] added", "excluded_addresses[192.0.2.11/24] removed",
		"excluded_addresses[198.51.100.10/32 dev eth1] 198.51.100.10/32 scope link dev eth1 -> 198.51.100.10/32 dev eth1",
	} {
		if len(report.Changes) != 1 || !strings.Contains(report.Changes[0], want) {
			t.Errorf("the report has no %q: %q", want, report.Changes)
		}
	}
	lab.Eventually(t, "the new one alone", func() bool {
		return a.HasAddress("eth0", "192.0.2.12") && !a.HasAddress("eth0", "192.0.2.11")
	})
	lab.Eventually(t, "the new scope", func() bool {
		out, err := a.Output("ip", "-4", "addr", "show", "dev", "eth1")
		return err == nil && strings.Contains(out, "198.51.100.10/32 scope global")
	})
	settle()
	// The kernel tells of a new IPv6 address when it gets round to it, which may be
	// after the monitor began.
	for _, untouched := range []string{"inet 192.0.2.10/24", "Deleted 2: eth0    inet6 2001:db8::10/64", "Deleted 2: eth0    inet6 2001:db8::11/128"} {
		if strings.Contains(monitor.Output(), untouched) {
			t.Errorf("%s was touched:\n%s", untouched, monitor.Output())
		}
	}
	if v := halo.Status(t).VRRPInstances["VI_1"]; v.State != "active" || !v.Since.Equal(since) {
		t.Errorf("the instance was touched: %s since %s", v.State, v.Since)
	}
}

// TestThousandAddresses proves that an instance of a thousand addresses, most of
// them not advertised, moves whole, there and back.
func TestThousandAddresses(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/16"), n.Host("b", bSource+"/16")
	var excluded strings.Builder
	const count = 999
	for i := range count {
		fmt.Fprintf(&excluded, "%q,\n", fmt.Sprintf("192.0.%d.%d/16", 100+i/200, 1+i%200))
	}
	text := func(priority int) string {
		return haloConfig(single(priority)) + "excluded_addresses = [\n" + excluded.String() + "]\n"
	}
	onB := func() int { return len(b.Addresses("eth0")) - 1 }
	first := a.Halo(text(150))
	n.WaitOwner(vip, a)
	second := b.Halo(text(100))
	lab.Eventually(t, "all on a", func() bool { return len(a.Addresses("eth0"))-1 == count+1 })
	if onB() != 0 {
		t.Errorf("the backup has %d addresses", onB())
	}
	first.Kill()
	lab.Eventually(t, "all on b", func() bool { return onB() == count+1 })
	first.Start(t)
	lab.Eventually(t, "all on a, and none on b", func() bool { return len(a.Addresses("eth0"))-1 == count+1 && onB() == 0 })
	if v := second.Status(t).VRRPInstances["VI_1"]; v.State != "backup" || len(v.Addresses) != count+1 {
		t.Errorf("b is %s with %d addresses", v.State, len(v.Addresses))
	}
}

// TestExcludedWithKeepalived proves that halo and Keepalived take the same
// addresses over from each other, advertised and not, of both families.
func TestExcludedWithKeepalived(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	inside := kerneltest.NewSwitch(t, "inside")
	a, b := twoLegged(n, inside, "a", aSource+"/24", "198.51.100.1/24"), twoLegged(n, inside, "b", bSource+"/24", "198.51.100.2/24")
	b.Keepalived(`global_defs {
  vrrp_version 3
}
vrrp_instance VI_1 {
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority 100
  advert_int 0.2
  virtual_ipaddress {
    192.0.2.10/24 label eth0:vip brd +
  }
  virtual_ipaddress_excluded {
    192.0.2.11/24
    198.51.100.10/32 dev eth1 scope link
    2001:db8::10/64 preferred_lft 0
    2001:db8::11
  }
}
`)
	lab.Eventually(t, "Keepalived holds everything", func() bool { return holdsPlaced(b, true) })
	halo := a.Halo(placed(150))
	lab.Eventually(t, "everything moved to halo", func() bool { return holdsPlaced(a, true) && holdsPlaced(b, false) })
	if v := halo.Status(t).VRRPInstances["VI_1"]; len(v.Mismatches) != 0 {
		t.Errorf("they disagree: %q", v.Mismatches)
	}
	halo.Kill()
	lab.Eventually(t, "Keepalived holds everything again", func() bool { return holdsPlaced(b, true) })
	halo.Start(t)
	lab.Eventually(t, "everything moved to halo again", func() bool { return holdsPlaced(a, true) && holdsPlaced(b, false) })
	if err := halo.Terminate(); err != nil {
		t.Errorf("halo ended with %v after SIGTERM, want success", err)
	}
	if !holdsPlaced(a, false) {
		t.Error("halo has left something")
	}
	lab.Eventually(t, "Keepalived takes over at once", func() bool { return holdsPlaced(b, true) })
}

// TestConflictOnAnotherInterface proves that an address is listened for where it
// is, also when it is not advertised.
func TestConflictOnAnotherInterface(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	inside := kerneltest.NewSwitch(t, "inside")
	a, thief := twoLegged(n, inside, "a", aSource+"/24", "198.51.100.1/24"), twoLegged(n, inside, "thief", "192.0.2.66/24", "198.51.100.66/24")
	halo := a.Halo(placed(150))
	halo.WaitState(t, "VI_1", "active")
	var announcer *rawsock.Announcer
	if err := thief.Do(func() error { announcer = rawsock.NewAnnouncer(); return nil }); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = announcer.Close() }()
	lab.Eventually(t, "the status names the other machine", func() bool {
		if err := thief.Do(func() error { return announcer.Announce("eth1", []netip.Addr{lab.Addr(t, "198.51.100.10")}) }); err != nil {
			t.Fatal(err)
		}
		conflicts := halo.Status(t).VRRPInstances["VI_1"].Conflicts
		return len(conflicts) == 1 && conflicts[0].Address == "198.51.100.10" && conflicts[0].MAC == thief.MAC("eth1").String()
	})
}
