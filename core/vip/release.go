package vip

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// release takes the entries out of the kernel's tables, and out again when
// somebody puts them back.
func (k *keeper) release() (next time.Time) {
	fresh := k.phase == acquiring || k.phase == holding
	if fresh {
		k.phase = releasing
		k.removeFails, k.removeAt, k.intrusions = 0, time.Time{}, nil
		k.patience = [classes]patience{}
		k.incomplete()
		for _, e := range k.entries {
			e.restoring = false
		}
	}
	if !k.relinquished && len(k.claims) > 0 {
		k.relinquished = true
		k.owner.relinquish(k, k.claims)
	}
	// Stepping down is not held up by looking at what is known to be there.
	going := k.present()
	hasty := fresh && len(going) > 0
	if !hasty {
		s := k.look()
		switch going = k.present(); {
		case len(going) == 0 && s.blind != nil:
			return k.stuck(s.blind)
		case len(going) == 0:
			k.clean()
			return time.Time{}
		}
	}
	intruded := k.phase == idle && k.swept
	if now := time.Now(); intruded && !now.Before(k.removeAt) {
		k.intrusions = append(recent(k.intrusions, now), now)
		if len(k.intrusions) > restoreLimit {
			k.removeAt = now.Add(truce)
			k.report(driftOf(Appeared, going),
				fmt.Errorf("added %d times within %s: left alone for %s", len(k.intrusions), restoreWindow, truce))
		}
	}
	if time.Now().Before(k.removeAt) {
		return k.removeAt
	}
	_, err := k.owner.delAll(going)
	if s := k.look(); s.blind != nil {
		return k.stuck(s.blind)
	}
	if still := k.present(); len(still) > 0 {
		if hasty && err == nil {
			return time.Now() // There was more than was known.
		}
		if err == nil {
			err = fmt.Errorf("delete %s: %s still there afterwards", still[0].place(), brief(names(still)))
		}
		return k.stuck(err)
	}
	switch {
	case intruded:
		k.report(driftOf(Appeared, going), nil)
	case k.phase == idle:
		k.report(driftOf(LeftOver, going), nil)
	}
	k.clean()
	return time.Time{}
}

// present are the entries that are there and should not be.
func (k *keeper) present() []*wish {
	var present []*wish
	for _, e := range k.entries {
		if e.Present && !e.kept {
			present = append(present, e.wish)
		}
	}
	// What another instance is just deleting is its business.
	return k.owner.unshared(k, present, k.phase == idle)
}

// clean notes that nothing is left to delete.
func (k *keeper) clean() {
	k.reclaim(nil)
	k.phase, k.swept, k.removeFails = idle, true, 0
	if !k.lost {
		k.lastErr = nil
	}
}

// stuck notes that deleting failed, and says when to try again.
func (k *keeper) stuck(err error) (next time.Time) {
	if k.removeFails == 0 {
		k.owner.log.Error("cannot delete what is released", "instance", k.name, "iface", k.config.Interface, "reason", err)
	}
	k.lastErr = err
	pause := min(retryPause<<min(k.removeFails, 10), removePauseMax)
	k.removeFails++
	k.removeAt = time.Now().Add(pause)
	return k.removeAt
}

// delAll deletes what was wished for: rules first, then routes, then addresses,
// and all of it that can be deleted. It returns what may be left, and why.
func (o *Owner) delAll(wishes []*wish) (left []*wish, err error) {
	var order []source
	parts := make(map[source][]*wish)
	for _, w := range wishes {
		s := w.slot.source()
		s.mark = 0 // Marks differ within a request.
		if parts[s] == nil {
			order = append(order, s)
		}
		parts[s] = append(parts[s], w)
	}
	slices.SortStableFunc(order, func(a, b source) int { return int(b.kind) - int(a.kind) })
	for _, s := range order {
		part := parts[s]
		if failed := o.del(part); failed != nil {
			left = append(left, part...)
			if err == nil {
				err = failed
			}
		}
	}
	return left, err
}

// del deletes what was wished for, where all wishes are alike.
func (o *Owner) del(wishes []*wish) error {
	return o.facts.change(wishes[0].slot.source(), func() error {
		switch s := wishes[0].slot.(type) {
		case addressSlot:
			list := each(wishes, func(w *wish) netip.Prefix { return w.address.Prefix })
			return o.jointly.del(s.iface, list, func(list []netip.Prefix) error {
				return o.kernel.Addresses.DelAddresses(s.iface, list)
			})
		case routeSlot:
			return o.kernel.Routes.DelRoutes(each(wishes, func(w *wish) inet.Route { return w.route }))
		case ruleSlot:
			return o.kernel.Rules.DelRules(each(wishes, func(w *wish) inet.Rule { return w.rule }))
		}
		return nil
	})
}
