package vip

import (
	"maps"
	"slices"
	"time"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Status is the state of one instance's entries.
type Status struct {
	Interface string
	// Holding means that the entries are to be there.
	Holding bool
	// Lost means that they could not be kept there; see Observer.
	Lost bool
	// Error is why the last attempt to change something failed, empty when
	// it did not.
	Error string
	// Announced is the number of gratuitous ARP packets and unsolicited
	// neighbor advertisements sent so far.
	Announced uint64
	// Addresses are in the order of the configuration, those that are not
	// advertised last.
	Addresses []AddressStatus
	Routes    []RouteStatus
	Rules     []RuleStatus
}

// EntryStatus is the state of one entry.
type EntryStatus struct {
	// Present means that it was there when last looked.
	Present bool
	// Since is when Present last changed; zero if the entry was never looked
	// for.
	Since time.Time
	// Restores is how many times it was put back.
	Restores int
}

// AddressStatus is the state of one address.
type AddressStatus struct {
	EntryStatus
	Address Address // with its interface
	// Excluded means that it is not in the advertisements.
	Excluded bool
}

// RouteStatus is the state of one route.
type RouteStatus struct {
	EntryStatus
	Route inet.Route
}

// RuleStatus is the state of one rule.
type RuleStatus struct {
	EntryStatus
	Rule inet.Rule
}

// Snapshot is the state of all instances by name.
func (o *Owner) Snapshot() map[string]Status {
	o.mu.Lock()
	keepers := slices.Collect(maps.Values(o.keepers))
	o.mu.Unlock()
	snapshot := make(map[string]Status, len(keepers))
	for _, k := range keepers {
		snapshot[k.name] = k.snapshot()
	}
	return snapshot
}

// belief is what a keeper holds to be in the kernel's tables, for comparing
// with what the kernel shows. It is replaced, never changed.
type belief struct {
	// indexes are those of the interfaces that the entries need, 0 for one
	// that is missing.
	indexes map[string]int
	idle    bool // nothing is to be concluded from what the kernel shows
	holding bool
	// wishes should be there when holding, should not when not.
	wishes []*wish
}

func (b belief) equal(other belief) bool {
	return b.idle == other.idle && b.holding == other.holding &&
		maps.Equal(b.indexes, other.indexes) && slices.Equal(b.wishes, other.wishes)
}

func (k *keeper) believes() belief {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.belief
}

func (k *keeper) snapshot() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.status
	s.Announced = k.sent.Load()
	return s // The slices are replaced, never changed.
}

// publish makes the keeper's state visible to others. It tells whether the
// keeper believes something else than before.
func (k *keeper) publish() (changed bool) {
	s := Status{
		Interface: k.config.Interface,
		Holding:   k.phase == acquiring || k.phase == holding,
		Lost:      k.lost,
	}
	if k.lastErr != nil {
		s.Error = k.lastErr.Error()
	}
	b := belief{
		indexes: make(map[string]int, len(k.links)+1), holding: s.Holding,
		idle: k.lost || (!s.Holding && !k.swept),
	}
	for name, l := range k.links {
		if b.indexes[name] = l.index; l.away {
			b.indexes[name] = 0
		}
	}
	for _, e := range k.entries {
		switch e.slot.(type) {
		case addressSlot:
			s.Addresses = append(s.Addresses, AddressStatus{e.EntryStatus, e.address, e.excluded})
		case routeSlot:
			s.Routes = append(s.Routes, RouteStatus{e.EntryStatus, e.route})
		case ruleSlot:
			s.Rules = append(s.Rules, RuleStatus{e.EntryStatus, e.rule})
		}
		// One that is missing while holding is waiting for its time. One that
		// is there while not holding may be another instance's, for now.
		if s.Holding && e.there() || !s.Holding && !e.kept {
			b.wishes = append(b.wishes, e.wish)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	changed = !b.equal(k.belief)
	k.status, k.belief = s, b
	return changed
}
