package vip

import (
	"net/netip"
	"sync"
)

// jointly deletes addresses of an interface together that several instances
// want deleted at the same time: to delete some of many, the kernel's whole list
// has to be read first.
type jointly struct {
	mu     sync.Mutex
	queues map[string]*deletions // by interface
}

type deletions struct {
	turn chan struct{} // has a value while nobody deletes
	next *deletion     // guarded by the lock of jointly
}

// deletion is what is deleted at once.
type deletion struct {
	addresses []netip.Prefix
	// Guarded by the turn.
	done bool
	err  error
}

// del deletes addresses, perhaps along with those of others. The error may be
// about theirs.
func (j *jointly) del(iface string, addresses []netip.Prefix, do func([]netip.Prefix) error) error {
	j.mu.Lock()
	q, ok := j.queues[iface]
	if !ok {
		q = &deletions{turn: make(chan struct{}, 1)}
		q.turn <- struct{}{}
		j.queues[iface] = q
	}
	if q.next == nil {
		q.next = &deletion{}
	}
	own := q.next
	own.addresses = append(own.addresses, addresses...)
	j.mu.Unlock()

	<-q.turn
	defer func() { q.turn <- struct{}{} }()
	if own.done {
		return own.err
	}
	j.mu.Lock()
	q.next = nil
	j.mu.Unlock()
	own.done, own.err = true, do(own.addresses)
	return own.err
}
