package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// fixedText is what a machine has whatever the elections say.
const fixedText = `[static]
addresses = [
  { address = "192.0.2.50/24", interface = "eth0", label = "eth0:st" },
  { address = "2001:db8::50", interface = "eth0" },
]
routes = [{ destination = "10.0.0.0/8", via = "192.0.2.254", source = "192.0.2.50" }]
rules = [{ priority = 100, from = "192.0.2.50", table = 100 }]

`

func holdsFixed(t *testing.T, h *lab.Host, all bool) bool {
	t.Helper()
	text := routing(t, h)
	if !all {
		return !h.HasAddress("eth0", "192.0.2.50") && !h.HasAddress("eth0", "2001:db8::50") && !strings.Contains(text, "proto halo")
	}
	return h.HasAddress("eth0", "192.0.2.50") && h.HasAddress("eth0", "2001:db8::50") &&
		containsAll(text, "10.0.0.0/8 via 192.0.2.254 dev eth0 proto halo src 192.0.2.50", "100: from 192.0.2.50 lookup 100 proto halo")
}

// TestStatic proves that what is static is there on an active and on a backup
// router, is put back, survives a crash, changes with a reload and goes at the end,
// but for what was there before.
func TestStatic(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	a.AddAddress("eth0", "192.0.2.50/24")
	first, second := a.Halo(fixedText+haloConfig(single(150))), b.Halo(strings.ReplaceAll(fixedText, "192.0.2.50", "192.0.2.51")+haloConfig(single(100)))
	n.WaitOwner(vip, a)
	lab.Eventually(t, "everything on the active router", func() bool { return holdsFixed(t, a, true) })
	second.WaitState(t, "VI_1", "backup")
	lab.Eventually(t, "everything on the backup", func() bool {
		return b.HasAddress("eth0", "192.0.2.51") && containsAll(routing(t, b), "10.0.0.0/8 via 192.0.2.254 dev eth0 proto halo src 192.0.2.51", "100: from 192.0.2.51")
	})
	if out, err := b.Output("ip", "-6", "addr", "show", "dev", "eth0"); err != nil || strings.Contains(out, "deprecated") {
		t.Errorf("an address that stays is deprecated: %v\n%s", err, out)
	}

	t.Log("somebody deletes it")
	since := second.Status(t).VRRPInstances["VI_1"].Since
	b.DelAddress("eth0", "192.0.2.51/24") // And the route that sends from it, by the kernel.
	if out, err := b.Output("ip", "rule", "del", "priority", "100"); err != nil {
		t.Fatalf("ip rule del: %v\n%s", err, out)
	}
	lab.Eventually(t, "it is put back", func() bool {
		return b.HasAddress("eth0", "192.0.2.51") && containsAll(routing(t, b), "10.0.0.0/8 via 192.0.2.254 dev eth0 proto halo src 192.0.2.51", "100: from 192.0.2.51")
	})
	lab.Eventually(t, "the status counts it", func() bool {
		s := second.Status(t).Static
		return s != nil && len(s.Addresses) == 2 && s.Addresses[0].Restores > 0 && s.Addresses[0].Interface == "eth0" && s.Rules[0].Restores > 0
	})
	if v := second.Status(t).VRRPInstances["VI_1"]; !v.Since.Equal(since) {
		t.Errorf("the instance was touched: %s since %s", v.State, v.Since)
	}

	t.Log("a crash and a restart")
	first.Kill()
	first.Start(t)
	lab.Eventually(t, "all of it is adopted", func() bool {
		s := first.Status(t).Static
		return s != nil && len(s.Routes) == 1 && s.Routes[0].Present && s.Routes[0].Restores == 0 && s.Addresses[1].Present && s.Addresses[1].Restores == 0
	})

	t.Log("a reload")
	report := first.MustReload(t, strings.Replace(fixedText, "10.0.0.0/8", "10.0.0.0/9", 1)+haloConfig(single(150)))
	if want := "static changed: routes[10.0.0.0/9] added, routes[10.0.0.0/8] removed"; len(report.Changes) != 1 || report.Changes[0] != want {
		t.Errorf("changes %q, want %q", report.Changes, want)
	}
	lab.Eventually(t, "the other route", func() bool {
		text := routing(t, a)
		return strings.Contains(text, "10.0.0.0/9 via") && !strings.Contains(text, "10.0.0.0/8 via")
	})
	first.MustReload(t, haloConfig(single(150)))
	lab.Eventually(t, "none of it", func() bool {
		return !strings.Contains(routing(t, a), "proto halo") && !a.HasAddress("eth0", "2001:db8::50")
	})
	if first.Status(t).Static != nil {
		t.Error("the status still tells of what is static")
	}
	if !a.HasAddress("eth0", "192.0.2.50") {
		t.Error("the machine's own address is gone")
	}
	t.Log("the end")
	if err := second.Terminate(); err != nil {
		t.Errorf("halo ended with %v after SIGTERM, want success", err)
	}
	if b.HasAddress("eth0", "192.0.2.51") || strings.Contains(routing(t, b), "proto halo") {
		t.Error("something static is left")
	}
}

// TestStaticWaitsForItsInterface proves that what cannot be put there is told of
// with the reason, that it hurts no election, and that it comes when it can.
func TestStaticWaitsForItsInterface(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	halo := a.Halo(`[static]
addresses = [{ address = "198.51.100.5/24", interface = "eth1" }]
routes = [{ destination = "10.0.0.0/8", interface = "eth1" }]

` + haloConfig(single(150)))
	n.WaitOwner(vip, a)
	lab.Eventually(t, "the status says what is missing, and why", func() bool {
		out, err := a.Output(filepath.Join(lab.Bin(t), "halo"), "status", "--socket", halo.Socket())
		return err == nil && containsAll(out, "STATIC  addresses 1, routes 1, rules 0", "! static: missing 198.51.100.5/24 on eth1, route 10.0.0.0/8 dev eth1: ", "eth1")
	})
	n.Attach(a.Namespace, "eth1")
	holds := func() bool {
		s := halo.Status(t).Static
		return a.HasAddress("eth1", "198.51.100.5") && strings.Contains(routing(t, a), "10.0.0.0/8 dev eth1 proto halo") &&
			s != nil && s.EntryError == "" && everyEntry(control.VRRPInstance{Entries: *s}, func(e control.VirtualEntry) bool { return e.Present })
	}
	lab.Eventually(t, "it is there", holds)
	a.DeleteLink("eth1")
	n.Attach(a.Namespace, "eth1")
	lab.Eventually(t, "it is there on the new interface", holds)
	if v := halo.Status(t).VRRPInstances["VI_1"]; v.Counters["transitions"] != 2 {
		t.Errorf("the instance changed its state %d times, want twice: to backup and to active", v.Counters["transitions"])
	}
}

// TestStaticAlone proves that halo can be run for what is static alone.
func TestStaticAlone(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	halo := a.Halo(fixedText)
	lab.Eventually(t, "everything", func() bool { return holdsFixed(t, a, true) })
	if err := halo.Terminate(); err != nil {
		t.Errorf("halo ended with %v after SIGTERM, want success", err)
	}
	if !holdsFixed(t, a, false) {
		t.Error("something static is left")
	}
}
