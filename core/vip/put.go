package vip

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// putting is what came of putting what is missing.
type putting struct {
	tried bool
	// interrupted means that the instance is not to hold anything any more.
	interrupted bool
	after       sight
	// added are the entries that are there now and were not before.
	added  []*entry
	failed [classes]failure
}

// failure is why entries of a class could not be put. What is waiting needs
// nothing but time.
type failure struct {
	err     error
	waiting bool
}

// put puts what is missing and looks whether it is there.
func (k *keeper) put() putting {
	now := time.Now()
	var missing []*entry
	for _, e := range k.entries {
		if !e.there() && !k.away(e) && !now.Before(k.patience[e.class].retryAt) {
			missing = append(missing, e)
		}
	}
	p := putting{tried: len(missing) > 0}
	if !p.tried {
		return p
	}
	errs, interrupted := k.request(missing)
	if interrupted {
		p.interrupted = true
		return p
	}
	p.after = k.look()
	now = time.Now()
	var still [classes][]*entry
	for _, e := range missing {
		if p.after.unseen[e.slot.source()] && errs[e] == nil {
			// Where it cannot look, the kernel's word that it added them has
			// to do.
			e.set(true, true, now)
		}
		switch {
		case e.there():
			p.added = append(p.added, e)
		case !k.away(e):
			still[e.class] = append(still[e.class], e)
		}
	}
	for c := range still {
		p.failed[c] = failureOf(still[c], errs)
	}
	return p
}

// failureOf is why entries are still missing. A route is waited for whose link
// is not there or not up.
func failureOf(still []*entry, errs map[*entry]error) failure {
	if len(still) == 0 {
		return failure{}
	}
	f := failure{waiting: true}
	for _, e := range still {
		err := errs[e]
		waits := e.kind() == kindRoute && (errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENETDOWN))
		if f.err == nil || f.waiting && !waits && err != nil {
			f.err = err
		}
		f.waiting = f.waiting && waits
	}
	if f.err == nil {
		f.err = fmt.Errorf("put %s: %s not there afterwards", still[0].place(), brief(names(still)))
	}
	return f
}

// putChunk is how many addresses are put before those are announced, and
// before it is asked whether they are still wanted.
const putChunk = 64

// request asks for entries in their order, the classes apart, so that an error
// can be told by class. The result is the error of each one's request, and
// whether the instance was told to release everything meanwhile.
func (k *keeper) request(missing []*entry) (errs map[*entry]error, interrupted bool) {
	errs = make(map[*entry]error)
	for _, part := range grouped(missing) {
		for chunk := range slices.Chunk(part, putChunk) {
			err := k.owner.facts.change(chunk[0].slot.source(), func() error { return k.owner.kernel.put(chunk) })
			blame(chunk, err, errs)
			repeat, wanted := k.interim()
			if !wanted {
				return nil, true
			}
			k.asked(repeat)
			if err == nil {
				k.bursts.extend(k.owner.crier, chunk)
			}
		}
	}
	return errs, false
}

// blame says which entries a request failed for: those that the kernel named, or
// all of them.
func blame(chunk []*entry, err error, errs map[*entry]error) {
	var batch *inet.BatchError
	switch {
	case err == nil:
	case errors.As(err, &batch):
		for _, f := range batch.Failures {
			errs[chunk[f.Index]] = f.Err
		}
	default:
		for _, e := range chunk {
			errs[e] = err
		}
	}
}

// grouped cuts entries into what can be asked for together, in the order in
// which it is put: by kind, then what is required first, then by interface.
func grouped(entries []*entry) [][]*entry {
	type group struct {
		source
		class class
	}
	var order []group
	parts := make(map[group][]*entry)
	for _, e := range entries {
		g := group{e.slot.source(), e.class}
		g.mark = 0 // Marks differ within a request.
		if parts[g] == nil {
			order = append(order, g)
		}
		parts[g] = append(parts[g], e)
	}
	slices.SortStableFunc(order, func(a, b group) int {
		if a.kind != b.kind {
			return int(a.kind) - int(b.kind)
		}
		return int(a.class) - int(b.class)
	})
	list := make([][]*entry, len(order))
	for i, g := range order {
		list[i] = parts[g]
	}
	return list
}

// put puts entries that are alike.
func (k Kernel) put(entries []*entry) error {
	switch s := entries[0].slot.(type) {
	case addressSlot:
		return k.Addresses.PutAddresses(s.iface, each(entries, func(e *entry) inet.Address { return e.address.Address }))
	case routeSlot:
		return k.Routes.PutRoutes(each(entries, func(e *entry) inet.Route { return e.route }))
	case ruleSlot:
		return k.Rules.PutRules(each(entries, func(e *entry) inet.Rule { return e.rule }))
	}
	return nil
}

func each[E, T any](list []E, of func(E) T) []T {
	all := make([]T, len(list))
	for i, e := range list {
		all[i] = of(e)
	}
	return all
}
