package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// routed is the configuration of a router with routes and rules of both families.
func routed(priority int) string {
	return fmt.Sprintf(`[vrrp_instance.VI_1]
interface         = "eth0"
virtual_router_id = 51
priority          = %d
advert_interval   = "200ms"
addresses         = ["192.0.2.10/24"]
excluded_addresses = ["2001:db8::10/64"]
routes = [
  { destination = "default", via = "192.0.2.254", source = "192.0.2.10", table = 100 },
  { destination = "10.0.0.0/8", nexthops = [{ via = "192.0.2.253" }, { via = "192.0.2.254", weight = 3 }], mtu = 1400 },
  { destination = "10.6.6.0/24", type = "unreachable" },
  { destination = "2001:db8:9::/48", via = "2001:db8::fe", metric = 7 },
]
rules = [
  { priority = 100, from = "192.0.2.10", table = 100 },
  { priority = 101, family = "ipv6", fwmark = "0x10/0xff", table = 100 },
]
`, priority)
}

// routedLines are how the kernel shows routed, without what differs between
// versions of ip(8).
func routedLines() []string {
	return []string{
		"default via 192.0.2.254 dev eth0 proto halo src 192.0.2.10",
		"10.0.0.0/8 proto halo mtu 1400 nexthop via 192.0.2.253 dev eth0 weight 1 nexthop via 192.0.2.254 dev eth0 weight 3",
		"unreachable 10.6.6.0/24 proto halo",
		"2001:db8:9::/48 via 2001:db8::fe dev eth0 proto halo metric 7",
		"100: from 192.0.2.10 lookup 100 proto halo",
		"101: from all fwmark 0x10/0xff lookup 100 proto halo",
	}
}

// routing is what is in the tables of a host, one entry a line, with halo's mark
// by its name.
func routing(t *testing.T, h *lab.Host) string {
	t.Helper()
	var all strings.Builder
	for _, command := range []string{"-4 route show table main", "-4 route show table 100", "-6 route show", "-4 rule", "-6 rule"} {
		out, err := h.Output("ip", strings.Fields(command)...)
		if err != nil && !strings.Contains(out, "FIB table does not exist") {
			t.Fatalf("ip %s: %v\n%s", command, err, out)
		}
		all.WriteString(out)
	}
	text := strings.Join(strings.Fields(strings.ReplaceAll(all.String(), "\n", " # ")), " ")
	text = strings.NewReplacer(" # nexthop", " nexthop", "proto 104", "proto halo", "proto 18", "proto keepalived").Replace(text)
	return strings.ReplaceAll(text, " # ", "\n")
}

// holdsRouted tells whether a host has all of routed, or nothing with halo's mark.
func holdsRouted(t *testing.T, h *lab.Host, all bool) bool {
	t.Helper()
	text := routing(t, h)
	if !all {
		return !strings.Contains(text, "proto halo")
	}
	return containsAll(text, routedLines()...)
}

