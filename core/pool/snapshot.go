package pool

import (
	"net/netip"
	"time"

	"github.com/halo-ha/halo/core/ipvs"
)

// Snapshot is a copy of a Server's state for people.
type Snapshot struct {
	// Service is the wanted table; its destinations must not be changed.
	Service ipvs.Service
	// State is Up while the quorum is reached, Unknown before that was decided.
	State  State
	Since  time.Time
	Reason Reason
	// Weight is the total weight admitted, Quorum what is needed.
	Weight, Quorum int
	// SorryServer is invalid when there is none; SorryActive says that it serves.
	SorryServer netip.AddrPort
	SorryActive bool
	Servers     []ServerSnapshot // sorted by address
}

// ServerSnapshot is one real server.
type ServerSnapshot struct {
	Address netip.AddrPort
	// State is what is known now: Unknown while a check has not decided, its
	// plugin is away, or it cannot be made. That alone moves nothing.
	State State
	// InService says that the server takes new connections.
	InService bool
	// Weight is what it has in the wanted table, 0 when it is not there;
	// EffectiveWeight what it has, or would have, in service.
	Weight, EffectiveWeight int
	// Since is when the server last went up, down, in or out; or became known.
	Since time.Time
	Why
	Checks []CheckSnapshot // in the configuration's order
}

// CheckSnapshot is one check of a real server.
type CheckSnapshot struct {
	Name string
	// State is the verdict after rise and fall, and Unknown while it cannot be
	// confirmed; Verdict is what holds all the same.
	State, Verdict State
	// Outcome, Reason and Detail are those of the last result that was told.
	// PluginLost says that none will come.
	Outcome        Outcome
	Reason, Detail string
	PluginLost     bool
	// Weighted says that the last pass asked for Weight.
	Weighted bool
	Weight   int
}

// Snapshot returns the state as it is now.
func (s *Server) Snapshot() Snapshot {
	v := Snapshot{
		Service: s.table, State: s.quorum, Since: s.since, Reason: ReasonNotProven,
		Weight: s.weight, Quorum: s.config.Quorum,
		SorryServer: s.config.SorryServer, SorryActive: s.sorry,
		Servers: make([]ServerSnapshot, 0, len(s.members)),
	}
	switch s.quorum {
	case Up:
		v.Reason = ReasonQuorumGained
	case Down:
		v.Reason = ReasonQuorumLost
	case Unknown:
	}
	for _, m := range s.members {
		v.Servers = append(v.Servers, s.snapshot(m))
	}
	return v
}

func (s *Server) snapshot(m *member) ServerSnapshot {
	v := ServerSnapshot{
		Address: m.config.Address, State: Up,
		InService: m.inService, Weight: s.tableWeight(m), EffectiveWeight: m.weight(),
		Since: m.since, Why: m.why,
		Checks: make([]CheckSnapshot, 0, len(m.checks)),
	}
	var doubtful *check
	for i := range m.checks {
		c := &m.checks[i]
		v.Checks = append(v.Checks, c.snapshot())
		switch {
		case c.state() == Down:
			v.State = Down
		case c.state() == Unknown && v.State != Down:
			v.State = Unknown
			if doubtful == nil {
				doubtful = c
			}
		}
	}
	switch {
	case v.State == Down:
		v.Why = m.failure()
	case s.sorry && m.admitted && !m.inService:
		v.Why = Why{Reason: ReasonQuorumLost}
	case doubtful != nil && (m.state != Unknown || doubtful.doubt() != ReasonCheckAdded):
		// Something was decided once, or it is known why nothing can be.
		v.Why = doubtful.why(doubtful.doubt())
	}
	return v
}

func (c *check) snapshot() CheckSnapshot {
	return CheckSnapshot{
		Name: c.config.Name, State: c.state(), Verdict: c.verdict,
		Outcome: c.last.outcome, Reason: c.last.reason, Detail: c.last.detail,
		PluginLost: !c.lost.IsZero(), Weighted: c.weighted, Weight: c.weight,
	}
}
