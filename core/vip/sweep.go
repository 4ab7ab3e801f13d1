package vip

import (
	"errors"
	"maps"
	"slices"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Sweep removes what carries halo's mark and is none of the instances': what an
// earlier run left that had another configuration. What is an instance's is
// left to that. It asks the kernel and may take its time; it is to be called
// once all instances are set and LinksChanged has told of the links, and not
// while halo's mark is on what somebody else looks after.
func (o *Owner) Sweep() error {
	wanted, links := o.sweepable()
	var orphans []*wish
	add := func(w wish) {
		if !wanted[w.slot] {
			orphans = append(orphans, &w)
		}
	}
	var failures []error
	for _, name := range links {
		found, err := o.kernel.Addresses.ListAddresses(name)
		failures = append(failures, err)
		for _, a := range found {
			if a.Protocol == inet.ProtocolHalo {
				add(wish{slot: addressSlot{name, a.Prefix}, address: Address{Address: a, Interface: name}})
			}
		}
	}
	if o.kernel.Routes != nil {
		found, err := o.kernel.Routes.Routes(inet.RouteFilter{Protocol: inet.ProtocolHalo})
		failures = append(failures, err)
		for _, r := range found {
			add(wish{slot: routeSlot{r.ID(), r.Protocol}, route: r})
		}
	}
	if o.kernel.Rules != nil {
		found, err := o.kernel.Rules.Rules(inet.ProtocolHalo)
		failures = append(failures, err)
		for _, r := range found {
			add(wish{slot: slotOfRule(r), rule: r})
		}
	}
	if len(orphans) > 0 {
		_, err := o.delAll(orphans)
		d := driftOf(LeftOver, orphans)
		d.Err = err
		o.observer.Drifted(d)
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// sweepable is what belongs to instances, and the links that have something
// with halo's mark.
func (o *Owner) sweepable() (wanted map[slot]bool, links []string) {
	o.mu.Lock()
	keepers := slices.Collect(maps.Values(o.keepers))
	for _, l := range o.links {
		if slices.ContainsFunc(l.Addresses, func(a inet.Address) bool { return a.Protocol == inet.ProtocolHalo }) {
			links = append(links, l.Name)
		}
	}
	o.mu.Unlock()
	wanted = make(map[slot]bool)
	for _, k := range keepers {
		for _, w := range k.latest().wishes() {
			wanted[w.slot] = true
		}
	}
	return wanted, links
}

// latest is the configuration that was last set.
func (k *keeper) latest() Instance {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.notes.config
}
