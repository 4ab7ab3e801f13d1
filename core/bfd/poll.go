package bfd

// pollState is the Poll Sequence by which the peer confirms that it has learnt
// new intervals (RFC 5880 §6.5).
type pollState struct {
	// active says that periodic packets carry the Poll bit.
	active bool
	// again says that something has changed since the sequence began, so that
	// its end confirms nothing and another one must follow.
	again bool
	// settled says that a packet without the Final bit has come since the last
	// sequence ended. Before that, an answer could be one to a packet of that
	// one (§6.8.3, the third of three ways to tell).
	settled bool
}

// start asks for a sequence, now or as soon as its end can be told.
func (p *pollState) start() {
	if p.active || !p.settled {
		p.again = true
		return
	}
	p.active = true
}

// heard takes note of a packet and says whether with it everything is confirmed.
func (p *pollState) heard(final bool) bool {
	switch {
	case final && p.active:
		p.active, p.settled = false, false
		return !p.again
	case !final && !p.active:
		p.settled = true
		p.active, p.again = p.again, false
	}
	return false
}
