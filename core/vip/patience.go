package vip

import (
	"fmt"
	"slices"
	"time"
)

// patience is what a keeper has gone through with the entries of one class.
type patience struct {
	retryAt  time.Time   // no putting before
	failures int         // attempts to put in a row that failed
	losses   []time.Time // removals by others, within restoreWindow
	drifts   []drift     // found, not yet put right: one for each cause
	err      error       // of the last attempt
}

// drift is entries that are to be reported when they are put right, or cannot
// be.
type drift struct {
	cause  Cause
	wishes []*wish
	among  map[slot]bool
}

// suffer notes what somebody else has taken away. It tells whether the
// instance goes on.
func (k *keeper) suffer(s sight) bool {
	for c := range classes {
		if len(s.gone[c]) > 0 && !k.tookAway(c, s.gone[c]) {
			k.abandon()
			return false
		}
	}
	return true
}

// tookAway notes that entries have been removed or changed by somebody else, and
// tells whether they are to be put back.
func (k *keeper) tookAway(c class, gone []*entry) bool {
	now, p := time.Now(), &k.patience[c]
	if c == required {
		k.incomplete()
	}
	foul := false
	for _, e := range gone {
		cause := k.causeOf(e)
		foul = foul || cause != Recreated
		p.mourn(e, cause)
	}
	if !foul {
		return true
	}
	p.losses = append(recent(p.losses, now), now)
	if len(p.losses) < restoreLimit {
		if again := len(p.losses) - 1; again > 0 {
			p.retryAt = now.Add(retryPause << (again - 1))
		}
		return true
	}
	err := fmt.Errorf("%s were removed %d times within %s, last %s",
		gone[0].place(), len(p.losses), restoreWindow, brief(names(gone)))
	if c == required {
		k.giveUp(err)
		return false
	}
	p.losses, p.retryAt, p.err = nil, now.Add(truce), fmt.Errorf("%w: left alone for %s", err, truce)
	k.settle(c, p.err)
	return true
}

// causeOf tells how an entry came to be gone.
func (k *keeper) causeOf(e *entry) Cause {
	if e.Present {
		return Changed
	}
	for _, name := range e.needs() {
		if k.links[name].recreated {
			return Recreated
		}
	}
	return Removed
}

// mourn notes an entry that was there, for the report when it is back.
func (p *patience) mourn(e *entry, cause Cause) {
	e.restoring = true
	i := slices.IndexFunc(p.drifts, func(d drift) bool { return d.cause == cause })
	if i < 0 {
		i = len(p.drifts)
		p.drifts = append(p.drifts, drift{cause: cause, among: make(map[slot]bool)})
	}
	if d := &p.drifts[i]; !d.among[e.slot] {
		d.among[e.slot] = true
		d.wishes = append(d.wishes, e.wish)
	}
}

// outcome judges an attempt to put what is missing of a class, and says when to
// try again.
func (k *keeper) outcome(c class, f failure) (next time.Time) {
	now, p := time.Now(), &k.patience[c]
	complete, absent := true, false
	for _, e := range k.entries {
		switch {
		case e.class != c:
		case !e.there():
			complete, absent = false, absent || k.away(e)
		case e.restoring:
			e.restoring = false
			e.Restores++
		}
	}
	if complete {
		p.failures, p.err = 0, nil
		k.settle(c, nil)
		if c == required && k.complete.IsZero() {
			k.complete = now
		}
		return time.Time{}
	}
	if c == required {
		k.incomplete()
	}
	switch {
	case f.err == nil && now.Before(p.retryAt):
		k.note(p.err)
		return p.retryAt
	case f.err == nil && absent:
		return time.Time{} // See absent.
	case f.err == nil:
		return now // What went while others were put.
	case f.waiting:
		p.err, p.retryAt = f.err, now.Add(missingPause)
	default:
		p.err, p.failures = f.err, p.failures+1
		if c == required && p.failures >= addLimit {
			k.giveUp(f.err)
			k.abandon()
			return k.lostUntil
		}
		p.retryAt = now.Add(min(retryPause<<min(p.failures-1, 10), optionalPauseMax))
		if p.failures == addLimit {
			k.owner.log.Error("cannot keep what is optional", "instance", k.name, "iface", k.config.Interface, "reason", f.err)
			k.settle(c, f.err)
		}
	}
	k.note(p.err)
	return p.retryAt
}

// recover ends the time in which a lost instance does nothing.
func (k *keeper) recover(now time.Time) {
	if now.Before(k.lostUntil) {
		return
	}
	k.lost, k.lostUntil = false, time.Time{}
	k.patience[required] = patience{}
	k.lastErr = nil
	k.owner.observer.Restored(k.name)
}

// incomplete ends a time in which all that is required was there. A long one
// makes up for the defeats before it.
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
	k.lastErr = reason
	k.settle(required, reason)
	k.owner.observer.Lost(k.name, reason)
}

// settle reports drift that was put right, or cannot be.
func (k *keeper) settle(c class, err error) {
	drifts := k.patience[c].drifts
	k.patience[c].drifts = nil
	for _, d := range drifts {
		k.report(driftOf(d.cause, d.wishes), err)
	}
}

func (k *keeper) report(d Drift, err error) {
	d.Instance, d.Interface, d.Err = k.name, k.config.Interface, err
	k.owner.observer.Drifted(d)
}

// recent drops the times that are longer ago than restoreWindow.
func recent(times []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(times, func(t time.Time) bool { return now.Sub(t) >= restoreWindow })
}
