package speaker

import (
	"sync"

	"github.com/halo-ha/halo/core/nowait"
	"github.com/halo-ha/halo/core/vrrp"
)

// orders is the outbox to Addresses. What matters is the last order for an
// instance, so there is never more than one entry for each.
type orders struct {
	outbox *nowait.Outbox[string]

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
	return &orders{outbox: nowait.NewOutbox[string](1 << 30), pending: make(map[string]order)}
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
		o.outbox.Put(name)
	}
}

// run carries out orders until the outbox is closed.
func (o *orders) run(addresses Addresses) {
	o.outbox.Run(func(name string) {
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
