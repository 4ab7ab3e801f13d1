package main

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/sdktest"
	"github.com/halo-ha/halo/sdk/sdktest/conformance"
)

// redis is a server that knows AUTH and PING. It answers PING with its reply,
// once the right login has been given; without a reply it closes.
type redis struct{ login, reply string }

// start returns the server as a target.
func (r redis) start(t *testing.T) check.Target {
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
			go func() {
				defer c.Close()
				r.serve(c)
			}()
		}
	}()
	return target(l.Addr())
}

func target(a net.Addr) check.Target {
	at := netip.MustParseAddrPort(a.String())
	return check.Target{Address: at.Addr(), Port: at.Port()}
}

func (r redis) serve(c net.Conn) {
	in, allowed := bufio.NewReader(c), r.login == ""
	for {
		words, err := readCommand(in)
		if err != nil {
			return
		}
		reply := "-ERR unknown command"
		switch {
		case words[0] == "AUTH" && strings.Join(words[1:], " ") == r.login:
			allowed, reply = true, "+OK"
		case words[0] == "AUTH":
			reply = "-WRONGPASS invalid username-password pair or user is disabled."
		case !allowed:
			reply = "-NOAUTH Authentication required."
		case words[0] == "PING":
			reply = r.reply
		}
		if reply == "" {
			return
		}
		if _, err := io.WriteString(c, reply+"\r\n"); err != nil {
			return
		}
	}
}

// readCommand reads an array of bulk strings.
func readCommand(in *bufio.Reader) ([]string, error) {
	count, err := readNumber(in, "*")
	if err != nil {
		return nil, err
	}
	words := make([]string, count)
	for i := range words {
		length, err := readNumber(in, "$")
		if err != nil {
			return nil, err
		}
		word := make([]byte, length+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, err
		}
		words[i] = string(word[:length])
	}
	return words, nil
}

func readNumber(in *bufio.Reader, mark string) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(line), mark))
}

// TestCheck goes through all that a probe goes through in production: the
// settings as JSON, the schedule, the deadline, the wire.
func TestCheck(t *testing.T) {
	h := sdktest.Start(t, plugin())
	good := redis{reply: "+PONG"}.start(t)
	locked := redis{reply: "+PONG", login: "se cret"}.start(t)
	named := redis{reply: "+PONG", login: "halo secret"}.start(t)
	closed := good
	closed.Address = netip.MustParseAddr("127.0.0.2")
	bound, nowhere := good, good
	bound.Bind = netip.MustParseAddr("127.0.0.3")
	nowhere.Bind = netip.MustParseAddr("192.0.2.1")

	tests := map[string]struct {
		settings string
		target   check.Target
		outcome  check.Outcome
		reason   check.Reason
		detail   string
	}{
		"good":                {`{}`, good, check.Pass, check.ReasonNone, ""},
		"bound":               {`{}`, bound, check.Pass, check.ReasonNone, ""},
		"password":            {`{"password": "se cret"}`, locked, check.Pass, check.ReasonNone, ""},
		"user":                {`{"username": "halo", "password": "secret"}`, named, check.Pass, check.ReasonNone, ""},
		"expected":            {`{"expect": "moved"}`, redis{reply: "+moved"}.start(t), check.Pass, check.ReasonNone, ""},
		"no password":         {`{}`, locked, check.Fail, check.ReasonMismatch, "PING: -NOAUTH"},
		"wrong password":      {`{"password": "x"}`, locked, check.Fail, check.ReasonMismatch, "login: -WRONGPASS"},
		"loading":             {`{}`, redis{reply: "-LOADING dataset in memory"}.start(t), check.Fail, check.ReasonMismatch, "PING: -LOADING"},
		"closes":              {`{}`, redis{}.start(t), check.Fail, check.ReasonProtocol, "closed without a reply"},
		"endless reply":       {`{}`, redis{reply: strings.Repeat("x", 1<<16)}.start(t), check.Fail, check.ReasonProtocol, "does not end"},
		"refused":             {`{}`, closed, check.Fail, check.ReasonRefused, "connection refused"},
		"no such own address": {`{}`, nowhere, check.Unknown, check.ReasonLocalError, "cannot assign requested address"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := h.Check(sdktest.Probe("redis", test.settings, test.target))
			if r.Outcome != test.outcome || r.Reason != test.reason || !strings.Contains(r.Detail, test.detail) {
				t.Errorf("%+v, want %v, %v, %q", r, test.outcome, test.reason, test.detail)
			}
			if strings.Contains(r.Detail, "cret") {
				t.Errorf("the password is in the detail: %q", r.Detail)
			}
		})
	}
}

// TestSilentServer accepts and never answers.
func TestSilentServer(t *testing.T) {
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := sdktest.Probe("redis", `{}`, target(l.Addr()))
	p.Schedule.Timeout = 100 * time.Millisecond
	if r := sdktest.Start(t, plugin()).Check(p); r.Outcome != check.Fail || r.Reason != check.ReasonTimeout {
		t.Errorf("%+v, want a timeout", r)
	}
}

func TestSettings(t *testing.T) {
	h := sdktest.Start(t, plugin())
	for settings, attribute := range map[string]string{
		`{"username": "halo"}`: "username",
		`{"expect": ""}`:       "expect",
		`{"pasword": "x"}`:     "pasword",
		`{"password": 5}`:      "password",
	} {
		if found := h.Diagnose("redis", settings); len(found) != 1 || found[0].Attribute != attribute || found[0].Warning {
			t.Errorf("%s: %+v, want a complaint about %s", settings, found, attribute)
		}
	}
	if found := h.Diagnose("redis", `{}`); len(found) != 0 {
		t.Errorf("no settings: %+v", found)
	}
}

// TestConformance builds the program and holds it to what halo relies on.
func TestConformance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "halo-check-redis")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	sdktest.Conformance(t, conformance.Options{Path: path, Target: redis{reply: "+PONG"}.start(t)})
}
