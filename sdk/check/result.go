package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"syscall"
)

// Passed is the result of a target that is good.
func Passed(detail string) Result { return Result{Outcome: Pass, Detail: detail} }

// Failed is the result of a target that is not good, and why.
func Failed(reason Reason, detail string) Result {
	return Result{Outcome: Fail, Reason: reason, Detail: detail}
}

// NotKnown is the result of a probe that could not find out, through no fault
// of the target. It never moves traffic.
func NotKnown(reason Reason, detail string) Result {
	return Result{Outcome: Unknown, Reason: reason, Detail: detail}
}

// FromError sorts an error of package net, crypto/tls or syscall into a
// Result. What this machine could not do (no descriptor left, cannot bind, a
// local firewall forbids it) is Unknown with ReasonLocalError; what the target
// or the way to it did is Fail. An error it cannot place is Fail with
// ReasonProtocol: the target did answer, but not as it should. A nil error is
// a pass.
func FromError(err error) Result {
	if err == nil {
		return Passed("")
	}
	outcome, reason := classify(err)
	return Result{Outcome: outcome, Reason: reason, Detail: err.Error()}
}

// classify holds the order of the questions: cancelled before timeout, since a
// cancelled dial also reports a timeout; errno before the general net.Error.
func classify(err error) (Outcome, Reason) {
	if errors.Is(err, context.Canceled) {
		return Unknown, ReasonLocalError
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		if outcome, reason, ok := classifyErrno(errno); ok {
			return outcome, reason
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return Fail, ReasonTimeout
	}
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		return Fail, ReasonTimeout
	}
	if isTLS(err) {
		return Fail, ReasonTLS
	}
	return Fail, ReasonProtocol
}

func classifyErrno(errno syscall.Errno) (Outcome, Reason, bool) {
	switch errno {
	case syscall.ECONNREFUSED:
		return Fail, ReasonRefused, true
	case syscall.ETIMEDOUT:
		return Fail, ReasonTimeout, true
	case syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED:
		return Fail, ReasonReset, true
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN:
		return Fail, ReasonUnreachable, true
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EAGAIN,
		syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.EACCES, syscall.EPERM,
		syscall.ENETDOWN, syscall.EAFNOSUPPORT, syscall.EPROTONOSUPPORT, syscall.EINVAL,
		syscall.ENOENT, syscall.ENOEXEC, syscall.ENODEV:
		return Unknown, ReasonLocalError, true
	}
	return Unknown, ReasonNone, false
}

func isTLS(err error) bool {
	var (
		record      tls.RecordHeaderError
		alert       tls.AlertError
		verify      *tls.CertificateVerificationError
		invalid     x509.CertificateInvalidError
		hostname    x509.HostnameError
		unknownRoot x509.UnknownAuthorityError
	)
	return errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &verify) ||
		errors.As(err, &invalid) || errors.As(err, &hostname) || errors.As(err, &unknownRoot)
}
