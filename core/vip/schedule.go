package vip

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Announcements are paced so that thousands of them neither fill the network's
// queues nor take the processor from the advertisements.
const (
	// rate is how many first packets go out in a millisecond, and reserve how
	// many at once after a pause.
	rate    = 128
	reserve = 2 * rate
	// repeatCost is how many first packets one repetition counts as: once
	// every address is reachable there is no hurry.
	repeatCost = 4
	// batchLimit is how many packets are sent in one go, and quantum how many
	// of them an instance has in its turn.
	batchLimit = 32
	quantum    = 8
	// roundPause is the least time between two packets for one address, so that
	// one short disturbance does not lose them all.
	roundPause = 20 * time.Millisecond
	// stallAfter is how long an interface may take for a batch before the
	// others do not wait for it any more.
	stallAfter = 5 * time.Millisecond
	// Repetitions rest for restFactor times as long as the last of them took,
	// but no longer than restMax: where sending is slow they take a quarter of
	// the time at most.
	restFactor = 3
	restMax    = 20 * time.Millisecond
	// paceTick is the least time to wait for the pace.
	paceTick = time.Millisecond
)

// schedule decides what is announced next, and when. The order is:
//
//   - the first packet for every address before the second one for any, then
//     the second before the third, on all interfaces together;
//   - within such a round, instances take turns of quantum packets.
//
// An interface that is slow to take its packets holds up only itself. A
// schedule is not safe for concurrent use, and knows no clock: time is an
// argument.
type schedule struct {
	// bursts are in the order of their turns: who had one last is last.
	bursts  []*burst
	flights map[string]*batch // on their way, by interface

	credit    float64 // packets that may be sent now
	refilled  time.Time
	restUntil time.Time // no repetitions before
}

// burst is what is left to be announced of an instance on an interface.
type burst struct {
	instance  string
	iface     string
	addresses []netip.Addr
	next      int       // index of the next address of this round
	turn      int       // packets left of its turn, 0 when it is not its turn
	round     int       // rounds done
	repeat    int       // rounds to do
	notBefore time.Time // when the next round may begin
	open      bool      // more addresses follow in the first round
	sent      *atomic.Uint64
}

// batch is packets on their way.
type batch struct {
	iface     string
	addresses []netip.Addr
	parts     []part
	round     int
	since     time.Time
}

type part struct {
	burst   *burst
	packets int
}

// idle tells whether a burst waits for more addresses.
func (b *burst) idle() bool { return b.next == len(b.addresses) }

// add adds a burst, unless there is nothing in it.
func (s *schedule) add(b *burst) {
	if b.repeat > 0 && (b.open || len(b.addresses) > 0) {
		s.bursts = append(s.bursts, b)
	}
}

// drop forgets an instance's bursts. What is on its way is not to be stopped.
func (s *schedule) drop(instance string) {
	s.bursts = slices.DeleteFunc(s.bursts, func(b *burst) bool { return b.instance == instance })
}

// finish says that the addresses of an open burst are known. Those that it does
// not have are announced no more.
func (s *schedule) finish(b *burst, addresses []netip.Addr, repeat int, now time.Time) {
	stays := make(map[netip.Addr]bool, len(addresses))
	for _, a := range addresses {
		stays[a] = true
	}
	done := b.next
	b.next = 0
	for _, a := range b.addresses[:done] {
		if stays[a] {
			b.next++
		}
	}
	b.addresses = slices.DeleteFunc(b.addresses, func(a netip.Addr) bool { return !stays[a] })
	for _, a := range b.addresses {
		delete(stays, a)
	}
	for _, a := range addresses {
		if stays[a] {
			b.addresses = append(b.addresses, a)
		}
	}
	b.open, b.repeat = false, max(b.repeat, repeat)
	if b.idle() {
		s.endRound(b, now.Add(roundPause))
	}
}

// endRound ends a round of a burst.
func (s *schedule) endRound(b *burst, notBefore time.Time) {
	b.next, b.notBefore = 0, notBefore
	if b.round++; b.round >= b.repeat || len(b.addresses) == 0 {
		s.bursts = slices.DeleteFunc(s.bursts, func(o *burst) bool { return o == b })
	}
}

