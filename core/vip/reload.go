package vip

import (
	"net/netip"
	"slices"
	"time"
)

// adopt takes over a configuration. What is on the interface and no longer
// configured becomes obsolete.
func (k *keeper) adopt(c Instance) {
	old := k.config
	if old.Interface == c.Interface && old.AddressOwner == c.AddressOwner && old.Repeat == c.Repeat &&
		slices.Equal(old.Addresses, c.Addresses) {
		return
	}
	k.config = c
	addresses := make(map[netip.Prefix]*address, len(c.Addresses))
	for _, p := range c.Addresses {
		addresses[p] = &address{AddressStatus: AddressStatus{Address: p}}
	}
	for p, a := range k.addresses {
		switch {
		case old.Interface == c.Interface && addresses[p] != nil:
			addresses[p] = a
		case a.Present && !k.kept[p]:
			k.obsolete = append(k.obsolete, claim{old.Interface, p})
		}
	}
	k.addresses = addresses
	k.obsolete = slices.DeleteFunc(k.obsolete, func(o claim) bool {
		return o.iface == c.Interface && addresses[o.prefix] != nil
	})
	if old.Interface != c.Interface && old.Interface != "" {
		k.away, k.index, k.kept = false, 0, nil
		k.phase, k.swept, k.drift = idle, false, nil
		k.reclaim(nil)
		k.owner.silence(k.name)
	}
	k.looked = false // What is new may be the machine's own.
	k.incomplete()
	if k.lost {
		k.lostUntil = time.Now() // The cause may be gone.
	}
}

// dropObsolete deletes what is no longer configured.
func (k *keeper) dropObsolete() (next time.Time) {
	if len(k.obsolete) == 0 {
		return time.Time{}
	}
	now, pause := time.Now(), removePauseMax
	if k.ended() {
		pause = retryPause
		k.obsoleteAt = sooner(k.obsoleteAt, now.Add(pause))
	}
	if now.Before(k.obsoleteAt) {
		return k.obsoleteAt
	}
	byInterface := make(map[string][]netip.Prefix)
	for _, c := range k.obsolete {
		byInterface[c.iface] = append(byInterface[c.iface], c.prefix)
	}
	k.obsolete = nil
	for iface, list := range byInterface {
		err := k.owner.kernel.DelAddresses(iface, k.owner.unshared(k, iface, list))
		if err == nil {
			k.obsoleteLogs = false
			continue
		}
		k.note(err)
		if !k.obsoleteLogs {
			k.obsoleteLogs = true
			k.owner.log.Error("cannot delete addresses", "instance", k.name, "iface", iface, "reason", err)
		}
		for _, p := range list {
			k.obsolete = append(k.obsolete, claim{iface, p})
		}
		k.obsoleteAt = time.Now().Add(pause)
		next = k.obsoleteAt
	}
	return next
}
