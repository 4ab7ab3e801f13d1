package vrrp_test

import (
	"fmt"

	"github.com/halo-ha/halo/core/vrrp"
)

// unitOf is what decides together: a group, or a router without one.
func unitsOf(m *machine) [][]*node {
	if m.team != nil {
		return [][]*node{m.nodes}
	}
	units := make([][]*node, len(m.nodes))
	for i := range m.nodes {
		units[i] = m.nodes[i : i+1]
	}
	return units
}

// violation says what is wrong with the present state of the network, if that is
// to be a stable one.
func (s *simulation) violation() string {
	var able [][]*node
	for _, m := range s.machines {
		if !m.running || m.nodes[0].frozen {
			continue
		}
		if wrong := s.machineViolation(m); wrong != "" {
			return wrong
		}
		for _, unit := range unitsOf(m) {
			if s.able(m, unit) {
				able = append(able, unit)
			}
		}
	}
	for i, a := range able {
		active := a[0].router.State() == vrrp.Active
		heard := active
		for j, b := range able {
			if i == j || b[0].router.State() != vrrp.Active || !hears(a, b) {
				continue
			}
			if active {
				return fmt.Sprintf("%s and %s are both active", a[0].name, b[0].name)
			}
			heard = true
		}
		if !heard {
			return a[0].name + " hears nobody active and is not"
		}
	}
	return ""
}

// able says whether a unit has no fault.
func (s *simulation) able(m *machine, unit []*node) bool {
	for i, n := range m.nodes {
		for _, u := range unit {
			if u == n && !(m.links[i] && m.tracked[i]) {
				return false
			}
		}
	}
	return true
}

// hears says whether two units meet on a network.
func hears(a, b []*node) bool {
	for _, x := range a {
		for _, y := range b {
			if connected(x, y) {
				return true
			}
		}
	}
	return false
}

// machineViolation looks at one machine: faults, agreement, addresses.
func (s *simulation) machineViolation(m *machine) string {
	for _, unit := range unitsOf(m) {
		for _, n := range unit {
			state := n.router.State()
			if n.holds != (state == vrrp.Active) {
				return fmt.Sprintf("%s holds addresses: %v, in state %v", n.name, n.holds, state)
			}
			if able := s.able(m, unit); able == (state == vrrp.Fault) || state == vrrp.Initialize {
				return fmt.Sprintf("%s is %v, without a fault: %v", n.name, state, able)
			}
			if first := unit[0].router; state != first.State() {
				return fmt.Sprintf("%s is %v, and %s %v", unit[0].name, first.State(), n.name, state)
			} else if p, q := first.Snapshot().EffectivePriority, n.router.Snapshot().EffectivePriority; p != q {
				return fmt.Sprintf("%s has priority %d, and %s %d", unit[0].name, p, n.name, q)
			}
		}
	}
	if m.team != nil && m.team.machine.State() != m.nodes[0].router.State() {
		return fmt.Sprintf("group %s is %v, its members %v", m.team.name, m.team.machine.State(), m.nodes[0].router.State())
	}
	return ""
}
