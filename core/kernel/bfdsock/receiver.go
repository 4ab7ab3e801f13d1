package bfdsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/bfd"
)

// receiveBuffer is how many bytes may wait, as the kernel counts them: about 700
// for each packet, so that those of 100 peers at ten milliseconds survive a stall
// of a hundred.
const receiveBuffer = 1 << 20

// Receiver is the socket that the packets of one family come to on one port.
// Receive and Close are called from one goroutine and never wait.
type Receiver struct {
	multihop, ipv6 bool
	conn           *net.UDPConn
	raw            syscall.RawConn
	ready          chan<- struct{}
	// closed says that Close was called.
	closed bool

	// armed says that the watcher is waiting for packets; rearm makes it wait.
	armed   atomic.Bool
	rearm   chan struct{}
	watcher sync.WaitGroup

	message message
}

// Listen opens a socket. ready gets a value, without waiting, once packets wait,
// and again only after Receive has said that there are none.
func Listen(multihop, ipv6 bool, ready chan<- struct{}) (*Receiver, error) {
	r := &Receiver{multihop: multihop, ipv6: ipv6, ready: ready, rearm: make(chan struct{}, 1)}
	if err := r.open(); err != nil {
		if r.conn != nil {
			_ = r.conn.Close() // The error that counts is the first one.
		}
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("open BFD socket on %s: %w: another BFD daemon runs here", r, err)
		}
		return nil, fmt.Errorf("open BFD socket on %s: %w", r, err)
	}
	r.message.prepare()
	r.armed.Store(true)
	r.watcher.Go(r.watch)
	return r, nil
}

// String names the socket in errors: its network and its port.
func (r *Receiver) String() string {
	return network(r.ipv6) + " port " + strconv.Itoa(int(bfd.Path{Multihop: r.multihop}.Port()))
}

func (r *Receiver) open() (err error) {
	r.conn, err = listen(r.ipv6, bfd.Path{Multihop: r.multihop}.Port(), r.configure)
	if err == nil {
		r.raw, err = r.conn.SyscallConn()
	}
	return err
}

// configure asks for what is to be known of each packet, before one can arrive.
func (r *Receiver) configure(fd int) error {
	options := []option{
		{"SO_TIMESTAMPNS", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1},
		{"IP_RECVTTL", unix.IPPROTO_IP, unix.IP_RECVTTL, 1},
		{"IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, 1},
	}
	if r.ipv6 {
		options[1] = option{"IPV6_RECVHOPLIMIT", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1}
		options[2] = option{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1}
	}
	if err := set(fd, options...); err != nil {
		return err
	}
	// Good to have. The first needs CAP_NET_ADMIN; the plain form is cut to what
	// the machine allows.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	return nil
}

// Receive returns the payload of the next packet that waits, in the memory of
// buf, and nil if there is none. What does not fit into buf is cut off.
func (r *Receiver) Receive(buf []byte) ([]byte, bfd.Meta, error) {
	m := &r.message
	n, err := m.receive(r.raw, buf)
	switch {
	case errors.Is(err, unix.EAGAIN):
		if r.armed.CompareAndSwap(false, true) {
			r.rearm <- struct{}{}
		}
		return nil, bfd.Meta{}, nil
	case err != nil:
		return nil, bfd.Meta{}, fmt.Errorf("receive on %s: %w", r, err)
	}
	meta := m.meta(time.Now())
	meta.Multihop = r.multihop
	return buf[:n], meta, nil
}

// Close closes the socket and ends the watcher. A second one is an error.
func (r *Receiver) Close() error {
	err := r.conn.Close()
	if !r.closed {
		r.closed = true
		close(r.rearm)
		r.watcher.Wait()
	}
	if err != nil {
		return fmt.Errorf("close BFD socket on %s: %w", r, err)
	}
	return nil
}

// watch tells when packets wait. It reads none: the owner does, when it sees
// fit, and then lets watch go on.
func (r *Receiver) watch() {
	for {
		// The runtime's poller tells each arrival once, maybe before this
		// call, so the kernel is asked first.
		if r.raw.Read(readable) != nil {
			return // Closed.
		}
		r.armed.Store(false)
		select {
		case r.ready <- struct{}{}:
		default:
		}
		if _, open := <-r.rearm; !open {
			return
		}
	}
}

// readable says whether there is something to read on the descriptor, or an
// error to be told by reading.
func readable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return n > 0 || err != nil
		}
	}
}

// listen binds a socket to a port of all addresses.
func listen(ipv6 bool, port uint16, configure func(fd int) error) (*net.UDPConn, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if controlErr := c.Control(func(fd uintptr) { err = configure(int(fd)) }); controlErr != nil {
			return controlErr
		}
		return err
	}}
	// Opening does no waiting that a context could cut short.
	conn, err := config.ListenPacket(context.Background(), network(ipv6), ":"+strconv.Itoa(int(port)))
	if err != nil {
		return nil, err
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("socket is a %T", conn)
	}
	return udp, nil
}

// network is what Go calls UDP of a family.
func network(ipv6 bool) string {
	if ipv6 {
		return "udp6"
	}
	return "udp4"
}

// option is a socket option and its name for people.
type option struct {
	name                 string
	level, number, value int
}

func set(fd int, options ...option) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.number, o.value); err != nil {
			return os.NewSyscallError("set "+o.name, err)
		}
	}
	return nil
}
