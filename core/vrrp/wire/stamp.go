package wire

import (
	"net/netip"
	"slices"
	"time"
)

// Stamp is the sequence number of a trailer: from above, 32 bits of seconds of
// Unix time modulo 2^32, 16 of a fraction of a second, and 16 that tell apart what
// leaves in the same fraction. To a receiver the lower half only has an order.
type Stamp uint64

const (
	stampSecond   = 32 // The bit a second begins at,
	stampFraction = 16 // and its fraction.
)

func stampOf(now time.Time) Stamp {
	fraction := uint64(now.Nanosecond()) << 16 / uint64(time.Second)
	return Stamp(uint64(uint32(now.Unix()))<<stampSecond | fraction<<stampFraction)
}

// After says whether s was made after other, modulo 2^64 (RFC 1982 §3.2): in 2106
// the seconds begin again at zero.
func (s Stamp) After(other Stamp) bool { return int64(s-other) > 0 }

// Age is how many whole seconds of the clock have passed since the stamp's second
// began; below zero it is from a clock that is ahead. It is right within 68 years.
func (s Stamp) Age(now time.Time) time.Duration {
	return time.Duration(int32(uint32(now.Unix())-uint32(s>>stampSecond))) * time.Second
}

// Stamps makes the stamps of the advertisements that one virtual router sends. It
// belongs to that, for as long as that exists, also across a change of
// configuration: Keepalived begins again there, and is not believed for a while
// if its clock was set back shortly before. The zero value has made none.
type Stamps struct {
	last Stamp
	// any says that there was one. Without it the first stamp after 2038-01-19
	// would not be after zero, and Monotonic would count up from there.
	any bool
}

// Next is the stamp of the next advertisement: the time, by the wall clock. Where
// that did not move on, or was set back, it is one more than the last one. Where
// it was set back by more than the window, Windowed follows it: by then the
// receivers have no use for what came before.
func (s *Stamps) Next(now time.Time, h *HMAC) Stamp {
	c := stampOf(now)
	// A stamp that is ahead of the clock has a negative age.
	back := h.Regime == Windowed && s.last.Age(now) < -h.Window
	if !s.any || c.After(s.last) || back {
		s.last, s.any = c, true
		return c
	}
	s.last++
	return s.last
}

// Marks are the highest stamps heard, by sender. They belong to one virtual router,
// for as long as that exists: across a change of its configuration, of its keys
// and of who is active, because each time they are forgotten is one more at which
// a recorded advertisement counts. Keepalived forgets them at every reload.
type Marks struct {
	// heard has the sender heard last first. Its capacity is the room there is.
	heard []mark
}

type mark struct {
	source netip.Addr
	last   Stamp
}

// MulticastSenders is room enough for a group on one link. Only those who hold a
// key take up room, and most are silent.
const MulticastSenders = 8

// NewMarks has room for n senders: MulticastSenders, or the number of unicast
// peers. It does not grow by itself. Beyond it the sender heard longest ago is
// forgotten, and what it sends next is measured as a new sender's.
func NewMarks(n int) *Marks { return &Marks{make([]mark, 0, max(n, 1))} }

// Resize makes room for n senders and keeps those heard last.
func (m *Marks) Resize(n int) {
	n = max(n, 1)
	if n != cap(m.heard) {
		heard := make([]mark, 0, n)
		m.heard = append(heard, m.heard[:min(len(m.heard), n)]...)
	}
}

// accept says whether the stamp is after all of its sender's before, and then
// remembers it. There is no allowance for packets that overtake each other, which
// advertisements do not.
func (m *Marks) accept(source netip.Addr, s Stamp, now time.Time, h *HMAC) bool {
	source = source.WithZone("")
	i := slices.IndexFunc(m.heard, func(k mark) bool { return k.source == source })
	switch {
	case i >= 0:
		last := m.heard[i].last
		// A mark outside the window is of no use to Windowed: what is behind
		// the window is stale, and what is ahead of it is from before a clock
		// was set back.
		expired := h.Regime == Windowed && !h.fresh(last, now)
		if !expired && !s.After(last) {
			return false
		}
	case cap(m.heard) == 0:
		return false
	case len(m.heard) < cap(m.heard):
		i = len(m.heard)
		m.heard = m.heard[:i+1]
	default:
		i = len(m.heard) - 1
	}
	copy(m.heard[1:i+1], m.heard[:i])
	m.heard[0] = mark{source, s}
	return true
}
