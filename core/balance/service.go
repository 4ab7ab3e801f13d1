package balance

import (
	"maps"
	"slices"
	"time"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/pool"
)

// service is one virtual server with what is known of it in the kernel.
type service struct {
	name   string
	config pool.Config
	pool   *pool.Server
	// wanted is the last table that the pool gave out.
	wanted ipvs.Service
	// introduced says that the pool has been told what the kernel has under this
	// key. Before, nothing is done to the kernel.
	introduced bool
	// applied is what the kernel had after our last successful look or change,
	// and synced that there was one. What differs from it is somebody else's work.
	applied ipvs.Service
	synced  bool
	// broken says that an operation on it failed, so that its turn comes only
	// with the next whole comparison.
	broken bool
	// looked says that the last comparison read its destinations, and round the
	// last round in which one did.
	looked bool
	round  uint64
	// deadline is when the pool wants to be woken.
	deadline time.Time
	// unsettled says that it is in the Balancer's list of the same name.
	unsettled bool
}

func (s *service) key() ipvs.ServiceKey { return s.config.Service.Key }

// dirty reports whether the kernel is not known to have what is wanted.
func (s *service) dirty() bool {
	return !s.synced || !s.applied.Equal(&s.wanted)
}

// takeMail empties the mailbox and lets the pools draw their conclusions.
func (b *Balancer) takeMail() {
	m := b.mail.take(b.letters[:0])
	b.letters = m.letters
	if cap(b.letters) > 2*mailRoom {
		b.letters = nil // There was a jam, which need not come again.
	}
	if m.wanted != nil {
		b.reconfigure(*m.wanted)
	}
	now := time.Now()
	for i := range m.letters {
		d := &m.letters[i]
		s := b.services[d.service]
		if s == nil {
			continue // Removed by a reload while the probe was under way.
		}
		if d.lost {
			b.handle(now, s, pool.PluginLost{Server: d.result.Server, Check: d.result.Check})
			continue
		}
		for range d.times {
			if s.pool.Absorb(&d.result) && !s.unsettled {
				s.unsettled = true
				b.unsettled = append(b.unsettled, s)
			}
		}
	}
	for _, s := range b.unsettled {
		s.unsettled = false
		b.actions = s.pool.Settle(now, b.actions[:0])
		b.pass(s)
	}
	clear(b.unsettled)
	b.unsettled = b.unsettled[:0]
	clear(m.letters) // They hold the plugins' words.
	if m.dropped > b.status.dropped {
		b.config.Log.Warn("probe results lost: the kernel keeps the balancer busy", "count", m.dropped-b.status.dropped)
		b.status.dropped = m.dropped
	}
	b.answer(m.asked)
}

// handle lets a pool take an event in and passes on what follows.
func (b *Balancer) handle(now time.Time, s *service, e pool.Event) {
	b.actions = s.pool.Handle(now, e, b.actions[:0])
	b.pass(s)
}

// pass hands on what a pool has just decided.
func (b *Balancer) pass(s *service) {
	for _, a := range b.actions {
		if t, ok := a.(pool.SetTable); ok {
			s.wanted = t.Service
			b.changed[s] = struct{}{}
		}
		b.config.Observer.Changed(s.name, a)
	}
	clear(b.actions)
	if t, ok := s.pool.Deadline(); ok {
		s.deadline = t
		b.waiting[s] = struct{}{}
	} else if len(b.waiting) > 0 {
		delete(b.waiting, s)
	}
}

// reachDeadlines wakes the pools whose time has come.
func (b *Balancer) reachDeadlines() {
	if len(b.waiting) == 0 {
		return
	}
	now := time.Now()
	for s := range b.waiting {
		if !now.Before(s.deadline) {
			b.handle(now, s, pool.DeadlineReached{})
		}
	}
}

// reconfigure applies another configuration as a difference: a service that is
// the same is not touched, one that has changed keeps its pool, and a whole
// comparison with the kernel follows.
func (b *Balancer) reconfigure(w Wanted) {
	b.interval = w.Interval
	if b.interval <= 0 {
		b.interval = defaultInterval
	}
	for name, s := range b.services {
		if _, ok := w.Services[name]; !ok {
			b.drop(s)
		}
	}
	clear(b.keys)
	now := time.Now()
	for _, name := range slices.Sorted(maps.Keys(w.Services)) {
		c := w.Services[name]
		if other := b.keys[c.Service.Key]; other != nil {
			// The configuration is checked before it comes here; two owners of
			// one service would undo each other's work for ever.
			b.config.Log.Error("two virtual servers with one address: the second is ignored", "service", name, "other", other.name)
			if s := b.services[name]; s != nil {
				b.drop(s)
			}
			continue
		}
		b.keys[c.Service.Key] = b.reconfigureService(now, name, c)
	}
	b.nextSync, b.configured = now, true
}

func (b *Balancer) drop(s *service) {
	delete(b.services, s.name)
	delete(b.changed, s)
	delete(b.waiting, s)
}

func (b *Balancer) reconfigureService(now time.Time, name string, c pool.Config) *service {
	s := b.services[name]
	switch {
	case s == nil:
		s = &service{name: name, config: c, pool: pool.New(now, c)}
		b.services[name] = s
	case !s.config.Equal(&c):
		if s.key() != c.Service.Key {
			s.introduced, s.synced = false, false
		}
		s.config = c
		b.handle(now, s, pool.Reconfigured{Config: c})
	}
	return s
}
