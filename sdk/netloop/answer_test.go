package netloop_test

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/netloop"
)

// TestResultOfErrno has a row for every error a connection is known to end in.
func TestResultOfErrno(t *testing.T) {
	tests := []struct {
		state   netloop.State
		errno   syscall.Errno
		outcome check.Outcome
		reason  check.Reason
	}{
		{netloop.HandshakeFailed, unix.ECONNREFUSED, check.Fail, check.ReasonRefused},
		{netloop.HandshakeFailed, unix.ETIMEDOUT, check.Fail, check.ReasonTimeout},
		{netloop.HandshakeFailed, unix.ECONNABORTED, check.Fail, check.ReasonReset},
		{netloop.HandshakeFailed, unix.EHOSTUNREACH, check.Fail, check.ReasonUnreachable},
		{netloop.HandshakeFailed, unix.ENETUNREACH, check.Fail, check.ReasonUnreachable},
		{netloop.HandshakeFailed, unix.EHOSTDOWN, check.Fail, check.ReasonUnreachable},
		{netloop.HandshakeFailed, unix.ENONET, check.Fail, check.ReasonUnreachable},
		{netloop.HandshakeFailed, unix.ENOPROTOOPT, check.Fail, check.ReasonUnreachable},
		{netloop.HandshakeFailed, unix.EPROTO, check.Fail, check.ReasonUnreachable},
		{netloop.HandshakeFailed, unix.EOPNOTSUPP, check.Fail, check.ReasonUnreachable},
		{netloop.HandshakeFailed, unix.EACCES, check.Fail, check.ReasonUnreachable},
		{netloop.HandshakeFailed, unix.ENOMEM, check.Unknown, check.ReasonLocalError},
		{netloop.HandshakeFailed, unix.ENETDOWN, check.Unknown, check.ReasonLocalError},
		{netloop.ConnectFailed, unix.ECONNREFUSED, check.Fail, check.ReasonRefused},
		{netloop.ConnectFailed, unix.ENETUNREACH, check.Fail, check.ReasonUnreachable},
		{netloop.ConnectFailed, unix.EHOSTUNREACH, check.Fail, check.ReasonUnreachable},
		{netloop.ConnectFailed, unix.EACCES, check.Unknown, check.ReasonLocalError},
		{netloop.ConnectFailed, unix.EPERM, check.Unknown, check.ReasonLocalError},
		{netloop.ConnectFailed, unix.EADDRNOTAVAIL, check.Unknown, check.ReasonLocalError},
		{netloop.ConnectFailed, unix.EAGAIN, check.Unknown, check.ReasonLocalError},
		{netloop.ConnectFailed, unix.EINVAL, check.Unknown, check.ReasonLocalError},
		{netloop.ConnectFailed, unix.EAFNOSUPPORT, check.Unknown, check.ReasonLocalError},
		{netloop.SocketFailed, unix.EMFILE, check.Unknown, check.ReasonLocalError},
		{netloop.SocketFailed, unix.ENFILE, check.Unknown, check.ReasonLocalError},
		{netloop.SocketFailed, unix.ENOBUFS, check.Unknown, check.ReasonLocalError},
		{netloop.BindFailed, unix.EADDRNOTAVAIL, check.Unknown, check.ReasonLocalError},
		{netloop.BindFailed, unix.EADDRINUSE, check.Unknown, check.ReasonLocalError},
		{netloop.TimedOut, 0, check.Fail, check.ReasonTimeout},
		{netloop.NotStarted, 0, check.Unknown, check.ReasonLate},
		{netloop.Closed, 0, check.Unknown, check.ReasonLocalError},
		{netloop.State(0), 0, check.Unknown, check.ReasonLocalError},
	}
	for _, test := range tests {
		r := netloop.Answer{State: test.state, Errno: test.errno}.Result()
		if r.Outcome != test.outcome || r.Reason != test.reason {
			t.Errorf("state %d, %v: outcome %d reason %d, want %d and %d",
				test.state, test.errno, r.Outcome, r.Reason, test.outcome, test.reason)
		}
		if r.Detail == "" {
			t.Errorf("state %d, %v: no detail", test.state, test.errno)
		}
	}
}
