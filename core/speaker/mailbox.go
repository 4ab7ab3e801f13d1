package speaker

import (
	"sync"

	"github.com/halo-ha/halo/core/nowait"
)

// mailbox takes notes, and what is true of the interface, of which only the latest
// counts.
type mailbox struct {
	nowait.Mailbox

	mu   sync.Mutex
	link *Link
}

func newMailbox() mailbox { return mailbox{Mailbox: nowait.NewMailbox()} }

// putLink replaces a link that has not been read yet.
func (m *mailbox) putLink(link Link) {
	m.mu.Lock()
	m.link = &link
	m.mu.Unlock()
	m.Poke()
}

// take empties the mailbox. The link is looked at behind the notes: it is at least
// as new as the one that was there when the last of them was written. spare is
// memory of notes read before.
func (m *mailbox) take(spare []nowait.Note) (notes []nowait.Note, link *Link) {
	notes = m.Take(spare)
	m.mu.Lock()
	defer m.mu.Unlock()
	link, m.link = m.link, nil
	return notes, link
}
