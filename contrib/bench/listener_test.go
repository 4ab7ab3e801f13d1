package bench

import (
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// listener stands for all targets: one socket on every address of the host's
// loopback. It counts each target's connections by itself, so that nobody is
// believed about its own checks.
//
// It behaves as a server does that waits for a request: it closes a connection
// when the prober has, and at once. Both matter. If it closed first, the
// TIME_WAIT entries would be the listener's and not the prober's; and if it
// closed late, Keepalived, whose close waits for the other end, would make one
// check in some 5 ms. It is one goroutine and an epoll set, because it shares
// the machine with what is measured.
type listener struct {
	epoll, socket int
	events        [256]unix.EpollEvent

	mu      sync.Mutex
	targets map[[4]byte]*visits
}

// visits are the connections of one target.
type visits struct {
	count int
	last  time.Time
	gap   time.Duration // the longest time between two of them
}

func listen(t *testing.T, h *lab.Host) *listener {
	t.Helper()
	l := &listener{targets: map[[4]byte]*visits{}}
	err := h.Do(func() (err error) {
		if l.socket, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		if err := unix.Bind(l.socket, &unix.SockaddrInet4{Port: 8080}); err != nil {
			return err
		}
		return unix.Listen(l.socket, 4096)
	})
	if err != nil {
		t.Fatalf("listen on port 8080: %v", err)
	}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(l.epoll, true); err != nil {
		t.Fatal(err)
	}
	if err := l.watch(l.socket); err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(l.epoll), "listener")
	conn, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = file.Close()
		_ = unix.Close(l.socket)
	})
	go func() {
		// Ends with the file.
		_ = conn.Read(func(uintptr) bool { l.turn(); return false })
	}()
	return l
}

func (l *listener) watch(fd int) error {
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// turn does what there is to do.
func (l *listener) turn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		n, err := unix.EpollWait(l.epoll, l.events[:], 0)
		if err != nil || n == 0 {
			return
		}
		for _, e := range l.events[:n] {
			if int(e.Fd) == l.socket {
				l.accept()
			} else {
				_ = unix.Close(int(e.Fd)) // The prober never writes: this is its end.
			}
		}
	}
}

// accept takes all connections that wait.
func (l *listener) accept() {
	for {
		c, _, err := unix.Accept4(l.socket, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return
		}
		l.visit(c)
		if l.watch(c) != nil {
			_ = unix.Close(c)
		}
	}
}

// visit notes a connection of the target that it came to.
func (l *listener) visit(c int) {
	address, err := unix.Getsockname(c)
	if err != nil {
		return
	}
	target, ok := address.(*unix.SockaddrInet4)
	if !ok {
		return
	}
	now := time.Now()
	v := l.targets[target.Addr]
	if v == nil {
		v = &visits{}
		l.targets[target.Addr] = v
	} else {
		v.gap = max(v.gap, now.Sub(v.last))
	}
	v.last = now
	v.count++
}

// reset forgets the counts and gaps, but not when a target was last visited.
func (l *listener) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range l.targets {
		v.count, v.gap = 0, 0
	}
}

// census is what the listener saw since reset.
type census struct {
	targets, count int
	// late is how many targets had to wait more than a tenth of the interval
	// longer than the interval for a check; worst is the longest wait beyond
	// the interval.
	late  int
	worst time.Duration
}

func (l *listener) census(interval time.Duration) census {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := census{targets: len(l.targets)}
	now := time.Now()
	for _, v := range l.targets {
		c.count += v.count
		over := max(v.gap, now.Sub(v.last)) - interval
		c.worst = max(c.worst, over)
		if over > interval/10 {
			c.late++
		}
	}
	return c
}
