package bfd

import "fmt"

// State is the state of a session. The numbers are those on the wire
// (RFC 5880 §4.1).
type State uint8

// The states.
const (
	// AdminDown: an operator holds the session down. It says nothing about the
	// path.
	AdminDown State = iota
	// Down: the peer is not heard, or has said that the session is down.
	Down
	// Init: the peer is heard, and is not yet known to hear this side.
	Init
	// Up: each side hears the other.
	Up
)

// StateCount is the length of an array indexed by State.
const StateCount = int(Up) + 1

// String is the state's word in logs, status and metrics.
func (s State) String() string {
	switch s {
	case AdminDown:
		return "admin_down"
	case Down:
		return "down"
	case Init:
		return "init"
	case Up:
		return "up"
	default:
		return fmt.Sprintf("state %d", uint8(s))
	}
}

// Diagnostic is why a side made the last change of its state. The numbers are
// those on the wire (RFC 5880 §4.1); a peer may send any up to 31.
type Diagnostic uint8

// The diagnostics.
const (
	DiagNone Diagnostic = iota
	// DiagDetectionTimeExpired: nothing was heard for the Detection Time.
	DiagDetectionTimeExpired
	DiagEchoFailed
	// DiagNeighborSignaledDown: the other side said that the session is down.
	DiagNeighborSignaledDown
	DiagForwardingPlaneReset
	DiagPathDown
	DiagConcatenatedPathDown
	// DiagAdministrativelyDown: an operator wants it so, or the program ends.
	DiagAdministrativelyDown
	DiagReverseConcatenatedPathDown
)

// DiagnosticCount is how many diagnostics have a name.
const DiagnosticCount = int(DiagReverseConcatenatedPathDown) + 1

// String is the diagnostic's word in logs, status and metrics.
func (d Diagnostic) String() string {
	names := [DiagnosticCount]string{
		"none", "detection_time_expired", "echo_failed", "neighbor_signaled_down", "forwarding_plane_reset",
		"path_down", "concatenated_path_down", "administratively_down", "reverse_concatenated_path_down",
	}
	if int(d) >= len(names) {
		return fmt.Sprintf("diagnostic %d", uint8(d))
	}
	return names[d]
}
