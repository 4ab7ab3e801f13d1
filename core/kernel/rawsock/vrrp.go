package rawsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

const (
	// internetControl is the precedence of routing protocols (RFC 791 §3.1), as
	// other implementations of VRRP use it.
	internetControl = 0xc0
	// controlPriority puts the packets into the first band of the usual queues.
	controlPriority = 7
	// receiveBuffer is how many bytes may wait, as the kernel counts them:
	// about 700 for each advertisement, so that those of a second from 255
	// routers at a short interval survive a stall.
	receiveBuffer = 1 << 20
)

// VRRP is a socket for IP protocol 112 on one interface, over IPv4 multicast.
// Receive, Send and Close are called from one goroutine and never wait.
type VRRP struct {
	name  string
	index int
	conn  *net.IPConn
	raw   syscall.RawConn
	ready chan<- struct{}
	// closed says that Close was called.
	closed bool

	// armed says that the watcher is waiting for packets; rearm makes it wait.
	armed   atomic.Bool
	rearm   chan struct{}
	watcher sync.WaitGroup

	// One call's arguments and results, so that no call allocates.
	receiving receiving
	sending   sending
}

type receiving struct {
	call  func(fd uintptr)
	buf   []byte
	n     int
	stamp stamp
	err   error
}

type sending struct {
	call    func(fd uintptr)
	payload []byte
	to      unix.SockaddrInet4
	// control carries the source address, which changes seldom.
	source  netip.Addr
	control []byte
	err     error
}

// OpenVRRP opens a socket on the interface with the index; the name is for
// people. ready gets a value, without waiting, once packets wait, and again
// only after Receive has said that there are none.
func OpenVRRP(name string, index int, ready chan<- struct{}) (*VRRP, error) {
	v := &VRRP{name: name, index: index, ready: ready, rearm: make(chan struct{}, 1)}
	if err := v.open(); err != nil {
		if v.conn != nil {
			_ = v.conn.Close() // The error that counts is the first one.
		}
		return nil, v.explain(err)
	}
	v.receiving.call = v.receive
	v.sending.call = v.send
	v.armed.Store(true)
	v.watcher.Go(v.watch)
	return v, nil
}

func (v *VRRP) open() error {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return onDescriptor(c, v.bind)
	}}
	// Opening does no waiting that a context could cut short.
	conn, err := config.ListenPacket(context.Background(), "ip4:"+strconv.Itoa(wire.Protocol), "0.0.0.0")
	if err != nil {
		return err
	}
	var ok bool
	if v.conn, ok = conn.(*net.IPConn); !ok {
		_ = conn.Close()
		return fmt.Errorf("socket is a %T", conn)
	}
	if v.raw, err = v.conn.SyscallConn(); err != nil {
		return err
	}
	return v.join()
}

// bind ties the socket to the interface before anything can arrive.
func (v *VRRP) bind(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, v.index); err != nil {
		return os.NewSyscallError("bind to interface", err)
	}
	// Without this, groups that others on this machine have joined would count.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0); err != nil {
		return os.NewSyscallError("set IP_MULTICAST_ALL", err)
	}
	// The first question for a time stamp makes the kernel take them from now on.
	new(stamp).read(uintptr(fd)) //nolint:gosec // A descriptor is not negative.
	// Both are good to have and need CAP_NET_ADMIN; the plain form of the
	// first is cut to what the machine allows.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	return nil
}

