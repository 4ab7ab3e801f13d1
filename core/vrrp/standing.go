package vrrp

import (
	"net/netip"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Membership says that a router belongs to a sync group. The zero value is that
// of a router that decides for itself.
type Membership struct {
	// Name is the group's.
	Name string
	// First says that this member decides between equals: the one with the
	// lowest virtual address of all, because that is the same member on every
	// machine. With each member comparing addresses of its own network, two
	// machines could each win on one of them, for ever.
	First bool
	// Settle is how long the other members leave that to it. After this they
	// decide, because the first one does not hear the other machine.
	Settle time.Duration
}

// Standing is what a member of a sync group tells its Group, whenever any of it
// changes. It is told of no other router.
type Standing struct {
	// Group is the name of the group it belongs to.
	Group string
	// Born is when the router had its first event. It tells a router from the
	// next one of the same name, on another interface perhaps, whose Standings
	// may overtake its last.
	Born time.Time
	// Base is the configured priority and Priority the effective one.
	Base, Priority uint8
	State          State
	// Reason is why, or why the member wants to be active.
	Reason Reason
	// Wants says that a backup would be active if it were alone.
	Wants bool
	// Defers says that a backup has heard an active router it makes way for. If
	// it neither wants nor defers it is still listening.
	Defers bool
	Faults Faults
	// Detail names what raised the gravest of them, where that was said.
	Detail string
	// Peer is the router whose advertisement, or silence, led to the state.
	Peer netip.Addr
	// Obeyed is the number of the last order that was carried out.
	Obeyed uint64
	// Reclaims counts how often the member found that neighbours have to be won
	// back, and Reclaim is why the last time.
	Reclaims uint32
	Reclaim  AnnounceReason
}

// GroupOrdered is what a sync group has for one of its members. From a group that
// the router does not belong to, any more or yet, it is too late and ignored.
type GroupOrdered struct {
	Group string
	Event Event
}

// GroupActivated is a group's order to become active. Only a backup that wants
// to be obeys.
type GroupActivated struct{ Order uint64 }

// GroupYielded is a group's order not to be active.
type GroupYielded struct {
	Order uint64
	// Detail says which member is the cause, for people to read.
	Detail string
}

// GroupAnnounced tells that another member announced its addresses again.
type GroupAnnounced struct{ Reason AnnounceReason }

// reportStanding tells the group what has changed for it.
func (r *Router) reportStanding(actions []Action) []Action {
	s := r.standing
	s.Born = r.born
	s.Group, s.Base, s.Priority = r.config.Group.Name, r.config.Priority, r.priority
	s.State, s.Reason, s.Peer = r.state, r.reason, r.led
	s.Wants, s.Defers = false, false
	if r.state == Backup {
		s.Wants, s.Defers = r.backup.wants, r.backup.defers
		if s.Wants {
			s.Reason = r.backup.why
		}
	}
	s.Faults, s.Detail = r.faults.causes, r.faults.detail()
	if s == r.reported {
		return actions
	}
	r.standing, r.reported = s, s
	return append(actions, s)
}

// regroup applies a changed membership. A member that leaves a group, for another
// or for none, takes nothing along of what the old one decided.
func (r *Router) regroup(now time.Time, old *Config, actions []Action) []Action {
	if r.config.Group.Name == old.Group.Name {
		return actions
	}
	r.standing, r.reported = Standing{}, Standing{}
	if r.faults.causes.Has(FaultGroup) {
		r.faults.set(FaultGroup, false)
		actions = r.reviewFaults(now, actions)
	}
	// A timer that has ended is looked at again: alone, or for another group.
	r.backup.wants = false
	return actions
}

// tieSettled says whether an advertisement of equal priority from a higher
// address ends being active. In a sync group that is for the first member to
// say, unless it goes on for so long that the first one cannot hear it.
func (r *Router) tieSettled(now time.Time, a *wire.Advertisement) bool {
	if r.config.Group.Name == "" || r.config.Group.First {
		return true
	}
	s, pace := &r.active, max(r.config.Interval, a.Interval)
	if s.tie.IsZero() || now.Sub(s.tieHeard) > 3*pace {
		s.tie = now
	}
	s.tieHeard = now
	return now.Sub(s.tie) >= r.config.Group.Settle
}

func (r *Router) groupActivated(now time.Time, e GroupActivated, actions []Action) []Action {
	r.standing.Obeyed = e.Order
	if r.state != Backup || !r.backup.wants {
		return actions
	}
	return r.becomeActive(now, r.backup.why, actions)
}

// groupYielded says goodbye like a router that stops, so that whoever is better
// placed need not wait for silence.
func (r *Router) groupYielded(now time.Time, e GroupYielded, actions []Action) []Action {
	r.standing.Obeyed = e.Order
	if r.state != Active {
		return actions
	}
	actions = r.send(wire.PriorityRelease, actions)
	r.active, r.announce = activeState{}, announceState{}
	r.clearActiveMismatches()
	r.backup = backupState{interval: r.config.Interval}
	r.restartDown(now)
	actions = append(actions, ReleaseAddresses{})
	return r.enterDetailed(now, Backup, ReasonGroup, e.Detail, actions)
}

func (r *Router) groupAnnounced(now time.Time, e GroupAnnounced, actions []Action) []Action {
	if r.state != Active {
		return actions
	}
	return r.announceAgain(now, e.Reason, actions)
}
