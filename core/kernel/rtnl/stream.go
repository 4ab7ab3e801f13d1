package rtnl

import (
	"slices"
	"sync"
)

// stream gives the latest view, with the events on the way to it, to any number
// of subscribers.
type stream[V, E any] struct {
	mu          sync.Mutex
	view        *V
	told        bool // a view has been published
	subscribers []*subscriber[V, E]
}

// subscriber is one place in a stream.
type subscriber[V, E any] struct {
	stream  *stream[V, E]
	changed chan struct{}
	events  []E
}

// eventsLimit bounds what is remembered for a subscriber that does not come.
const eventsLimit = 1024

func newStream[V, E any]() *stream[V, E] { return &stream[V, E]{view: new(V)} }

// publish makes a view the latest one.
func (s *stream[V, E]) publish(view *V, events []E) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view, s.told = view, true
	for _, to := range s.subscribers {
		to.deliver(events)
	}
}

// View is the latest view; it is empty before the first dump.
func (s *stream[V, E]) View() *V {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

// Subscribe tells of every change from now on, and once of what is there
// already. Any number of subscriptions share one reader and one view.
func (s *stream[V, E]) Subscribe() *subscriber[V, E] {
	to := &subscriber[V, E]{stream: s, changed: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = append(s.subscribers, to)
	if s.told {
		to.deliver(nil)
	}
	return to
}

// Changed receives a value when there is something for Next.
func (s *subscriber[V, E]) Changed() <-chan struct{} { return s.changed }

// Next is the latest view and the events since the last call, the latest 1024
// of them.
func (s *subscriber[V, E]) Next() (*V, []E) {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	events := s.events
	s.events = nil
	return s.stream.view, events
}

// Close ends the subscription.
func (s *subscriber[V, E]) Close() {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	s.stream.subscribers = slices.DeleteFunc(s.stream.subscribers, func(o *subscriber[V, E]) bool { return o == s })
}

// deliver is called with the stream's lock held.
func (s *subscriber[V, E]) deliver(events []E) {
	s.events = append(s.events, events...)
	if extra := len(s.events) - eventsLimit; extra > 0 {
		s.events = slices.Delete(s.events, 0, extra)
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
