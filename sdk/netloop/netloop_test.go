package netloop_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/netloop"
)

// patience bounds every wait of these tests; reaching it is a failure.
const patience = 20 * time.Second

// open returns a running loop that ends with the test.
func open(tb testing.TB) *netloop.Loop {
	tb.Helper()
	l, err := netloop.Open()
	if err != nil {
		tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Run(context.Background()) }()
	tb.Cleanup(func() {
		l.Close()
		if err := <-ended; err != nil {
			tb.Errorf("Run after Close: %v, want nil", err)
		}
	})
	return l
}

// dial waits for one answer.
func dial(t *testing.T, l *netloop.Loop, target netip.AddrPort, bind netip.Addr, timeout time.Duration) netloop.Answer {
	t.Helper()
	answers := make(chan netloop.Answer, 2)
	l.Dial(target, bind, time.Now().Add(timeout), func(a netloop.Answer) { answers <- a })
	select {
	case a := <-answers:
		return a
	case <-time.After(patience):
		t.Fatalf("no answer for %v", target)
		return netloop.Answer{}
	}
}

// listen returns the address of a listener that accepts and closes.
func listen(tb testing.TB, address string) netip.AddrPort {
	tb.Helper()
	var config net.ListenConfig
	l, err := config.Listen(tb.Context(), "tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// blackHole returns the address of a listener whose queue is full and who
// never accepts: the kernel drops every further request, as a dead machine would.
func blackHole(tb testing.TB) netip.AddrPort {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		tb.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		tb.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		tb.Fatal(err)
	}
	port := name.(*unix.SockaddrInet4).Port
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
	// A backlog of 0 holds one connection.
	var dialer net.Dialer
	c, err := dialer.DialContext(tb.Context(), "tcp", addr.String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return addr
}

// closedPort returns an address of the loopback nobody listens on.
func closedPort(tb testing.TB) netip.AddrPort {
	tb.Helper()
	var config net.ListenConfig
	l, err := config.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	addr := netip.MustParseAddrPort(l.Addr().String())
	_ = l.Close()
	return addr
}

func TestConnected(t *testing.T) {
	l := open(t)
	tests := map[string]struct{ listen, bind string }{
		"ipv4":           {"127.0.0.1:0", ""},
		"ipv4 with bind": {"127.0.0.1:0", "127.0.0.9"},
		"ipv6":           {"[::1]:0", ""},
		"ipv6 with bind": {"[::1]:0", "::1"},
		"mapped bind":    {"127.0.0.1:0", "::ffff:127.0.0.9"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var bind netip.Addr
			if test.bind != "" {
				bind = netip.MustParseAddr(test.bind)
			}
			a := dial(t, l, listen(t, test.listen), bind, patience)
			if a.State != netloop.Connected || a.Errno != 0 || a.Took <= 0 {
				t.Fatalf("answer %+v, want Connected with a duration", a)
			}
			if r := a.Result(); r.Outcome != check.Pass || r.Reason != check.ReasonNone || r.Detail != "" || r.Took != a.Took {
				t.Errorf("result %+v, want a plain pass", r)
			}
		})
	}
}

// TestOrderlyClose proves what the target sees: end of file, no reset, and the
// bound address.
func TestOrderlyClose(t *testing.T) {
	l := open(t)
	var config net.ListenConfig
	server, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	bind := netip.MustParseAddr("127.0.0.77")
	if a := dial(t, l, netip.MustParseAddrPort(server.Addr().String()), bind, patience); a.State != netloop.Connected {
		t.Fatalf("answer %+v", a)
	}
	c, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if from := netip.MustParseAddrPort(c.RemoteAddr().String()).Addr(); from != bind {
		t.Errorf("connection came from %v, want %v", from, bind)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || err.Error() != "EOF" {
		t.Errorf("server read %d bytes, error %v; want EOF", n, err)
	}
}

func TestUnhappyAnswers(t *testing.T) {
	l := open(t)
	tests := map[string]struct {
		target  netip.AddrPort
		bind    string
		timeout time.Duration
		state   netloop.State
		errno   syscall.Errno
		outcome check.Outcome
		reason  check.Reason
	}{
		"refused":           {closedPort(t), "", patience, netloop.HandshakeFailed, unix.ECONNREFUSED, check.Fail, check.ReasonRefused},
		"black hole":        {blackHole(t), "", 100 * time.Millisecond, netloop.TimedOut, 0, check.Fail, check.ReasonTimeout},
		"bind to nothing":   {listen(t, "127.0.0.1:0"), "192.0.2.1", patience, netloop.BindFailed, unix.EADDRNOTAVAIL, check.Unknown, check.ReasonLocalError},
		"bind other family": {listen(t, "127.0.0.1:0"), "::1", patience, netloop.BindFailed, unix.EAFNOSUPPORT, check.Unknown, check.ReasonLocalError},
		"no such zone":      {netip.MustParseAddrPort("[fe80::1%nosuchlink]:1"), "", patience, netloop.ConnectFailed, unix.ENODEV, check.Unknown, check.ReasonLocalError},
		"already too late":  {listen(t, "127.0.0.1:0"), "", -time.Millisecond, netloop.NotStarted, 0, check.Unknown, check.ReasonLate},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var bind netip.Addr
			if test.bind != "" {
				bind = netip.MustParseAddr(test.bind)
			}
			a := dial(t, l, test.target, bind, test.timeout)
			if a.State != test.state {
				t.Fatalf("answer %+v (%v), want state %d", a, a.Errno, test.state)
			}
			if a.Errno != test.errno {
				t.Errorf("errno %v, want %v", a.Errno, test.errno)
			}
			r := a.Result()
			if r.Outcome != test.outcome || r.Reason != test.reason || r.Detail == "" {
				t.Errorf("result %+v, want outcome %d, reason %d and a detail", r, test.outcome, test.reason)
			}
		})
	}
}

