package vip

import (
	"slices"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// routing is what the Owner was last told of routes and rules.
type routing struct {
	routes []inet.Route
	rules  []inet.Rule
	known  bool // it was told
}

// seen is what the Owner was last told, prepared for comparing. An interface
// that is missing, or not used by any instance, is not in it.
type seen struct {
	links         map[string]seenLink
	routes, rules table
	routing       bool // it was told of routes and rules
}

type seenLink struct {
	index     int
	addresses table
}

// compare wakes the instances that differ from what the kernel shows.
func (o *Owner) compare() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.news {
		return
	}
	o.news = false
	used := make(map[string]bool)
	for _, k := range o.keepers {
		for name := range k.believes().indexes {
			used[name] = true
		}
	}
	o.seen = seen{
		links:  make(map[string]seenLink, len(used)),
		routes: tableOfRoutes(o.routing.routes), rules: tableOfRules(o.routing.rules), routing: o.routing.known,
	}
	for _, l := range o.links {
		if used[l.Name] {
			o.seen.links[l.Name] = seenLink{l.Index, tableOfAddresses(l.Addresses)}
		}
	}
	for _, k := range o.keepers {
		if o.differs(k, k.believes()) {
			k.tell(func(n *notes) { n.look = true })
		}
	}
}

// differs tells whether what an instance believes disagrees with what the
// kernel shows, so that it should look for itself. The Owner's lock is held.
func (o *Owner) differs(k *keeper, b belief) bool {
	if b.idle {
		return false
	}
	for name, index := range b.indexes {
		if link, ok := o.seen.links[name]; b.holding && ok && link.index != index {
			return true
		}
	}
	return slices.ContainsFunc(b.wishes, func(w *wish) bool {
		t, known := o.seen.of(w)
		present, asWanted := t.find(w)
		switch {
		case !known:
			return false
		case b.holding:
			return !present || !asWanted
		}
		return present && !o.claimedByOthers(k, w.slot, true)
	})
}

// of is what is known of the place where a wish goes.
func (s seen) of(w *wish) (t table, known bool) {
	switch slot := w.slot.(type) {
	case routeSlot:
		return s.routes, s.routing
	case ruleSlot:
		return s.rules, s.routing
	case addressSlot:
		return s.links[slot.iface].addresses, true
	}
	return table{}, false
}

// index is the interface's index as last seen, 0 when it was not.
func (o *Owner) index(iface string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen.links[iface].index
}

// claimedByOthers tells whether another instance holds the same entry, or is
// just deleting it if that counts. The Owner's lock is held.
func (o *Owner) claimedByOthers(k *keeper, s slot, deleting bool) bool {
	for holder, holds := range o.claims[s] {
		if holder != k && (holds || deleting) {
			return true
		}
	}
	return false
}

// unshared are the entries that no other instance holds, or is just deleting if
// that counts.
func (o *Owner) unshared(k *keeper, wishes []*wish, deleting bool) []*wish {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(wishes), func(w *wish) bool { return o.claimedByOthers(k, w.slot, deleting) })
}

// relinquish notes that an instance is about to delete what it held.
func (o *Owner) relinquish(k *keeper, claims []slot) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range claims {
		o.claims[s][k] = false
	}
}

// exchangeClaims notes that an instance holds other entries than before. An
// instance that left an entry alone because of the claim has to look again.
func (o *Owner) exchangeClaims(k *keeper, before, after []slot) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(before) > 0 {
		o.news = true
		poke(o.wake)
	}
	for _, s := range before {
		if delete(o.claims[s], k); len(o.claims[s]) == 0 {
			delete(o.claims, s)
		}
	}
	for _, s := range after {
		if o.claims[s] == nil {
			o.claims[s] = make(map[*keeper]bool, 1)
		}
		o.claims[s][k] = true
	}
}
