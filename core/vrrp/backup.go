package vrrp

import (
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
	// patient says that the timer expired unobserved and one more interval is
	// being listened to.
	patient bool
	// lower is when the first of the present row of lower-priority
	// advertisements arrived: the start of the preempt delay.
	lower time.Time
}

// restartDown starts the Active_Down_Timer for its whole length.
func (r *Router) restartDown(now time.Time) {
	r.backup.from = now
	r.backup.resigned, r.backup.patient = false, false
	r.setDown()
}

// setDown computes the timer's end from its start.
func (r *Router) setDown() {
	b := &r.backup
	wait := ActiveDownInterval(r.config.Version, r.priority, b.interval)
	if b.resigned {
		wait = SkewTime(r.config.Version, r.priority, b.interval)
	}
	b.down = b.from.Add(wait)
}

// retimeBackup applies a changed configuration to the running timer.
func (r *Router) retimeBackup(now time.Time, old *Config) {
	b := &r.backup
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
	if late := now.Sub(b.down); late > b.interval && !b.patient {
		// This process was not running when the timer expired. Whether the
		// active router was silent is unknown, and what it said may still be on
		// its way up from the network card. Not in the RFC, which knows no late
		// timers: a healthy active router speaks within one interval.
		b.patient = true
		b.down = now.Add(b.interval + SkewTime(r.config.Version, r.priority, b.interval))
		return actions
	}
	reason := ReasonActiveDown
	if b.resigned {
		reason = ReasonActiveResigned
	}
	r.ownerAlone()
	return r.becomeActive(now, reason, actions)
}