// pick is the next batch, which is on its way from then on. Where there is none
// it is nil, and wake says when there will be one unless something changes,
// zero for never.
func (s *schedule) pick(now time.Time) (next *batch, wake time.Time) {
	s.refill(now)
	first, wake := s.first(now)
	if first == nil {
		return nil, wake
	}
	cost := 1.0
	if first.round > 0 {
		cost = repeatCost
		if now.Before(s.restUntil) {
			return nil, sooner(wake, s.restUntil)
		}
	}
	limit := min(batchLimit, int(s.credit/cost))
	if limit == 0 {
		return nil, sooner(wake, now.Add(paceTick))
	}
	next = s.fill(first, limit, now)
	s.credit -= cost * float64(len(next.addresses))
	s.flights[next.iface] = next
	return next, time.Time{}
}

// first is the burst whose turn it is, or when it will be somebody's.
func (s *schedule) first(now time.Time) (first *burst, wake time.Time) {
	// held is the least round of what interfaces that keep up have not sent yet.
	const none = int(^uint(0) >> 1)
	held := none
	for _, f := range s.flights {
		if stalled := f.since.Add(stallAfter); now.Before(stalled) {
			held, wake = min(held, f.round), sooner(wake, stalled)
		}
	}
	for _, b := range s.bursts {
		flight := s.flights[b.iface]
		switch {
		case b.idle():
		case b.notBefore.After(now):
			wake = sooner(wake, b.notBefore)
		case flight != nil:
			if now.Before(flight.since.Add(stallAfter)) {
				held = min(held, b.round)
			}
		case first == nil || b.round < first.round:
			first = b
		}
	}
	if first != nil && first.round > held {
		return nil, wake
	}
	return first, wake
}

// fill makes a batch of what is to be sent along with the first burst: of the
// same round, on the same interface, by turns.
func (s *schedule) fill(first *burst, limit int, now time.Time) *batch {
	next := &batch{iface: first.iface, round: first.round, since: now}
	for len(next.addresses) < limit {
		before := len(next.addresses)
		var served []*burst
		for _, b := range s.bursts {
			if b.iface != first.iface || b.round != next.round || b.notBefore.After(now) || b.idle() {
				continue
			}
			if b.turn == 0 {
				b.turn = quantum
			}
			n := min(b.turn, limit-len(next.addresses), len(b.addresses)-b.next)
			next.addresses = append(next.addresses, b.addresses[b.next:b.next+n]...)
			next.parts = append(next.parts, part{b, n})
			b.next += n
			b.turn -= n
			served = append(served, b)
			if len(next.addresses) == limit {
				break
			}
		}
		for _, b := range served {
			if b.turn == 0 || b.idle() {
				b.turn = 0
				s.last(b)
			}
			if b.idle() && !b.open {
				s.endRound(b, now.Add(roundPause))
			}
		}
		if len(next.addresses) == before {
			break
		}
	}
	return next
}

// last puts a burst at the end of the order.
func (s *schedule) last(b *burst) {
	i := slices.Index(s.bursts, b)
	s.bursts = append(slices.Delete(s.bursts, i, i+1), b)
}

// landed notes that a batch has been sent, or could not be.
func (s *schedule) landed(f *batch, now time.Time, err error) {
	delete(s.flights, f.iface)
	if f.round > 0 {
		s.restUntil = now.Add(min(restFactor*now.Sub(f.since), restMax))
	}
	if err != nil {
		return // The neighbours learn from the next round, or from the next burst.
	}
	for _, p := range f.parts {
		p.burst.sent.Add(uint64(p.packets))
	}
}

// flying tells whether something of an instance is on its way.
func (s *schedule) flying(instance string) bool {
	for _, f := range s.flights {
		if slices.ContainsFunc(f.parts, func(p part) bool { return p.burst.instance == instance }) {
			return true
		}
	}
	return false
}

func (s *schedule) refill(now time.Time) {
	if s.refilled.IsZero() {
		s.credit = reserve
	} else {
		s.credit = min(reserve, s.credit+rate*now.Sub(s.refilled).Seconds()*1000)
	}
	s.refilled = now
}
