package rtnl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// One goroutine (Run) reads the notifications, and everybody else the views it
// publishes:
//
//	kernel --notifications--> socket --> table --publish--> View --> Subscription
//	kernel <------dump when in doubt------+                   \----> Subscription
//
// The kernel drops notifications when the socket's queue is full and says so
// with ENOBUFS, once. The table is then behind in an unknown way until a full
// dump, which may itself be interrupted by changes, has replaced it.

// Times of a Monitor. A resync after lost notifications follows at once; while
// the storm goes on they are spaced out, from resyncPause to resyncPauseMax.
const (
	auditInterval  = 30 * time.Second
	resyncPause    = 10 * time.Millisecond
	resyncPauseMax = 500 * time.Millisecond
	// calm is how long no notification may be lost for the next loss to count
	// as an overrun of its own.
	calm = time.Second
)

// receiveBuffer is the size of the notification queue: some 10,000 changes.
const receiveBuffer = 8 << 20

// drainLimit is how many datagrams are read between two publications.
const drainLimit = 512

// Monitor keeps a View up to date.
type Monitor struct {
	events   *socket
	requests *socket
	table    table
	lastLoss time.Time
	audit    time.Duration

	mu            sync.Mutex
	view          *View
	subscriptions []*Subscription
}

// Watch prepares a Monitor for the calling thread's namespace. From here on no
// change is missed; Run delivers them.
func Watch() (*Monitor, error) { return watch(receiveBuffer) }

func watch(buffer int) (*Monitor, error) {
	events, err := dial(unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, fmt.Errorf("watch links and addresses: %w", err)
	}
	// Without CAP_NET_ADMIN the system's limit bounds the buffer, which only
	// makes overruns likelier.
	_ = events.conn.SetReadBuffer(buffer)
	requests, err := dial()
	if err != nil {
		_ = events.close()
		return nil, fmt.Errorf("watch links and addresses: %w", err)
	}
	return &Monitor{
		events: events, requests: requests,
		table: newTable(), view: &View{}, audit: auditInterval,
	}, nil
}

// Run follows the kernel until ctx ends, and then returns nil. It survives
// lost notifications and interrupted dumps; it returns an error only when the
// socket itself is beyond use.
func (m *Monitor) Run(ctx context.Context) error {
	defer func() {
		_ = m.events.close()
		_ = m.requests.close()
	}()
	stop := context.AfterFunc(ctx, func() {
		_ = m.events.conn.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()

	pause := resyncPause
	var next time.Time // when to dump at the latest
	for {
		if now := time.Now(); !now.Before(next) {
			err := m.resync()
			if err == nil {
				next = now.Add(m.audit)
				if now.Sub(m.lastLoss) >= calm {
					pause = resyncPause
				} else {
					// What was lost during a long dump belongs to the loss
					// that caused it.
					m.lastLoss = time.Now()
				}
			} else {
				next = now.Add(pause)
				pause = min(2*pause, resyncPauseMax)
			}
			m.publish()
		}
		if err := m.events.conn.SetReadDeadline(next); err != nil {
			return m.fail(ctx, err)
		}
		// Only after setting the deadline: it may have undone the one that
		// the end of ctx sets.
		if ctx.Err() != nil {
			break
		}
		err := m.events.drain(drainLimit, m.table.apply)
		switch {
		case err == nil:
		case errors.Is(err, unix.ENOBUFS):
			next = m.lost(&pause)
		case errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, os.ErrClosed) || errors.Is(err, unix.EBADF):
			return m.fail(ctx, err)
		default:
			// Unreadable, or short of memory: doubt what we have.
			next = time.Now().Add(pause)
			pause = min(2*pause, resyncPauseMax)
		}
		m.publish()
	}
	return nil
}

// lost notes lost notifications and says when to dump: at once the first
// time, spaced out while it goes on.
func (m *Monitor) lost(pause *time.Duration) (next time.Time) {
	now := time.Now()
	if now.Sub(m.lastLoss) >= calm {
		m.table.overruns++
		m.table.changed = true
		next = now
		*pause = resyncPause
	} else {
		next = now.Add(*pause)
		*pause = min(2*(*pause), resyncPauseMax)
	}
	m.lastLoss = now
	return next
}

// fail is an error that ends Run, unless the end was asked for.
func (m *Monitor) fail(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return fmt.Errorf("watch links and addresses: %w", err)
	}
	return nil
}

// resync replaces the table by a fresh dump. Notifications that were sent
// before the dump and are read after it do no lasting harm: the last one of
// every object is true.
func (m *Monitor) resync() error {
	links, err := m.requests.dumpLinks()
	if err != nil {
		return err
	}
	m.table.replace(links)
	return nil
}

// publish makes the table visible if it has changed.
func (m *Monitor) publish() {
	view, removed := m.table.snapshot()
	if view == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.view = view
	for _, s := range m.subscriptions {
		s.deliver(removed)
	}
}

// View is the latest view; it has no links before the first dump.
func (m *Monitor) View() *View {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.view
}

// Subscribe tells of every change from now on, and once of what is there
// already. Any number of subscriptions share one reader and one view.
func (m *Monitor) Subscribe() *Subscription {
	s := &Subscription{m: m, changed: make(chan struct{}, 1)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subscriptions = append(m.subscriptions, s)
	if len(m.view.Links) > 0 {
		s.deliver(nil)
	}
	return s
}

// Subscription is one subscriber's place in the stream of views. A slow one
// skips views and delays nobody.
type Subscription struct {
	m       *Monitor
	changed chan struct{}
	removed []Removal
}

// removedLimit bounds what a subscription remembers for a subscriber that
// does not come.
const removedLimit = 1024

// Changed receives a value when there is something for Next.
func (s *Subscription) Changed() <-chan struct{} { return s.changed }

// Next is the latest view and the addresses removed since the last call, the
// latest 1024 of them.
func (s *Subscription) Next() (*View, []Removal) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	removed := s.removed
	s.removed = nil
	return s.m.view, removed
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.subscriptions = slices.DeleteFunc(s.m.subscriptions, func(o *Subscription) bool { return o == s })
}

// deliver is called with the monitor's lock held.
func (s *Subscription) deliver(removed []Removal) {
	s.removed = append(s.removed, removed...)
	if extra := len(s.removed) - removedLimit; extra > 0 {
		s.removed = slices.Delete(s.removed, 0, extra)
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
