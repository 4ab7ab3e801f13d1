package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// both is a virtual router of both families.
var both = virtual{
	link: "vrrp.51", mac: "00:00:5e:00:01:33", vip: vip, vips: []string{vip + "/24", linkVIP6 + "/64", vip6 + "/64"}, more: "vmac = true\n",
}

// has waits until the links of both have their addresses.
func (s *site) has(h *lab.Host, v *virtual) {
	s.t.Helper()
	lab.Eventually(s.t, h.Label()+" has the virtual addresses on their links", func() bool {
		return h.HasAddress("vrrp.51", v.vip) && h.HasAddress("vrrp6.51", vip6)
	})
}

// What a killed halo has left is taken over, and taken away in the end.
func TestVirtualMACAfterAKill(t *testing.T) {
	t.Parallel()
	kerneltest.RequireTool(t, "nft")
	s := newSite(t, &both)
	h := s.a.Halo(both.haloConfig(150))
	s.has(s.a, &both)
	status := h.Status(t)
	for name, want := range map[string][2]string{
		"VI_1": {"vrrp.51", "00:00:5e:00:01:33"}, "VI_1/ipv6": {"vrrp6.51", "00:00:5e:00:02:33"},
	} {
		v := status.VRRPInstances[name]
		if v.VirtualInterface != want[0] || v.VirtualMAC != want[1] || v.Interface != "eth0" || !v.Accept {
			t.Errorf("%s: the status tells of %q, %q on %q", name, v.VirtualInterface, v.VirtualMAC, v.Interface)
		}
	}
	if v := status.VRRPInstances["VI_1"]; v.SourceAddress != aSource {
		t.Errorf("advertisements come from %q, want the interface's %s", v.SourceAddress, aSource)
	}
	index := s.a.Index("vrrp.51")
	h.Kill()
	if !s.a.HasLink("vrrp.51") {
		t.Fatal("the link is gone, and there is nothing to take over")
	}
	h.Start(t)
	s.has(s.a, &both)
	if again := s.a.Index("vrrp.51"); again != index {
		t.Errorf("the link %d was made anew, as %d", index, again)
	}
	h.Kill()
	// With another file nobody wants the links any more.
	h.Write(t, strings.Replace(both.haloConfig(150), both.more, "", 1))
	h.Start(t)
	lab.Eventually(t, "the addresses are on the interface", func() bool { return s.a.HasAddress("eth0", vip) && !s.a.HasLink("vrrp.51") })
	if err := h.Terminate(); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, s.a)
}

// Whatever somebody does to the link, the filter or the interface below, it comes
// back.
func TestVirtualMACIsRepaired(t *testing.T) {
	t.Parallel()
	kerneltest.RequireTool(t, "nft")
	s := newSite(t, &both)
	h := s.a.Halo(both.haloConfig(150))
	s.has(s.a, &both)
	s.a.DeleteLink("vrrp.51")
	s.has(s.a, &both)
	s.answers(&both, s.a)
	if out, err := s.a.Output("nft", "flush", "ruleset"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lab.Eventually(t, "the filter is back", func() bool {
		rules, err := s.a.Output("nft", "list", "ruleset")
		return err == nil && strings.Contains(rules, "vrrp6.51")
	})
	s.a.DeleteLink("eth0")
	h.WaitState(t, "VI_1", "fault")
	if f := h.Status(t).VRRPInstances["VI_1"].Faults; len(f) == 0 || f[0] != "interface_missing" {
		t.Errorf("without the interface the faults are %q", f)
	}
	s.Attach(s.a.Namespace, "eth0", aSource+"/24", "2001:db8::1/64")
	s.has(s.a, &both)
	s.answers(&both, s.a)
	ip(t, s.a, "link", "set", "dev", "eth0", "mtu", "1400")
	lab.Eventually(t, "the link has the MTU of the interface", func() bool {
		return strings.Contains(ip(t, s.a, "link", "show", "dev", "vrrp6.51"), "mtu 1400")
	})
	if err := h.Terminate(); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, s.a)
}

