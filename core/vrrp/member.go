package vrrp

import (
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// member is what a Group knows of one of its routers.
type member struct {
	name     string
	standing Standing
	// ordered is the number of the last order, activate whether it was to become
	// active, given when the first of those was that are not carried out; zero
	// if all are.
	ordered  uint64
	activate bool
	given    time.Time
	// patient says that a deadline was missed by so much that it is this
	// process which has not run, stuck that the member had its time.
	patient, stuck bool
	// fault is what the member was told of another's fault, empty if nothing.
	fault string
	// base is the configured priority, asked what its trackers want instead and
	// detail which, told what was ordered and is not advertised yet; zero is
	// none.
	base, asked, told uint8
	detail            string
}

// configure sets the configured priority. Another one makes what trackers said
// void, as in the router.
func (m *member) configure(base uint8) {
	if base != m.base {
		m.base, m.asked, m.detail = base, 0, ""
	}
}

// stands takes note of what the member says, and says whether it has found that
// neighbours have to be won back.
func (m *member) stands(s Standing) bool {
	if s.State == Initialize || s.Born.After(m.standing.Born) {
		// It has gone, and who comes in its place knows of no orders.
		m.standing, m.ordered, m.fault, m.told = Standing{}, 0, "", 0
	}
	reclaims := s.Reclaims != m.standing.Reclaims && s.State == Active && m.standing.State == Active
	if s.Base != m.standing.Base || s.Priority == m.told {
		m.told = 0
	}
	if m.standing.State == Initialize && m.asked == 0 && s.Base == m.base && s.Priority != s.Base {
		// What trackers made of it before it came holds until they speak again.
		m.asked = s.Priority
	}
	m.standing = s
	if !m.inTransit() {
		m.given, m.patient, m.stuck = time.Time{}, false, false
	}
	return reclaims
}

func (m *member) order(now time.Time, number uint64, activate bool) {
	if !m.inTransit() {
		m.given = now
	}
	m.ordered, m.activate = number, activate
}

// inTransit says that the member has yet to carry out an order, so that where it
// stood when it spoke is past.
func (m *member) inTransit() bool { return m.ordered > m.standing.Obeyed }

// obedience is until when the member has time to carry out its orders.
func (m *member) obedience() time.Time {
	if m.given.IsZero() || m.stuck {
		return time.Time{}
	}
	return m.given.Add(obeyPatience)
}

// lateObedience gives up on a member that has had its time. If this event comes
// late itself, the whole process may have stood still, and the member gets
// another chance.
func (m *member) lateObedience(now time.Time) {
	limit := m.obedience()
	if !due(limit, now) {
		return
	}
	if now.Sub(limit) > obeyPatience && !m.patient {
		m.given, m.patient = now, true
		return
	}
	m.stuck = true
}

// faults are its own, without what the group has raised.
func (m *member) faults() Faults { return m.standing.Faults.with(FaultGroup, false) }

// holds says that it is active, or about to be.
func (m *member) holds() bool {
	if m.inTransit() {
		return m.activate
	}
	return m.standing.State == Active
}

// ready says that it could be active now.
func (m *member) ready() bool {
	return m.holds() || !m.inTransit() && m.standing.State == Backup && m.standing.Wants
}

// objects says that it must not be active: it has a fault, it makes way for
// another router, or it does not do what it is told. One that has just started
// and still listens does not object: by it the others are not moved.
func (m *member) objects() bool {
	switch {
	case m.faults() != 0 || m.stuck:
		return true
	case m.inTransit():
		return false
	}
	return m.standing.State == Backup && m.standing.Defers
}

// asks is the priority that the member alone would have.
func (m *member) asks() uint8 {
	if m.asked == 0 || m.base == wire.PriorityOwner {
		return m.base
	}
	return m.asked
}

// mustBeTold says whether the member has to be ordered to advertise a priority.
// An owner does not move, and one that has not got its new configuration yet
// would misunderstand.
func (m *member) mustBeTold(priority uint8) bool {
	s := &m.standing
	present := s.Priority
	if m.told != 0 {
		present = m.told
	}
	return s.State != Initialize && s.Base == m.base && m.base != wire.PriorityOwner && present != priority
}

// cause is the member as the reason of what the group does.
func (m *member) cause() Cause {
	s := &m.standing
	c := Cause{Reason: s.Reason, Member: m.name, Peer: s.Peer}
	switch own := m.faults(); {
	case own != 0:
		c.Reason, c.Faults = own.reason(), own
		if s.Faults.gravest() == own.gravest() {
			c.Detail = s.Detail
		}
	case m.stuck:
		c = Cause{Reason: ReasonStuck, Member: m.name}
	}
	return c
}
