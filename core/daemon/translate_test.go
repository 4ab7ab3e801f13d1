package daemon

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

func addresses(prefixes ...string) []config.Address {
	list := make([]config.Address, len(prefixes))
	for i, p := range prefixes {
		list[i].Prefix = netip.MustParsePrefix(p)
	}
	return list
}

func TestRouterConfig(t *testing.T) {
	i := &config.Instance{
		Name: "VI_1", Interface: "eth0", VRID: 51, Version: 2, Priority: 150, Interval: time.Second, Preempt: true, PreemptDelay: time.Minute,
		Addresses: addresses("192.0.2.10/24", "192.0.2.11/32"),
		GARP:      config.GARP{Repeat: 5, Delay: 5 * time.Second, RefreshRepeat: 1, LowerPriorityRepeat: 5, LowerPriorityDelay: 5 * time.Second},
		Auth:      &config.Auth{Type: "pass", Password: config.NewSecret("s3cret")},
	}
	r, err := routerOf(i, wire.IPv4)
	if err != nil {
		t.Fatal(err)
	}
	c := r.vrrp
	if c.Version != wire.V2 || c.VRID != 51 || c.Priority != 150 || !c.Preempt || c.PreemptDelay != time.Minute {
		t.Errorf("translated to %+v", c)
	}
	if diff := cmp.Diff([]string{"192.0.2.10", "192.0.2.11"}, []string{c.Addresses[0].String(), c.Addresses[1].String()}); diff != "" {
		t.Errorf("addresses in another order:\n%s", diff)
	}
	want, err := wire.NewPassword("s3cret")
	if err != nil || c.Auth.Type != wire.AuthPassword || c.Auth.Password != want {
		t.Errorf("authentication was not translated")
	}
	if a := addressConfig("VI_1", &r); a.AddressOwner || a.Interface != "eth0" || a.Repeat != 5 {
		t.Errorf("addresses: %+v", a)
	}
	i.Priority = 255
	if a := addressConfig("VI_1", &r); !a.AddressOwner {
		t.Error("priority 255 is not the owner of its addresses")
	}
	i.Auth.Password = config.NewSecret("longer than eight bytes")
	if _, err := routerOf(i, wire.IPv4); err == nil {
		t.Error("a password of more than eight bytes is translated")
	}
	i.Auth, i.Version, i.Checksum = nil, 3, "plain"
	if r, err := routerOf(i, wire.IPv4); err != nil || r.vrrp.Version != wire.V3 || r.vrrp.Checksum != wire.Plain {
		t.Errorf("version 3 with a plain checksum: %+v, %v", r.vrrp, err)
	}
}

