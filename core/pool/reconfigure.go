package pool

import (
	"net/netip"
	"slices"
	"time"
)

// reconfigure puts another configuration in place. Members are matched by
// address and keep everything that the difference does not concern; who is in
// service does not change by it, except for a server that nobody has a bad
// opinion of any more.
func (s *Server) reconfigure(now time.Time, c Config) {
	c.Quorum = max(c.Quorum, 1)
	members := make([]*member, 0, len(c.Servers))
	for _, r := range c.Servers {
		m := s.member(r.Address)
		if m == nil {
			m = newMember(now, r)
		} else {
			m.reconfigure(r)
		}
		members = append(members, m)
	}
	slices.SortStableFunc(members, func(a, b *member) int {
		return a.config.Address.Compare(b.config.Address)
	})
	s.members = slices.CompactFunc(members, func(a, b *member) bool {
		return a.config.Address == b.config.Address
	})
	s.addresses = make([]netip.AddrPort, len(s.members))
	for i, m := range s.members {
		s.addresses[i] = m.config.Address
	}
	s.config = c
	s.losses = true // Deadline finds out.
}

func (m *member) reconfigure(c RealServer) {
	m.checks = matchChecks(m.checks, c.Checks)
	m.config = c
	m.evaluate(ReasonReconfigured)
}

// matchChecks gives every wanted check its state. A check is the same one if
// its definition is: under the same name if there is one, under any name
// otherwise, since names that were made up ("tcp#2") shift when a check before
// them goes. Its counters, verdict and loss go on. A check that keeps only its
// name is a new one, which has decided nothing, but inherits the weight that was
// asked for: that, too, is not to move before somebody has looked.
func matchChecks(old []check, wanted []Check) []check {
	checks := make([]check, len(wanted))
	from := make([]int, len(wanted)) // index in old plus one; 0 is none
	taken := make([]bool, len(old))
	match := func(same func(o, w *Check) bool) {
		for i := range wanted {
			for j := range old {
				if from[i] == 0 && !taken[j] && same(&old[j].config, &wanted[i]) {
					from[i], taken[j] = j+1, true
				}
			}
		}
	}
	match(func(o, w *Check) bool { return o.Definition == w.Definition && o.Name == w.Name })
	match(func(o, w *Check) bool { return o.Definition == w.Definition })
	match(func(o, w *Check) bool { return o.Name == w.Name })
	for i, w := range wanted {
		if from[i] > 0 {
			o := old[from[i]-1]
			if o.config.Definition == w.Definition {
				checks[i] = o
			} else {
				checks[i].weighted, checks[i].weight = o.weighted, o.weight
			}
		}
		checks[i].config = w
	}
	return checks
}
