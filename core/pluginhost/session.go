package pluginhost

import (
	"sync"

	"github.com/halo-ha/halo/sdk/host"
)

// sender is the sending half of a session on the wire.
type sender interface {
	Upsert(probes []host.Probe) error
	Remove(ids []uint64) error
	Commit(generation uint64) error
}

// Session tells one process what to probe. Its methods block while the plugin
// does not read, until the process is killed for it; they return an error
// when the session is lost, which the Listener is told as well. Calls must not
// overlap.
type Session struct {
	wire sender

	guard sync.Mutex
	// rates holds, by probe, the most results per second it can produce, and
	// total is their sum: what the plugin may send is measured against it.
	rates map[uint64]float64
	total float64
}

func newSession(wire sender) *Session {
	return &Session{wire: wire, rates: make(map[uint64]float64)}
}

// Upsert adds probes, or changes those with a known id. They take effect with
// the next Commit.
func (s *Session) Upsert(probes []host.Probe) error {
	s.guard.Lock()
	for i := range probes {
		rate := perSecond(probes[i].Schedule)
		s.total += rate - s.rates[probes[i].ID]
		s.rates[probes[i].ID] = rate
	}
	s.guard.Unlock()
	return s.wire.Upsert(probes)
}

// Remove takes probes away, with the next Commit.
func (s *Session) Remove(ids []uint64) error {
	s.guard.Lock()
	for _, id := range ids {
		s.total -= s.rates[id]
		delete(s.rates, id)
	}
	if len(s.rates) == 0 {
		// No rounding error outlives the probes it came from.
		s.total = 0
	}
	s.guard.Unlock()
	return s.wire.Remove(ids)
}

// Commit makes the plugin's set of probes that of the generation.
func (s *Session) Commit(generation uint64) error { return s.wire.Commit(generation) }

// load returns how many probes the process has, and the most results per
// second that they can produce.
func (s *Session) load() (probes int, perSecond float64) {
	s.guard.Lock()
	defer s.guard.Unlock()
	return len(s.rates), s.total
}
