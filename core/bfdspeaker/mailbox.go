package bfdspeaker

import (
	"sync"
	"time"
)

// note is something the loop is asked to do.
type note func(now time.Time)

// mailbox takes notes without ever making the writer wait. Its lock is held for
// an append or an exchange, nothing else.
type mailbox struct {
	// signal has a value while there may be notes.
	signal chan struct{}

	mu    sync.Mutex
	notes []note
}

func newMailbox() mailbox { return mailbox{signal: make(chan struct{}, 1)} }

func (m *mailbox) put(n note) {
	m.mu.Lock()
	m.notes = append(m.notes, n)
	m.mu.Unlock()
	poke(m.signal)
}

// take empties the mailbox. spare is memory of notes read before.
func (m *mailbox) take(spare []note) (notes []note) {
	m.mu.Lock()
	defer m.mu.Unlock()
	notes, m.notes = m.notes, spare[:0]
	return notes
}

// poke leaves a value in a channel that has room for one.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