// TestRoutesMoveAlong proves that routes and rules come and go with the addresses:
// by a takeover, after a crash, at the end.
func TestRoutesMoveAlong(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	active := a.Halo(routed(150))
	defer func() {
		if t.Failed() {
			t.Logf("a has:\n%s\nb has:\n%s", routing(t, a), routing(t, b))
		}
	}()
	lab.Eventually(t, "a holds everything", func() bool { return holdsRouted(t, a, true) })
	backup := b.Halo(routed(100))
	backup.WaitState(t, "VI_1", "backup")
	if !holdsRouted(t, b, false) {
		t.Error("a backup has routes or rules")
	}
	t.Log("the active router is killed, and another one has everything")
	active.Kill()
	lab.Eventually(t, "b holds everything", func() bool { return holdsRouted(t, b, true) })
	if !holdsRouted(t, a, true) {
		t.Error("the killed router's routes are gone by themselves")
	}
	t.Log("it comes back with a lower priority and cleans up")
	active.Write(t, routed(50))
	active.Start(t)
	lab.Eventually(t, "a holds nothing", func() bool { return holdsRouted(t, a, false) })
	if !holdsRouted(t, b, true) {
		t.Error("b has lost something meanwhile")
	}
	t.Log("the other one is told to stop")
	if err := backup.Terminate(); err != nil {
		t.Errorf("halo ended with %v after SIGTERM, want success", err)
	}
	if !holdsRouted(t, b, false) {
		t.Error("what is stopped has left something")
	}
	lab.Eventually(t, "a holds everything again", func() bool { return holdsRouted(t, a, true) })
	t.Log("it is killed and adopts what it left")
	active.Kill()
	active.Start(t)
	active.WaitState(t, "VI_1", "active")
	lab.Eventually(t, "it knows all of it", func() bool {
		v := active.Status(t).VRRPInstances["VI_1"]
		return len(v.Routes) == 4 && len(v.Rules) == 2 && everyEntry(v, func(e control.VirtualEntry) bool { return e.Present && e.Restores == 0 })
	})
}

func everyEntry(v control.VRRPInstance, holds func(control.VirtualEntry) bool) bool {
	for _, e := range append(append([]control.VirtualEntry{}, v.Routes...), v.Rules...) {
		if !holds(e) {
			return false
		}
	}
	return true
}

// TestDeletedRoutesComeBack proves that what somebody deletes or changes is put
// right, and that the instance goes on.
func TestDeletedRoutesComeBack(t *testing.T) {
	t.Parallel()
	// Whoever takes away too much within ten seconds is left alone for a while.
	for name, commands := range map[string][]string{
		"routes": {"route del default table 100", "route del 10.0.0.0/8", "-6 route del 2001:db8:9::/48", "route change unreachable 10.6.6.0/24 proto 104 mtu 1000"},
		"rules":  {"rule del priority 100", "-6 rule del priority 101"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := lab.New(t)
			a := n.Host("a", aSource+"/24")
			halo := a.Halo(routed(150))
			lab.Eventually(t, "everything", func() bool { return holdsRouted(t, a, true) })
			since := halo.Status(t).VRRPInstances["VI_1"].Since
			for _, command := range commands {
				before := strings.Count(halo.Output(), "routing drift repaired")
				if out, err := a.Output("ip", strings.Fields(command)...); err != nil {
					t.Fatalf("ip %s: %v\n%s", command, err, out)
				}
				lab.Eventually(t, "the end of ip "+command, func() bool {
					return strings.Count(halo.Output(), "routing drift repaired") > before && holdsRouted(t, a, true)
				})
			}
			lab.Eventually(t, "the restores are counted", func() bool {
				restores := 0
				v := halo.Status(t).VRRPInstances["VI_1"]
				return everyEntry(v, func(e control.VirtualEntry) bool { restores += int(e.Restores); return e.Present }) && restores >= len(commands)
			})
			if v := halo.Status(t).VRRPInstances["VI_1"]; v.State != "active" || !v.Since.Equal(since) {
				t.Errorf("after the restores: %s since %s, want active since %s as before", v.State, v.Since, since)
			}
		})
	}
}