// An instance of both families is two routers in a group of their own, or in that
// which the file puts it in; its peers and source go to the family they are of.
func TestBothFamilies(t *testing.T) {
	text := `
[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
priority = 150
addresses = ["192.0.2.10/24", "fe80::10", "2001:db8::10/64"]
source_address = "192.0.2.2"
unicast_peers = ["192.0.2.3", { address = "fe80::3", min_ttl = 255 }]

[vrrp_instance.VI_2]
interface = "eth1"
virtual_router_id = 51
priority = 150
addresses = ["2001:db8:1::10/64"]
`
	all, err := prepare(generationOf(t, text), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	four, six := all.routers["VI_1"], all.routers["VI_1/ipv6"]
	if len(all.routers) != 3 || len(four.addresses) != 1 || len(six.addresses) != 2 || four.family != wire.IPv4 || six.family != wire.IPv6 ||
		all.routers["VI_2"].family != wire.IPv6 {
		t.Fatalf("routers %+v", all.routers)
	}
	if four.vrrp.Source != i4("192.0.2.2") || six.vrrp.Source.IsValid() || six.vrrp.Hold != time.Second {
		t.Errorf("sources %v and %v, hold %v", four.vrrp.Source, six.vrrp.Source, six.vrrp.Hold)
	}
	if len(four.unicast.Peers) != 1 || len(six.unicast.Peers) != 1 || six.unicast.Peers[0].MinTTL != 255 || all.routers["VI_2"].unicast != nil {
		t.Errorf("peers %+v and %+v", four.unicast, six.unicast)
	}
	if len(all.members) != 1 || len(all.members["VI_1/both"]) != 2 || four.vrrp.Group.Name != "VI_1/both" || all.routers["VI_2"].vrrp.Group.Name != "" {
		t.Errorf("groups %+v", all.members)
	}
	all, err = prepare(generationOf(t, text+"[vrrp_sync_group.G1]\nmembers = [\"VI_1\", \"VI_2\"]\n"), 0)
	if err != nil || len(all.members) != 1 || len(all.members["G1"]) != 3 || all.routers["VI_1/ipv6"].vrrp.Group.Name != "G1" {
		t.Errorf("groups %+v, %v", all.members, err)
	}
}

// What is not advertised goes with the router of its family or, where there is none,
// with the only one. No speaker may speak from it.
func TestExcludedGoWithTheirFamily(t *testing.T) {
	all, err := prepare(generationOf(t, `
[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
addresses = ["192.0.2.10/24", "fe80::10/64"]
excluded_addresses = ["192.0.2.11/24", { address = "2001:db8::11/64", interface = "eth1" }]

[vrrp_instance.VI_2]
interface = "eth0"
virtual_router_id = 52
addresses = ["192.0.2.20/24"]
excluded_addresses = ["2001:db8::20/64", { address = "192.0.2.21/24", required = false, label = "eth0:1" }]
`), 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"VI_1": {"192.0.2.11/24"}, "VI_1/ipv6": {"2001:db8::11/64 on eth1"}, "VI_2": {"2001:db8::20/64", "192.0.2.21/24 label eth0:1 optional"},
	} {
		r := all.routers[name]
		var got []string
		for _, a := range addressConfig(name, &r).Excluded {
			text := a.Address.String()
			if a.Interface != "" {
				text += " on " + a.Interface
			}
			if a.Optional {
				text += " optional"
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	moving := all.moving()
	nobody := place{}
	if with, moves := moving[located{"eth1", i4("2001:db8::11")}]; len(moving) != 7 || !moves || with != nobody {
		t.Errorf("moving: %v", moving)
	}
	// Of what is advertised its own speaker knows.
	if with := moving[located{"eth0", i4("192.0.2.10")}]; with != (place{iface: "eth0"}) {
		t.Errorf("an advertised address moves with %v", with)
	}
}

// Routes and rules go with the router of their family, too, and what they are marked
// with is watched.
func TestRoutingGoesWithItsFamily(t *testing.T) {
	all, err := prepare(generationOf(t, `
[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
addresses = ["192.0.2.10/24", "fe80::10/64"]
routes = [
  { destination = "default", via = "192.0.2.254", required = true },
  { destination = "default", via = "2001:db8::fe", protocol = "static" },
]
rules = [{ priority = 100, from = "192.0.2.0/24", table = 7, protocol = 44 }, { priority = 100, family = "ipv6", table = 7 }]

[static]
routes = [{ destination = "10.0.0.0/8", interface = "eth1", protocol = "bird" }]

[vrrp_instance.VI_2]
interface = "eth0"
virtual_router_id = 52
addresses = ["192.0.2.20/24"]
routes = [{ destination = "2001:db8:1::/48", type = "blackhole" }]
rules = [{ priority = 101, family = "ipv6", goto = 200 }]
`), 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"VI_1":      {"default via 192.0.2.254 required", "priority 100 from 192.0.2.0/24 lookup 7 proto 44"},
		"VI_1/ipv6": {"default6 via 2001:db8::fe proto static", "priority 100 inet6 lookup 7"},
		"VI_2":      {"blackhole 2001:db8:1::/48", "priority 101 inet6 goto 200"},
	} {
		r := all.routers[name]
		c := addressConfig(name, &r)
		var got []string
		for _, route := range c.Routes {
			text := route.Route.String()
			if route.Required {
				text += " required"
			}
			got = append(got, text)
		}
		for _, rule := range c.Rules {
			got = append(got, rule.Rule.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if m := all.marks(); !m.equal(marks{anything: true, others: []inet.Protocol{inet.ProtocolStatic, inet.ProtocolBIRD, 44}}) {
		t.Errorf("watched: %+v", m)
	}
	if none := (&electorate{generation: &config.Generation{}}).marks(); none.anything {
		t.Error("without routes and rules, some are watched")
	}
}

func i4(s string) netip.Addr { return netip.MustParseAddr(s) }

func service() *config.VirtualServer {
	return &config.VirtualServer{
		Name: "web", Address: netip.MustParseAddrPort("192.0.2.10:80"), Protocol: "udp", Scheduler: "wrr", Forward: "dr",
		Persistence: 50 * time.Second, Quorum: 2, SorryServer: netip.MustParseAddrPort("192.0.2.99:80"),
		Servers: []*config.RealServer{{
			Address: netip.MustParseAddrPort("192.0.2.30:80"), Weight: 3, Forward: "tun", OnFailure: "quiesce",
			Checks: []*config.Check{{Name: "tcp", Type: "tcp", Plugin: "halo-check-tcp", Rise: 2, Fall: 3, Settings: json.RawMessage("{}")}},
		}},
	}
}

func TestPoolConfig(t *testing.T) {
	g := &config.Generation{Plugins: map[string]*config.Plugin{
		"halo-check-tcp": {Name: "halo-check-tcp", OnPluginLoss: "fail", PluginGrace: time.Minute},
	}}
	c := poolConfig(g, service())
	if got, want := c.Service.Key, ipvs.AddressKey(ipvs.UDP, netip.MustParseAddrPort("192.0.2.10:80")); got != want {
		t.Errorf("key %v, want %v", got, want)
	}
	if c.Service.Scheduler != "wrr" || c.Service.Persistence.Timeout != 50 || c.Quorum != 2 || c.SorryForwarding != ipvs.DirectRoute {
		t.Errorf("service %+v", c)
	}
	s := c.Servers[0]
	if s.Weight != 3 || s.Forwarding != ipvs.Tunnel || s.OnFailure != pool.Quiesce {
		t.Errorf("server %+v", s)
	}
	if k := s.Checks[0]; k.Rise != 2 || k.Fall != 3 || !k.FailOnLoss || k.Grace != time.Minute {
		t.Errorf("check %+v", k)
	}
}

// TestDefinition proves what makes a check another one: whatever changes what
// is asked of whom, and nothing else.
func TestDefinition(t *testing.T) {
	server := netip.MustParseAddrPort("192.0.2.30:80")
	base := config.Check{Name: "tcp", Type: "tcp", User: "halo", Settings: json.RawMessage("{}"), Interval: time.Second, Rise: 2}
	for _, test := range []struct {
		name   string
		change func(*config.Check)
		same   bool
	}{
		{"interval", func(c *config.Check) { c.Interval = time.Minute }, true},
		{"rise", func(c *config.Check) { c.Rise = 7 }, true},
		{"name", func(c *config.Check) { c.Name = "other" }, true},
		{"type", func(c *config.Check) { c.Type = "misc" }, false},
		{"user", func(c *config.Check) { c.User = "root" }, false},
		{"settings", func(c *config.Check) { c.Settings = json.RawMessage(`{"a":1}`) }, false},
		{"connect port", func(c *config.Check) { c.ConnectPort = 81 }, false},
		{"connect address", func(c *config.Check) { c.ConnectAddress = netip.MustParseAddr("192.0.2.31") }, false},
		{"bind", func(c *config.Check) { c.Bind = netip.MustParseAddr("192.0.2.1") }, false},
	} {
		changed := base
		test.change(&changed)
		if same := definition(server, &base) == definition(server, &changed); same != test.same {
			t.Errorf("another %s: the same definition is %t, want %t", test.name, same, test.same)
		}
	}
}

func TestTarget(t *testing.T) {
	v := service()
	server := v.Servers[0]
	got := target(v, server, server.Checks[0])
	if got.Address != server.Address.Addr() || got.Port != 80 || got.VirtualServer != "web" || got.VirtualAddress != v.Address || got.Protocol != "udp" {
		t.Errorf("target %+v", got)
	}
	c := *server.Checks[0]
	c.ConnectAddress, c.ConnectPort = netip.MustParseAddr("198.51.100.1"), 8080
	if got := target(v, server, &c); got.Address != c.ConnectAddress || got.Port != 8080 || got.RealServer != server.Address {
		t.Errorf("target with connect_address and connect_port: %+v", got)
	}
}
