package vrrp

import (
	"net/netip"
	"time"
)

// Snapshot is what an operator may know about a router. It shares nothing with
// the Router.
type Snapshot struct {
	State  State
	Reason Reason
	// Since is when the state was entered; zero before the first transition.
	Since time.Time
	// Priority is the configured one, EffectivePriority the one advertised.
	Priority, EffectivePriority uint8
	// Source is the address advertisements come from.
	Source netip.Addr
	Faults Faults
	// FaultDetail names what raised the gravest of them, where that was said.
	FaultDetail string
	// Peer is the other router heard last.
	Peer Peer
	// ActiveAdverInterval, SkewTime and ActiveDownInterval are the timers'
	// lengths (RFC 9568 §6.1), by what is known now.
	ActiveAdverInterval, SkewTime, ActiveDownInterval time.Duration
	// Mismatches persist as far as is known.
	Mismatches []Mismatch
}

// Snapshot describes the router.
func (r *Router) Snapshot() Snapshot {
	interval := r.config.Interval
	if r.state == Backup {
		interval = r.backup.interval
	}
	s := Snapshot{
		State: r.state, Reason: r.reason, Since: r.since,
		Priority: r.config.Priority, EffectivePriority: r.priority,
		Source: r.source, Faults: r.faults.causes, FaultDetail: r.faults.detail(), Peer: r.peer,
		ActiveAdverInterval: interval,
		SkewTime:            SkewTime(r.config.Version, r.priority, interval),
		ActiveDownInterval:  ActiveDownInterval(r.config.Version, r.priority, interval),
	}
	for i := range r.mismatches {
		for _, e := range r.mismatches[i].peers {
			s.Mismatches = append(s.Mismatches, e.report)
		}
	}
	return s
}
