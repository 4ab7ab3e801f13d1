package daemon

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vip"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// The configuration speaks in the operator's words, the pure packages in the
// protocol's and the kernel's. These functions translate.

// routerOf is the virtual router of an instance in one family, without addresses
// where it has none of that. It refuses nothing that config accepts; an error
// means that the two disagree, and is found before anything is applied.
func routerOf(i *config.Instance, family wire.Family) (router, error) {
	r := router{instance: i, family: family}
	for _, p := range i.Addresses {
		if family.Has(p.Addr()) {
			r.addresses = append(r.addresses, p)
		}
	}
	if len(r.addresses) == 0 {
		return r, nil
	}
	c, err := routerConfig(i, r.addresses)
	if err != nil {
		return r, err
	}
	if family.Has(i.SourceAddress) {
		c.Source = i.SourceAddress
	}
	c.IgnoreLinkDown = i.IgnoreLinkDown
	c.AlsoV2 = i.AlsoV2 && family == wire.IPv4
	if err := c.Validate(); err != nil {
		return r, fmt.Errorf("vrrp_instance %s: %w", i.Name, err)
	}
	r.vrrp, r.virtual = c, virtualOf(i, family)
	if len(i.UnicastPeers) == 0 {
		return r, nil
	}
	r.unicast = &speaker.Unicast{AnySource: i.UnicastAnySource}
	for _, p := range i.UnicastPeers {
		if family.Has(p.Address) {
			r.unicast.Peers = append(r.unicast.Peers, speaker.Peer(p))
		}
	}
	return r, nil
}

func routerConfig(i *config.Instance, addresses []config.Address) (vrrp.Config, error) {
	c := vrrp.Config{
		Version: wire.Version(i.Version), VRID: i.VRID, Priority: i.Priority, Interval: i.Interval,
		Preempt: i.Preempt, PreemptDelay: i.PreemptDelay,
		Announcement: vrrp.Announcement{
			Repeat: i.GARP.Repeat, Delay: i.GARP.Delay, Refresh: i.GARP.Refresh, RefreshRepeat: i.GARP.RefreshRepeat,
			LowerPriorityRepeat: i.GARP.LowerPriorityRepeat, LowerPriorityDelay: i.GARP.LowerPriorityDelay,
		},
	}
	for _, p := range addresses {
		c.Addresses = append(c.Addresses, p.Addr())
	}
	if i.Checksum == "plain" {
		c.Checksum = wire.Plain
	}
	if err := authenticate(i, &c); err != nil {
		return c, fmt.Errorf("vrrp_instance %s: %w", i.Name, err)
	}
	return c, nil
}

// addressConfig is what the owner of addresses knows of a router.
func addressConfig(name string, r *router) vip.Instance {
	i := r.instance
	return vip.Instance{
		Name: name, Interface: r.place().holds(), Addresses: vipAddresses(r.addresses), Excluded: vipAddresses(r.excluded),
		Routes: vipRoutes(r.routes), Rules: vipRules(r.rules),
		AddressOwner: i.Priority == ownerPriority, Repeat: i.GARP.Repeat,
	}
}

// staticConfig is what the owner of addresses knows of static entries. What the
// machine had before stays its own.
func staticConfig(s config.Static) vip.Instance {
	return vip.Instance{
		Name: staticName, Addresses: vipAddresses(s.Addresses), Routes: vipRoutes(s.Routes), Rules: vipRules(s.Rules), AddressOwner: true,
	}
}

func vipAddresses(list []config.Address) []vip.Address {
	all := make([]vip.Address, len(list))
	for n, a := range list {
		all[n] = vip.Address(a)
	}
	return all
}

func vipRoutes(list []config.Route) []vip.Route {
	all := make([]vip.Route, len(list))
	for n, r := range list {
		all[n] = vip.Route(r)
	}
	return all
}

func vipRules(list []config.Rule) []vip.Rule {
	all := make([]vip.Rule, len(list))
	for n, r := range list {
		all[n] = vip.Rule(r)
	}
	return all
}

// ownerPriority is that of the router whose own the addresses are (RFC 9568
// §5.2.4).
const ownerPriority = 255

// poolConfig is the pool of a virtual server.
func poolConfig(g *config.Generation, v *config.VirtualServer) pool.Config {
	protocol := ipvs.TCP
	if v.Protocol == "udp" {
		protocol = ipvs.UDP
	}
	c := pool.Config{
		Service: ipvs.Service{
			Key: ipvs.AddressKey(protocol, v.Address), Scheduler: v.Scheduler,
			Persistence: ipvs.Persistence{Timeout: uint32(v.Persistence / time.Second)},
		},
		Quorum: v.Quorum, SorryServer: v.SorryServer, SorryForwarding: forwarding(v.Forward),
		Servers: make([]pool.RealServer, 0, len(v.Servers)),
	}
	for _, s := range v.Servers {
		onFailure, _ := pool.ParseOnFailure(s.OnFailure)
		server := pool.RealServer{Address: s.Address, Forwarding: forwarding(s.Forward), Weight: s.Weight, OnFailure: onFailure}
		for _, k := range s.Checks {
			p := g.Plugin(k.Plugin)
			server.Checks = append(server.Checks, pool.Check{
				Name: k.Name, Definition: definition(s.Address, k), Rise: k.Rise, Fall: k.Fall,
				FailOnLoss: p.OnPluginLoss == "fail", Grace: p.PluginGrace,
			})
		}
		c.Servers = append(c.Servers, server)
	}
	return c
}

func forwarding(word string) ipvs.Forwarding {
	f, _ := ipvs.ParseForwarding(word)
	return f
}

// definition stands for what is checked and how, and for nothing else: not
// for how often, nor for how many results make a verdict. While it stays, so
// does the history of results.
func definition(server netip.AddrPort, c *config.Check) string {
	return fmt.Sprintf("%s %s %s %s:%d %s %s", c.Type, c.User, server, c.ConnectAddress, c.ConnectPort, c.Bind, c.Settings)
}
