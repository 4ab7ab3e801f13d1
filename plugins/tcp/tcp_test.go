package tcp_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/plugins/tcp"
	"github.com/halo-ha/halo/sdk/check"
)

// patience bounds every wait of these tests; reaching it is a failure.
const patience = 20 * time.Second

func build(t *testing.T, settings string) (check.Checker, error) {
	t.Helper()
	return tcp.Type().Build([]byte(settings))
}

func listener(t *testing.T) netip.AddrPort {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return netip.MustParseAddrPort(l.Addr().String())
}

func target(at netip.AddrPort) check.Target {
	return check.Target{Address: at.Addr(), Port: at.Port(), RealServer: at, Protocol: "tcp"}
}

func TestSettings(t *testing.T) {
	describe, err := tcp.Type().Schema()
	if err != nil {
		t.Fatal(err)
	}
	if describe.Name != "tcp" || describe.Doc == "" || len(describe.Settings) != 0 {
		t.Errorf("schema %+v, want type tcp without settings", describe)
	}
	if _, err := build(t, `{"port": 80}`); err == nil || !strings.Contains(err.Error(), "port") {
		t.Errorf("an unknown setting gave %v, want an error that names it", err)
	}
}

func TestResults(t *testing.T) {
	c, err := build(t, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	live := listener(t)
	bound := target(live)
	bound.Bind = netip.MustParseAddr("127.0.0.5")
	nowhere := target(live)
	nowhere.Bind = netip.MustParseAddr("192.0.2.1")
	closed := target(live)
	closed.Address = netip.MustParseAddr("127.0.0.2")

	tests := map[string]struct {
		target  check.Target
		outcome check.Outcome
		reason  check.Reason
		detail  string
	}{
		"up":          {target(live), check.Pass, check.ReasonNone, ""},
		"bound":       {bound, check.Pass, check.ReasonNone, ""},
		"refused":     {closed, check.Fail, check.ReasonRefused, "connection refused"},
		"cannot bind": {nowhere, check.Unknown, check.ReasonLocalError, "bind to 192.0.2.1: cannot assign requested address"},
		"no port":     {check.Target{Address: live.Addr()}, check.Unknown, check.ReasonLocalError, "no address and port to connect to; set connect_port"},
		"no address":  {check.Target{Port: 80}, check.Unknown, check.ReasonLocalError, "no address and port to connect to; set connect_port"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			r := c.Check(ctx, test.target)
			if r.Outcome != test.outcome || r.Reason != test.reason || r.Detail != test.detail {
				t.Errorf("result %+v, want %v, %v, %q", r, test.outcome, test.reason, test.detail)
			}
		})
	}
}

// TestTimeout needs a target that never answers: a listener whose queue is full.
func TestTimeout(t *testing.T) {
	c, err := build(t, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := target(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*unix.SockaddrInet4).Port)))
	if r := checkWithin(t, c, at, patience); r.Outcome != check.Pass {
		t.Fatalf("the one place in the queue: %+v", r)
	}
	// The closed connection still fills the queue, since nobody accepts it.
	results := make(chan check.Result, 1)
	c.(check.Starter).Start(time.Now().Add(50*time.Millisecond), at, func(r check.Result) { results <- r })
	select {
	case r := <-results:
		if r.Outcome != check.Fail || r.Reason != check.ReasonTimeout || r.Took < 49*time.Millisecond {
			t.Errorf("result %+v, want a timeout", r)
		}
	case <-time.After(patience):
		t.Fatal("no result after the deadline")
	}
	// Check returns when its context ends, whatever the loop does.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := c.Check(ctx, at); r.Outcome != check.Unknown {
		t.Errorf("cancelled: %+v, want unknown", r)
	}
}

func checkWithin(t *testing.T, c check.Checker, at check.Target, limit time.Duration) check.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return c.Check(ctx, at)
}

// TestManyAtOnce is the race detector's: probes of one type run concurrently
// and each gets its own answer.
func TestManyAtOnce(t *testing.T) {
	c, err := build(t, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	live := listener(t)
	up, down := target(live), target(live)
	down.Address = netip.MustParseAddr("127.0.0.2")
	nowhere := down
	nowhere.Bind = netip.MustParseAddr("192.0.2.1")
	wants := []struct {
		target  check.Target
		outcome check.Outcome
	}{{up, check.Pass}, {down, check.Fail}, {nowhere, check.Unknown}}

	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 60 {
				want := wants[i%len(wants)]
				answered := make(chan check.Result, 1)
				c.(check.Starter).Start(time.Now().Add(patience), want.target, func(r check.Result) { answered <- r })
				if r := <-answered; r.Outcome != want.outcome {
					t.Errorf("target %v: %+v, want %v", want.target.Address, r, want.outcome)
				}
			}
		})
	}
	all.Wait()
}
