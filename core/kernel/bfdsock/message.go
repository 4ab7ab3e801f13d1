package bfdsock

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/bfd"
)

// message is one received message as the kernel hands it over. It is used again
// and again, so that no call allocates.
type message struct {
	call   func(fd uintptr)
	header unix.Msghdr
	data   unix.Iovec
	// name has room for an address of either family.
	name    unix.RawSockaddrInet6
	control [256]byte
	n       int
	err     error

	ifreq interfaceRequest
	// names are the interfaces that packets came in on, by index.
	names map[int32]string
}

// interfaceRequest is struct ifreq as SIOCGIFNAME wants it.
type interfaceRequest struct {
	name  [unix.IFNAMSIZ]byte
	index int32
	_     [20]byte
}

func (m *message) prepare() {
	m.call = m.read
	m.names = make(map[int32]string)
}

// receive reads one message into buf without waiting.
func (m *message) receive(raw syscall.RawConn, buf []byte) (int, error) {
	m.data.Base = unsafe.SliceData(buf)
	m.data.SetLen(len(buf))
	err := raw.Control(m.call)
	m.data.Base = nil
	if err == nil {
		err = m.err
	}
	return m.n, err
}

func (m *message) read(fd uintptr) {
	for {
		m.header = unix.Msghdr{
			Name: (*byte)(unsafe.Pointer(&m.name)), Namelen: uint32(unsafe.Sizeof(m.name)),
			Iov: &m.data, Control: &m.control[0],
		}
		m.header.SetIovlen(1)
		m.header.SetControllen(len(m.control))
		n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&m.header)), unix.MSG_DONTWAIT)
		switch errno {
		case 0:
			m.n, m.err = int(n), nil
			m.where(fd)
			return
		case unix.EINTR:
		default:
			m.err = errno
			return
		}
	}
}

// where asks for the name of the interface that the message came in on: an index
// may have got another one since the last time.
func (m *message) where(fd uintptr) {
	index := m.index()
	m.ifreq = interfaceRequest{index: index}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.SIOCGIFNAME, uintptr(unsafe.Pointer(&m.ifreq)))
	if errno != 0 {
		delete(m.names, index)
		return
	}
	name := m.ifreq.name[:]
	for i, c := range name {
		if c == 0 {
			name = name[:i]
			break
		}
	}
	if m.names[index] != string(name) {
		m.names[index] = string(name)
	}
}

// meta is what the message says beside its payload.
func (m *message) meta(now time.Time) bfd.Meta {
	meta := bfd.Meta{TTL: -1, Interface: m.names[m.index()]}
	if m.name.Family == unix.AF_INET6 {
		meta.Source = netip.AddrFrom16(m.name.Addr)
	} else {
		meta.Source = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&m.name)).Addr)
	}
	var s stamp
	m.each(func(level, kind int32, data []byte) {
		switch {
		case level == unix.IPPROTO_IP && kind == unix.IP_TTL, level == unix.IPPROTO_IPV6 && kind == unix.IPV6_HOPLIMIT:
			meta.TTL = int(int32(binary.NativeEndian.Uint32(data)))
		case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO:
			// struct in_pktinfo: index, local address, address in the header.
			meta.Destination = netip.AddrFrom4([4]byte(data[8:12]))
		case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO:
			// struct in6_pktinfo: address, index.
			meta.Destination = netip.AddrFrom16([16]byte(data[:16]))
		case level == unix.SOL_SOCKET && kind == unix.SO_TIMESTAMPNS_NEW:
			s.seconds = int64(binary.NativeEndian.Uint64(data))
			s.nanoseconds = int64(binary.NativeEndian.Uint64(data[8:]))
		}
	})
	meta.Arrived = arrival(now, s)
	return meta
}

// index is the interface's, zero if the kernel did not say.
func (m *message) index() (index int32) {
	m.each(func(level, kind int32, data []byte) {
		switch {
		case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO:
			index = int32(binary.NativeEndian.Uint32(data))
		case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO:
			index = int32(binary.NativeEndian.Uint32(data[16:]))
		}
	})
	return index
}

// each calls f with every control message. The kernel cuts none of those that the
// socket asks for: there is room for all.
func (m *message) each(f func(level, kind int32, data []byte)) {
	rest := m.control[:m.header.Controllen]
	for len(rest) >= unix.SizeofCmsghdr {
		header, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return
		}
		f(header.Level, header.Type, data)
		rest = next
	}
}
