package balance

import (
	"net/netip"
	"sync"

	"github.com/halo-ha/halo/core/pool"
)

// mailbox holds what has been handed in and not yet taken. It never makes
// anybody wait: results that pile up are merged.
type mailbox struct {
	wake chan struct{} // holds a token while there is something to take
	// room is how many results wait as they are. Merging costs a search among
	// all checks for each, and memory for each check, so it begins only when Run
	// is behind.
	room int

	mu     sync.Mutex
	closed bool
	wanted *Wanted
	// slots are the checks whose results were merged, and order the same, the
	// longest waiting first. The results in fresh are newer than all of these.
	slots map[slotKey]*slot
	order []*slot
	fresh []delivery
	asked []chan Snapshot
	// dropped counts the results that were lost because a slot was full.
	dropped uint64
}

// mailRoom holds the results of ten thousand checks for the time that one
// comparison with the kernel usually takes, in some 300 kB.
const mailRoom = 2000

type slotKey struct {
	service string
	server  netip.AddrPort
	check   string
}

// slot holds the results of one check, equal ones in a row as one letter with a
// count. That keeps everything that rise and fall depend on, and the newest
// detail; only a check that went to and fro more than maxLetters times while
// Run was busy loses its oldest results.
type slot struct {
	service string
	letters []letter
}

const maxLetters = 16

// letter is one or more results of a check that are alike.
type letter struct {
	result pool.CheckResult
	lost   bool // the plugin is away; of result, server and check count
	times  int
}

// delivery is a letter with its address.
type delivery struct {
	service string
	letter
}

func (m *mailbox) apply(w Wanted) {
	m.mu.Lock()
	m.wanted = &w
	m.mu.Unlock()
	m.ring()
}

func (m *mailbox) post(service string, l letter) {
	l.times = 1
	m.mu.Lock()
	m.fresh = append(m.fresh, delivery{service, l})
	if len(m.fresh) > m.room {
		m.merge()
	}
	m.mu.Unlock()
	m.ring()
}

// merge puts the results that wait as they are into the slots.
func (m *mailbox) merge() {
	if m.slots == nil {
		m.slots = make(map[slotKey]*slot)
	}
	for i := range m.fresh {
		d := &m.fresh[i]
		key := slotKey{d.service, d.result.Server, d.result.Check}
		s := m.slots[key]
		if s == nil {
			s = &slot{service: d.service}
			m.slots[key] = s
			m.order = append(m.order, s)
		}
		if s.add(d.letter) {
			m.dropped++
		}
	}
	clear(m.fresh)
	m.fresh = m.fresh[:0]
}

// add puts a letter behind the others, and reports whether one was lost for it.
func (s *slot) add(l letter) bool {
	if n := len(s.letters); n > 0 && s.letters[n-1].alike(&l) {
		l.times += s.letters[n-1].times
		s.letters[n-1] = l
		return false
	}
	full := len(s.letters) == maxLetters
	if full {
		s.letters = append(s.letters[:0], s.letters[1:]...)
	}
	s.letters = append(s.letters, l)
	return full
}

// alike reports whether a pool makes no difference between two results.
func (l *letter) alike(o *letter) bool {
	return l.lost == o.lost &&
		l.result.Outcome == o.result.Outcome &&
		l.result.Definition == o.result.Definition &&
		l.result.Weighted == o.result.Weighted &&
		l.result.Weight == o.result.Weight
}

// ask leaves a request for a snapshot; false when nobody will answer.
func (m *mailbox) ask(answer chan Snapshot) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.asked = append(m.asked, answer)
	m.ring()
	return true
}

func (m *mailbox) ring() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// mail is what was in a mailbox.
type mail struct {
	wanted  *Wanted
	letters []delivery
	asked   []chan Snapshot
	dropped uint64 // since the beginning
}

// take empties the mailbox. The memory of letters is used again; that of slots,
// which may be for every check there is, is not kept.
func (m *mailbox) take(letters []delivery) mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.order {
		for _, l := range s.letters {
			letters = append(letters, delivery{s.service, l})
		}
	}
	m.slots, m.order = nil, nil
	letters = append(letters, m.fresh...)
	clear(m.fresh) // They hold the plugins' words.
	m.fresh = m.fresh[:0]
	t := mail{wanted: m.wanted, letters: letters, asked: m.asked, dropped: m.dropped}
	m.wanted, m.asked = nil, nil
	return t
}

// close lets those who ask know that nobody answers any more.
func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, answer := range m.asked {
		close(answer)
	}
	m.asked = nil
}
