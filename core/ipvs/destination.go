package ipvs

import (
	"math"
	"net/netip"
	"strconv"
)

// Forwarding is how packets reach a destination, with the kernel's numbers.
type Forwarding uint8

// The forwarding methods. LocalNode and Bypass are the kernel's: they can be
// seen in its table but are not configured.
const (
	Masquerade  Forwarding = 0
	LocalNode   Forwarding = 1
	Tunnel      Forwarding = 2
	DirectRoute Forwarding = 3
	Bypass      Forwarding = 4
)

// String returns the configuration's word for the method.
func (f Forwarding) String() string {
	switch f {
	case Masquerade:
		return "nat"
	case LocalNode:
		return "local"
	case Tunnel:
		return "tun"
	case DirectRoute:
		return "dr"
	case Bypass:
		return "bypass"
	default:
		return strconv.Itoa(int(f))
	}
}

// ParseForwarding returns the method that the configuration's word stands for.
func ParseForwarding(word string) (Forwarding, bool) {
	switch word {
	case "nat":
		return Masquerade, true
	case "dr":
		return DirectRoute, true
	case "tun":
		return Tunnel, true
	default:
		return 0, false
	}
}

// MaxWeight is the largest weight that the kernel takes.
const MaxWeight = math.MaxInt32

// Destination is a server behind a service: the address is its identity, the
// rest can be edited in place without losing its connections.
type Destination struct {
	Address    netip.AddrPort
	Forwarding Forwarding
	// Weight is 0..MaxWeight; with 0 the destination keeps the connections it
	// has and is given no more.
	Weight uint32
	// UpperThreshold is the number of connections at which the kernel gives the
	// destination no more, until they are fewer than LowerThreshold; 0 is none.
	UpperThreshold, LowerThreshold uint32
}

// SameAttributes reports whether two destinations differ in nothing that an
// edit would have to change.
func (d *Destination) SameAttributes(o *Destination) bool {
	return d.Forwarding == o.Forwarding &&
		d.Weight == o.Weight &&
		d.UpperThreshold == o.UpperThreshold &&
		d.LowerThreshold == o.LowerThreshold
}
