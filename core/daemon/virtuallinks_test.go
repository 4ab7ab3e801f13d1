package daemon

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/filter"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
	"github.com/halo-ha/halo/core/kernel/vmac"
	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Where a router speaks, where its addresses go, and what its interface belongs
// to.
func TestVirtualMACTranslated(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, more, router string
		speaks, holds      string
		groups             []string
	}{
		{"plain", ``, "VI_1", "eth0", "eth0", nil},
		{"IPv4", `vmac = true`, "VI_1", "vrrp.51", "vrrp.51", []string{"224.0.0.18"}},
		{"IPv6", `vmac = true`, "VI_1/ipv6", "vrrp6.51", "vrrp6.51", []string{"ff02::12", "ff02::1:ff00:10"}},
		{"named", `vmac = { ipv6_name = "six" }`, "VI_1/ipv6", "six", "six", []string{"ff02::12", "ff02::1:ff00:10"}},
		{"from the interface", `vmac = { xmit_base = true }`, "VI_1", "eth0", "vrrp.51", []string{"224.0.0.18"}},
		{"unicast", "vmac = true\nunicast_peers = [\"192.0.2.3\", \"2001:db8::3\"]", "VI_1", "eth0", "vrrp.51", nil},
		{"unicast", "vmac = true\nunicast_peers = [\"192.0.2.3\", \"2001:db8::3\"]", "VI_1/ipv6", "eth0", "vrrp6.51", []string{"ff02::1:ff00:10"}},
	} {
		t.Run(row.name+" "+row.router, func(t *testing.T) {
			t.Parallel()
			all := electorateOf(t, "[vrrp_instance.VI_1]\ninterface = \"eth0\"\nvirtual_router_id = 51\naddresses = [\"192.0.2.10/24\", \"fe80::10/64\"]\n"+row.more)
			r := all.routers[row.router]
			p := r.place()
			if p.iface != row.speaks || p.holds() != row.holds || p.base() != "eth0" || addressConfig(row.router, &r).Interface != row.holds {
				t.Errorf("it speaks on %s and holds on %s, on %s, want %s and %s", p.iface, p.holds(), p.base(), row.speaks, row.holds)
			}
			if r.virtual.Name == "" {
				return
			}
			var groups []string
			for _, g := range r.groups() {
				groups = append(groups, g.String())
			}
			if !slices.Equal(groups, row.groups) {
				t.Errorf("the interface belongs to %q, want %q", groups, row.groups)
			}
		})
	}
}

// An IPv6 address that is not advertised stands with those of IPv4, where there is
// no virtual router of its own family.
func TestExcludedAddressOnAVirtualMAC(t *testing.T) {
	t.Parallel()
	const text = "[vrrp_instance.VI_1]\ninterface = \"eth0\"\nvirtual_router_id = 51\naddresses = [\"192.0.2.10/24\"]\nvmac = true\n"
	plain := electorateOf(t, text).routers["VI_1"]
	r := electorateOf(t, text+"excluded_addresses = [\"2001:db8::10/64\", { address = \"2001:db8::11/64\", interface = \"eth1\" }]\n").routers["VI_1"]
	if plain.virtual.BothFamilies || !r.virtual.BothFamilies || plain.place() != r.place() {
		t.Errorf("%+v becomes %+v, at %+v and at %+v", plain.virtual, r.virtual, plain.place(), r.place())
	}
	if groups := r.groups(); !slices.Contains(groups, netip.MustParseAddr("ff02::1:ff00:10")) || slices.Contains(groups, netip.MustParseAddr("ff02::1:ff00:11")) {
		t.Errorf("the interface belongs to %v", groups)
	}
}

// What is closed is what the file says, but for the owner's; what is balanced
// stays open.
func TestAcceptTranslated(t *testing.T) {
	t.Parallel()
	all := electorateOf(t, `
[vrrp_instance.shut]
interface = "eth0"
virtual_router_id = 51
addresses = ["192.0.2.10/24"]
accept = false
vmac = true
excluded_addresses = ["192.0.2.13/24"]

[vrrp_instance.owner]
interface = "eth0"
virtual_router_id = 52
priority = 255
addresses = ["192.0.2.11/24"]
accept = false

[vrrp_instance.open]
interface = "eth0"
virtual_router_id = 53
addresses = ["192.0.2.12/24"]

[virtual_server.dns]
address = "192.0.2.10:53"
protocol = "udp"
real_server = [{ address = "192.0.2.30:53" }]
`)
	v := newVirtualLinks(nil, nil, nil)
	v.apply(&all)
	if want := []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.13")}; !slices.Equal(v.closed, want) {
		t.Errorf("closed are %v, want %v", v.closed, want)
	}
	if want := []filter.Service{{Protocol: filter.UDP, AddrPort: netip.MustParseAddrPort("192.0.2.10:53")}}; !slices.Equal(v.open, want) {
		t.Errorf("open are %v, want %v", v.open, want)
	}
	if len(v.wanted) != 1 || v.wanted["vrrp.51"].instance != "shut" {
		t.Errorf("links are %+v", v.wanted)
	}
}

