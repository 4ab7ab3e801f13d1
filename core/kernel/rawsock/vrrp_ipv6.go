package rawsock

import (
	"errors"
	"net"
	"net/netip"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// bindIPv6 sets what must hold before the first packet. The checksum is left to
// whoever makes and reads advertisements: the kernel would drop what has a wrong
// one, and nobody could count it.
func (v *VRRP) bindIPv6(fd int) error {
	for _, option := range []struct {
		what               string
		level, name, value int
	}{
		// The payload comes without its header; this says what was in it.
		{"set IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
		{"set IPV6_RECVHOPLIMIT", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
		{"set SO_TIMESTAMPNS", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1},
	} {
		if err := unix.SetsockoptInt(fd, option.level, option.name, option.value); err != nil {
			return os.NewSyscallError(option.what, err)
		}
	}
	if !v.transport.Borrowed {
		return nil
	}
	// A link-local source would else have to be one of the interface's own.
	return os.NewSyscallError("set IPV6_FREEBIND", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1))
}

// unicastIPv6 lets pass what was sent to this machine alone.
func unicastIPv6() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: networkHeader + ipv6DestinationOffset, Size: 1},
		bpf.JumpIf{Val: 0xff, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	}
}

const ipv6DestinationOffset = 24

// joinIPv6 sets how packets leave and joins the group.
func (v *VRRP) joinIPv6() error {
	t := &v.transport
	p, iface := ipv6.NewPacketConn(v.conn), &net.Interface{Index: t.Index, Name: t.Interface}
	group := &net.IPAddr{IP: wire.GroupIPv6().AsSlice()}
	steps := []step{
		// RFC 9568 §5.1.2.3: what arrives with another one is discarded.
		{"set multicast hop limit", func() error { return p.SetMulticastHopLimit(wire.HopLimit) }},
		{"set hop limit", func() error { return p.SetHopLimit(wire.HopLimit) }},
		{"turn multicast loop off", func() error { return p.SetMulticastLoopback(false) }},
		{"set traffic class", func() error { return p.SetTrafficClass(internetControl) }},
	}
	if t.Index != 0 {
		steps = append(steps, step{"set multicast interface", func() error { return p.SetMulticastInterface(iface) }})
	}
	if t.Group {
		steps = append(steps, step{"join " + group.String(), func() error { return p.JoinGroup(iface, group) }})
	}
	return carryOut(steps)
}

func (v *VRRP) receiveIPv6(fd uintptr) {
	r := &v.receiving
	r.n, r.err = r.message.read(fd, r.buf)
}

func (v *VRRP) splitIPv6(payload []byte) ([]byte, wire.Meta, stamp, bool) {
	m := &v.receiving.message
	c := parseControl(m.control[:min(int(m.header.Controllen), len(m.control))])
	meta := wire.Meta{
		Source: netip.AddrFrom16(m.name.Addr), Destination: c.destination,
		TTL: c.hopLimit, Interface: c.index, Truncated: m.header.Flags&unix.MSG_TRUNC != 0,
	}
	// Between its making and its binding a socket hears every interface.
	bound := v.transport.Index == 0 || c.index == v.transport.Index
	return payload, meta, c.stamp, c.complete && bound
}

func (v *VRRP) sendIPv6(fd uintptr) {
	s := &v.sending
	for {
		if _, s.err = unix.SendmsgN(int(fd), s.payload, s.control, &s.to6, s.flags); !errors.Is(s.err, unix.EINTR) {
			return
		}
	}
}
