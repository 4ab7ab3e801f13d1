package vrrp_test

import (
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

func (s *simulation) freeze(m *machine, frozen bool) {
	if !m.running || m.nodes[0].frozen == frozen {
		return
	}
	s.trace("%s frozen: %v", m.name, frozen)
	if m.team != nil {
		m.team.frozen = frozen
	}
	for _, n := range m.nodes {
		n.frozen = frozen
	}
	for _, n := range m.nodes {
		if !frozen {
			s.thaw(n)
		}
	}
}

func (s *simulation) stop(m *machine, crash bool) {
	s.trace("%s stops, crash: %v", m.name, crash)
	s.freeze(m, false)
	m.running = false
	for _, n := range m.nodes {
		if !crash {
			s.handle(n, vrrp.Stopped{})
		}
		n.stopped, n.frozen = true, true
	}
	if m.team != nil {
		m.team.frozen = true
	}
}

// disturb does one thing to the network or to a machine.
func (s *simulation) disturb() {
	m := s.machines[s.rng.IntN(len(s.machines))]
	at := s.rng.IntN(len(m.nodes))
	n := m.nodes[at]
	switch what := s.rng.IntN(15); {
	case what == 0:
		s.loss = s.rng.Float64() / 2
		s.trace("loss %.2f", s.loss)
	case what == 1:
		s.trace("split")
		for _, m := range s.machines {
			side := s.rng.IntN(2)
			for _, n := range m.nodes {
				n.side = side
			}
		}
	case what == 2:
		n.cut = !n.cut
		s.trace("%s cut: %v", n.name, n.cut)
	case what == 3:
		other := s.machines[s.rng.IntN(len(s.machines))].nodes[at]
		s.deaf[[2]*node{other, n}] = true
		s.trace("%s does not hear %s", n.name, other.name)
	case what == 4:
		s.stop(m, s.rng.IntN(2) == 0)
		s.run(s.upTo(5 * s.unit))
		s.boot(m, len(m.nodes) > 1 && s.rng.IntN(5) > 0)
	case what == 5 || what == 6:
		s.freeze(m, true)
		s.run(s.upTo(8 * s.unit))
		if s.rng.IntN(4) > 0 {
			s.freeze(m, false)
		}
	case what == 7:
		step := time.Duration(s.rng.IntN(7200)-3600) * time.Second
		s.trace("%s steps its clock by %v", m.name, step)
		for _, n := range m.nodes {
			n.wall += step
		}
		if m.team != nil {
			m.team.wall += step
		}
	case !m.running || n.frozen:
	case what == 8:
		m.links[at] = !m.links[at]
		s.trace("%s link up: %v", n.name, m.links[at])
		s.handle(n, vrrp.InterfaceChanged{Exists: true, Up: m.links[at], Source: n.source})
	case what == 9:
		m.tracked[at] = !m.tracked[at]
		s.trace("%s tracked: %v", n.name, m.tracked[at])
		if m.tracked[at] {
			s.handle(n, vrrp.FaultCleared{Cause: vrrp.FaultTracker})
		} else {
			s.handle(n, vrrp.FaultRaised{Cause: vrrp.FaultTracker, Detail: "nginx"})
		}
	case what == 10 || what == 11:
		m.asked[at] = s.rng.IntN(300) - 20
		s.trace("%s trackers ask for %d", n.name, m.asked[at])
		s.track(m)
	case what == 12:
		s.reconfigure(m)
	case what == 13:
		s.trace("%s is made anew", n.name)
		overtakes := n.team != nil && s.rng.IntN(2) == 0
		old := n.router
		if !overtakes {
			s.handle(n, vrrp.Stopped{})
		}
		n.router = vrrp.New(n.config)
		n.epoch++
		s.up(n)
		if overtakes {
			// The old one had another goroutine, whose last word comes later.
			n.router, old = old, n.router
			s.handle(n, vrrp.Stopped{})
			n.router = old
		}
		if !m.links[at] {
			s.handle(n, vrrp.InterfaceChanged{Exists: true, Source: n.source})
		}
		if !m.tracked[at] {
			s.handle(n, vrrp.FaultRaised{Cause: vrrp.FaultTracker})
		}
		s.track(m)
	default:
		s.trace("%s group changes", m.name)
		if m.team == nil {
			s.regroup(m)
			return
		}
		m.team.frozen = true
		m.team = nil
		for i, n := range m.nodes {
			n.team = nil
			s.handle(n, vrrp.Reconfigured{Config: m.configs[i]})
		}
		s.track(m)
	}
}

// reconfigure gives a machine other settings, the same for all of its routers.
func (s *simulation) reconfigure(m *machine) {
	c := s.config()
	if m.configs[0].Priority == wire.PriorityOwner {
		c.Priority = wire.PriorityOwner
	}
	s.trace("%s reconfigured: priority %d, preempt %v %v", m.name, c.Priority, c.Preempt, c.PreemptDelay)
	for i := range m.configs {
		old := &m.configs[i]
		old.Priority, old.Preempt, old.PreemptDelay = c.Priority, c.Preempt, c.PreemptDelay
		old.Interval = s.interval(old)
	}
	if m.team != nil {
		s.regroup(m)
		return
	}
	for i, n := range m.nodes {
		s.handle(n, vrrp.Reconfigured{Config: m.configs[i]})
	}
	s.track(m)
}

// calm ends what keeps the network from being stable: loss, and hearing in one
// direction. What is split, down, frozen or off stays so.
func (s *simulation) calm() {
	s.trace("calm")
	s.loss = 0
	clear(s.deaf)
}

// heal makes everything whole.
func (s *simulation) heal() {
	s.calm()
	s.trace("healed")
	for _, m := range s.machines {
		if !m.running {
			s.boot(m, len(m.nodes) > 1)
		}
		s.freeze(m, false)
		for i, n := range m.nodes {
			n.cut, n.side = false, 0
			m.links[i], m.tracked[i] = true, true
			s.up(n)
			s.handle(n, vrrp.FaultCleared{Cause: vrrp.FaultTracker})
		}
		if m.team == nil && len(m.nodes) > 1 {
			s.regroup(m)
		}
	}
}
