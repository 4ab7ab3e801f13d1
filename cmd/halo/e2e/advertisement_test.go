package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// advertisingConfig is a default router of IPv6 hosts; keys are those of
// router_advertisement, and none is no such table.
func advertisingConfig(priority int, keys string) string {
	config := fmt.Sprintf(`[vrrp_instance.VI_1]
interface         = "eth0"
virtual_router_id = 51
priority          = %d
advert_interval   = "500ms"
addresses         = ["%s/64", "%s/64"]
`, priority, linkVIP6, vip6)
	if keys != "" {
		config += "router_advertisement = { " + keys + " }\n"
	}
	return config
}

// forwarding makes a host forward IPv6, or not.
func forwarding(h *lab.Host, on string) {
	for _, link := range []string{"all", "eth0"} {
		h.Sysctl("ipv6/conf/"+link+"/forwarding", on)
	}
}

// hasDefaultRoute asks a client's kernel what it has made of advertisements.
func hasDefaultRoute(t *testing.T, client *lab.Host) bool {
	t.Helper()
	routes, err := client.Output("ip", "-6", "route", "show", "default")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(routes, "via "+linkVIP6+" dev eth0 proto ra")
}

// advertisement is what a router says of its advertisements.
func advertisement(t *testing.T, h *lab.Halo) control.RouterAdvertisement {
	t.Helper()
	a := h.Status(t).VRRPInstances["VI_1"].RouterAdvertisement
	if a == nil {
		t.Fatal("the status says nothing of router advertisements")
	}
	return *a
}

// RFC 9568 §6.4.3, §8.2.3: the active router, and it alone, tells hosts of the
// virtual one. They get their route from it and keep it, whoever is active.
func TestRouterAdvertisements(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b, client := n.Host("a"), n.Host("b"), n.Host("client")
	forwarding(a, "1")
	forwarding(b, "1")
	const keys = `max_interval = "4s", prefixes = ["2001:db8::/64"]`
	better := a.Halo(advertisingConfig(150, keys))
	n.WaitOwner(linkVIP6, a)
	other := b.Halo(advertisingConfig(100, keys))
	other.WaitState(t, "VI_1", "backup")
	lab.Eventually(t, "the client has a default route and an address", func() bool {
		return hasDefaultRoute(t, client) && hasAddressIn(client, "2001:db8::")
	})
	if s := advertisement(t, better); s.State != "advertising" || !s.DefaultRouter || s.Source != linkVIP6 || s.Interface != "eth0" || s.Sent == 0 {
		t.Errorf("the active router says %+v", s)
	}
	if s := advertisement(t, other); s.State != "silent" || s.DefaultRouter || s.Interface != "" {
		t.Errorf("the backup says %+v", s)
	}
	// From here on the client's route is never gone.
	changes := client.Start("ip", "-6", "monitor", "route")
	told := func(by *lab.Host, h *lab.Halo) {
		t.Helper()
		n.WaitOwner(linkVIP6, by)
		before := advertisement(t, h).Sent
		lab.Eventually(t, by.Label()+" goes on advertising, and is found", func() bool {
			return advertisement(t, h).Sent > before+1 && client.Neighbour("eth0", linkVIP6).String() == by.MAC("eth0").String()
		})
		if out, err := client.Output("ping", "-6", "-c", "1", "-W", "20", vip6); err != nil {
			t.Errorf("%s does not answer: %v\n%s", by.Label(), err, out)
		}
	}

	t.Log("the active router is killed")
	better.Kill()
	a.Pull()
	lab.Eventually(t, "b has taken over", func() bool { return b.HasAddress("eth0", linkVIP6) })
	lab.Eventually(t, "b advertises", func() bool { return advertisement(t, other).State == "advertising" })
	t.Log("it returns")
	better.Start(t)
	a.Plug()
	told(a, better)
	t.Log("it is stopped")
	if err := better.Terminate(); err != nil {
		t.Error(err)
	}
	told(b, other)
	t.Log("and so is the other: nobody is left, and the route is for time to end")
	if err := other.Terminate(); err != nil {
		t.Error(err)
	}
	if !hasDefaultRoute(t, client) {
		t.Error("the client has lost its default route")
	}
	if out := changes.Output(); !changes.Alive() || strings.Contains(out, "Deleted default") {
		t.Errorf("the client's routes changed:\n%s", out)
	}
}

