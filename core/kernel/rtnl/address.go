package rtnl

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Addresses lists the addresses of one link: all of them, and those among them
// that carry halo's mark. A link that does not exist is an error that wraps
// ENODEV. Kernels before 5.18 store no marks.
func (h *Handle) Addresses(link string) (all, marked []netip.Prefix, err error) {
	addresses, err := h.ListAddresses(link)
	if err != nil {
		return nil, nil, err
	}
	all = make([]netip.Prefix, len(addresses))
	for i, a := range addresses {
		all[i] = a.Prefix
		if a.Protocol == inet.ProtocolHalo {
			marked = append(marked, a.Prefix)
		}
	}
	return all, marked, nil
}

// ListAddresses lists the addresses of one link with all their attributes. A
// link that does not exist is an error that wraps ENODEV.
func (h *Handle) ListAddresses(link string) ([]inet.Address, error) {
	var addresses []inet.Address
	err := h.read(func(s *socket) error {
		index, err := s.linkIndex(link)
		if err == nil {
			addresses, err = s.dumpAddresses(index)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s: %w", link, err)
	}
	return addresses, nil
}

// AddAddresses adds addresses to a link: with the given prefix length, in
// global scope, without broadcast address, and usable at once, which for IPv6
// means without duplicate address detection. An address that is there already
// with the same prefix length is left as it is. Every address is tried; what
// failed is in an inet.BatchError.
func (h *Handle) AddAddresses(link string, addresses []netip.Prefix) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	index, err := h.changes.linkIndex(link)
	if err != nil {
		return fmt.Errorf("add addresses to %s: %w", link, err)
	}
	requests := make([]request, len(addresses))
	for i, p := range addresses {
		requests[i] = newAddress(index, inet.Address{Prefix: p}, 0)
	}
	return failures(h.changes.execute(requests), func(i int) string {
		return fmt.Sprintf("add address %s to %s", addresses[i], link)
	}, unix.EEXIST)
}

// PutAddresses makes the addresses of a link be there as given. One of halo's
// that is there with other attributes gets the given ones, for which the kernel
// may require it to be deleted and added again; one that somebody else put
// there is left as it is. Every address is tried; what failed is in an
// inet.BatchError.
func (h *Handle) PutAddresses(link string, addresses []inet.Address) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	index, err := h.changes.linkIndex(link)
	if err != nil {
		return fmt.Errorf("put addresses on %s: %w", link, err)
	}
	results := h.changes.execute(eachRequest(addresses, func(a inet.Address) request { return newAddress(index, a, 0) }))
	if slices.ContainsFunc(results, func(err error) bool { return errors.Is(err, unix.EEXIST) }) {
		err = h.adapt(index, labelled(link, addresses), results)
	}
	if err != nil {
		return fmt.Errorf("put addresses on %s: %w", link, err)
	}
	return failures(results, func(i int) string {
		return fmt.Sprintf("put address %s on %s", addresses[i], link)
	})
}

// labelled are the addresses with the label that the kernel gives to those that
// are to have none.
func labelled(link string, addresses []inet.Address) []inet.Address {
	addresses = slices.Clone(addresses)
	for i := range addresses {
		if a := &addresses[i]; a.Addr().Is4() && a.Label == "" {
			a.Label = link
		}
	}
	return addresses
}

