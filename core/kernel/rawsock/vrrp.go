package rawsock

import (
	"context"
	"encoding/binary"
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

	"golang.org/x/net/bpf"
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
	// sendBuffer is for unicast. What is sent to a peer that does not answer
	// waits in the kernel for its hardware address, and counts; there must be
	// room beside it for what goes to the others. The kernel lets 208 KiB wait
	// for one neighbour.
	sendBuffer = 8 << 20
)

// Transport says how advertisements travel through a socket.
type Transport struct {
	// Interface is the name, for people.
	Interface string
	// Index is the interface that the socket hears and sends on. Zero, for
	// unicast that is tied to no interface, leaves it to the routes.
	Index  int
	Family wire.Family
	// Group joins the family's multicast group. Without it the socket neither
	// hears nor sends multicast.
	Group bool
	// AH is IP protocol 51 in place of 112, for advertisements with
	// wire.AuthHeader; IPv4 only. What is sent is a whole packet, as
	// Advertisement.AppendAH makes it. Of what arrives, only headers with VRRP
	// behind them get through.
	AH bool
	// Borrowed lets what is sent come from an address of another interface of
	// this machine, as it does from one with a virtual MAC address.
	Borrowed bool
	// From lets only those packets through that come from this hardware
	// address. Zero is any.
	From [6]byte
}

// protocol is the IP protocol number.
func (t *Transport) protocol() int {
	if t.AH {
		return wire.ProtocolAH
	}
	return wire.Protocol
}

// VRRP is a socket for advertisements of one address family on one interface.
// Receive, Send and Close are called from one goroutine and never wait.
type VRRP struct {
	transport Transport
	conn      *net.IPConn
	raw       syscall.RawConn
	ready     chan<- struct{}
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
	call func(fd uintptr)
	buf  []byte
	n    int
	// stamp is used over IPv4, message over IPv6.
	stamp   stamp
	message message
	err     error
}

type sending struct {
	call    func(fd uintptr)
	payload []byte
	to4     unix.SockaddrInet4
	to6     unix.SockaddrInet6
	flags   int
	// control carries the source address, which changes seldom.
	source  netip.Addr
	control []byte
	// roomy says that the socket got the buffer that unicast needs.
	roomy bool
	err   error
}

// OpenTransport opens a socket. ready gets a value, without waiting, once packets
// wait, and again only after Receive has said that there are none. Several
// sockets may share it.
func OpenTransport(t Transport, ready chan<- struct{}) (*VRRP, error) {
	v := &VRRP{transport: t, ready: ready, rearm: make(chan struct{}, 1)}
	if err := v.open(); err != nil {
		if v.conn != nil {
			_ = v.conn.Close() // The error that counts is the first one.
		}
		return nil, v.explain(err)
	}
	v.receiving.call, v.sending.call = v.receiveIPv4, v.sendIPv4
	if t.Family == wire.IPv6 {
		v.receiving.call, v.sending.call = v.receiveIPv6, v.sendIPv6
	}
	v.armed.Store(true)
	v.watcher.Go(v.watch)
	return v, nil
}

func (v *VRRP) open() error {
	t := &v.transport
	switch {
	case t.AH && t.Family != wire.IPv4:
		return errors.New("the authentication header is for version 2, which knows IPv4 only")
	case t.Group && t.Index == 0:
		return errors.New("multicast needs an interface")
	}
	network, any4or6, bind := "ip4:", "0.0.0.0", v.bindIPv4
	if t.Family == wire.IPv6 {
		network, any4or6, bind = "ip6:", "::", v.bindIPv6
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return onDescriptor(c, func(fd int) error { return errors.Join(v.bind(fd), bind(fd), v.sift(fd)) })
	}}
	// Opening does no waiting that a context could cut short.
	conn, err := config.ListenPacket(context.Background(), network+strconv.Itoa(t.protocol()), any4or6)
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
	if t.Family == wire.IPv6 {
		err = v.joinIPv6()
	} else {
		err = v.joinIPv4()
	}
	if err != nil {
		return err
	}
	// Behind the type of service, which sets a lower one. Needs CAP_NET_ADMIN
	// and is worth nothing on an idle link.
	return onDescriptor(v.raw, func(fd int) error {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, controlPriority)
		return nil
	})
}

// bind ties the socket to the interface before anything can arrive.
func (v *VRRP) bind(fd int) error {
	if v.transport.Index != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, v.transport.Index); err != nil {
			return os.NewSyscallError("bind to interface", err)
		}
	}
	// Good to have, and needs CAP_NET_ADMIN; the plain form is cut to what the
	// machine allows.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	return nil
}

// sift keeps out what the transport is not for.
func (v *VRRP) sift(fd int) error {
	t := &v.transport
	var filter []bpf.Instruction
	if t.From != [6]byte{} {
		filter = append(filter, fromMAC(t.From)...)
	}
	switch {
	case t.AH:
		// A machine may have IPsec beside VRRP.
		filter = append(filter, vrrpBehindAH()...)
	case t.Family == wire.IPv6 && !t.Group:
		// Raw sockets of IPv6 hear every group of the machine all the same.
		filter = append(filter, unicastIPv6()...)
	case filter == nil:
		return nil
	default:
		filter = append(filter, bpf.RetConstant{Val: 1 << 16})
	}
	return attach(fd, filter)
}

// fromMAC lets frames of one sender through to what follows.
func fromMAC(mac [6]byte) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: linkHeader + 6, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(mac[:]), SkipTrue: 2},
		bpf.LoadAbsolute{Off: linkHeader + 10, Size: 2},
		bpf.JumpIf{Val: uint32(binary.BigEndian.Uint16(mac[4:])), SkipTrue: 1},
		bpf.RetConstant{},
	}
}

// What a filter adds to places in the headers: SKF_LL_OFF and SKF_NET_OFF.
const (
	linkHeader    = 0xffe00000
	networkHeader = 0xfff00000
)

// step is one thing to be done to a new socket.
type step struct {
	what string
	do   func() error
}

func carryOut(steps []step) error {
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}

// explain names the object, and the privilege if one is missing.
func (v *VRRP) explain(err error) error {
	t := &v.transport
	// A socket can be bound to an index that nobody has; only what follows fails.
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("open VRRP socket on %s: no interface with index %d: %w", t.Interface, t.Index, unix.ENODEV)
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("open VRRP socket on %s: %w: sending and receiving IP protocol %d needs the capability CAP_NET_RAW; "+
			"run as root, or grant it with AmbientCapabilities=CAP_NET_RAW in the systemd unit "+
			"or setcap cap_net_raw+ep on the program", t.Interface, err, t.protocol())
	}
	return fmt.Errorf("open VRRP socket on %s: %w", t.Interface, err)
}

// Receive returns the payload of the next packet that waits, in the memory of
// buf, and nil if there is none.
func (v *VRRP) Receive(buf []byte) ([]byte, wire.Meta, error) {
	r, name := &v.receiving, v.transport.Interface
	r.buf = buf
	err := v.raw.Control(r.call)
	r.buf = nil
	switch {
	case err != nil:
		return nil, wire.Meta{}, fmt.Errorf("receive on %s: %w", name, err)
	case errors.Is(r.err, unix.EAGAIN):
		if v.armed.CompareAndSwap(false, true) {
			v.rearm <- struct{}{}
		}
		return nil, wire.Meta{}, nil
	case r.err != nil:
		return nil, wire.Meta{}, fmt.Errorf("receive on %s: %w", name, r.err)
	}
	split := v.splitIPv4
	if v.transport.Family == wire.IPv6 {
		split = v.splitIPv6
	}
	payload, meta, stamp, ok := split(buf[:r.n])
	if !ok {
		// The kernel delivers no such packet, or it is not ours; to the caller
		// it is an empty one.
		payload = buf[:0]
	}
	meta.Arrived = arrival(time.Now(), stamp)
	return payload, meta, nil
}

// Send sends one packet, which must not be empty: to the group where that was
// joined, or to one peer. The source must be an address of this machine, which
// the kernel does not check for the authentication header. When the link cannot
// take the packet at once it is lost, and that is an error.
func (v *VRRP) Send(payload []byte, source, destination netip.Addr) error {
	t, s := &v.transport, &v.sending
	if !t.Family.Has(source) || !t.Family.Has(destination) {
		return fmt.Errorf("send on %s: no %v packet goes from %v to %v", t.Interface, t.Family, source, destination)
	}
	s.flags = unix.MSG_DONTWAIT
	switch multicast := destination.IsMulticast(); {
	case multicast && !t.Group:
		return fmt.Errorf("send on %s: %v is a group, and this socket is for unicast only", t.Interface, destination)
	case multicast:
		// No routing: the group is on this link.
		s.flags |= unix.MSG_DONTROUTE
	case !s.roomy:
		s.roomy = true
		v.makeRoom()
	}
	v.address(source, destination)
	s.payload = payload
	err := v.raw.Control(s.call)
	s.payload = nil
	if err := errors.Join(err, s.err); err != nil {
		return fmt.Errorf("send on %s from %v to %v: %w", t.Interface, source, destination, err)
	}
	return nil
}

// address fills in where the next packet comes from and goes to.
func (v *VRRP) address(source, destination netip.Addr) {
	s, index := &v.sending, v.transport.Index
	if v.transport.Family == wire.IPv6 {
		s.to6.Addr, s.to6.ZoneId = destination.As16(), uint32(index)
	} else {
		s.to4.Addr = destination.As4()
	}
	if s.source == source {
		return
	}
	s.source = source
	if v.transport.Family == wire.IPv6 {
		s.control = unix.PktInfo6(&unix.Inet6Pktinfo{Addr: source.As16(), Ifindex: uint32(index)})
	} else {
		s.control = unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: int32(index), Spec_dst: source.As4()})
	}
}

// makeRoom enlarges what may wait to leave. Without CAP_NET_ADMIN it is cut to
// what the machine allows.
func (v *VRRP) makeRoom() {
	_ = onDescriptor(v.raw, func(fd int) error {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
		}
		return nil
	})
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
		return fmt.Errorf("close VRRP socket on %s: %w", v.transport.Interface, err)
	}
	return nil
}