// join sets how packets leave and joins the group.
func (v *VRRP) join() error {
	p, iface := ipv4.NewPacketConn(v.conn), &net.Interface{Index: v.index, Name: v.name}
	group := &net.IPAddr{IP: wire.GroupIPv4().AsSlice()}
	steps := []struct {
		what string
		do   func() error
	}{
		{"set multicast interface", func() error { return p.SetMulticastInterface(iface) }},
		// RFC 9568 §5.1.1.3: what arrives with another TTL is discarded.
		{"set multicast TTL", func() error { return p.SetMulticastTTL(wire.HopLimit) }},
		{"set TTL", func() error { return p.SetTTL(wire.HopLimit) }},
		{"turn multicast loop off", func() error { return p.SetMulticastLoopback(false) }},
		{"set type of service", func() error { return p.SetTOS(internetControl) }},
		{"join " + group.String(), func() error { return p.JoinGroup(iface, group) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	// Behind the type of service, which sets a lower one. Needs CAP_NET_ADMIN
	// and is worth nothing on an idle link.
	return onDescriptor(v.raw, func(fd int) error {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, controlPriority)
		return nil
	})
}

// explain names the object, and the privilege if one is missing.
func (v *VRRP) explain(err error) error {
	// A socket can be bound to an index that nobody has; only what follows fails.
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("open VRRP socket on %s: no interface with index %d: %w", v.name, v.index, unix.ENODEV)
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("open VRRP socket on %s: %w: sending and receiving IP protocol %d needs the capability CAP_NET_RAW; "+
			"run as root, or grant it with AmbientCapabilities=CAP_NET_RAW in the systemd unit "+
			"or setcap cap_net_raw+ep on the program", v.name, err, wire.Protocol)
	}
	return fmt.Errorf("open VRRP socket on %s: %w", v.name, err)
}

// Receive returns the payload of the next packet that waits, in the memory of
// buf, and nil if there is none.
func (v *VRRP) Receive(buf []byte) ([]byte, wire.Meta, error) {
	r := &v.receiving
	r.buf = buf
	err := v.raw.Control(r.call)
	r.buf = nil
	switch {
	case err != nil:
		return nil, wire.Meta{}, fmt.Errorf("receive on %s: %w", v.name, err)
	case errors.Is(r.err, unix.EAGAIN):
		if v.armed.CompareAndSwap(false, true) {
			v.rearm <- struct{}{}
		}
		return nil, wire.Meta{}, nil
	case r.err != nil:
		return nil, wire.Meta{}, fmt.Errorf("receive on %s: %w", v.name, r.err)
	}
	payload, meta, ok := wire.SplitIPv4(buf[:r.n])
	if !ok {
		// The kernel delivers no such packet; to the caller it is an empty one.
		payload = buf[:0]
	}
	meta.Interface, meta.Arrived = v.index, arrival(time.Now(), r.stamp)
	return payload, meta, nil
}

func (v *VRRP) receive(fd uintptr) {
	r := &v.receiving
	for {
		// A raw socket delivers the IP header, which has all there is to know;
		// what does not fit is cut off, and told by the header's length.
		if r.n, r.err = unix.Read(int(fd), r.buf); !errors.Is(r.err, unix.EINTR) {
			break
		}
	}
	if r.err == nil {
		r.stamp.read(fd)
	}
}

// Send sends one packet, which must not be empty, from an address of this
// machine. When the link cannot
// take it at once it is lost, and that is an error.
func (v *VRRP) Send(payload []byte, source, destination netip.Addr) error {
	if !source.Is4() || !destination.Is4() {
		return fmt.Errorf("send on %s: no IPv4 packet from %v to %v", v.name, source, destination)
	}
	s := &v.sending
	if s.source != source {
		s.source = source
		info := unix.Inet4Pktinfo{Ifindex: int32(v.index), Spec_dst: source.As4()}
		s.control = unix.PktInfo4(&info)
	}
	s.payload, s.to.Addr = payload, destination.As4()
	err := v.raw.Control(s.call)
	s.payload = nil
	if err := errors.Join(err, s.err); err != nil {
		return fmt.Errorf("send on %s from %v: %w", v.name, source, err)
	}
	return nil
}

func (v *VRRP) send(fd uintptr) {
	s := &v.sending
	for {
		// No routing: the group is on this link.
		_, s.err = unix.SendmsgN(int(fd), s.payload, s.control, &s.to, unix.MSG_DONTROUTE|unix.MSG_DONTWAIT)
		if !errors.Is(s.err, unix.EINTR) {
			return
		}
	}
}

// Close leaves the group and ends the watcher. A second one is an error.
func (v *VRRP) Close() error {
	err := v.conn.Close()
	if !v.closed {
		v.closed = true
		close(v.rearm)
		v.watcher.Wait()
	}
	if err != nil {
		return fmt.Errorf("close VRRP socket on %s: %w", v.name, err)
	}
	return nil
}

// watch tells when packets wait. It reads none: the owner does, when it sees
// fit, and then lets watch go on.
func (v *VRRP) watch() {
	for {
		// The runtime's poller tells each arrival once, maybe before this
		// call, so the kernel is asked first.
		if v.raw.Read(readable) != nil {
			return // Closed.
		}
		v.armed.Store(false)
		select {
		case v.ready <- struct{}{}:
		default:
		}
		if _, open := <-v.rearm; !open {
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

// onDescriptor runs f on a connection's descriptor.
func onDescriptor(c syscall.RawConn, f func(fd int) error) error {
	var err error
	if controlErr := c.Control(func(fd uintptr) { err = f(int(fd)) }); controlErr != nil {
		return controlErr
	}
	return err
}
