package misc_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/halo-ha/halo/sdk/check"
)

// sample copies a script of contrib/samples to where it may be run from: the
// source tree may belong to anybody.
func sample(t *testing.T, name string) string {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("needs bash")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "contrib", "samples", name))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// greeter is a server that says one thing to everybody.
func greeter(t *testing.T, greeting string) check.Target {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(greeting))
			_ = c.Close()
		}
	}()
	at := netip.MustParseAddrPort(l.Addr().String())
	return check.Target{Address: at.Addr(), Port: at.Port()}
}

func ask(t *testing.T, c check.Checker, target check.Target) check.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return c.Check(ctx, target)
}

func TestSampleBanner(t *testing.T) {
	c := mustBuild(t, "keepalived", sample(t, "check-banner"), "220 ")
	closed := greeter(t, "")
	refused := closed
	refused.Address = netip.MustParseAddr("127.0.0.2")
	tests := map[string]struct {
		target  check.Target
		outcome check.Outcome
		detail  string
	}{
		"good":    {greeter(t, "220 mail.example.net ESMTP\r\n"), check.Pass, ""},
		"bad":     {greeter(t, "554 go away\r\n"), check.Fail, "exit code 1: greets with: 554 go away"},
		"silent":  {closed, check.Fail, "exit code 1: closed without a greeting"},
		"refused": {refused, check.Fail, "Connection refused"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if r := ask(t, c, test.target); r.Outcome != test.outcome || !strings.Contains(r.Detail, test.detail) {
				t.Errorf("%+v, want %v, %q", r, test.outcome, test.detail)
			}
		})
	}
}

func TestSampleAgentWeight(t *testing.T) {
	c := mustBuild(t, "keepalived-dynamic", sample(t, "check-agent-weight"))
	for answer, weight := range map[string]int{"0\n": 100, "37\n": 63, "037\n": 63, "100\r\n": 0, "8 %\n": 92} {
		r := ask(t, c, greeter(t, answer))
		if r.Outcome != check.Pass || r.Weight == nil || *r.Weight != weight {
			t.Errorf("%q: %+v, want weight %d", answer, r, weight)
		}
	}
	for _, answer := range []string{"", "busy\n", "101\n", "-5\n"} {
		if r := ask(t, c, greeter(t, answer)); r.Outcome != check.Fail || r.Weight != nil {
			t.Errorf("%q: %+v, want a failure", answer, r)
		}
	}
}

func TestSampleDisk(t *testing.T) {
	path := sample(t, "check-disk")
	tests := map[string]struct {
		arguments []string
		outcome   check.Outcome
		detail    string
	}{
		"ok":       {[]string{"/", "101", "102"}, check.Pass, "DISK OK - / is "},
		"warning":  {[]string{"/", "0", "101"}, check.Pass, "DISK WARNING - / is "},
		"critical": {[]string{"/", "0", "0"}, check.Fail, "DISK CRITICAL - / is "},
		"unknown":  {[]string{"/nonexistent"}, check.Unknown, "DISK UNKNOWN - cannot look at /nonexistent"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := ask(t, mustBuild(t, "nagios", append([]string{path}, test.arguments...)...), check.Target{})
			if r.Outcome != test.outcome || !strings.HasPrefix(r.Detail, test.detail) {
				t.Errorf("%+v, want %v, %q", r, test.outcome, test.detail)
			}
			if _, ok := r.Metrics["used_percent"]; ok != (test.outcome != check.Unknown) {
				t.Errorf("metrics %v", r.Metrics)
			}
		})
	}
}
