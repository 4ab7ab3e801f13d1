package vip

import (
	"slices"
	"time"
)

// hold puts the entries into the kernel's tables and keeps them there.
func (k *keeper) hold(repeat int) (next time.Time) {
	fresh := k.phase == idle && k.swept
	if k.phase != acquiring && k.phase != holding {
		k.phase = acquiring
		k.patience = [classes]patience{}
		k.removeFails, k.removeAt = 0, time.Time{}
	}
	k.reclaim(k.entries)
	if k.lost {
		return k.lostUntil
	}
	var s sight
	if !fresh || !k.knownAbsent() {
		s = k.look()
	} // Else taking over is not held up by looking at what was just looked at.
	k.lastErr = nil
	if !k.suffer(s) {
		return k.lostUntil
	}
	k.asked(repeat)
	done := k.put()
	if done.interrupted {
		return time.Time{} // The next step is due, and releases everything.
	}
	if done.tried {
		s = done.after
		if !k.suffer(s) {
			return k.lostUntil
		}
	}
	for c := range classes {
		next = sooner(next, k.outcome(c, done.failed[c]))
		if k.lost {
			return k.lostUntil
		}
	}
	next = sooner(next, k.unread(s))
	next = sooner(next, k.absent(s))
	k.announce(done.added)
	if len(s.missing) == 0 || slices.ContainsFunc(k.entries, (*entry).there) {
		k.phase = holding
	} // Else it has not really begun.
	return next
}

// knownAbsent tells whether the last look found nothing, and what is the
// machine's own is known.
func (k *keeper) knownAbsent() bool {
	for _, l := range k.links {
		if l.away || l.addressed && !l.looked {
			return false
		}
	}
	return !slices.ContainsFunc(k.entries, func(e *entry) bool { return e.Present || e.Since.IsZero() })
}

// reclaim notes which entries are held.
func (k *keeper) reclaim(entries []*entry) {
	claims := make([]slot, len(entries))
	for i, e := range entries {
		claims[i] = e.slot
	}
	if k.relinquished || !slices.Equal(claims, k.claims) {
		k.owner.exchangeClaims(k, k.claims, claims)
		k.claims, k.relinquished = claims, false
	}
}
