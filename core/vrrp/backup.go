package vrrp

import (
	"net/netip"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// backupState is what a backup router knows (RFC 9568 §6.4.2).
type backupState struct {
	// down is the Active_Down_Timer, as a deadline.
	down time.Time
	// from is when the timer was started last.
	from time.Time
	// interval is the Active_Adver_Interval: the active router's in version 3
	// once it was heard, the own one otherwise.
	interval time.Duration
	learned  bool
	// resigned says that the active router gave up and the timer runs for the
	// skew time only.
	resigned bool
	// owner says that the timer is that of an owner that could not start at
	// once: it ends when it may.
	owner bool
	// patient says that the timer expired unobserved and one more interval is
	// being listened to.
	patient bool
	// lower is when the first of the present row of lower-priority
	// advertisements arrived: the start of the preempt delay.
	lower time.Time
	// defers says that an active router was heard that this one makes way for.
	defers bool
	// wants says that the timer has ended and the sync group has to agree, for
	// the reason why.
	wants bool
	why   Reason
}

// restartDown starts the Active_Down_Timer for its whole length.
func (r *Router) restartDown(now time.Time) {
	b := &r.backup
	b.from = now
	b.resigned, b.owner, b.patient, b.wants = false, false, false, false
	r.setDown()
}

// setDown computes the timer's end from its start. During the startup delay it
// has not started: what is not heard then is not silence.
func (r *Router) setDown() {
	b := &r.backup
	if b.wants {
		return
	}
	skew := SkewTime(r.config.Version, r.priority, b.interval)
	wait := ActiveDownInterval(r.config.Version, r.priority, b.interval)
	switch {
	case b.owner:
		wait = 0
	case b.patient:
		wait = b.interval + skew
	case b.resigned:
		wait = skew
	}
	from := b.from
	if from.Before(r.held) {
		from = r.held
	}
	b.down = from.Add(wait)
}

// retimeBackup applies a changed configuration to the running timer.
func (r *Router) retimeBackup(now time.Time, old *Config, actions []Action) []Action {
	b := &r.backup
	if r.config.owner() && !old.owner() {
		// As at startup: an owner does not wait (RFC 9568 §6.4.1).
		if !r.mayWait(now) {
			return r.becomeActive(now, ReasonOwner, actions)
		}
		r.waitAsOwner(now)
		return actions
	}
	if r.config.Version != wire.V3 {
		b.learned = false
	}
	if !b.learned && b.interval != r.config.Interval {
		b.interval = r.config.Interval
		// The active router may still be at the old pace: start over.
		b.from = now
	}
	if r.config.Version != old.Version {
		b.from = now
	}
	r.setDown()
	return actions
}

// backupReceived is RFC 9568 §6.4.2 and RFC 3768 §6.4.2, advertisement.
func (r *Router) backupReceived(now time.Time, a *wire.Advertisement, actions []Action) []Action {
	b := &r.backup
	if a.Priority == wire.PriorityRelease {
		// The wait is the skew time, counted from the first of several: some
		// routers say goodbye twice.
		if !b.resigned {
			b.from, b.resigned, b.patient = now, true, false
			r.setDown()
		}
		return actions
	}
	if a.Priority < r.priority && r.preempts(now) {
		// The advertisement is discarded and the timer goes on.
		if r.ownerAlone() {
			r.setDown()
		}
		return actions
	}
	if a.Priority >= r.priority {
		b.lower = time.Time{}
	}
	if r.config.Version == wire.V3 {
		b.interval, b.learned = a.Interval, true
	}
	b.defers = true
	r.restartDown(now)
	return actions
}

// preempts says whether an advertisement of lower priority is to be discarded.
// The first one starts the clock of the preempt delay; until it has run out
// they count as if their priority were higher.
func (r *Router) preempts(now time.Time) bool {
	switch {
	case r.config.owner():
		// An owner preempts always (RFC 9568 §6.1, Preempt_Mode).
		return true
	case !r.config.Preempt:
		return false
	}
	if r.backup.lower.IsZero() {
		r.backup.lower = now
	}
	return now.Sub(r.backup.lower) >= r.config.PreemptDelay
}

// backupDeadline is the Active_Down_Timer.
func (r *Router) backupDeadline(now time.Time, actions []Action) []Action {
	b := &r.backup
	if !due(b.down, now) {
		return actions
	}
	if late := now.Sub(b.down); late > b.interval && !b.patient && !b.owner {
		// This process was not running when the timer expired. Whether the
		// active router was silent is unknown, and what it said may still be on
		// its way up from the network card. Not in the RFC, which knows no late
		// timers: a healthy active router speaks within one interval.
		b.from, b.patient = now, true
		r.setDown()
		return actions
	}
	reason := ReasonActiveDown
	switch {
	case b.owner:
		reason = ReasonOwner
	case b.resigned:
		reason = ReasonActiveResigned
	}
	r.ownerAlone()
	if r.config.Group.Name != "" {
		b.down, b.wants, b.why, b.defers = time.Time{}, true, reason, false
		r.led = netip.Addr{}
		if reason.electoral() {
			r.led = r.peer.Address
		}
		return actions
	}
	return r.becomeActive(now, reason, actions)
}
