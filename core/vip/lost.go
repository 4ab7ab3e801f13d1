package vip

import (
	"slices"
	"time"
)

// recover ends the time in which a lost instance does nothing.
func (k *keeper) recover(now time.Time) {
	if now.Before(k.lostUntil) {
		return
	}
	k.lost, k.lostUntil = false, time.Time{}
	k.losses, k.failures, k.retryAt = nil, 0, time.Time{}
	k.note(nil)
	k.owner.observer.Restored(k.name)
}

// incomplete ends a time in which all addresses were there. A long one makes
// up for the defeats before it.
func (k *keeper) incomplete() {
	if !k.complete.IsZero() && time.Since(k.complete) >= holdDownMax {
		k.defeats = 0
	}
	k.complete = time.Time{}
}

// giveUp reports that the addresses cannot be kept.
func (k *keeper) giveUp(reason error) {
	k.incomplete()
	k.lost = true
	k.lostUntil = time.Now().Add(min(holdDown<<min(k.defeats, 10), holdDownMax))
	k.defeats++
	k.note(reason)
	k.settle(reason)
	k.owner.observer.Lost(k.name, reason)
}

// settle reports drift that was put right, or cannot be.
func (k *keeper) settle(err error) {
	if k.drift == nil {
		return
	}
	d := *k.drift
	k.drift = nil
	k.report(d, err)
}

func (k *keeper) report(d Drift, err error) {
	d.Instance, d.Interface, d.Err = k.name, k.config.Interface, err
	k.owner.observer.Drifted(d)
}

// recent drops the times that are longer ago than restoreWindow.
func recent(times []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(times, func(t time.Time) bool { return now.Sub(t) >= restoreWindow })
}
