package vrrp

import "fmt"

// State is the state of a virtual router (RFC 9568 §6.3).
type State uint8

// The states.
const (
	// Initialize: nothing is known about the interface yet, or the router was
	// stopped.
	Initialize State = iota
	// Backup: another router is active, or is given the time to say so.
	Backup
	// Active: this router holds the addresses.
	Active
	// Fault: Initialize, held down by at least one cause.
	Fault
)

// String is the state's word in logs, status and metrics.
func (s State) String() string {
	switch s {
	case Initialize:
		return "initialize"
	case Backup:
		return "backup"
	case Active:
		return "active"
	case Fault:
		return "fault"
	default:
		return fmt.Sprintf("state %d", uint8(s))
	}
}

// Reason is why a router is in its state.
type Reason uint8

// The reasons.
const (
	// ReasonNone is that of a router that has not started.
	ReasonNone Reason = iota
	// ReasonStartup: the interface is usable for the first time.
	ReasonStartup
	// ReasonOwner: priority 255 starts active.
	ReasonOwner
	// ReasonActiveDown: no advertisement for the Active_Down_Interval.
	ReasonActiveDown
	// ReasonActiveResigned: the active router advertised priority 0.
	ReasonActiveResigned
	// ReasonHigherPriority: an active router with a higher priority was heard.
	ReasonHigherPriority
	// ReasonHigherAddress: one with equal priority and a higher address.
	ReasonHigherAddress
	// ReasonTwoOwners: another router insists on owning the addresses.
	ReasonTwoOwners
	// ReasonHealed: the last cause of a fault has gone.
	ReasonHealed
	// ReasonInterfaceMissing and the next five: the gravest cause of a fault.
	ReasonInterfaceMissing
	// ReasonLinkDown: see FaultLinkDown.
	ReasonLinkDown
	// ReasonNoSourceAddress: see FaultNoSourceAddress.
	ReasonNoSourceAddress
	// ReasonNoSocket: see FaultNoSocket.
	ReasonNoSocket
	// ReasonAddressesLost: see FaultAddressesLost.
	ReasonAddressesLost
	// ReasonTracker: see FaultTracker.
	ReasonTracker
	// ReasonGroup: the sync group moved, because of another member.
	ReasonGroup
	// ReasonStuck: a member of a sync group does not do what the group decided.
	ReasonStuck
	// ReasonStopped: the router was told to stop.
	ReasonStopped
)

// ReasonCount is the length of an array indexed by Reason.
const ReasonCount = int(ReasonStopped) + 1

// String is the reason's word in logs, status and metrics.
func (r Reason) String() string {
	names := [ReasonCount]string{
		"none", "startup", "owner", "active_down", "active_resigned",
		"higher_priority", "higher_address", "two_owners", "healed",
		"interface_missing", "link_down", "no_source_address", "no_socket",
		"addresses_lost", "tracker", "sync_group", "stuck", "stopped",
	}
	if int(r) >= len(names) {
		return "unknown"
	}
	return names[r]
}

// electoral says that the reason lies in what another router said, or did not
// say.
func (r Reason) electoral() bool {
	return r >= ReasonActiveDown && r <= ReasonTwoOwners
}
