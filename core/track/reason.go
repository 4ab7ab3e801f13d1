package track

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
	ReasonNotProven           // nothing has been decided
	ReasonAssumed             // down until proven otherwise, by configuration
	ReasonUp                  // a tracker went up
	ReasonDown                // a tracker went down
	ReasonValue               // a tracker's number changed
	ReasonNoOpinion           // a tracker could not be observed, several times in a row
	ReasonLost                // the observer of a tracker is away
	ReasonRedefined           // something else is observed under that name now
	ReasonReconfigured        // the configuration changed
)

// String returns the reason in words.
func (r Reason) String() string {
	switch r {
	case ReasonNone:
		return ""
	case ReasonNotProven:
		return "not proven yet"
	case ReasonAssumed:
		return "assumed down"
	case ReasonUp:
		return "tracker up"
	case ReasonDown:
		return "tracker down"
	case ReasonValue:
		return "value changed"
	case ReasonNoOpinion:
		return "no opinion"
	case ReasonLost:
		return "observer lost"
	case ReasonRedefined:
		return "tracker changed"
	case ReasonReconfigured:
		return "reconfigured"
	default:
		return "invalid"
	}
}

// Why is a reason together with the tracker that it is about, if it is about one.
type Why struct {
	Reason Reason
	// Tracker is the tracker's name; TrackerReason and TrackerDetail are what
	// its last observation said.
	Tracker, TrackerReason, TrackerDetail string
}

// String returns the reason as one line: "tracker down: gateway: timeout".
func (w Why) String() string {
	parts := []string{w.Reason.String(), w.Tracker, w.TrackerReason, w.TrackerDetail}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
}
