package rawsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/radv"
)

// RALink is where a virtual router advertises itself to hosts.
type RALink struct {
	// Name is the link's, for people, and Index the one that counts.
	Name  string
	Index int
	// Source is the link-local address that hosts know the router by. It must be
	// on the link when something is sent.
	Source netip.Addr
}

// RA sends Router Advertisements of one virtual router on one link and hears who
// solicits them. Send and Close may be called from one goroutine, beside the
// socket's own.
type RA struct {
	link   RALink
	conn   net.PacketConn
	packet *ipv6.PacketConn
	to     *net.IPAddr
	how    ipv6.ControlMessage
	reader sync.WaitGroup
}

// OpenRA opens a socket in the calling thread's network namespace. heard is called
// for each solicitation, from a goroutine that does nothing else, and no more once
// Close has returned; it must not keep the message. The kernel drops everything
// else, and what has a wrong checksum.
func OpenRA(link RALink, heard func(message []byte, m radv.Meta)) (*RA, error) {
	r := &RA{
		link: link, to: &net.IPAddr{IP: radv.AllNodes().AsSlice()},
		how: ipv6.ControlMessage{Src: link.Source.AsSlice(), IfIndex: link.Index},
	}
	if err := r.open(); err != nil {
		if r.conn != nil {
			_ = r.conn.Close() // The error that counts is the first one.
		}
		return nil, r.explain(err)
	}
	r.reader.Go(func() { r.read(heard) })
	return r, nil
}

func (r *RA) open() error {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return onDescriptor(c, func(fd int) error {
			return os.NewSyscallError("bind to interface", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, r.link.Index))
		})
	}}
	// Opening does no waiting that a context could cut short.
	conn, err := config.ListenPacket(context.Background(), "ip6:ipv6-icmp", "::")
	if err != nil {
		return err
	}
	r.conn, r.packet = conn, ipv6.NewPacketConn(conn)
	iface := &net.Interface{Index: r.link.Index, Name: r.link.Name}
	var only ipv6.ICMPFilter
	only.SetAll(true)
	only.Accept(ipv6.ICMPTypeRouterSolicitation)
	return carryOut([]step{
		{"filter ICMPv6", func() error { return r.packet.SetICMPFilter(&only) }},
		{"ask for hop limits", func() error { return r.packet.SetControlMessage(ipv6.FlagHopLimit, true) }},
		// RFC 4861 §4.2, §6.1.2: hosts drop what has another one.
		{"set multicast hop limit", func() error { return r.packet.SetMulticastHopLimit(radv.HopLimit) }},
		// This machine is no host of its own.
		{"turn multicast loop off", func() error { return r.packet.SetMulticastLoopback(false) }},
		{"set multicast interface", func() error { return r.packet.SetMulticastInterface(iface) }},
		// The kernel joins it as well, but only while it forwards.
		{"join " + radv.AllRouters().String(), func() error {
			return r.packet.JoinGroup(iface, &net.IPAddr{IP: radv.AllRouters().AsSlice()})
		}},
	})
}

// explain names the object, and the privilege if one is missing.
func (r *RA) explain(err error) error {
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.ENODEV):
		// A socket can be bound to an index that nobody has; only what follows fails.
		err = fmt.Errorf("no interface with index %d: %w", r.link.Index, unix.ENODEV)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		err = fmt.Errorf("%w: sending ICMPv6 needs the capability CAP_NET_RAW; run as root, or grant it with "+
			"AmbientCapabilities=CAP_NET_RAW in the systemd unit or setcap cap_net_raw+ep on the program", err)
	}
	return fmt.Errorf("open socket for router advertisements on %s: %w", r.link.Name, err)
}

// Send sends one message to all nodes of the link; the kernel makes its checksum.
// A link that cannot take it in a quarter of a second loses it, and that is an
// error.
func (r *RA) Send(message []byte) error {
	err := r.conn.SetWriteDeadline(time.Now().Add(announceLimit))
	if err == nil {
		_, err = r.packet.WriteTo(message, &r.how, r.to)
	}
	if err != nil {
		return fmt.Errorf("send router advertisement on %s from %s: %w", r.link.Name, r.link.Source, err)
	}
	return nil
}

// Close leaves the group and ends the hearing.
func (r *RA) Close() error {
	err := r.conn.Close()
	r.reader.Wait()
	if err != nil {
		return fmt.Errorf("close socket for router advertisements on %s: %w", r.link.Name, err)
	}
	return nil
}

// read hands over solicitations until the socket is closed. Somebody who sends
// more of them than that does not get more of the processor.
func (r *RA) read(heard func([]byte, radv.Meta)) {
	buf := make([]byte, radv.LeastMTU)
	began, messages := time.Now(), 0
	for {
		n, how, from, err := r.packet.ReadFrom(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// The link went down, of which the kernel tells once.
			time.Sleep(paceTime)
		case how != nil:
			heard(buf[:n], radv.Meta{Source: addressOf(from), HopLimit: how.HopLimit})
		}
		if messages++; messages >= paceFrames {
			time.Sleep(time.Until(began.Add(paceTime)))
			began, messages = time.Now(), 0
		}
	}
}

// addressOf is the address of a peer without its zone, the unspecified one where
// it has none.
func addressOf(peer net.Addr) netip.Addr {
	if ip, ok := peer.(*net.IPAddr); ok {
		if a, ok := netip.AddrFromSlice(ip.IP.To16()); ok {
			return a
		}
	}
	return netip.IPv6Unspecified()
}
