package pool

import (
	"slices"
	"time"

	"github.com/halo-ha/halo/core/ipvs"
)

// settle computes quorum and table from what the members are, and appends what
// differs from the last time.
func (s *Server) settle(now time.Time, reason Reason, actions []Action) []Action {
	s.unsettled, s.unsettledBy = false, ReasonNone
	s.weight = 0
	for _, m := range s.members {
		if m.admitted {
			s.weight = min(s.weight+m.weight(), ipvs.MaxWeight)
		}
	}
	reached := s.weight >= s.config.Quorum
	displaced := s.sorry
	s.sorry = !reached && s.config.SorryServer.IsValid()

	swapped := ReasonNone
	switch {
	case s.sorry && !displaced:
		swapped = ReasonQuorumLost
	case !s.sorry && displaced:
		swapped = ReasonQuorumGained
	}
	for _, m := range s.members {
		actions = s.report(now, m, swapped, reason, actions)
	}
	actions = s.reportQuorum(now, reached, actions)

	table := s.wanted()
	if s.given && table.Equal(&s.table) {
		return actions
	}
	s.table, s.given = table, true
	return append(actions, SetTable{Service: table, Reason: reason})
}

// report appends what changed about a member since it was last reported.
func (s *Server) report(now time.Time, m *member, swapped, reason Reason, actions []Action) []Action {
	state := m.decided()
	if state == Unknown {
		state = m.state
	}
	in := s.serves(m)
	if state == m.state && in == m.inService {
		m.fresh = false
		return actions
	}
	c := ServerChanged{
		Server: m.config.Address, From: m.state, To: state,
		WasInService: m.inService, InService: in, Weight: s.tableWeight(m), Why: m.why,
	}
	switch {
	case m.fresh: // The member's own reason.
	case swapped != ReasonNone:
		c.Why = Why{Reason: swapped}
	default:
		c.Why = Why{Reason: reason}
	}
	m.state, m.inService, m.since, m.fresh = state, in, now, false
	return append(actions, c)
}

// reportQuorum appends whether the quorum was gained or lost. Before the first
// decision a quorum that servers not yet proven could still reach is unknown.
func (s *Server) reportQuorum(now time.Time, reached bool, actions []Action) []Action {
	to, reason := Down, ReasonQuorumLost
	switch {
	case reached:
		to, reason = Up, ReasonQuorumGained
	case s.quorum == Unknown && s.possible() >= s.config.Quorum:
		return actions
	}
	if to == s.quorum {
		return actions
	}
	c := QuorumChanged{From: s.quorum, To: to, Reason: reason, Weight: s.weight, Quorum: s.config.Quorum, Sorry: s.sorry}
	s.quorum, s.since = to, now
	return append(actions, c)
}

// possible is the total weight if everybody of whom nothing is known were up.
func (s *Server) possible() int {
	total := 0
	for _, m := range s.members {
		if m.admitted || m.decided() == Unknown {
			total += m.weight()
		}
	}
	return total
}

// isSorry reports whether the member is the sorry server and stands in for all.
func (s *Server) isSorry(m *member) bool {
	return s.sorry && m.config.Address == s.config.SorryServer
}

// serves reports whether the member, as itself, takes new connections.
func (s *Server) serves(m *member) bool {
	return m.admitted && m.weight() > 0 && (!s.sorry || s.isSorry(m))
}

// tableWeight is the member's weight in the wanted table; 0 also if it is not there.
func (s *Server) tableWeight(m *member) int {
	switch {
	case s.isSorry(m) && !m.admitted:
		return 1
	case s.isSorry(m):
		return max(m.weight(), 1)
	case m.admitted && !s.sorry:
		return m.weight()
	default:
		return 0
	}
}

// wanted computes the table: the members that are admitted, or the sorry server
// in their place, and with weight 0 everybody else who is to be quiesced. A
// sorry server that is also a member appears once, with the member's forwarding.
func (s *Server) wanted() ipvs.Service {
	w := s.config.Service
	w.Destinations = make([]ipvs.Destination, 0, len(s.members)+1)
	merged := false
	for _, m := range s.members {
		present := m.admitted && !s.sorry || s.isSorry(m) || m.config.OnFailure == Quiesce
		if !present {
			continue
		}
		merged = merged || s.isSorry(m)
		w.Destinations = append(w.Destinations, ipvs.Destination{
			Address: m.config.Address, Forwarding: m.config.Forwarding, Weight: uint32(s.tableWeight(m)),
		})
	}
	if s.sorry && !merged {
		d := ipvs.Destination{Address: s.config.SorryServer, Forwarding: s.config.SorryForwarding, Weight: 1}
		i, _ := slices.BinarySearchFunc(w.Destinations, d, func(a, b ipvs.Destination) int { return a.Address.Compare(b.Address) })
		w.Destinations = slices.Insert(w.Destinations, i, d)
	}
	return w
}