// TestNoRoute runs the loop in a network namespace that has nothing at all.
func TestNoRoute(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root for a network namespace")
		}
		t.Skip("needs root for a network namespace")
	}
	l, err := netloop.Open()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		// Never unlocked: the thread must not serve others, so it ends with the goroutine.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ended <- err
			return
		}
		ended <- l.Run(context.Background())
	}()
	a := dial(t, l, netip.MustParseAddrPort("192.0.2.1:80"), netip.Addr{}, patience)
	if r := a.Result(); a.Errno != unix.ENETUNREACH || r.Outcome != check.Fail || r.Reason != check.ReasonUnreachable {
		t.Errorf("%+v, result %+v; want ENETUNREACH, fail, unreachable", a, r)
	}
	// A machine without any IPv6 address lacks the source, not the target.
	a = dial(t, l, netip.MustParseAddrPort("[2001:db8::1]:80"), netip.Addr{}, patience)
	if r := a.Result(); a.Errno != unix.EADDRNOTAVAIL || r.Outcome != check.Unknown || r.Reason != check.ReasonLocalError {
		t.Errorf("%+v, result %+v; want EADDRNOTAVAIL, unknown", a, r)
	}
	l.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestTimeoutIsNotEarly guards the unit and the direction of deadlines.
func TestTimeoutIsNotEarly(t *testing.T) {
	l := open(t)
	hole := blackHole(t)
	for _, timeout := range []time.Duration{3 * time.Millisecond, 40 * time.Millisecond, 250 * time.Millisecond} {
		if a := dial(t, l, hole, netip.Addr{}, timeout); a.State != netloop.TimedOut || a.Took < timeout-time.Millisecond {
			t.Errorf("timeout %v: answer %+v", timeout, a)
		}
	}
}

// TestNoDescriptors proves that a lack of descriptors is this machine's fault
// and heals by itself.
func TestNoDescriptors(t *testing.T) {
	l := open(t)
	target := listen(t, "127.0.0.1:0")
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 0, Max: before.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	a := dial(t, l, target, netip.Addr{}, patience)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if r := a.Result(); a.State != netloop.SocketFailed || a.Errno != unix.EMFILE || r.Outcome != check.Unknown || r.Reason != check.ReasonLocalError {
		t.Errorf("answer %+v, result %+v; want EMFILE and unknown", a, r)
	}
	if a := dial(t, l, target, netip.Addr{}, patience); a.State != netloop.Connected {
		t.Errorf("afterwards: %+v, want Connected", a)
	}
}

