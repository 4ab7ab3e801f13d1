package vip

import (
	"net/netip"
	"reflect"
	"slices"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Instance is what the configuration says of one instance's addresses, routes
// and rules.
type Instance struct {
	Name      string
	Interface string
	// Addresses are those in the advertisements, Excluded those that are not.
	// Here they are treated alike, the advertised ones first.
	Addresses, Excluded []Address
	Routes              []Route
	Rules               []Rule
	// AddressOwner says that the addresses may be the machine's own, as they
	// are for a router of priority 255. Those found on the interface without
	// halo's mark stay there for ever.
	AddressOwner bool
	// Repeat is how many times each address is announced that is put on the
	// interface while the instance is active: after drift, or added by a
	// reload. Zero is none. Becoming active is announced by Announce.
	Repeat int
}

// Address is a virtual address.
type Address struct {
	inet.Address
	// Interface is where it goes. Empty is the instance's.
	Interface string
	// Optional says that the instance can do without it: it is repaired like
	// any other, for ever, and is never a reason to be Lost.
	Optional bool
}

// Route is a virtual route.
type Route struct {
	inet.Route
	// Required says that the instance is Lost when the route cannot be kept,
	// as it is for want of an address. What is missing for want of a link that
	// is there and up is waited for instead.
	Required bool
}

// Rule is a virtual rule.
type Rule struct {
	inet.Rule
	// Required is as for a Route.
	Required bool
}

// Plain are addresses of which nothing is to be said but themselves.
func Plain(prefixes ...netip.Prefix) []Address {
	addresses := make([]Address, len(prefixes))
	for i, p := range prefixes {
		addresses[i].Prefix = p
	}
	return addresses
}

func (i Instance) equal(other Instance) bool {
	return i.Interface == other.Interface && i.AddressOwner == other.AddressOwner && i.Repeat == other.Repeat &&
		slices.Equal(i.Addresses, other.Addresses) && slices.Equal(i.Excluded, other.Excluded) &&
		slices.Equal(i.Rules, other.Rules) &&
		slices.EqualFunc(i.Routes, other.Routes, func(a, b Route) bool { return reflect.DeepEqual(a, b) })
}

// wishes are the entries that the instance is to have, in the order in which
// they are put. A second one for the same slot is left out.
func (i Instance) wishes() []*wish {
	var wishes []*wish
	taken := make(map[slot]bool)
	add := func(w wish) {
		if !taken[w.slot] {
			taken[w.slot] = true
			wishes = append(wishes, &w)
		}
	}
	address := func(a Address, excluded bool) {
		if a.Interface == "" {
			a.Interface = i.Interface
		}
		add(wish{
			slot: addressSlot{a.Interface, a.Prefix}, class: classOf(!a.Optional),
			address: a, excluded: excluded,
		})
	}
	for _, a := range i.Addresses {
		address(a, false)
	}
	for _, a := range i.Excluded {
		address(a, true)
	}
	for _, r := range i.Routes {
		r.Protocol = r.ProtocolOrDefault()
		add(wish{slot: routeSlot{r.ID(), r.Protocol}, class: classOf(r.Required), route: r.Route})
	}
	for _, r := range i.Rules {
		r.Protocol = r.ProtocolOrDefault()
		add(wish{slot: slotOfRule(r.Rule), class: classOf(r.Required), rule: r.Rule})
	}
	return wishes
}