// A link of that name that is somebody else's is not touched, and is told of.
func TestVirtualMACOfSomebodyElse(t *testing.T) {
	t.Parallel()
	s := newSite(t, &both)
	ip(t, s.a, "link", "add", "link", "eth0", "name", "vrrp.51", "address", both.mac, "up", "type", "macvlan", "mode", "private")
	h := s.a.Halo(both.haloConfig(150))
	lab.Eventually(t, "the status tells of the link", func() bool {
		return containsAll(strings.Join(h.Status(t).Degraded, "\n"), "vrrp_instance VI_1", "vrrp.51 on eth0", "not an interface that halo made")
	})
	if state := h.Status(t).VRRPInstances["VI_1"].State; state != "fault" {
		t.Errorf("it is %s", state)
	}
	s.a.DeleteLink("vrrp.51")
	h.WaitState(t, "VI_1", "active")
	s.has(s.a, &both)
	if d := h.Status(t).Degraded; len(d) != 0 {
		t.Errorf("it is still degraded: %q", d)
	}
}

// A reload moves the addresses to the link and back; what did not change is not
// touched.
func TestVirtualMACByReload(t *testing.T) {
	t.Parallel()
	s := newSite(t, &both)
	other := `
[vrrp_instance.VI_2]
interface         = "eth0"
virtual_router_id = 52
advert_interval   = "500ms"
vmac              = true
addresses         = ["192.0.2.20/24"]
`
	plain := strings.Replace(both.haloConfig(150), both.more, "", 1)
	h := s.a.Halo(plain + other)
	h.WaitState(t, "VI_1", "active")
	h.WaitState(t, "VI_2", "active")
	lab.Eventually(t, "the other's address is there", func() bool { return s.a.HasAddress("vrrp.52", "192.0.2.20") })
	since, index := h.Status(t).VRRPInstances["VI_2"].Since, s.a.Index("vrrp.52")
	for range 2 {
		report := h.MustReload(t, both.haloConfig(150)+other)
		if text := strings.Join(report.Changes, "\n"); !containsAll(text, "VI_1 changed", "vmac added") {
			t.Errorf("the report says %q", text)
		}
		s.has(s.a, &both)
		if s.a.HasAddress("eth0", vip) {
			t.Error("the address is on the interface as well")
		}
		h.MustReload(t, strings.Replace(both.haloConfig(150), both.more, "vmac = { name = \"vr51\" }\n", 1)+other)
		lab.Eventually(t, "the address is on the other link", func() bool { return s.a.HasAddress("vr51", vip) && !s.a.HasLink("vrrp.51") })
		h.MustReload(t, plain+other)
		lab.Eventually(t, "the addresses are on the interface", func() bool {
			return s.a.HasAddress("eth0", vip) && s.a.HasAddress("eth0", vip6) && !s.a.HasLink("vr51") && !s.a.HasLink("vrrp6.51")
		})
	}
	v := h.Status(t).VRRPInstances["VI_2"]
	if !v.Since.Equal(since) || s.a.Index("vrrp.52") != index {
		t.Errorf("the other instance is %s since %v, and was so since %v; its link %d was %d", v.State, v.Since, since, s.a.Index("vrrp.52"), index)
	}
	if f := h.Status(t).VRRPForeign; len(f) != 0 {
		t.Errorf("its own advertisements are foreign: %+v", f)
	}
	h.MustReload(t, plain)
	lab.Eventually(t, "the link of what is removed goes, and all that was made for it", func() bool { return len(left(t, s.a)) == 0 })
}

// A removed router says goodbye through its link: the other one takes over at
// once, and not when it has been silent for long.
func TestVirtualMACSaysGoodbye(t *testing.T) {
	t.Parallel()
	v := virtuals[0]
	s := newSite(t, &v)
	h := s.a.Halo(v.haloConfig(150))
	other := s.b.Halo(v.haloConfig(100))
	s.answers(&v, s.a)
	h.MustReload(t, "")
	s.answers(&v, s.b)
	instance := other.Status(t).VRRPInstances["VI_1"]
	if instance.Reason != "active_resigned" {
		t.Errorf("the other one took over because of %s", instance.Reason)
	}
	// While its link is being made a router waits, and has no fault.
	for _, r := range []*lab.Halo{h, other} {
		if strings.Contains(r.Output(), "fault") {
			t.Errorf("a router was in fault:\n%s", r.Output())
		}
	}
}

