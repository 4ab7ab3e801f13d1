package e2e

import (
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// TestRouteOfALinkThatGoesDown proves that a route which the kernel takes away with
// its link, without a word, is back when the link is, and that the instance goes
// on meanwhile.
func TestRouteOfALinkThatGoesDown(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	inside := kerneltest.NewSwitch(t, "inside")
	a := twoLegged(n, inside, "a", aSource+"/24", "198.51.100.1/24")
	halo := a.Halo(haloConfig(single(150)) + `routes = [
  { destination = "10.0.0.0/8", via = "198.51.100.254", interface = "eth1" },
  { destination = "2001:db8:9::/48", interface = "eth1" },
]
`)
	holds := func() bool {
		return containsAll(routing(t, a), "10.0.0.0/8 via 198.51.100.254 dev eth1 proto halo", "2001:db8:9::/48 dev eth1 proto halo")
	}
	lab.Eventually(t, "the routes", holds)
	since := halo.Status(t).VRRPInstances["VI_1"].Since
	for range 3 {
		a.SetDown("eth1")
		lab.Eventually(t, "the status misses them", func() bool {
			v := halo.Status(t).VRRPInstances["VI_1"]
			return v.EntryError != "" && everyEntry(v, func(e control.VirtualEntry) bool { return !e.Present })
		})
		a.SetUp("eth1")
		lab.Eventually(t, "the routes are back", holds)
	}
	if v := halo.Status(t).VRRPInstances["VI_1"]; v.State != "active" || !v.Since.Equal(since) {
		t.Errorf("the instance is %s since %s, want active since %s as before", v.State, v.Since, since)
	}
	t.Log("what must be there is worth another machine")
	halo.MustReload(t, haloConfig(single(150))+"routes = [{ destination = \"10.0.0.0/8\", via = \"198.51.100.254\", interface = \"eth1\", required = true }]\n")
	a.SetDown("eth1")
	halo.WaitState(t, "VI_1", "fault")
	a.SetUp("eth1")
	halo.WaitState(t, "VI_1", "active")
	lab.Eventually(t, "the route", func() bool {
		return strings.Contains(routing(t, a), "10.0.0.0/8 via 198.51.100.254 dev eth1 proto halo")
	})
}

// TestEntriesMoveBetweenInstances proves that what one reload takes from an instance
// and gives to another, or makes static, is there afterwards: whoever gives it up
// does not take it from who has it now.
func TestEntriesMoveBetweenInstances(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	const entries = `excluded_addresses = ["192.0.2.40/24", "2001:db8::40/64"]
routes = [{ destination = "10.0.0.0/8", via = "192.0.2.254", source = "192.0.2.40" }]
rules = [{ priority = 100, from = "192.0.2.40", table = 100 }]
`
	const fixed = `[static]
addresses = [{ address = "192.0.2.40/24", interface = "eth0" }, { address = "2001:db8::40/64", interface = "eth0" }]
routes = [{ destination = "10.0.0.0/8", via = "192.0.2.254", source = "192.0.2.40" }]
rules = [{ priority = 100, from = "192.0.2.40", table = 100 }]

`
	one, two := strings.TrimSuffix(instance(1, 100), "\n"), strings.TrimSuffix(instance(2, 100), "\n")
	texts := []string{one + entries + "\n" + two, one + "\n" + two + entries, fixed + one + "\n" + two}
	halo := a.Halo(texts[0])
	halo.WaitState(t, "VI_1", "active")
	halo.WaitState(t, "VI_2", "active")
	for i := range 9 {
		halo.MustReload(t, texts[i%len(texts)])
		lab.Eventually(t, "everything", func() bool {
			s := halo.Status(t)
			held := []control.Entries{s.VRRPInstances["VI_1"].Entries, s.VRRPInstances["VI_2"].Entries, {}}
			if s.Static != nil {
				held[2] = *s.Static
			}
			e := held[i%len(texts)]
			for _, address := range e.Addresses {
				if !address.Present {
					return false
				}
			}
			return len(e.Routes) == 1 && e.Routes[0].Present && len(e.Rules) == 1 && e.Rules[0].Present &&
				a.HasAddress("eth0", "192.0.2.40") && a.HasAddress("eth0", "2001:db8::40") &&
				containsAll(routing(t, a), "10.0.0.0/8 via 192.0.2.254 dev eth0 proto halo src 192.0.2.40", "100: from 192.0.2.40 lookup 100 proto halo")
		})
	}
	if strings.Contains(halo.Output(), "cannot") {
		t.Errorf("something could not be done:\n%s", halo.Output())
	}
}
