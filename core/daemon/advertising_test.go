package daemon

import (
	"net/netip"
	"testing"

	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
	"github.com/halo-ha/halo/core/radv"
	"github.com/halo-ha/halo/core/radvspeaker"
)

// Hosts are told of the IPv6 router of an instance, by its first address; a router
// without the table is known all the same, since a reload may give it one while it
// is active. Hosts are to learn the virtual MAC address, where there is one.
func TestAdvertised(t *testing.T) {
	e, err := prepare(generationOf(t, `
[vrrp_instance.four]
interface = "eth0"
virtual_router_id = 1
addresses = ["192.0.2.10/24"]
[vrrp_instance.both]
interface = "eth1"
virtual_router_id = 2
addresses = ["192.0.2.11/24", "fe80::11/64", "2001:db8::11/64"]
router_advertisement = { max_interval = "1m", preference = "high", prefixes = ["2001:db8::/64"] }
[vrrp_instance.six]
interface = "eth0"
virtual_router_id = 3
vmac = { name = "vrrp.3" }
addresses = ["fe80::12/64"]
`), 0)
	if err != nil {
		t.Fatal(err)
	}
	all := advertised(e.routers)
	if len(all) != 2 || all["six"].Config != nil || all["six"].Source != netip.MustParseAddr("fe80::12") || all["six"].Interface != "vrrp6.3" {
		t.Fatalf("%+v", all)
	}
	both := all[ipv6Name("both")]
	if both.Interface != "eth1" || both.Source != netip.MustParseAddr("fe80::11") || both.Config.Preference != radv.High || len(both.Config.Prefixes) != 1 {
		t.Errorf("%+v", both)
	}
	if err := radvspeaker.New(radvspeaker.Options{}).Apply(all); err != nil {
		t.Error(err)
	}
}

func TestHostsLinks(t *testing.T) {
	vip := netip.MustParseAddr("fe80::10")
	address := inet.Address{Prefix: netip.PrefixFrom(vip, 64)}
	tentative := address
	tentative.Tentative = true
	links := hostsLinks{&rtnl.View{Links: []rtnl.Link{
		{Index: 1, Name: "eth0", MAC: "02:00:00:00:00:07", Up: true, Addresses: []inet.Address{address}},
		{Index: 2, Name: "down", Addresses: []inet.Address{address}},
		{Index: 3, Name: "bare", Up: true},
		{Index: 4, Name: "unsure", Up: true, Addresses: []inet.Address{tentative}},
		{Index: 5, Name: "tun0", Up: true, Addresses: []inet.Address{address}},
	}}}
	for name, want := range map[string]radvspeaker.Place{
		"eth0": {Link: "eth0", Index: 1, Hardware: "\x02\x00\x00\x00\x00\x07"}, "tun0": {Link: "tun0", Index: 5},
		"down": {}, "bare": {}, "unsure": {}, "none": {},
	} {
		if got, ok := links.Find(name, vip); got != want || ok != (want.Link != "") {
			t.Errorf("%s: %+v, %t", name, got, ok)
		}
	}
}
