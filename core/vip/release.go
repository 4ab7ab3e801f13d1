package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"
)

// release takes the addresses off the interface, and off again when somebody
// puts them back.
func (k *keeper) release() (next time.Time) {
	if k.phase == acquiring || k.phase == holding {
		k.phase = releasing
		k.removeFails, k.removeAt, k.intrusions = 0, time.Time{}, nil
		k.failures, k.drift = 0, nil
		k.incomplete()
		for _, a := range k.addresses {
			a.restoring = false
		}
	}
	k.reclaim(nil)
	_, err := k.look()
	switch {
	case errors.Is(err, syscall.ENODEV):
		k.away = true
		k.clean()
		return time.Time{}
	case err != nil:
		return k.stuck(err)
	}
	k.away = false
	present := k.present()
	if len(present) == 0 {
		k.clean()
		return time.Time{}
	}
	intruded := k.phase == idle && k.swept
	if now := time.Now(); intruded && !now.Before(k.removeAt) {
		k.intrusions = append(recent(k.intrusions, now), now)
		if len(k.intrusions) > restoreLimit {
			k.removeAt = now.Add(truce)
			k.report(Drift{Addresses: present, Cause: Appeared},
				fmt.Errorf("added %d times within %s: left alone for %s", len(k.intrusions), restoreWindow, truce))
		}
	}
	if time.Now().Before(k.removeAt) {
		return k.removeAt
	}
	err = k.owner.kernel.DelAddresses(k.config.Interface, present)
	if _, lookErr := k.look(); lookErr != nil && !errors.Is(lookErr, syscall.ENODEV) {
		return k.stuck(lookErr)
	}
	if still := k.present(); len(still) > 0 {
		if err == nil {
			err = fmt.Errorf("delete addresses from %s: %s still there afterwards", k.config.Interface, brief(still))
		}
		return k.stuck(err)
	}
	switch {
	case intruded:
		k.report(Drift{Addresses: present, Cause: Appeared}, nil)
	case k.phase == idle:
		k.report(Drift{Addresses: present, Cause: LeftOver}, nil)
	}
	k.clean()
	return time.Time{}
}

// present are the addresses that are there and should not be.
func (k *keeper) present() []netip.Prefix {
	var present []netip.Prefix
	for _, p := range k.config.Addresses {
		if k.addresses[p].Present && !k.kept[p] {
			present = append(present, p)
		}
	}
	return k.owner.unshared(k, k.config.Interface, present)
}

// clean notes that nothing is left to delete.
func (k *keeper) clean() {
	k.phase, k.swept, k.removeFails = idle, true, 0
	if !k.lost {
		k.note(nil)
	}
}

// stuck notes that deleting failed, and says when to try again.
func (k *keeper) stuck(err error) (next time.Time) {
	if k.removeFails == 0 {
		k.owner.log.Error("cannot delete addresses", "instance", k.name, "iface", k.config.Interface, "reason", err)
	}
	k.note(err)
	pause := min(retryPause<<min(k.removeFails, 10), removePauseMax)
	k.removeFails++
	k.removeAt = time.Now().Add(pause)
	return k.removeAt
}
