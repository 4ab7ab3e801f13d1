package daemon

import (
	"slices"
	"time"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/kernel/vmac"
	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// electorate is the election of a generation, translated.
type electorate struct {
	generation *config.Generation
	routers    map[string]router
	members    map[string][]vrrp.Member // by group
}

// staticName is what static entries are called among those of instances. No file
// can have an instance of that name.
const staticName = "[static]"

// router is an instance in one address family, translated: the protocol knows
// only one in a virtual router (RFC 9568 §1).
type router struct {
	instance  *config.Instance
	family    wire.Family
	addresses []config.Address // advertised
	excluded  []config.Address // those that go with them
	routes    []config.Route
	rules     []config.Rule
	vrrp      vrrp.Config
	unicast   *speaker.Unicast // nil is multicast
	virtual   vmac.Interface   // the zero value is none
}

// place is where a router speaks. From the virtual MAC address it cannot speak to
// peers, who answer to that of the interface.
func (r *router) place() place {
	p := place{iface: r.instance.Interface, family: r.family, virtual: r.virtual}
	p.virtual.BothFamilies = false // No reason to move.
	if r.virtual.Name != "" && !r.instance.VMAC.XmitBase && r.unicast == nil {
		p.iface = r.virtual.Name
	}
	return p
}

// located are all addresses that move with the router, each where it goes.
func (r *router) located() []located {
	all := make([]located, 0, len(r.addresses)+len(r.excluded))
	for _, a := range slices.Concat(r.addresses, r.excluded) {
		all = append(all, located{a.On(r.place().holds()), a.Addr()})
	}
	return all
}

// An instance with addresses of both families is two routers, which move as one.
// Their names are no names that a file can have.
func ipv6Name(instance string) string { return instance + "/ipv6" }
func bothName(instance string) string { return instance + "/both" }

// prepare translates all instances of a generation; it changes nothing. A router
// that is new only listens for the time of hold.
func prepare(g *config.Generation, hold time.Duration) (electorate, error) {
	all := electorate{g, make(map[string]router, len(g.Instances)), make(map[string][]vrrp.Member, len(g.SyncGroups))}
	grouped := map[string]bool{}
	for _, group := range g.SyncGroups {
		for _, member := range group.Members {
			grouped[member] = true
		}
	}
	names := make(map[string][]string, len(g.Instances))
	for name, i := range g.Instances {
		for _, family := range []wire.Family{wire.IPv4, wire.IPv6} {
			r, err := routerOf(i, family)
			if err != nil {
				return electorate{}, err
			}
			if len(r.addresses) == 0 {
				continue
			}
			r.vrrp.Hold = hold
			own := name
			if len(names[name]) > 0 {
				own = ipv6Name(name)
			}
			names[name] = append(names[name], own)
			all.routers[own] = r
		}
		all.furnish(i, names[name])
		if len(names[name]) > 1 && !grouped[name] {
			all.enroll(bothName(name), names[name])
		}
	}
	for name, group := range g.SyncGroups {
		var members []string
		for _, member := range group.Members {
			members = append(members, names[member]...)
		}
		all.enroll(name, members)
	}
	return all, nil
}

// furnish gives the routers of an instance what moves with them and is not
// advertised: to the router of its family or, where there is none, to the only
// one.
func (e *electorate) furnish(i *config.Instance, names []string) {
	change := func(ipv6 bool, add func(*router)) {
		name := names[0]
		for _, n := range names {
			if (e.routers[n].family == wire.IPv6) == ipv6 {
				name = n
			}
		}
		r := e.routers[name]
		add(&r)
		e.routers[name] = r
	}
	for _, a := range i.Excluded {
		change(a.Addr().Is6(), func(r *router) {
			r.excluded = append(r.excluded, a)
			if a.Addr().Is6() && a.On("") == "" {
				r.virtual.BothFamilies = !r.virtual.IPv6
			}
		})
	}
	for _, route := range i.Routes {
		change(!route.Is4(), func(r *router) { r.routes = append(r.routes, route) })
	}
	for _, rule := range i.Rules {
		change(rule.IPv6, func(r *router) { r.rules = append(r.rules, rule) })
	}
}

// marks are whose routes and rules are to be watched.
func (e *electorate) marks() marks {
	var all marks
	for _, r := range e.routers {
		for _, route := range r.routes {
			all.add(route.Protocol)
		}
		for _, rule := range r.rules {
			all.add(rule.Protocol)
		}
	}
	for _, route := range e.generation.Static.Routes {
		all.add(route.Protocol)
	}
	for _, rule := range e.generation.Static.Rules {
		all.add(rule.Protocol)
	}
	return all
}

// moving are the addresses that move, with the place whose speaker knows that. No
// speaker knows it of those that are not advertised.
func (e *electorate) moving() map[located]place {
	all := map[located]place{}
	for _, r := range e.routers {
		for i, a := range r.located() {
			if all[a] = (place{}); i < len(r.addresses) {
				all[a] = r.place()
			}
		}
	}
	return all
}

// enroll makes a group of routers.
func (e *electorate) enroll(name string, names []string) {
	members := make([]vrrp.Member, 0, len(names))
	for _, n := range names {
		members = append(members, vrrp.Member{Name: n, Config: e.routers[n].vrrp})
	}
	members = vrrp.Enroll(name, members)
	for _, m := range members {
		r := e.routers[m.Name]
		r.vrrp = m.Config
		e.routers[m.Name] = r
	}
	e.members[name] = members
}