// Routers of one group that send from different MAC addresses hear each other.
func TestVirtualMACWithAndWithoutXmitBase(t *testing.T) {
	t.Parallel()
	from := virtuals[2]
	from.more = "vmac = { xmit_base = true }\n"
	v := virtuals[0]
	for _, first := range []*virtual{&from, &v} {
		t.Run(strings.TrimSpace(first.more), func(t *testing.T) {
			t.Parallel()
			second := &v
			if first == second {
				second = &from
			}
			s := newSite(t, &v)
			a, b := s.a.Halo(first.haloConfig(150)), s.b.Halo(second.haloConfig(100))
			s.answers(&v, s.a)
			b.WaitState(t, "VI_1", "backup")
			became := func(h *lab.Halo) control.VRRPInstance { return h.Status(t).VRRPInstances["VI_1"] }
			before := became(b).Counters["became_active"]
			// Ten advertisements, by which it stays what it is.
			heard := became(b).Counters["adverts_received"]
			lab.Eventually(t, "the backup hears", func() bool { return became(b).Counters["adverts_received"] >= heard+10 })
			if again := became(b); again.State != "backup" || again.Counters["became_active"] != before {
				t.Errorf("the backup is %s, and was active %d times more", again.State, again.Counters["became_active"]-before)
			}
			if err := a.Terminate(); err != nil {
				t.Error(err)
			}
			s.answers(&v, s.b)
			a.Start(t)
			s.answers(&v, s.a)
			b.WaitState(t, "VI_1", "backup")
		})
	}
}

// Without Accept_Mode a router takes nothing that is sent to the addresses, while
// it tells where they are (RFC 9568 §6.1).
func TestAccept(t *testing.T) {
	for _, more := range []string{"", both.more} {
		t.Run("with "+strings.TrimSpace(more), func(t *testing.T) {
			t.Parallel()
			kerneltest.RequireTool(t, "nft")
			s := newSite(t, &both)
			v := both
			v.more = more
			ip(t, s.client, "neighbour", "flush", "dev", "eth0", "nud", "permanent")
			text := func(accept bool) string { return v.haloConfig(150) + fmt.Sprintf("accept = %t\n", accept) }
			h := s.a.Halo(text(false))
			h.WaitState(t, "VI_1", "active")
			for range 2 {
				for address, own := range map[string]string{vip: aSource, vip6: "2001:db8::1"} {
					lab.Eventually(t, s.a.Label()+" answers at its own address", func() bool { return s.who(own) == "a" })
					if who := s.who(address); who != "" {
						t.Errorf("%s answers at %s, which is closed", who, address)
					}
					lab.Eventually(t, "the client knows where "+address+" is", func() bool { return s.client.Neighbour("eth0", address) != nil })
				}
				if h.Status(t).VRRPInstances["VI_1"].Accept {
					t.Error("the status says that it accepts")
				}
				h.MustReload(t, text(true))
				for _, address := range []string{vip, vip6} {
					lab.Eventually(t, "the open address "+address+" answers", func() bool { return s.who(address) == "a" })
				}
				h.MustReload(t, text(false))
				lab.Eventually(t, "it is closed again", func() bool { return s.who(vip) == "" && s.who(vip6) == "" })
			}
			// The owner takes everything, whatever the file says.
			h.MustReload(t, strings.Replace(text(false), "= 150", "= 255", 1))
			lab.Eventually(t, "the owner answers", func() bool { return s.who(vip) == "a" && s.who(vip6) == "a" })
			if err := h.Terminate(); err != nil {
				t.Error(err)
			}
			wantNothingLeft(t, s.a)
		})
	}
}

// Where somebody else has the table's name, halo says so, and elects all the same.
func TestFilterOfSomebodyElse(t *testing.T) {
	t.Parallel()
	kerneltest.RequireTool(t, "nft")
	s := newSite(t, &both)
	for _, args := range [][]string{
		{"add", "table", "inet", "halo"}, {"add", "chain", "inet", "halo", "mine"}, {"add", "rule", "inet", "halo", "mine", "counter"},
	} {
		if out, err := s.a.Output("nft", args...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	h := s.a.Halo(both.haloConfig(150) + "accept = false\n")
	h.WaitState(t, "VI_1", "active")
	s.has(s.a, &both)
	if d := strings.Join(h.Status(t).Degraded, "\n"); !containsAll(d, "packet filter", "table inet halo") {
		t.Errorf("the status says %q", d)
	}
	if out, err := s.a.Output("nft", "delete", "table", "inet", "halo"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lab.Eventually(t, "the filter is there", func() bool {
		d := h.Status(t).Degraded
		return len(d) == 0 && s.who(vip) == ""
	})
}
