// Package journal is what has happened to the objects of a running halo: a bounded
// record, in memory, of events with numbers.
//
// Whoever causes an event records it, from whatever goroutine, and never waits for
// a reader: the oldest events give way, and a reader who was too slow is told how
// many he has missed. The package judges nothing, writes no file and delivers
// nothing by itself; core/control hands the events to people, and whoever delivers
// notifications reads them as any other reader does.
//
// Read Event first, then Journal.
package journal

import (
	"sync"
	"time"
)

// Limit is how many events a daemon keeps: more than the failures of a thousand
// instances make while a reader is away for a moment, and half a megabyte.
const Limit = 4096

// Journal is a list of events of which the oldest give way. Its methods may be
// called from any goroutine and never wait for anything but each other, which is
// as long as copying some events takes. Those of a nil Journal record nothing.
type Journal struct {
	started time.Time
	limit   int

	mu sync.Mutex
	// events are those that are kept: the one with number n is at (n-1) % limit.
	events []Event
	last   uint64
	closed bool
	// changed is closed with the next event; nil while nobody waits for it.
	changed chan struct{}
}

// New makes a journal that keeps so many events, one at least. Its numbers begin
// with 1; started tells them from those of another one.
func New(started time.Time, limit int) *Journal {
	return &Journal{started: started, limit: max(limit, 1)}
}

// Started is what New was told.
func (j *Journal) Started() time.Time { return j.started }

// Record adds an event and gives it the next number. Without a time it is of now.
// Behind Close it is dropped.
func (j *Journal) Record(e Event) {
	if j == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	j.last++
	e.Number = j.last
	if len(j.events) < j.limit {
		j.events = append(j.events, e)
	} else {
		j.events[(e.Number-1)%uint64(j.limit)] = e
	}
	j.wake()
}

// Close ends the journal: readers get what there is, and then the end.
func (j *Journal) Close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.wake()
}

// wake tells those who wait. The lock is held.
func (j *Journal) wake() {
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

// Page is a piece of a journal.
type Page struct {
	Events []Event
	// Lost is how many events are missing before the first of them.
	Lost uint64
	// Last is the number of the newest event there is, on this page or not; 0
	// before the first.
	Last uint64
	// Ended says that there will be none behind this page.
	Ended bool
	// Changed is closed once there is an event behind this page, or the end. It
	// is nil when there is one already.
	Changed <-chan struct{}
}

// After returns the events behind the one with the number, the oldest first, so
// many at most. A number that no event has yet is that of the newest one.
func (j *Journal) After(number uint64, most int) Page {
	j.mu.Lock()
	defer j.mu.Unlock()
	p := Page{Last: j.last}
	next := min(number, j.last) + 1
	if oldest := j.last - uint64(len(j.events)) + 1; next < oldest {
		p.Lost = oldest - next
		next = oldest
	}
	n := min(int(j.last-next+1), max(most, 1)) //nolint:gosec // Not more than are kept.
	if n > 0 {
		p.Events = make([]Event, 0, n)
		first := int((next - 1) % uint64(j.limit)) //nolint:gosec // Below the limit.
		whole := min(n, len(j.events)-first)
		p.Events = append(p.Events, j.events[first:first+whole]...)
		p.Events = append(p.Events, j.events[:n-whole]...)
	}
	switch rest := next+uint64(n) <= j.last; {
	case rest:
	case j.closed:
		p.Ended = true
	default:
		if j.changed == nil {
			j.changed = make(chan struct{})
		}
		p.Changed = j.changed
	}
	return p
}

// Kept is how many events can still be read, and Last the number of the newest.
func (j *Journal) Kept() (kept int, last uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.events), j.last
}
