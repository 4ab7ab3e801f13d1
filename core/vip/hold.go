package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// hold puts the addresses on the interface and keeps them there.
func (k *keeper) hold(n notes) (next time.Time) {
	if k.phase != acquiring && k.phase != holding {
		k.phase = acquiring
		k.failures, k.retryAt, k.losses, k.drift = 0, time.Time{}, nil, nil
		k.removeFails, k.removeAt = 0, time.Time{}
	}
	k.reclaim(k.config.Addresses)
	if k.lost {
		return k.lostUntil
	}
	gone, err := k.look()
	if err != nil {
		if errors.Is(err, syscall.ENODEV) {
			return k.absent(gone)
		}
		return k.unseen(n, err)
	}
	k.blind = 0
	index := k.owner.index(k.config.Interface)
	recreated := k.away || (k.index != 0 && k.index != index)
	k.away, k.index = false, index
	now := time.Now()
	if len(gone) > 0 && !k.tookAway(now, gone, recreated) {
		return k.lostUntil
	}
	if now.Before(k.retryAt) {
		k.announce(n.repeat, nil)
		return k.retryAt
	}
	added, err := k.addMissing()
	if err == nil {
		k.failures = 0
		k.note(nil)
		k.settle(nil)
		if k.complete.IsZero() {
			k.complete = time.Now()
		}
	} else {
		k.incomplete()
		next = k.failed(err)
	}
	if k.phase == acquiring {
		// Becoming active is announced when the speaker asks for it.
		k.phase, added = holding, nil
	}
	k.announce(n.repeat, added)
	return next
}

// reclaim notes which addresses are held.
func (k *keeper) reclaim(addresses []netip.Prefix) {
	claims := make([]claim, len(addresses))
	for i, p := range addresses {
		claims[i] = claim{k.config.Interface, p}
	}
	if !slices.Equal(claims, k.claims) {
		k.owner.exchangeClaims(k, k.claims, claims)
		k.claims = claims
	}
}

// absent waits for a missing interface. That is not the addresses' fault, so
// nothing is lost by it.
func (k *keeper) absent(gone []netip.Prefix) (next time.Time) {
	k.away = true
	k.incomplete()
	k.mourn(gone, Recreated)
	k.note(fmt.Errorf("interface %s is missing", k.config.Interface))
	return time.Now().Add(missingPause)
}

// tookAway notes that addresses have been removed by somebody else, and tells
// whether they are to be put back.
func (k *keeper) tookAway(now time.Time, gone []netip.Prefix, recreated bool) bool {
	k.incomplete()
	if recreated {
		k.mourn(gone, Recreated)
		return true
	}
	k.mourn(gone, Removed)
	k.losses = append(recent(k.losses, now), now)
	if len(k.losses) >= restoreLimit {
		k.giveUp(fmt.Errorf("addresses of %s were removed %d times within %s, last %s",
			k.config.Interface, len(k.losses), restoreWindow, brief(gone)))
		return false
	}
	if again := len(k.losses) - 1; again > 0 {
		k.retryAt = now.Add(retryPause << (again - 1))
	}
	return true
}

// mourn notes addresses that were there, for the report when they are back.
func (k *keeper) mourn(gone []netip.Prefix, cause Cause) {
	if len(gone) == 0 {
		return
	}
	for _, p := range gone {
		k.addresses[p].restoring = true
	}
	if k.drift == nil {
		k.drift = &Drift{Cause: cause}
	}
	for _, p := range gone {
		if !slices.Contains(k.drift.Addresses, p) {
			k.drift.Addresses = append(k.drift.Addresses, p)
		}
	}
}

// unseen goes on without knowing what is on the interface. That is no reason
// to give anything up, nor to do without the addresses: adding what is there
// does no harm.
func (k *keeper) unseen(n notes, err error) (next time.Time) {
	k.note(err)
	if k.blind++; k.blind == 1 {
		k.owner.log.Error("cannot read addresses", "instance", k.name, "iface", k.config.Interface, "reason", err)
	}
	if k.phase == acquiring {
		k.phase = holding
		if _, err := k.add(k.config.Addresses); err != nil {
			return k.failed(err)
		}
	}
	k.announce(n.repeat, nil)
	return time.Now().Add(min(retryPause<<min(k.blind-1, 10), missingPause))
}

// addMissing adds what is missing. The added addresses are those that are
// there afterwards.
func (k *keeper) addMissing() (added []netip.Prefix, err error) {
	var missing []netip.Prefix
	for _, p := range k.config.Addresses {
		if !k.addresses[p].Present {
			missing = append(missing, p)
		}
	}
	if len(missing) > 0 {
		added, err = k.add(missing)
	}
	for _, p := range k.config.Addresses {
		if a := k.addresses[p]; a.Present && a.restoring {
			a.restoring = false
			a.Restores++
		}
	}
	return added, err
}

// add adds addresses and looks whether they are there. Where it cannot look,
// the kernel's word that it added them has to do.
func (k *keeper) add(missing []netip.Prefix) (added []netip.Prefix, err error) {
	addErr := k.owner.kernel.AddAddresses(k.config.Interface, missing)
	_, err = k.look()
	switch {
	case errors.Is(err, syscall.ENODEV):
		return nil, err
	case err != nil && addErr == nil:
		now := time.Now()
		for _, p := range missing {
			k.addresses[p].Present, k.addresses[p].Since = true, now
		}
		return missing, nil
	}
	var still []netip.Prefix
	for _, p := range missing {
		if k.addresses[p].Present {
			added = append(added, p)
		} else {
			still = append(still, p)
		}
	}
	switch {
	case len(still) == 0:
		return added, nil
	case addErr != nil:
		return added, addErr
	default:
		return added, fmt.Errorf("add addresses to %s: %s not there afterwards", k.config.Interface, brief(still))
	}
}

// failed counts an attempt that failed, and says when to try again.
func (k *keeper) failed(err error) (next time.Time) {
	if errors.Is(err, syscall.ENODEV) {
		return k.absent(nil)
	}
	k.note(err)
	if k.failures++; k.failures >= addLimit {
		k.giveUp(err)
		return k.lostUntil
	}
	k.retryAt = time.Now().Add(retryPause << (k.failures - 1))
	return k.retryAt
}

// announce tells the neighbours: of everything when the speaker asks, else of
// what has just been added.
func (k *keeper) announce(repeat int, added []netip.Prefix) {
	a := announcement{instance: k.name, repeat: repeat, sent: &k.sent}
	if repeat > 0 {
		for _, p := range k.config.Addresses {
			if k.addresses[p].Present {
				a.addresses = append(a.addresses, p.Addr())
			}
		}
		k.owner.lane(k.config.Interface).whole(a)
		return
	}
	if a.repeat = k.config.Repeat; a.repeat > 0 && len(added) > 0 {
		for _, p := range added {
			a.addresses = append(a.addresses, p.Addr())
		}
		k.owner.lane(k.config.Interface).some(a)
	}
}
