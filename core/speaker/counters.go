package speaker

import (
	"slices"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Counters are of a whole interface and only grow.
type Counters struct {
	// Packets is all of protocol 112 that arrived.
	Packets uint64
	// Short is those without a whole header.
	Short uint64
	// ReceiveErrors and SocketErrors are failures of the socket; SocketOpened
	// is how often it was opened.
	ReceiveErrors, SocketErrors, SocketOpened uint64
	// EventsDropped is how many events an Observer was too slow for.
	EventsDropped uint64
}

// RouterCounters are of one router and only grow.
type RouterCounters struct {
	// Received is the advertisements that passed all checks.
	Received uint64
	// Dropped is the others, by the first check that failed.
	Dropped [wire.DropReasonCount]uint64
	// NotPeer is those that came from an address that is no peer, where only
	// peers may send. They are not looked at, and not among Dropped.
	NotPeer uint64
	// ReceivedRelease is those of priority 0, among Received.
	ReceivedRelease uint64
	// ReceivedWhileActive is those of another active router, among Received.
	ReceivedWhileActive uint64
	// AddressMismatches, IntervalMismatches and ChecksumMismatches are those
	// with a finding, among Received.
	AddressMismatches, IntervalMismatches, ChecksumMismatches uint64
	// Unsigned is those without a trailer where one is looked for, and ClockApart
	// those whose sender's clock is more than half the window away, among Received.
	Unsigned, ClockApart uint64
	// Sent is the advertisements that went out, to one peer at least, and
	// SentRelease those of priority 0 among them. SendErrors is those that did
	// not, for each peer that they were for.
	Sent, SentRelease, SendErrors uint64
	// Transitions is the changes of state, BecameActive those to Active.
	Transitions, BecameActive uint64
}

func (c *RouterCounters) received(state vrrp.State, a *wire.Advertisement, f wire.Findings) {
	c.Received++
	switch {
	case a.Priority == wire.PriorityRelease:
		c.ReceivedRelease++
	case state == vrrp.Active:
		c.ReceivedWhileActive++
	}
	if f.Addresses {
		c.AddressMismatches++
	}
	if f.Interval {
		c.IntervalMismatches++
	}
	if f.Checksum {
		c.ChecksumMismatches++
	}
	if f.Unsigned {
		c.Unsigned++
	}
	if f.Clock {
		c.ClockApart++
	}
}

// Histogram counts durations.
type Histogram struct {
	// Bounds are the upper bounds of all Counts but the last, which counts what
	// is above.
	Bounds []time.Duration
	// Counts are per bucket, not cumulative.
	Counts []uint64
	Sum    time.Duration
	Max    time.Duration
	Last   time.Duration
}

// latenessBounds are for how late a deadline was served.
func latenessBounds() []time.Duration {
	return []time.Duration{
		50 * time.Microsecond, 100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
		time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
		50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second,
	}
}

// gapBounds are for the time between two advertisements, over all intervals
// that are in use.
func gapBounds() []time.Duration {
	return []time.Duration{
		10500 * time.Microsecond, 15 * time.Millisecond, 50 * time.Millisecond,
		105 * time.Millisecond, 150 * time.Millisecond, 500 * time.Millisecond,
		1050 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second, 10 * time.Second, 41 * time.Second,
	}
}

func newHistogram(bounds []time.Duration) Histogram {
	return Histogram{Bounds: bounds, Counts: make([]uint64, len(bounds)+1)}
}

func (h *Histogram) observe(d time.Duration) {
	i := 0
	for i < len(h.Bounds) && d > h.Bounds[i] {
		i++
	}
	h.Counts[i]++
	h.Sum += d
	h.Max = max(h.Max, d)
	h.Last = d
}

// Count is how many durations were counted.
func (h *Histogram) Count() uint64 {
	var n uint64
	for _, c := range h.Counts {
		n += c
	}
	return n
}

func (h *Histogram) clone() Histogram {
	c := *h
	c.Counts = slices.Clone(h.Counts)
	return c
}