// adapt deals with the addresses that were there already: their results are
// replaced by those of making them as wanted.
func (h *Handle) adapt(index int, wanted []inet.Address, results []error) error {
	find := func() (map[inet.AddressID]inet.Address, error) {
		var present []inet.Address
		err := h.read(func(s *socket) (err error) {
			present, err = s.dumpAddresses(index)
			return err
		})
		byID := make(map[inet.AddressID]inet.Address, len(present))
		for _, a := range present {
			byID[a.ID()] = a
		}
		return byID, err
	}
	// The kernel changes lifetimes and flags in place; the rest needs a new
	// address. Deleting is the last resort: traffic for the address is refused
	// for the moment in between.
	for _, deleting := range []bool{false, true} {
		present, err := find()
		if err != nil {
			return err
		}
		var requests []request
		var places []int // whose result it is, or -1
		former := make(map[int]inet.Address)
		for i, want := range wanted {
			if !errors.Is(results[i], unix.EEXIST) {
				continue
			}
			have, ok := present[want.ID()]
			switch {
			case !ok:
				// The same IPv6 address with another prefix length: it
				// stays an error, since whose it is cannot be said.
			case have.Protocol != inet.ProtocolHalo || have.Satisfies(want):
				results[i] = nil
			case deleting:
				requests = append(requests, delAddress(index, have), newAddress(index, want, 0))
				places = append(places, -1, i)
				former[i] = have
			default:
				requests = append(requests, newAddress(index, want, unix.NLM_F_REPLACE))
				places = append(places, -1)
			}
		}
		var lost []request
		for j, err := range h.changes.execute(requests) {
			if i := places[j]; i >= 0 {
				if results[i] = err; err != nil {
					lost = append(lost, newAddress(index, former[i], 0))
				}
			}
		}
		// What cannot be had as wanted is better than nothing as it was; that
		// it is not as wanted is the error already.
		_ = h.changes.execute(lost)
	}
	return nil
}

// DelAddresses deletes addresses from a link. What is missing, address or
// link, counts as deleted. Every address is tried; what failed is in an
// inet.BatchError.
//
// When an IPv4 address goes, the kernel also deletes the later addresses of
// the same subnet, unless the link's promote_secondaries is set. So where an
// address that is to stay depends on one that is to go, DelAddresses sets it.
func (h *Handle) DelAddresses(link string, addresses []netip.Prefix) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	index, err := h.changes.linkIndex(link)
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete addresses from %s: %w", link, err)
	}
	var present []inet.Address
	err = h.read(func(s *socket) (err error) {
		present, err = s.dumpAddresses(index)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete addresses from %s: %w", link, err)
	}
	going := deletionOrder(present, addresses)
	if takesOthersAlong(present, going) {
		if err := h.changes.execute([]request{promoteSecondaries(index)})[0]; err != nil {
			return fmt.Errorf("set promote_secondaries of %s, without which deleting %s would delete other addresses: %w",
				link, going[0].Prefix, explain(err))
		}
	}
	results := h.changes.execute(eachRequest(going, func(a inet.Address) request { return delAddress(index, a) }))
	place := make(map[netip.Prefix]int, len(addresses))
	for i, p := range addresses {
		place[p] = i
	}
	ordered := make([]error, len(addresses))
	for i, err := range results {
		if p := place[going[i].Prefix]; ordered[p] == nil {
			ordered[p] = err
		}
	}
	// What a lost link takes along is deleted too.
	return failures(ordered, func(i int) string {
		return fmt.Sprintf("delete address %s from %s", addresses[i], link)
	}, unix.EADDRNOTAVAIL, unix.ENODEV)
}

// deletionOrder picks the addresses to delete out of those present, last one
// first: deleting a primary address before its secondaries would make the
// kernel promote one after the other.
func deletionOrder(present []inet.Address, wanted []netip.Prefix) []inet.Address {
	set := make(map[netip.Prefix]bool, len(wanted))
	for _, p := range wanted {
		set[p] = true
	}
	var going []inet.Address
	for _, a := range slices.Backward(present) {
		if set[a.Prefix] {
			going = append(going, a)
		}
	}
	return going
}

// takesOthersAlong tells whether an address that stays is a secondary of one
// that goes.
func takesOthersAlong(present, going []inet.Address) bool {
	leaving := make(map[netip.Prefix]bool, len(going))
	subnets := make(map[netip.Prefix]bool)
	for _, a := range going {
		leaving[a.Prefix] = true
		if !a.Secondary {
			subnets[a.Masked()] = true
		}
	}
	return slices.ContainsFunc(present, func(a inet.Address) bool {
		return a.Secondary && !leaving[a.Prefix] && subnets[a.Masked()]
	})
}

// eachRequest makes one request of each object.
func eachRequest[T any](objects []T, build func(T) request) []request {
	requests := make([]request, len(objects))
	for i, o := range objects {
		requests[i] = build(o)
	}
	return requests
}