// TestSomebodyElsesRouteStays proves that a route that is there already is left
// alone, that the status says so, and that the place is taken when it is free.
func TestSomebodyElsesRouteStays(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	ip := func(command string) string {
		t.Helper()
		out, err := a.Output("ip", strings.Fields(command)...)
		if err != nil {
			t.Fatalf("ip %s: %v\n%s", command, err, out)
		}
		return out
	}
	ip("route add 10.0.0.0/8 via 192.0.2.77 proto static")
	halo := a.Halo(routed(150))
	halo.WaitState(t, "VI_1", "active")
	lab.Eventually(t, "the status says what is missing, and why", func() bool {
		out, err := a.Output(filepath.Join(lab.Bin(t), "halo"), "status", "--socket", halo.Socket())
		return err == nil && containsAll(out, "! VI_1: missing route 10.0.0.0/8 ", "file exists", "via 192.0.2.77")
	})
	if v := halo.Status(t).VRRPInstances["VI_1"]; v.State != "active" {
		t.Errorf("the instance is %s for want of a route that is not required", v.State)
	}
	if out := ip("route show 10.0.0.0/8"); !strings.Contains(out, "via 192.0.2.77") {
		t.Errorf("the other route is gone: %s", out)
	}
	ip("route del 10.0.0.0/8")
	lab.Eventually(t, "the route is put there", func() bool { return holdsRouted(t, a, true) })

	t.Log("what must be there is worth another machine")
	halo.MustReload(t, strings.Replace(routed(150), "mtu = 1400", "mtu = 1400, required = true, metric = 5", 1))
	lab.Eventually(t, "the new one", func() bool { return strings.Contains(routing(t, a), "10.0.0.0/8 proto halo metric 5 mtu 1400") })
	ip("route add 10.77.0.0/16 via 192.0.2.77")
	halo.MustReload(t, strings.Replace(routed(150), `"10.6.6.0/24", type = "unreachable"`, `"10.77.0.0/16", via = "192.0.2.254", required = true`, 1))
	halo.WaitState(t, "VI_1", "fault")
	if faults := fmt.Sprint(halo.Status(t).VRRPInstances["VI_1"].Faults); !containsAll(faults, "10.77.0.0/16", "file exists") {
		t.Errorf("faults %s, want the route and the reason", faults)
	}
}

// TestReloadOfRoutes proves that a reload adds, removes and changes the routes and
// rules that it names, and that the kernel is told nothing of the others.
func TestReloadOfRoutes(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	halo := a.Halo(routed(150))
	lab.Eventually(t, "everything", func() bool { return holdsRouted(t, a, true) })
	since := halo.Status(t).VRRPInstances["VI_1"].Since
	monitor := a.Start("ip", "-o", "monitor", "route", "rule")
	probe := 0
	settle := func() { // What the monitor has not told by now has not happened.
		probe++
		address := fmt.Sprintf("203.0.113.%d", probe)
		lab.Eventually(t, "the monitor hears", func() bool {
			for _, what := range []string{"add", "del"} {
				if out, err := a.Output("ip", "route", what, "blackhole", address); err != nil {
					t.Fatalf("ip route %s: %v\n%s", what, err, out)
				}
			}
			return strings.Contains(monitor.Output(), address)
		})
	}
	settle()
	report := halo.MustReload(t, strings.NewReplacer(
		`{ destination = "10.6.6.0/24", type = "unreachable" },`, `{ destination = "10.7.7.0/24", type = "blackhole", protocol = "static" },`,
		"metric = 7", "metric = 7, mtu = 1300", "priority = 101", "priority = 102",
	).Replace(routed(150)))
	for _, want := range []string{
		"routes[10.7.7.0/24 proto static] added", "routes[10.6.6.0/24] removed", "rules[priority 102 inet6 fwmark 0x10/0xff lookup 100] added",
		"routes[2001:db8:9::/48 metric 7] 2001:db8:9::/48 via 2001:db8::fe metric 7 -> 2001:db8:9::/48 via 2001:db8::fe metric 7 mtu 1300",
	} {
		if len(report.Changes) != 1 || !strings.Contains(report.Changes[0], want) {
			t.Errorf("the report has no %q: %q", want, report.Changes)
		}
	}
	lab.Eventually(t, "the new ones alone", func() bool {
		text := routing(t, a)
		return containsAll(text, "blackhole 10.7.7.0/24", "metric 7 mtu 1300", "102: from all fwmark") &&
			!strings.Contains(text, "10.6.6.0/24") && !strings.Contains(text, "101: from all")
	})
	settle()
	for _, untouched := range []string{"default via", "10.0.0.0/8", "from 192.0.2.10"} {
		if strings.Contains(monitor.Output(), untouched) {
			t.Errorf("%s was touched:\n%s", untouched, monitor.Output())
		}
	}
	if v := halo.Status(t).VRRPInstances["VI_1"]; v.State != "active" || !v.Since.Equal(since) {
		t.Errorf("the instance was touched: %s since %s", v.State, v.Since)
	}
	t.Log("a mark that came with the reload is watched, too")
	if out, err := a.Output("ip", "route", "del", "blackhole", "10.7.7.0/24"); err != nil {
		t.Fatalf("ip route del: %v\n%s", err, out)
	}
	lab.Eventually(t, "it is put back", func() bool { return strings.Contains(routing(t, a), "blackhole 10.7.7.0/24") })
	t.Log("and without any, nothing is left")
	halo.MustReload(t, haloConfig(single(150)))
	lab.Eventually(t, "no routes and rules", func() bool {
		return holdsRouted(t, a, false) && !strings.Contains(routing(t, a), "10.7.7.0/24")
	})
}

