package wire

// Sequence is the counter of the authentication header. All routers of a group
// share the numbers, as Keepalived's do: who becomes active goes on above the
// highest one heard, so that a backup needs one counter and not one for each
// peer. It belongs to one virtual router, for as long as that exists, also across
// a change of configuration. The zero value has heard and sent nothing, and
// accepts any number first: a router that was started again listens before it
// speaks, and so learns where the group is.
type Sequence struct{ last uint32 }

// Next is the number of the next advertisement to be sent. The first one is 1,
// and 0 is left out where the counter wraps: it is never valid (RFC 2402 §3.3.2).
func (s *Sequence) Next() uint32 {
	s.last++
	if s.last == 0 {
		s.last = 1
	}
	return s.last
}

// accept says whether the number is above all that were seen or sent, and then
// remembers it. RFC 2402 §3.4.3 allows a window for packets that overtake each
// other, which advertisements do not. RFC 2402 §3.3.2 has a new key negotiated
// before the counter wraps, which nobody does here; so above is meant modulo 2^32
// (RFC 1982 §3.2). That makes a record old enough to be replayed only after half
// of the numbers, which are 68 years of advertisements.
func (s *Sequence) accept(n uint32) bool {
	if n == 0 || s.last != 0 && int32(n-s.last) <= 0 {
		return false
	}
	s.last = n
	return true
}