// hasAddressIn says whether a client has made itself an address that begins so.
func hasAddressIn(client *lab.Host, begin string) bool {
	return slices.ContainsFunc(client.Addresses6("eth0"), func(p netip.Prefix) bool { return strings.HasPrefix(p.String(), begin) })
}

// Behind a virtual MAC address hosts do not even learn another one.
func TestRouterAdvertisementsFromAVirtualMAC(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b, client := n.Host("a"), n.Host("b"), n.Host("client")
	forwarding(a, "1")
	forwarding(b, "1")
	const keys = `max_interval = "4s", prefixes = ["2001:db8::/64"]`
	config := func(priority int) string {
		return strings.Replace(advertisingConfig(priority, keys), "router_advertisement", "vmac = true\nrouter_advertisement", 1)
	}
	better := a.Halo(config(150))
	better.WaitState(t, "VI_1", "active")
	other := b.Halo(config(100))
	const virtual = "00:00:5e:00:02:33" // RFC 9568 §7.3
	lab.Eventually(t, "the client has a default route and knows whose it is", func() bool {
		return hasDefaultRoute(t, client) && hasAddressIn(client, "2001:db8::") && client.Neighbour("eth0", linkVIP6).String() == virtual
	})
	changes := client.Start("ip", "-6", "monitor", "route")
	better.Kill()
	a.Pull()
	lab.Eventually(t, "b advertises", func() bool { s := advertisement(t, other); return s.State == "advertising" && s.Sent > 1 })
	if s := advertisement(t, other); s.Interface == "eth0" || !s.DefaultRouter {
		t.Errorf("b says %+v", s)
	}
	if out, err := client.Output("ping", "-6", "-c", "1", "-W", "20", vip6); err != nil {
		t.Errorf("b does not answer: %v\n%s", err, out)
	}
	if mac := client.Neighbour("eth0", linkVIP6).String(); mac != virtual || !hasDefaultRoute(t, client) {
		t.Errorf("the client finds its router at %s", mac)
	}
	if out := changes.Output(); !changes.Alive() || strings.Contains(out, "Deleted default") {
		t.Errorf("the client's routes changed:\n%s", out)
	}
}

// A host that asks is answered long before the next advertisement is due.
func TestRouterSolicitations(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a")
	forwarding(a, "1")
	h := a.Halo(advertisingConfig(150, `lifetime = "1h"`))
	lab.Eventually(t, "a has advertised itself", func() bool { return advertisement(t, h).Sent > 0 })
	client := n.Host("client")
	lab.Eventually(t, "a host that came later has its route", func() bool { return hasDefaultRoute(t, client) })
	if s := advertisement(t, h); s.Solicitations == 0 {
		t.Errorf("nobody asked: %+v", s)
	}
}

// A reload changes what hosts are told, and takes it back where the router stays
// and advertises no longer; a machine that does not forward does not say that it
// does.
func TestRouterAdvertisementsChange(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, client := n.Host("a"), n.Host("client")
	forwarding(a, "0")
	h := a.Halo(advertisingConfig(150, `prefixes = ["2001:db8:1::/64"]`))
	lab.Eventually(t, "the client has an address", func() bool {
		return hasAddressIn(client, "2001:db8:1:")
	})
	const remedy = "vrrp_instance VI_1: hosts are told that it is no default router: net.ipv6.conf.eth0.forwarding is 0"
	if s := h.Status(t); !slices.ContainsFunc(s.Degraded, func(d string) bool { return strings.HasPrefix(d, remedy) }) || advertisement(t, h).DefaultRouter {
		t.Errorf("degraded: %q", s.Degraded)
	}
	if hasDefaultRoute(t, client) {
		t.Error("the client sends to a machine that does not forward")
	}
	forwarding(a, "1")
	h.MustReload(t, advertisingConfig(150, `prefixes = ["2001:db8:2::/64"]`))
	lab.Eventually(t, "the client has a default route and another address", func() bool {
		return hasDefaultRoute(t, client) && hasAddressIn(client, "2001:db8:2:")
	})
	if s := h.Status(t); len(s.Degraded) > 0 {
		t.Errorf("degraded: %q", s.Degraded)
	}
	h.MustReload(t, advertisingConfig(150, ""))
	lab.Eventually(t, "the client has no default route", func() bool { return !hasDefaultRoute(t, client) })
	n.HoldsOwner(linkVIP6, a, 100*time.Millisecond)
	lab.Eventually(t, "nothing is advertised any more", func() bool { return h.Status(t).VRRPInstances["VI_1"].RouterAdvertisement == nil })
}
