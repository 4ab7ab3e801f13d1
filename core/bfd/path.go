package bfd

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// The UDP ports of Control packets.
const (
	// PortSingleHop: RFC 5881 §4.
	PortSingleHop = 3784
	// PortMultihop: RFC 5883 §5.
	PortMultihop = 4784
)

// Path is what a session watches. Two sessions never share one.
type Path struct {
	// Peer is the other side, without a zone.
	Peer netip.Addr
	// Source is the address to send from; invalid leaves it to the kernel.
	Source netip.Addr
	// Interface is the one to send through, and the only one to accept a first
	// packet from; empty leaves it to the routing table. A link-local Peer
	// needs one.
	Interface string
	// Multihop says that routers may stand between.
	Multihop bool
	// Routed says so too, and that the port is that of one hop all the same: so
	// does Keepalived without its word multihop. It makes no other path.
	Routed bool
}

// Port is the UDP port that packets go to on both sides.
func (p Path) Port() uint16 {
	if p.Multihop {
		return PortMultihop
	}
	return PortSingleHop
}

// Validate says whether packets can be sent along the path.
func (p Path) Validate() error {
	switch {
	case !p.Peer.IsValid(), p.Peer.IsUnspecified(), p.Peer.IsMulticast(), p.Peer.Is4In6():
		return fmt.Errorf("peer %v is not an address of one machine", p.Peer)
	case p.Peer.Zone() != "" || p.Source.Zone() != "":
		return errors.New("an address has a zone: name the interface instead")
	case p.Source.IsValid() && p.Source.Is4() != p.Peer.Is4():
		return fmt.Errorf("source %v and peer %v are of two families", p.Source, p.Peer)
	case p.Source == p.Peer:
		return fmt.Errorf("source and peer are both %v", p.Peer)
	case p.Peer.IsLinkLocalUnicast() && p.Peer.Is6() && p.Interface == "":
		return fmt.Errorf("link-local peer %v needs an interface", p.Peer)
	case p.Peer.IsLinkLocalUnicast() && (p.Multihop || p.Routed):
		return fmt.Errorf("link-local peer %v is never several hops away", p.Peer)
	}
	return nil
}

// Meta is what is known of a received packet beside its payload.
type Meta struct {
	// Source and Destination are without a zone.
	Source, Destination netip.Addr
	// TTL is the time to live or hop limit it arrived with, -1 if unknown.
	TTL int
	// Interface is where it came in.
	Interface string
	// Multihop says that it came to the port of RFC 5883.
	Multihop bool
	// Arrived is when the kernel took it in; zero means now.
	Arrived time.Time
}
