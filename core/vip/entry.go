package vip

import (
	"net/netip"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// kind is one of the kernel's tables, in the order in which they are filled.
type kind uint8

const (
	kindAddress kind = iota
	kindRoute
	kindRule
)

// slot is an entry's place in the kernel's tables: what there can be but one of,
// whichever instance wants it.
//
//sumtype:decl
type slot interface{ source() source }

// addressSlot leaves a peer out, since addresses are deleted without.
type addressSlot struct {
	iface  string
	prefix netip.Prefix
}

type routeSlot struct {
	id   inet.RouteID
	mark inet.Protocol
}

// ruleSlot is a rule in the form of its ID, with the mark.
type ruleSlot struct{ rule inet.Rule }

func slotOfRule(r inet.Rule) ruleSlot {
	id := r.ID()
	id.Protocol = r.Protocol
	return ruleSlot{id}
}

// source is what is read together: an interface's addresses, or the routes or
// rules that carry a mark.
type source struct {
	kind  kind
	iface string        // of addresses
	mark  inet.Protocol // of routes and rules
}

func (s addressSlot) source() source { return source{kind: kindAddress, iface: s.iface} }
func (s routeSlot) source() source   { return source{kind: kindRoute, mark: s.mark} }
func (s ruleSlot) source() source    { return source{kind: kindRule, mark: s.rule.Protocol} }

// class is what becomes of an instance that cannot keep an entry.
type class uint8

const (
	required class = iota
	optional
	classes
)

func classOf(isRequired bool) class {
	if isRequired {
		return required
	}
	return optional
}

// wish is an entry as it is wanted: an address, a route or a rule, as the slot
// says. It never changes.
type wish struct {
	slot     slot
	class    class
	excluded bool // not among the advertised addresses

	address Address
	route   inet.Route
	rule    inet.Rule
}

func (w *wish) kind() kind { return w.slot.source().kind }

// entry is a wish and what there is of it.
type entry struct {
	*wish
	EntryStatus
	// asWanted means that it has the attributes wanted, or is somebody else's.
	asWanted  bool
	kept      bool // is the machine's own
	restoring bool // was taken away while held
}

// there tells whether nothing is to be done about an entry that is held.
func (e *entry) there() bool { return e.Present && e.asWanted }

// table is what was found in one source. Only the map of its kind is used. The
// addresses are those of the list that it was made of.
type table struct {
	addresses map[netip.Prefix]*inet.Address
	routes    map[routeSlot]inet.Route
	rules     map[ruleSlot]bool
}

// find tells whether a wish is fulfilled. Attributes count only where the entry
// is halo's: those of others are not halo's to change.
func (t table) find(w *wish) (present, asWanted bool) {
	switch s := w.slot.(type) {
	case addressSlot:
		a, ok := t.addresses[s.prefix]
		want := w.address.Address
		if want.Addr().Is4() && want.Label == "" {
			want.Label = s.iface // The kernel's choice, and not any other.
		}
		return ok, ok && (a.Protocol != inet.ProtocolHalo || a.Satisfies(want))
	case routeSlot:
		r, ok := t.routes[s]
		return ok, ok && r.Satisfies(w.route)
	case ruleSlot:
		return t.rules[s], t.rules[s]
	}
	return false, false
}

// marked tells whether an address that was found carries halo's mark.
func (t table) marked(s slot) bool {
	a, ok := s.(addressSlot)
	if !ok {
		return false
	}
	found, ok := t.addresses[a.prefix]
	return ok && found.Protocol == inet.ProtocolHalo
}

func tableOfAddresses(list []inet.Address) table {
	t := table{addresses: make(map[netip.Prefix]*inet.Address, len(list))}
	for i := range list {
		a := &list[i]
		// With several peers, halo's is the one that is asked about.
		if first, taken := t.addresses[a.Prefix]; !taken || first.Protocol != inet.ProtocolHalo {
			t.addresses[a.Prefix] = a
		}
	}
	return t
}

func tableOfRoutes(list []inet.Route) table {
	t := table{routes: make(map[routeSlot]inet.Route, len(list))}
	for _, r := range list {
		s := routeSlot{r.ID(), r.Protocol}
		// The first one of an identity is the one in use.
		if _, ok := t.routes[s]; !ok {
			t.routes[s] = r
		}
	}
	return t
}

func tableOfRules(list []inet.Rule) table {
	t := table{rules: make(map[ruleSlot]bool, len(list))}
	for _, r := range list {
		t.rules[slotOfRule(r)] = true
	}
	return t
}

// needs are the interfaces that an entry cannot be without.
func (w *wish) needs() []string {
	if s, ok := w.slot.(addressSlot); ok {
		return []string{s.iface}
	}
	var names []string
	for _, hop := range w.route.NextHops {
		if hop.Link != "" {
			names = append(names, hop.Link)
		}
	}
	return names
}
