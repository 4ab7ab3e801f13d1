package nowait

import (
	"sync"
	"time"
)

// Note is something a loop is asked to do.
type Note func(now time.Time)

// Mailbox takes notes without ever making the writer wait.
type Mailbox struct {
	signal chan struct{}

	mu    sync.Mutex
	notes []Note
}

// NewMailbox makes an empty one.
func NewMailbox() Mailbox { return Mailbox{signal: make(chan struct{}, 1)} }

// Signal has a value while there may be something to read.
func (m *Mailbox) Signal() <-chan struct{} { return m.signal }

// Put leaves a note.
func (m *Mailbox) Put(n Note) {
	m.mu.Lock()
	m.notes = append(m.notes, n)
	m.mu.Unlock()
	m.Poke()
}

// Poke makes the reader look although no note was left.
func (m *Mailbox) Poke() { Poke(m.signal) }

// Take empties the mailbox. spare is memory of notes read before.
func (m *Mailbox) Take(spare []Note) (notes []Note) {
	m.mu.Lock()
	defer m.mu.Unlock()
	notes, m.notes = m.notes, spare[:0]
	return notes
}

// Poke leaves a value in a channel that has room for one.
func Poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
