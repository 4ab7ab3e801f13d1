// Package pool decides which real servers of one virtual server are in service,
// and with which weight.
//
// It is pure: it reads no clock, starts no goroutine and touches no kernel. A
// Server is told what happened (a probe's result, a plugin gone, another
// configuration, what the kernel already serves) and answers with what follows
// from it: the wanted table, and who changed and why. core/balance calls it,
// from one goroutine per process; nothing here is safe for concurrent use.
//
// Three rules stand behind every line. A check's verdict changes only after rise
// passes or fall fails in a row. What is not known moves no traffic: a server
// about which nothing has been decided stays where it was, in or out. The table
// is always computed anew from the verdicts and weights, never adjusted, so that
// it cannot drift.
//
// Read Config first, then Server.Handle.
package pool

import (
	"net/netip"
	"slices"
	"time"

	"github.com/halo-ha/halo/core/ipvs"
)

// Server is one virtual server. Make it with New.
type Server struct {
	config  Config
	members []*member // sorted by address
	// addresses are those of members, side by side: a result's way to its member
	// is the search here, which would otherwise read a dozen members far apart.
	addresses []netip.AddrPort

	quorum State     // as it was last reported, Unknown before
	since  time.Time // when that was decided
	weight int       // total of the members that are admitted
	sorry  bool      // the sorry server stands in for the members

	table  ipvs.Service // the last one that was given out
	given  bool         // whether there was one
	losses bool         // some plugin may be lost with a grace that runs

	unsettled   bool   // a result was absorbed that may change the table
	unsettledBy Reason // why
}

// New returns a Server that has not given out a table yet: the first Handle
// does. Its members without checks are in service, all others are unknown and
// out until their checks, or the kernel (Adopted), say otherwise.
func New(now time.Time, c Config) *Server {
	s := &Server{since: now}
	s.reconfigure(now, c)
	return s
}

// Handle takes an event in and appends what follows from it to actions, in this
// order: ServerChanged by address, QuorumChanged, SetTable. An event that
// changes nothing appends nothing and allocates nothing.
func (s *Server) Handle(now time.Time, event Event, actions []Action) []Action {
	reason := ReasonNone
	switch e := event.(type) {
	case CheckResult:
		if !s.Absorb(&e) {
			return actions
		}
		return s.Settle(now, actions)
	case PluginLost:
		if m := s.member(e.Server); m != nil && m.lose(now, &e) {
			s.losses = true
		}
		if s.given {
			return actions
		}
	case DeadlineReached:
		if !s.expire(now) && s.given {
			return actions
		}
		reason = ReasonPluginLost
	case Adopted:
		s.adopt(e.Destinations)
		reason = ReasonAdopted
	case Reconfigured:
		s.reconfigure(now, e.Config)
		reason = ReasonReconfigured
	}
	return s.settle(now, reason, actions)
}

// Absorb takes in a result without computing the table, and reports whether
// Settle has to. Where many results come at once, as after a start, one
// computation then serves them all: with ten thousand members it costs ten
// thousand times what a result costs.
func (s *Server) Absorb(r *CheckResult) (unsettled bool) {
	if m := s.member(r.Server); m != nil {
		before := m.standing()
		reason := ReasonNone
		if m.result(r) {
			reason = m.evaluate(ReasonWeight)
		}
		if before != m.standing() {
			s.unsettled = true
			// A member that came or went has its own reason. What is reported
			// without one can only be about weight.
			if s.unsettledBy != ReasonWeight {
				s.unsettledBy = reason
			}
		}
	}
	return s.unsettled || !s.given
}

// Settle appends what follows from the results absorbed since the last time, as
// Handle does.
func (s *Server) Settle(now time.Time, actions []Action) []Action {
	return s.settle(now, s.unsettledBy, actions)
}

// Deadline returns when the Server wants DeadlineReached, and false when nothing
// waits for a time.
func (s *Server) Deadline() (time.Time, bool) {
	if !s.losses {
		return time.Time{}, false
	}
	var first time.Time
	for _, m := range s.members {
		for i := range m.checks {
			t, ok := m.checks[i].deadline()
			if ok && (first.IsZero() || t.Before(first)) {
				first = t
			}
		}
	}
	s.losses = !first.IsZero()
	return first, s.losses
}

// expire fails the checks whose plugin has been away for longer than its grace.
func (s *Server) expire(now time.Time) bool {
	changed := false
	for _, m := range s.members {
		for i := range m.checks {
			c := &m.checks[i]
			if t, ok := c.deadline(); ok && !now.Before(t) {
				c.expire()
				changed = true
			}
		}
		m.evaluate(ReasonPluginLost)
	}
	return changed
}

// adopt admits the members that the kernel serves and about which nothing is
// known, with the weight that they have there.
func (s *Server) adopt(destinations []ipvs.Destination) {
	for i := range destinations {
		if m := s.member(destinations[i].Address); m != nil {
			m.adopt(int(destinations[i].Weight))
		}
	}
}

func (s *Server) member(a netip.AddrPort) *member {
	i, ok := s.find(a)
	if !ok {
		return nil
	}
	return s.members[i]
}

func (s *Server) find(a netip.AddrPort) (int, bool) {
	return slices.BinarySearchFunc(s.addresses, a, netip.AddrPort.Compare)
}
