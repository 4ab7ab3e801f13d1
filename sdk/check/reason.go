package check

// Reason says why an outcome is what it is: one closed list for logs, metrics,
// status and notifications.
type Reason uint8

// The reasons. New ones are only ever appended: their numbers are on the wire.
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