// TestDeadTargetsDoNotDelayLiveOnes has many attempts hanging in the loop
// while others come and go, and counts every answer.
func TestDeadTargetsDoNotDelayLiveOnes(t *testing.T) {
	l := open(t)
	hole, live := blackHole(t), listen(t, "127.0.0.1:0")
	const dead, rounds = 500, 200
	var timedOut atomic.Int32
	var all sync.WaitGroup
	all.Add(dead)
	for range dead {
		l.Dial(hole, netip.Addr{}, time.Now().Add(2*time.Second), func(a netloop.Answer) {
			if a.State == netloop.TimedOut {
				timedOut.Add(1)
			}
			all.Done()
		})
	}
	for range rounds {
		if a := dial(t, l, live, netip.Addr{}, patience); a.State != netloop.Connected {
			t.Fatalf("live target: %+v", a)
		}
	}
	all.Wait()
	if n := timedOut.Load(); n != dead {
		t.Errorf("%d of %d attempts timed out", n, dead)
	}
}

// TestDialFromDone proves that an owner may begin its next attempt from the
// answer of the last, which is on the loop's own goroutine.
func TestDialFromDone(t *testing.T) {
	l := open(t)
	live := listen(t, "127.0.0.1:0")
	left, finished := 100, make(chan struct{})
	var again func(netloop.Answer)
	again = func(a netloop.Answer) {
		if left--; left == 0 || a.State != netloop.Connected {
			close(finished)
			return
		}
		l.Dial(live, netip.Addr{}, time.Now().Add(patience), again)
	}
	l.Dial(live, netip.Addr{}, time.Now().Add(patience), again)
	select {
	case <-finished:
	case <-time.After(patience):
		t.Fatal("the chain stopped")
	}
	if left != 0 {
		t.Errorf("%d attempts left", left)
	}
}

// TestConcurrentDial is the race detector's: many callers, mixed targets,
// every answer exactly once, no descriptor left.
func TestConcurrentDial(t *testing.T) {
	l := open(t)
	targets := []netip.AddrPort{listen(t, "127.0.0.1:0"), closedPort(t), blackHole(t)}
	dial(t, l, targets[0], netip.Addr{}, patience)
	before := descriptors(t)

	const callers, each = 8, 100
	counts := make([]atomic.Int32, callers*each)
	var all, callersDone sync.WaitGroup
	all.Add(callers * each)
	for c := range callers {
		callersDone.Go(func() {
			for i := range each {
				n := c*each + i
				l.Dial(targets[n%len(targets)], netip.Addr{}, time.Now().Add(300*time.Millisecond), func(netloop.Answer) {
					counts[n].Add(1)
					all.Done()
				})
			}
		})
	}
	callersDone.Wait()
	all.Wait()
	for i := range counts {
		if n := counts[i].Load(); n != 1 {
			t.Fatalf("attempt %d was answered %d times", i, n)
		}
	}
	// The accepting side closes in its own time.
	for end := time.Now().Add(patience); descriptors(t) > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors, %d before", descriptors(t), before)
		}
	}
}

// TestWakesFromSleep lets the loop go to sleep between attempts, each way it
// can: without a deadline, and with one far away.
func TestWakesFromSleep(t *testing.T) {
	l := open(t)
	live := listen(t, "127.0.0.1:0")
	l.Dial(blackHole(t), netip.Addr{}, time.Now().Add(time.Hour), func(netloop.Answer) {})
	for range 20 {
		for !l.Asleep() {
			time.Sleep(100 * time.Microsecond)
		}
		if a := dial(t, l, live, netip.Addr{}, patience); a.State != netloop.Connected {
			t.Fatalf("answer %+v", a)
		}
	}
}
