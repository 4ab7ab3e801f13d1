package rawsock

import (
	"errors"
	"net"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// bindIPv4 sets what must hold before the first packet.
func (v *VRRP) bindIPv4(fd int) error {
	// Without this, groups that others on this machine have joined would count.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0); err != nil {
		return os.NewSyscallError("set IP_MULTICAST_ALL", err)
	}
	// The first question for a time stamp makes the kernel take them from now on.
	new(stamp).read(uintptr(fd)) //nolint:gosec // A descriptor is not negative.
	if !v.transport.AH {
		return nil
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_HDRINCL, 1); err != nil {
		return os.NewSyscallError("set IP_HDRINCL", err)
	}
	return nil
}

// vrrpBehindAH lets packets pass whose authentication header is followed by VRRP.
func vrrpBehindAH() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadMemShift{Off: 0},          // The length of the IP header,
		bpf.LoadIndirect{Off: 0, Size: 1}, // and what the next one says of what follows.
		bpf.JumpIf{Val: wire.Protocol, SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	}
}

// joinIPv4 sets how packets leave and joins the group.
func (v *VRRP) joinIPv4() error {
	t := &v.transport
	p, iface := ipv4.NewPacketConn(v.conn), &net.Interface{Index: t.Index, Name: t.Interface}
	group := &net.IPAddr{IP: wire.GroupIPv4().AsSlice()}
	steps := []step{
		// RFC 9568 §5.1.1.3: what arrives with another TTL is discarded.
		{"set multicast TTL", func() error { return p.SetMulticastTTL(wire.HopLimit) }},
		{"set TTL", func() error { return p.SetTTL(wire.HopLimit) }},
		{"turn multicast loop off", func() error { return p.SetMulticastLoopback(false) }},
		{"set type of service", func() error { return p.SetTOS(internetControl) }},
	}
	if t.Index != 0 {
		steps = append(steps, step{"set multicast interface", func() error { return p.SetMulticastInterface(iface) }})
	}
	if t.Group {
		steps = append(steps, step{"join " + group.String(), func() error { return p.JoinGroup(iface, group) }})
	}
	return carryOut(steps)
}

func (v *VRRP) receiveIPv4(fd uintptr) {
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

func (v *VRRP) splitIPv4(packet []byte) ([]byte, wire.Meta, stamp, bool) {
	payload, meta, ok := wire.SplitIPv4(packet)
	meta.Interface = v.transport.Index
	return payload, meta, v.receiving.stamp, ok
}

func (v *VRRP) sendIPv4(fd uintptr) {
	s := &v.sending
	for {
		if _, s.err = unix.SendmsgN(int(fd), s.payload, s.control, &s.to4, s.flags); !errors.Is(s.err, unix.EINTR) {
			return
		}
	}
}
