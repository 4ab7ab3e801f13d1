package netloop_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/netloop"
)

// resetting listens and resets every connection as soon as it is there.
func resetting(t *testing.T) netip.AddrPort {
	t.Helper()
	var config net.ListenConfig
	server, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	}()
	return netip.MustParseAddrPort(server.Addr().String())
}

// A server that completes the handshake and resets at once has completed the
// handshake, whether that is looked at before the reset or after.
func TestResetAfterHandshake(t *testing.T) {
	target := resetting(t)
	t.Run("whenever it is looked at", func(t *testing.T) {
		l := open(t)
		for range 200 {
			if a := dial(t, l, target, netip.Addr{}, patience); a.State != netloop.Connected || a.Errno != 0 {
				t.Fatalf("answer %+v", a)
			}
		}
	})
	t.Run("looked at late", func(t *testing.T) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: target.Addr().As4(), Port: int(target.Port())}); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			if _, err := unix.Poll(polled, 0); err == nil && polled[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatal("no reset came")
			}
		}
		if state, errno := netloop.Ended(fd); state != netloop.Connected || errno != 0 {
			t.Errorf("state %d, %v", state, errno)
		}
	})
}
