package nowait

import (
	"container/heap"
	"time"
)

// Entry is the place of something in a Queue. The zero value, with an Owner, is in
// none.
type Entry[T any] struct {
	// Owner is what it is the place of.
	Owner T
	at    time.Time
	// place counts from one; zero is outside of the queue.
	place int
}

// At is the deadline; zero outside of a queue.
func (e *Entry[T]) At() time.Time { return e.at }

// Queue holds deadlines, the earliest first. The zero value is empty.
type Queue[T any] struct{ entries entries[T] }

// First is the entry with the earliest deadline, nil if there is none.
func (q *Queue[T]) First() *Entry[T] {
	if len(q.entries) == 0 {
		return nil
	}
	return q.entries[0]
}

// Set gives an entry its deadline, or with false takes it out.
func (q *Queue[T]) Set(e *Entry[T], at time.Time, ok bool) {
	switch {
	case !ok && e.place > 0:
		heap.Remove(&q.entries, e.place-1)
	case ok && e.place == 0:
		e.at = at
		heap.Push(&q.entries, e)
	case ok && !at.Equal(e.at):
		e.at = at
		heap.Fix(&q.entries, e.place-1)
	}
}

// entries is the queue for container/heap. An entry knows its place, so that it
// can be moved.
type entries[T any] []*Entry[T]

// Len implements heap.Interface.
func (l *entries[T]) Len() int { return len(*l) }

// Less implements heap.Interface.
func (l *entries[T]) Less(i, j int) bool { return (*l)[i].at.Before((*l)[j].at) }

// Swap implements heap.Interface.
func (l *entries[T]) Swap(i, j int) {
	s := *l
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i+1, j+1
}

// Push implements heap.Interface.
func (l *entries[T]) Push(x any) {
	e := x.(*Entry[T])
	*l = append(*l, e)
	e.place = len(*l)
}

// Pop implements heap.Interface.
func (l *entries[T]) Pop() any {
	last := len(*l) - 1
	e := (*l)[last]
	(*l)[last] = nil
	*l = (*l)[:last]
	e.place, e.at = 0, time.Time{}
	return e
}
