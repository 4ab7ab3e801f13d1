package bfdspeaker

import "sync"

// eventLimit is how many events wait for an Observer before the oldest are
// dropped.
const eventLimit = 1024

// outbox is a queue that never makes the writer wait: when it is full the oldest
// entry gives way. One goroutine empties it.
type outbox struct {
	signal chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	entries []func(Observer)
	dropped uint64
	closed  bool
}

func newOutbox() *outbox {
	return &outbox{signal: make(chan struct{}, 1), done: make(chan struct{})}
}

func (o *outbox) put(entry func(Observer)) {
	o.mu.Lock()
	if len(o.entries) >= eventLimit {
		o.entries = o.entries[1:]
		o.dropped++
	}
	o.entries = append(o.entries, entry)
	o.mu.Unlock()
	poke(o.signal)
}

// drops is how many entries gave way.
func (o *outbox) drops() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}

// close ends run behind the entries that are there.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	poke(o.signal)
}

// run delivers until close. Entries are taken one by one, so that those which
// wait behind a slow one can still give way.
func (o *outbox) run(observer Observer) {
	defer close(o.done)
	for {
		tell, closed := o.next()
		switch {
		case tell != nil:
			tell(observer)
		case closed:
			return
		default:
			<-o.signal
		}
	}
}

func (o *outbox) next() (tell func(Observer), closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.entries) == 0 {
		o.entries = nil
		return nil, o.closed
	}
	tell, o.entries = o.entries[0], o.entries[1:]
	return tell, o.closed
}
