package rawsock

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// message is one received message with what the kernel says of it. It is used
// again and again, so that no call allocates.
type message struct {
	header  unix.Msghdr
	data    unix.Iovec
	name    unix.RawSockaddrInet6
	control [128]byte
}

// read takes the next message that waits into buf, and how long it is.
func (m *message) read(fd uintptr, buf []byte) (int, error) {
	m.data.Base = unsafe.SliceData(buf)
	m.data.SetLen(len(buf))
	defer func() { m.data.Base = nil }()
	for {
		m.header = unix.Msghdr{
			Name: (*byte)(unsafe.Pointer(&m.name)), Namelen: unix.SizeofSockaddrInet6,
			Iov: &m.data, Control: &m.control[0],
		}
		m.header.SetIovlen(1)
		m.header.SetControllen(len(m.control))
		n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&m.header)), unix.MSG_DONTWAIT)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// control is what control messages say of a received IPv6 packet.
type control struct {
	destination netip.Addr
	index       int
	hopLimit    uint8
	stamp       stamp // zero where the kernel has none
	// complete says that all but the stamp was there.
	complete bool
}

// The lengths of struct in6_pktinfo, of an int and of struct __kernel_timespec.
const (
	packetInfoLength = unix.SizeofInet6Pktinfo
	hopLimitLength   = 4
	stampLength      = 16
)

// parseControl reads control messages as far as they are well formed.
func parseControl(b []byte) control {
	var c control
	var info, hops bool
	for len(b) >= unix.SizeofCmsghdr {
		header, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			break
		}
		b = rest
		switch {
		case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_PKTINFO && len(data) >= packetInfoLength:
			c.destination = netip.AddrFrom16([16]byte(data))
			c.index = int(binary.NativeEndian.Uint32(data[16:]))
			info = true
		case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_HOPLIMIT && len(data) >= hopLimitLength:
			c.hopLimit = uint8(binary.NativeEndian.Uint32(data))
			hops = true
		case header.Level == unix.SOL_SOCKET && header.Type == unix.SO_TIMESTAMPNS_NEW && len(data) >= stampLength:
			c.stamp.seconds = int64(binary.NativeEndian.Uint64(data))
			c.stamp.nanoseconds = int64(binary.NativeEndian.Uint64(data[8:]))
		}
	}
	c.complete = info && hops
	return c
}
