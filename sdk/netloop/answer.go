package netloop

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/check"
)

// State is how an attempt ended.
type State uint8

// The states.
const (
	pending State = iota // not ended; never in an Answer that leaves the package
	// Connected means the handshake completed, whatever came of the connection.
	Connected
	// TimedOut means nothing came before the deadline.
	TimedOut
	// HandshakeFailed means the target, or the network on the way, said no.
	HandshakeFailed
	// ConnectFailed means this machine did not begin the handshake.
	ConnectFailed
	// SocketFailed means this machine had no socket to give.
	SocketFailed
	// BindFailed means the local address cannot be used.
	BindFailed
	// NotStarted means the deadline had passed before the loop came to it.
	NotStarted
	// Closed means the loop was closed first.
	Closed
)

// Answer is how one attempt ended.
type Answer struct {
	State State
	// Errno is the kernel's reason in the four states that end in Failed, else zero.
	Errno syscall.Errno
	// Took is the time from the first packet to the end; zero when none was sent.
	Took time.Duration
}

// Result is the answer as a check's result: what the target did is Pass or
// Fail, what this machine could not do is Unknown.
//
// Having no route counts as the target's failure, although the local kernel
// says it: routes to servers come and go with routing protocols, and a server
// that cannot be reached from here cannot be served from here.
func (a Answer) Result() check.Result {
	r := check.Result{Took: a.Took}
	switch a.State {
	case Connected:
		r.Outcome = check.Pass
	case TimedOut:
		r.Outcome, r.Reason, r.Detail = check.Fail, check.ReasonTimeout, "no answer to the connection request"
	case HandshakeFailed:
		r.Outcome, r.Reason = handshakeReason(a.Errno)
		r.Detail = a.Errno.Error()
	case ConnectFailed:
		r.Outcome, r.Reason = connectReason(a.Errno)
		r.Detail = a.Errno.Error()
		if r.Outcome == check.Unknown {
			r.Detail = "connect: " + r.Detail
		}
	case SocketFailed:
		r.Reason, r.Detail = check.ReasonLocalError, "open socket: "+a.Errno.Error()
	case BindFailed:
		r.Reason, r.Detail = check.ReasonLocalError, "bind: "+a.Errno.Error()
	case NotStarted:
		r.Reason, r.Detail = check.ReasonLate, "the deadline passed before the connection was begun"
	case pending, Closed:
		r.Reason, r.Detail = check.ReasonLocalError, "the connection loop was closed"
	}
	return r
}

// connectReason sorts what connect(2) itself returns.
func connectReason(errno syscall.Errno) (check.Outcome, check.Reason) {
	switch errno {
	case unix.ENETUNREACH, unix.EHOSTUNREACH:
		return check.Fail, check.ReasonUnreachable
	case unix.ECONNREFUSED:
		return check.Fail, check.ReasonRefused
	default:
		return check.Unknown, check.ReasonLocalError
	}
}

// handshakeReason sorts what arrived in place of a completed handshake. Most
// come from ICMP; icmp(7) and the kernel's tables say which message becomes
// which number. EACCES is ICMPv6's "administratively prohibited" here, while
// from connect it is a rule of this machine.
func handshakeReason(errno syscall.Errno) (check.Outcome, check.Reason) {
	switch errno {
	case unix.ECONNREFUSED:
		return check.Fail, check.ReasonRefused
	case unix.ETIMEDOUT:
		return check.Fail, check.ReasonTimeout
	case unix.ECONNABORTED:
		return check.Fail, check.ReasonReset
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EHOSTDOWN, unix.ENONET,
		unix.ENOPROTOOPT, unix.EPROTO, unix.EOPNOTSUPP, unix.EACCES:
		return check.Fail, check.ReasonUnreachable
	default:
		return check.Unknown, check.ReasonLocalError
	}
}
