package pool

import (
	"slices"
	"strings"
)

// Reason says why something is as it is. The words are the same in logs, status
// and notifications.
type Reason uint8

// The reasons.
const (
	ReasonNone         Reason = iota
	ReasonNotProven           // new, and its checks have not decided
	ReasonAdopted             // the kernel served it when this process started
	ReasonNoChecks            // nobody has been asked for an opinion
	ReasonNoChecksLeft        // the last check was removed from the configuration
	ReasonCheckRemoved        // the check that failed was removed, and the others pass
	ReasonCheckAdded          // a check was added or changed and has not decided
	ReasonChecksPassed        // all checks pass
	ReasonCheckFailed         // a check fails
	ReasonNoOpinion           // a check could not be made, several times in a row
	ReasonPluginLost          // the plugin that makes a check is away
	ReasonQuorumLost          // the quorum is not reached, and the sorry server serves
	ReasonQuorumGained        // the quorum is reached
	ReasonWeight              // a check asked for another weight
	ReasonReconfigured        // the configuration changed
)

// String returns the reason in words.
func (r Reason) String() string {
	switch r {
	case ReasonNone:
		return ""
	case ReasonNotProven:
		return "not proven yet"
	case ReasonAdopted:
		return "adopted"
	case ReasonNoChecks:
		return "no checks"
	case ReasonNoChecksLeft:
		return "no checks left"
	case ReasonCheckRemoved:
		return "failed check removed"
	case ReasonCheckAdded:
		return "check changed"
	case ReasonChecksPassed:
		return "checks passed"
	case ReasonCheckFailed:
		return "check failed"
	case ReasonNoOpinion:
		return "no opinion"
	case ReasonPluginLost:
		return "plugin lost"
	case ReasonQuorumLost:
		return "quorum lost"
	case ReasonQuorumGained:
		return "quorum gained"
	case ReasonWeight:
		return "weight asked"
	case ReasonReconfigured:
		return "reconfigured"
	default:
		return "invalid"
	}
}

// Why is a reason together with the check that it is about, if it is about one.
type Why struct {
	Reason Reason
	// Check is the check's name; CheckReason and CheckDetail are what its
	// last result said.
	Check, CheckReason, CheckDetail string
}

// String returns the reason as one line: "check failed: tcp: refused".
func (w Why) String() string {
	parts := []string{w.Reason.String(), w.Check, w.CheckReason, w.CheckDetail}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
}
