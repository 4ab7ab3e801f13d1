// Package ipvs holds the kernel's IPVS table as plain values, and the ordered
// difference between two tables.
//
// It is pure: it opens no socket, reads no clock and keeps no state; every
// function works on what it is given and may be called from any goroutine. A
// type's identity (ServiceKey, a destination's address) is kept apart from its
// attributes, because the kernel edits attributes in place and that keeps
// connections, while a change of identity is a removal and an addition.
//
// Callers are core/pool, which says what is wanted, core/balance, which compares
// it with what is there, and core/kernel/ipvsnl, which reads and changes the
// kernel.
//
// Read Table first, then Diff.
package ipvs

import (
	"cmp"
	"slices"
)

// Table is a set of services, sorted by key, each with its destinations sorted
// by address. Diff and Find rely on the order; Sort establishes it.
type Table []Service

// Sort puts services and destinations into their order, in place.
func (t Table) Sort() {
	slices.SortFunc(t, func(a, b Service) int { return a.Key.Compare(b.Key) })
	for i := range t {
		SortDestinations(t[i].Destinations)
	}
}

// SortDestinations puts destinations into the order that a Table needs, in place.
func SortDestinations(d []Destination) {
	slices.SortFunc(d, func(a, b Destination) int { return a.Address.Compare(b.Address) })
}

// Find returns the service with that key, or nil. What it points to belongs to
// the table.
func (t Table) Find(k ServiceKey) *Service {
	i, ok := slices.BinarySearchFunc(t, k, func(s Service, k ServiceKey) int { return s.Key.Compare(k) })
	if !ok {
		return nil
	}
	return &t[i]
}

// Clone returns a copy that shares no memory with t.
func (t Table) Clone() Table {
	c := slices.Clone(t)
	for i := range c {
		c[i].Destinations = slices.Clone(c[i].Destinations)
	}
	return c
}

// Equal reports whether two tables hold the same services and destinations.
func (t Table) Equal(o Table) bool {
	return slices.EqualFunc(t, o, func(a, b Service) bool { return a.Equal(&b) })
}

// Equal reports whether two services have the same key, the same attributes and
// the same destinations.
func (s *Service) Equal(o *Service) bool {
	return s.Key == o.Key && s.SameAttributes(o) && slices.Equal(s.Destinations, o.Destinations)
}

// compareDestinations orders by identity alone.
func compareDestinations(a, b *Destination) int {
	if c := a.Address.Addr().Compare(b.Address.Addr()); c != 0 {
		return c
	}
	return cmp.Compare(a.Address.Port(), b.Address.Port())
}
