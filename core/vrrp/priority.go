package vrrp

import (
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// effective is the configured priority with what trackers add or take.
func (r *Router) effective() uint8 {
	if r.config.owner() {
		return wire.PriorityOwner
	}
	return clampPriority(int(r.config.Priority) + r.tracked)
}

// clampPriority keeps a computed priority clear of the two reserved values.
func clampPriority(p int) uint8 {
	return uint8(min(max(p, wire.PriorityRelease+1), wire.PriorityOwner-1))
}

// priorityChanged applies what trackers ask for. It is no election by itself: an
// active router says at once what it is worth now and goes on until a better one
// speaks up; of a backup only the skew changes.
func (r *Router) priorityChanged(now time.Time, e PriorityChanged, actions []Action) []Action {
	if r.config.owner() {
		return actions
	}
	was := r.priority
	r.tracked = int(clampPriority(e.Priority)) - int(r.config.Priority)
	r.priority = r.effective()
	if r.priority == was {
		return actions
	}
	switch r.state {
	case Initialize, Fault:
	case Backup:
		r.setDown()
	case Active:
		actions = r.tellChange(now, r.config.Interval, actions)
	}
	return r.reportPriority(was, e.Detail, actions)
}

func (r *Router) reportPriority(was uint8, detail string, actions []Action) []Action {
	if r.priority == was {
		return actions
	}
	return append(actions, EffectiveChanged{From: was, To: r.priority, Detail: detail})
}

// tellChange advertises what has changed without waiting for the Adver_Timer,
// whose interval was given. Behind a stall it leaves that to the timer, which is
// overdue: what waits on the socket has to be read first.
func (r *Router) tellChange(now time.Time, interval time.Duration, actions []Action) []Action {
	if now.Sub(r.active.sent) > 3*interval {
		return actions
	}
	return r.advertise(now, actions)
}
