package check_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/halo-ha/halo/sdk/check"
)

func TestReasonWordsAreDistinctAndStable(t *testing.T) {
	words := []string{
		"none", "refused", "timeout", "reset", "unreachable", "tls", "status", "digest", "mismatch",
		"protocol", "exit", "signal", "local_error", "late", "plugin_lost",
	}
	for i, want := range words {
		r := check.Reason(i) //nolint:gosec // A small index.
		if r.String() != want || !r.Known() {
			t.Errorf("reason %d = %q, known %v; want %q", i, r, r.Known(), want)
		}
	}
	beyond := check.Reason(len(words)) //nolint:gosec // A small index.
	if beyond.Known() || beyond.String() != "reason(15)" {
		t.Errorf("reason beyond the list = %q, known %v", beyond, beyond.Known())
	}
}

func TestOutcomeWords(t *testing.T) {
	for o, want := range map[check.Outcome]string{
		check.Unknown: "unknown", check.Pass: "pass", check.Fail: "fail", 9: "outcome(9)",
	} {
		if o.String() != want || o.Known() != (o < 3) {
			t.Errorf("outcome %d = %q, known %v; want %q", uint8(o), o, o.Known(), want)
		}
	}
	data, err := json.Marshal(map[string]any{"outcome": check.Fail, "reason": check.ReasonTLS})
	if err != nil || string(data) != `{"outcome":"fail","reason":"tls"}` {
		t.Errorf("JSON = %s, %v", data, err)
	}
}

func TestFromError(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for _, tc := range []struct {
		name    string
		err     error
		outcome check.Outcome
		reason  check.Reason
	}{
		{"nil", nil, check.Pass, check.ReasonNone},
		{"refused", dial(syscall.ECONNREFUSED), check.Fail, check.ReasonRefused},
		{"timed out by the kernel", dial(syscall.ETIMEDOUT), check.Fail, check.ReasonTimeout},
		{"deadline of a context", fmt.Errorf("get: %w", context.DeadlineExceeded), check.Fail, check.ReasonTimeout},
		{"deadline of a connection", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, check.Fail, check.ReasonTimeout},
		{"timeout of a resolver", &net.DNSError{IsTimeout: true}, check.Fail, check.ReasonTimeout},
		{"cancelled", fmt.Errorf("dial: %w", context.Canceled), check.Unknown, check.ReasonLocalError},
		{"reset", dial(syscall.ECONNRESET), check.Fail, check.ReasonReset},
		{"broken pipe", dial(syscall.EPIPE), check.Fail, check.ReasonReset},
		{"no route to host", dial(syscall.EHOSTUNREACH), check.Fail, check.ReasonUnreachable},
		{"no route to network", dial(syscall.ENETUNREACH), check.Fail, check.ReasonUnreachable},
		{"no descriptor", dial(syscall.EMFILE), check.Unknown, check.ReasonLocalError},
		{"no descriptor in the system", dial(syscall.ENFILE), check.Unknown, check.ReasonLocalError},
		{"cannot bind", dial(syscall.EADDRNOTAVAIL), check.Unknown, check.ReasonLocalError},
		{"local firewall", dial(syscall.EPERM), check.Unknown, check.ReasonLocalError},
		{"no memory", dial(syscall.ENOBUFS), check.Unknown, check.ReasonLocalError},
		{"cannot execute", &os.PathError{Op: "fork/exec", Path: "/x", Err: syscall.ENOENT}, check.Unknown, check.ReasonLocalError},
		{"plain text on a TLS port", tls.RecordHeaderError{Msg: "first record"}, check.Fail, check.ReasonTLS},
		{"alert", tls.AlertError(40), check.Fail, check.ReasonTLS},
		{"unknown authority", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, check.Fail, check.ReasonTLS},
		{"wrong host name", x509.HostnameError{Host: "a", Certificate: &x509.Certificate{}}, check.Fail, check.ReasonTLS},
		{"another errno", dial(syscall.EXDEV), check.Fail, check.ReasonProtocol},
		{"anything else", errors.New("short answer"), check.Fail, check.ReasonProtocol},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := check.FromError(tc.err)
			if got.Outcome != tc.outcome || got.Reason != tc.reason {
				t.Errorf("FromError(%v) = %v %v, want %v %v", tc.err, got.Outcome, got.Reason, tc.outcome, tc.reason)
			}
			if tc.err != nil && got.Detail != tc.err.Error() {
				t.Errorf("detail = %q", got.Detail)
			}
		})
	}
}

func TestFromErrorOfARealRefusal(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // A test.
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", address)
	if got := check.FromError(err); got.Outcome != check.Fail || got.Reason != check.ReasonRefused {
		t.Errorf("FromError(%v) = %+v, want refused", err, got)
	}
}

func TestConstructors(t *testing.T) {
	if r := check.Failed(check.ReasonStatus, "503"); r.Outcome != check.Fail || r.Reason != check.ReasonStatus || r.Detail != "503" {
		t.Errorf("Failed = %+v", r)
	}
	if r := check.NotKnown(check.ReasonLocalError, "x"); r.Outcome != check.Unknown || r.Reason != check.ReasonLocalError || r.Detail != "x" {
		t.Errorf("NotKnown = %+v", r)
	}
	var zero check.Result
	if zero.Outcome != check.Unknown {
		t.Errorf("the zero result is %v, want unknown", zero.Outcome)
	}
}
