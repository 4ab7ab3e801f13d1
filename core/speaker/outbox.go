package speaker

import (
	"sync"

	"github.com/halo-ha/halo/core/vrrp"
)

// eventLimit is how many events wait for an Observer before the oldest are
// dropped.
const eventLimit = 1024

// outbox is a queue that never makes the writer wait: when it is full the oldest
// entry gives way. One goroutine empties it.
type outbox[T any] struct {
	signal chan struct{}
	done   chan struct{}
	limit  int

	mu      sync.Mutex
	entries []T
	dropped uint64
	closed  bool
}

func newOutbox[T any](limit int) *outbox[T] {
	return &outbox[T]{signal: make(chan struct{}, 1), done: make(chan struct{}), limit: limit}
}

func (o *outbox[T]) put(entry T) {
	o.mu.Lock()
	if len(o.entries) >= o.limit {
		o.entries = o.entries[1:]
		o.dropped++
	}
	o.entries = append(o.entries, entry)
	o.mu.Unlock()
	poke(o.signal)
}

// drops is how many entries gave way.
func (o *outbox[T]) drops() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}

// close ends run behind the entries that are there.
func (o *outbox[T]) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	poke(o.signal)
}

// run delivers until close. Entries are taken one by one, so that those which
// wait behind a slow one can still give way.
func (o *outbox[T]) run(deliver func(T)) {
	defer close(o.done)
	for {
		entry, ok, closed := o.next()
		switch {
		case ok:
			deliver(entry)
		case closed:
			return
		default:
			<-o.signal
		}
	}
}

func (o *outbox[T]) next() (entry T, ok, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.entries) == 0 {
		o.entries = nil
		return entry, false, o.closed
	}
	entry, o.entries = o.entries[0], o.entries[1:]
	return entry, true, o.closed
}

// orders is the outbox to Addresses. What matters is the last order for an
// instance, so there is never more than one entry for each.
type orders struct {
	outbox *outbox[string]

	mu      sync.Mutex
	pending map[string]order
}

// order is what is to be done for one instance, in the order of the fields.
type order struct {
	acquire, release bool
	// announce has a Repeat of zero if there is nothing to announce.
	announce vrrp.Announce
}

func newOrders() *orders {
	// One entry per instance: the limit is never reached.
	return &orders{outbox: newOutbox[string](1 << 30), pending: make(map[string]order)}
}

func (o *orders) acquire(name string) {
	o.change(name, func(order) order { return order{acquire: true} })
}

func (o *orders) release(name string) {
	o.change(name, func(order) order { return order{release: true} })
}

func (o *orders) announce(name string, a vrrp.Announce) {
	o.change(name, func(before order) order {
		if before.announce.Repeat < a.Repeat {
			before.announce = a
		}
		return before
	})
}

func (o *orders) change(name string, change func(order) order) {
	o.mu.Lock()
	before, waits := o.pending[name]
	o.pending[name] = change(before)
	o.mu.Unlock()
	if !waits {
		o.outbox.put(name)
	}
}

// run carries out orders until the outbox is closed.
func (o *orders) run(addresses Addresses) {
	o.outbox.run(func(name string) {
		o.mu.Lock()
		next := o.pending[name]
		delete(o.pending, name)
		o.mu.Unlock()
		if next.acquire {
			addresses.Acquire(name)
		}
		if next.release {
			addresses.Release(name)
		}
		if next.announce.Repeat > 0 {
			addresses.Announce(name, next.announce)
		}
	})
}