// TestSharedRoute proves that a route that two instances want is there as long as
// one of them is active.
func TestSharedRoute(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	const shared = "routes = [{ destination = \"10.0.0.0/8\", via = \"192.0.2.254\" }]\nrules = [{ priority = 100, from = \"10.0.0.0/8\", table = 100 }]\n"
	both := func(first, second int) string {
		return strings.ReplaceAll(instance(1, first)+instance(2, second), "\n\n", "\n"+shared+"\n")
	}
	holds := func(h *lab.Host) bool {
		return containsAll(routing(t, h), "10.0.0.0/8 via 192.0.2.254 dev eth0 proto halo", "100: from 10.0.0.0/8 lookup 100 proto halo")
	}
	first := a.Halo(both(150, 150))
	lab.Eventually(t, "the route", func() bool { return holds(a) })
	second := b.Halo(both(100, 200))
	second.WaitState(t, "VI_2", "active")
	first.WaitState(t, "VI_2", "backup")
	lab.Eventually(t, "the route on both", func() bool { return holds(a) && holds(b) })
	second.MustReload(t, both(200, 200))
	first.WaitState(t, "VI_1", "backup")
	lab.Eventually(t, "the route on b alone", func() bool { return holds(b) && holdsRouted(t, a, false) })
}

// TestRoutesWithKeepalived proves that halo and Keepalived take the same routes
// and rules over from each other.
func TestRoutesWithKeepalived(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
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
    192.0.2.10/24
  }
  virtual_ipaddress_excluded {
    2001:db8::10/64
  }
  virtual_routes {
    default via 192.0.2.254 src 192.0.2.10 table 100
    2001:db8:9::/48 via 2001:db8::fe metric 7
    unreachable 10.6.6.0/24
  }
  virtual_rules {
    from 192.0.2.10 table 100 priority 100
  }
}
`)
	keepalived := func() bool {
		return containsAll(strings.ReplaceAll(routing(t, b), "proto keepalived", "proto halo"), routedLines()[0], routedLines()[3], "unreachable 10.6.6.0/24", "100: from 192.0.2.10 lookup 100")
	}
	lab.Eventually(t, "Keepalived holds everything", keepalived)
	halo := a.Halo(routed(150))
	gone := func() bool {
		text := routing(t, b)
		return !strings.Contains(text, "proto keepalived") && !strings.Contains(text, "100: from")
	}
	lab.Eventually(t, "everything moved to halo", func() bool { return holdsRouted(t, a, true) && gone() })
	halo.Kill()
	lab.Eventually(t, "Keepalived holds everything again", keepalived)
	halo.Start(t)
	lab.Eventually(t, "everything moved to halo again", func() bool { return holdsRouted(t, a, true) && gone() })
}
