package check

import "strconv"

// Reason says why an outcome is what it is: one closed list for logs, metrics,
// status and notifications.
type Reason uint8

// The reasons. More are only ever appended: their numbers are on the wire.
const (
	ReasonNone        Reason = iota // nothing to add (a plain pass)
	ReasonRefused                   // the target refused the connection
	ReasonTimeout                   // no answer before the deadline
	ReasonReset                     // the connection was reset
	ReasonUnreachable               // no route, host or network unreachable
	ReasonTLS                       // handshake or certificate
	ReasonStatus                    // an unexpected status code
	ReasonDigest                    // the body's digest differs
	ReasonMismatch                  // the answer is not the expected one
	ReasonProtocol                  // the answer breaks the protocol
	ReasonExit                      // a script's exit code
	ReasonSignal                    // a script ended by a signal
	ReasonLocalError                // this machine could not do it: no descriptor, cannot bind, cannot execute
	ReasonLate                      // the plugin's own loop was too late to judge
	ReasonPluginLost                // set by the core: the plugin is away
)

// String returns the word used in logs, metrics, status and notifications.
// ReasonNone is "none": a label must not be empty.
func (r Reason) String() string {
	switch r {
	case ReasonNone:
		return "none"
	case ReasonRefused:
		return "refused"
	case ReasonTimeout:
		return "timeout"
	case ReasonReset:
		return "reset"
	case ReasonUnreachable:
		return "unreachable"
	case ReasonTLS:
		return "tls"
	case ReasonStatus:
		return "status"
	case ReasonDigest:
		return "digest"
	case ReasonMismatch:
		return "mismatch"
	case ReasonProtocol:
		return "protocol"
	case ReasonExit:
		return "exit"
	case ReasonSignal:
		return "signal"
	case ReasonLocalError:
		return "local_error"
	case ReasonLate:
		return "late"
	case ReasonPluginLost:
		return "plugin_lost"
	}
	return "reason(" + strconv.Itoa(int(r)) + ")"
}

// Known reports whether r is one of the reasons of this version of the SDK.
func (r Reason) Known() bool { return r <= ReasonPluginLost }

// MarshalText writes the word, so that JSON holds "timeout" and not 2.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String returns "unknown", "pass" or "fail".
func (o Outcome) String() string {
	switch o {
	case Unknown:
		return "unknown"
	case Pass:
		return "pass"
	case Fail:
		return "fail"
	}
	return "outcome(" + strconv.Itoa(int(o)) + ")"
}

// Known reports whether o is one of the three outcomes.
func (o Outcome) Known() bool { return o <= Fail }

// MarshalText writes the word, so that JSON holds "pass" and not 1.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }
