package bfdsock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/bfd"
)

const (
	// Source ports are from 49152 to 65535 (RFC 5881 §4).
	firstPort, ports = 49152, 65536 - 49152
	// internetControl is the precedence of routing protocols (RFC 791 §3.1).
	internetControl = 0xc0
	// controlPriority puts the packets into the first band of the usual queues,
	// as far as needs no privilege.
	controlPriority = 6
)

// Sender is the socket that one session sends through. It keeps its source port
// for life, whatever becomes of the interface and the addresses (RFC 5881 §4).
// Its methods are called from one goroutine and never wait.
type Sender struct {
	path bfd.Path
	port uint16
	conn *net.UDPConn
	raw  syscall.RawConn

	// index is that of the path's interface, zero if there is none.
	index int
	ttl   uint8
	// control carries the source address, the interface and the TTL, which
	// change seldom.
	control []byte
	to      unix.Sockaddr

	// One call's arguments and result, so that no call allocates.
	call    func(fd uintptr)
	payload []byte
	err     error
}

// Dial opens a socket for a path, which must be valid. Neither the interface nor
// the source address need be there yet.
func Dial(path bfd.Path) (*Sender, error) {
	s := &Sender{path: path}
	s.call = s.send
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open BFD socket for %v: %w", path.Peer, err)
	}
	s.locate()
	return s, nil
}

// open binds to the first port that is free from a random one on. A port of its
// own for each session is what RFC 5881 §4 would like; the kernel sees to it.
func (s *Sender) open() (err error) {
	start := rand.IntN(ports)
	for i := range ports {
		s.port = uint16(firstPort + (start+i)%ports)
		s.conn, err = listen(s.path.Peer.Is6(), s.port, s.configure)
		if err == nil {
			s.raw, err = s.conn.SyscallConn()
			return err
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return err
		}
	}
	return err
}

func (s *Sender) configure(fd int) error {
	class := option{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, internetControl}
	if s.path.Peer.Is6() {
		class = option{"IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, internetControl}
	}
	// The priority behind the class of service, which sets a lower one.
	if err := set(fd, class, option{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, controlPriority}); err != nil {
		return err
	}
	// Packets are received elsewhere. What is sent here by mistake or malice
	// must not pile up.
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	program := unix.SockFprog{Len: uint16(len(nothing)), Filter: &nothing[0]}
	return os.NewSyscallError("attach filter", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program))
}

// Port is the source port.
func (s *Sender) Port() uint16 { return s.port }

// Send sends one packet. When the link cannot take it at once it is lost, and
// that is an error. So is an interface or a source address that is not there;
// when it comes the next packet goes out.
func (s *Sender) Send(payload []byte, ttl uint8) error {
	if s.ttl != ttl {
		s.ttl = ttl
		s.address()
	}
	err := s.transmit(payload)
	// The interface may have been made anew under the same name.
	if err != nil && s.locate() {
		err = s.transmit(payload)
	}
	if err != nil {
		return fmt.Errorf("send to %v%s: %w", s.path.Peer, s.through(), err)
	}
	return nil
}

func (s *Sender) transmit(payload []byte) error {
	if s.index == 0 && s.path.Interface != "" {
		return unix.ENODEV
	}
	s.payload = payload
	err := s.raw.Control(s.call)
	s.payload = nil
	return errors.Join(err, s.err)
}

func (s *Sender) send(fd uintptr) {
	flags := unix.MSG_DONTWAIT
	if !s.path.Multihop && !s.path.Routed {
		// The peer is on the link, or it is not there (RFC 5881 §6). Linux
		// knows this for IPv4; over IPv6 it is the peer that finds the TTL too
		// small behind a router.
		flags |= unix.MSG_DONTROUTE
	}
	for {
		_, s.err = unix.SendmsgN(int(fd), s.payload, s.control, s.to, flags)
		if !errors.Is(s.err, unix.EINTR) {
			return
		}
	}
}

// locate finds the interface and says whether its index is another one.
func (s *Sender) locate() bool {
	index := 0
	if s.path.Interface != "" {
		ifr, err := unix.NewIfreq(s.path.Interface)
		if err != nil {
			return false // A name too long is no interface's.
		}
		controlErr := s.raw.Control(func(fd uintptr) { err = unix.IoctlIfreq(int(fd), unix.SIOCGIFINDEX, ifr) })
		if controlErr == nil && err == nil {
			index = int(ifr.Uint32())
		}
	}
	if index == s.index && s.to != nil {
		return false
	}
	s.index = index
	s.address()
	return index != 0
}

// address writes down whereto and how packets go.
func (s *Sender) address() {
	ttl := binary.NativeEndian.AppendUint32(nil, uint32(s.ttl))
	port := int(s.path.Port())
	if s.path.Peer.Is6() {
		s.to = &unix.SockaddrInet6{Port: port, Addr: s.path.Peer.As16(), ZoneId: uint32(s.index)}
		s.control = appendControl(nil, unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, ttl)
		source := netip.IPv6Unspecified().As16()
		if s.path.Source.IsValid() {
			source = s.path.Source.As16()
		}
		info := binary.NativeEndian.AppendUint32(source[:], uint32(s.index))
		s.control = appendControl(s.control, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, info)
		return
	}
	s.to = &unix.SockaddrInet4{Port: port, Addr: s.path.Peer.As4()}
	s.control = appendControl(nil, unix.IPPROTO_IP, unix.IP_TTL, ttl)
	// struct in_pktinfo: index, source address, and one that is not read.
	info := binary.NativeEndian.AppendUint32(nil, uint32(s.index))
	source := netip.IPv4Unspecified().As4()
	if s.path.Source.IsValid() {
		source = s.path.Source.As4()
	}
	info = append(append(info, source[:]...), 0, 0, 0, 0)
	s.control = appendControl(s.control, unix.IPPROTO_IP, unix.IP_PKTINFO, info)
}

// appendControl appends one control message.
func appendControl(b []byte, level, kind int32, data []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, unix.CmsgSpace(len(data)))...)
	m := b[start:]
	// struct cmsghdr: a length as long as a pointer, level, type.
	at := unix.SizeofCmsghdr - 8
	if at == 8 {
		binary.NativeEndian.PutUint64(m, uint64(unix.CmsgLen(len(data))))
	} else {
		binary.NativeEndian.PutUint32(m, uint32(unix.CmsgLen(len(data))))
	}
	binary.NativeEndian.PutUint32(m[at:], uint32(level))
	binary.NativeEndian.PutUint32(m[at+4:], uint32(kind))
	copy(m[unix.CmsgLen(0):], data)
	return b
}

// through names the interface, if one is configured.
func (s *Sender) through() string {
	if s.path.Interface == "" {
		return ""
	}
	return " through " + s.path.Interface
}

// Close closes the socket.
func (s *Sender) Close() error {
	if err := s.conn.Close(); err != nil {
		return fmt.Errorf("close BFD socket for %v: %w", s.path.Peer, err)
	}
	return nil
}
