package bfd

import "time"

// received obeys RFC 5880 §6.8.6 from where the session is found.
func (s *Session) received(now time.Time, e *PacketReceived, actions []Action) []Action {
	p := &e.Packet
	switch {
	case !s.config.accepts(e.TTL):
		return append(actions, PacketDropped{DropTTL})
	case p.Authentication:
		return append(actions, PacketDropped{DropAuthentication})
	}
	s.remote = remoteState{
		discriminator: p.MyDiscriminator, state: p.State, diagnostic: p.Diagnostic, demand: p.Demand,
		multiplier: p.Multiplier, desiredMinTx: p.DesiredMinTx, minRx: p.RequiredMinRx,
	}
	s.detect.heard = now
	if s.poll.heard(p.Final) {
		s.agreed()
	}
	if s.state == AdminDown {
		return append(actions, PacketDropped{DropAdminDown})
	}
	to, why := s.next(p.State)
	if to == s.state {
		return s.answer(now, p, actions)
	}
	change := s.enter(now, to, why)
	return append(s.answer(now, p, actions), change)
}

// next is the state machine (RFC 5880 §6.2, §6.8.6) of a side that is not in
// AdminDown: the state that follows from what the peer says its own is.
func (s *Session) next(remote State) (State, Diagnostic) {
	switch s.state {
	case Down:
		switch remote {
		case Down:
			return Init, DiagNone
		case Init:
			return Up, DiagNone
		case AdminDown, Up:
		}
	case Init:
		switch remote {
		case Init, Up:
			return Up, DiagNone
		case AdminDown:
			return Down, DiagNeighborSignaledDown
		case Down:
		}
	case Up:
		switch remote {
		case AdminDown, Down:
			return Down, DiagNeighborSignaledDown
		case Init, Up:
		}
	case AdminDown:
	}
	return s.state, s.diagnostic
}

// answer sends what a packet asks for. An answer to a Poll Sequence goes out
// without regard to any timer, and moves none (RFC 5880 §6.8.7).
func (s *Session) answer(now time.Time, p *Packet, actions []Action) []Action {
	if p.Poll {
		return s.send(false, true, actions)
	}
	return s.tell(now, actions)
}