// A router with a virtual MAC address speaks from the addresses of the interface
// below, once its own link is there as it is wanted, and from none that moves.
func TestLinkOfAVirtualMAC(t *testing.T) {
	t.Parallel()
	address := func(s string) inet.Address { return inet.Address{Prefix: netip.MustParsePrefix(s)} }
	parent := rtnl.Link{Index: 2, Name: "eth0", Up: true, AdminUp: true, MTU: 1500, Addresses: []inet.Address{address("192.0.2.20/32"), address("192.0.2.1/24")}}
	alias := "halo vmac, parent had arp_ignore=0 arp_filter=0 arp_announce=0"
	virtual := rtnl.Link{
		Index: 7, Name: "vrrp.51", MAC: "00:00:5e:00:01:33", Up: true, AdminUp: true, Kind: "macvlan", Parent: 2, MTU: 1500, Alias: alias, KnownMode: true,
		Addresses: []inet.Address{address("192.0.2.10/24")},
	}
	through := place{iface: "vrrp.51", virtual: vmac.Interface{Name: "vrrp.51", Parent: "eth0", VRID: 51}}
	below := through
	below.iface = "eth0"
	source := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	moves := map[located]place{{"eth0", netip.MustParseAddr("192.0.2.20")}: {iface: "eth0"}}
	for _, row := range []struct {
		name   string
		change func(parent, virtual *rtnl.Link)
		place  place
		want   speaker.Link
	}{
		{"there", nil, through, speaker.Link{Exists: true, Index: 7, Up: true, Addresses: source}},
		{"there, from below", nil, below, speaker.Link{Exists: true, Index: 2, Up: true, Addresses: source}},
		{"no carrier below", func(p, _ *rtnl.Link) { p.Up = false }, through, speaker.Link{Exists: true, Index: 7, Addresses: source}},
		{"no carrier", func(_, v *rtnl.Link) { v.Up = false }, below, speaker.Link{Exists: true, Index: 2, Addresses: source}},
		{"not set up yet", func(_, v *rtnl.Link) { v.AdminUp = false }, through, speaker.Link{}},
		{"not set up yet, from below", func(_, v *rtnl.Link) { v.AdminUp = false }, below, speaker.Link{}},
		{"somebody else's", func(_, v *rtnl.Link) { v.Alias = "" }, through, speaker.Link{}},
		{"of another parent", func(_, v *rtnl.Link) { v.Parent = 3 }, through, speaker.Link{}},
		{"of another number", func(_, v *rtnl.Link) { v.MAC = "00:00:5e:00:01:34" }, below, speaker.Link{}},
	} {
		p, v := parent, virtual
		if row.change != nil {
			row.change(&p, &v)
		}
		got := linkOf(&rtnl.View{Links: []rtnl.Link{p, v}}, row.place, moves)
		if len(got.Addresses) == 0 {
			got.Addresses = nil
		}
		if diff := cmp.Diff(row.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
	for _, missing := range [][]rtnl.Link{{parent}, {virtual}, nil} {
		for _, p := range []place{through, below} {
			if got := linkOf(&rtnl.View{Links: missing}, p, nil); got.Exists {
				t.Errorf("with %v there is %+v", missing, got)
			}
		}
	}
}

// Several speakers of one interface hear the same; nobody is foreign who is
// another one's.
func TestForeignRouters(t *testing.T) {
	t.Parallel()
	at := time.Unix(1, 0)
	foreign := func(vrid uint8, source string, packets uint64) speaker.Foreign {
		return speaker.Foreign{VRID: vrid, Source: netip.MustParseAddr(source), Packets: packets, Last: at}
	}
	router := func(name string, vrid uint8) map[string]speaker.RouterSnapshot {
		var r speaker.RouterSnapshot
		r.VRID = vrid
		return map[string]speaker.RouterSnapshot{name: r}
	}
	virtual := func(vrid uint8, name string) place {
		return place{iface: name, virtual: vmac.Interface{Name: name, Parent: "eth0", VRID: vrid}}
	}
	got := foreignRouters(map[place]speaker.Snapshot{
		{iface: "eth0"}: {
			Routers: router("plain", 50), ForeignBySource: []speaker.Foreign{foreign(51, "192.0.2.2", 9), foreign(60, "192.0.2.2", 4)},
		},
		virtual(51, "vrrp.51"): {
			Routers: router("a", 51), ForeignBySource: []speaker.Foreign{foreign(50, "192.0.2.2", 8), foreign(60, "192.0.2.2", 5), foreign(60, "192.0.2.3", 1)},
		},
		virtual(52, "vrrp.52"): {Routers: router("b", 52), ForeignBySource: []speaker.Foreign{foreign(51, "192.0.2.2", 3)}},
		{iface: "eth1"}:        {Routers: router("c", 60), ForeignBySource: []speaker.Foreign{foreign(51, "192.0.2.2", 2)}},
		{iface: "eth0", family: wire.IPv6}: {
			Routers: router("d", 70), ForeignBySource: []speaker.Foreign{foreign(51, "fe80::2", 1)},
		},
	})
	want := []control.ForeignRouter{
		{Interface: "eth0", Family: "ipv4", VirtualRouterID: 60, Source: "192.0.2.2", Packets: 5, Last: at},
		{Interface: "eth0", Family: "ipv4", VirtualRouterID: 60, Source: "192.0.2.3", Packets: 1, Last: at},
		{Interface: "eth0", Family: "ipv6", VirtualRouterID: 51, Source: "fe80::2", Packets: 1, Last: at},
		{Interface: "eth1", Family: "ipv4", VirtualRouterID: 51, Source: "192.0.2.2", Packets: 2, Last: at},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("foreign routers (-want +got):\n%s", diff)
	}
}
