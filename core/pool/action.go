package pool

import (
	"net/netip"

	"github.com/halo-ha/halo/core/ipvs"
)

// Action is something that followed from an event: ServerChanged, QuorumChanged
// or SetTable.
//
//sumtype:decl
type Action interface{ action() }

// State is a verdict about a check, a real server or a virtual server.
type State uint8

// The states.
const (
	Unknown State = iota
	Up
	Down
)

// String returns "unknown", "up" or "down".
func (s State) String() string {
	switch s {
	case Up:
		return "up"
	case Down:
		return "down"
	case Unknown:
		return "unknown"
	default:
		return "invalid"
	}
}

// ServerChanged tells that a real server went up or down, or began or ceased to
// take new connections. That nothing is known of a server any more is no
// change: From and To are the decided states before and now, and To is Unknown
// only while nothing has ever been decided.
type ServerChanged struct {
	Server                  netip.AddrPort
	From, To                State
	WasInService, InService bool
	// Weight is what the server has in the wanted table, 0 when it is not there.
	Weight int
	Why
}

// QuorumChanged tells that a virtual server has, or has no longer, the weight
// that it needs. From is Unknown the first time, and To never is.
type QuorumChanged struct {
	From, To State
	Reason   Reason
	// Weight is the total weight admitted, Quorum what is needed.
	Weight, Quorum int
	// Sorry says that the sorry server serves now.
	Sorry bool
}

// SetTable is the service as it has to be in the kernel from now on, with sorted
// destinations. The receiver may keep it but must not change it.
type SetTable struct {
	Service ipvs.Service
	Reason  Reason
}

func (ServerChanged) action() {}
func (QuorumChanged) action() {}
func (SetTable) action()      {}
