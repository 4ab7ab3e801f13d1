package nowait

import "sync"

// Outbox is a queue that never makes the writer wait: when it is full the oldest
// entry gives way. One goroutine empties it.
type Outbox[T any] struct {
	signal chan struct{}
	done   chan struct{}
	limit  int

	mu      sync.Mutex
	entries []T
	dropped uint64
	closed  bool
}

// NewOutbox makes one in which limit entries can wait.
func NewOutbox[T any](limit int) *Outbox[T] {
	return &Outbox[T]{signal: make(chan struct{}, 1), done: make(chan struct{}), limit: limit}
}

// Put adds an entry.
func (o *Outbox[T]) Put(entry T) {
	o.mu.Lock()
	if len(o.entries) >= o.limit {
		o.entries = o.entries[1:]
		o.dropped++
	}
	o.entries = append(o.entries, entry)
	o.mu.Unlock()
	Poke(o.signal)
}

// Drops is how many entries gave way.
func (o *Outbox[T]) Drops() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}

// Close ends Run behind the entries that are there.
func (o *Outbox[T]) Close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	Poke(o.signal)
}

// Done is closed when Run has ended.
func (o *Outbox[T]) Done() <-chan struct{} { return o.done }

// Run delivers until Close. Entries are taken one by one, so that those which
// wait behind a slow one can still give way.
func (o *Outbox[T]) Run(deliver func(T)) {
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

func (o *Outbox[T]) next() (entry T, ok, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.entries) == 0 {
		o.entries = nil
		return entry, false, o.closed
	}
	entry, o.entries = o.entries[0], o.entries[1:]
	return entry, true, o.closed
}
