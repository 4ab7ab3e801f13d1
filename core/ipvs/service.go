package ipvs

import (
	"cmp"
	"net/netip"
	"strconv"
)

// Protocol is a transport protocol, by its IP protocol number.
type Protocol uint8

// The protocols that the kernel balances.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// String returns "tcp", "udp" or "sctp", and the number of any other protocol.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case SCTP:
		return "sctp"
	default:
		return strconv.Itoa(int(p))
	}
}

// Family is an address family. The zero value means that an address says it.
type Family uint8

// The families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf returns the family of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() || a.Is4In6() {
		return IPv4
	}
	return IPv6
}

// ServiceKey is what the kernel identifies a service by: protocol, address and
// port, or a firewall mark and a family. Keys are comparable with ==; make them
// with AddressKey and MarkKey, which leave the fields of the other form zero.
type ServiceKey struct {
	Protocol Protocol
	Address  netip.AddrPort
	// Mark is the firewall mark; 0 means that the service has an address.
	Mark uint32
	// MarkFamily is set only together with Mark.
	MarkFamily Family
}

// AddressKey returns the key of a service with an address. Port 0 is the
// kernel's "every port", which it accepts for persistent services only.
func AddressKey(p Protocol, a netip.AddrPort) ServiceKey {
	return ServiceKey{Protocol: p, Address: unmap(a)}
}

// MarkKey returns the key of a service for packets that carry a firewall mark.
func MarkKey(mark uint32, f Family) ServiceKey {
	return ServiceKey{Mark: mark, MarkFamily: f}
}

// Family returns the family of the service's clients.
func (k ServiceKey) Family() Family {
	if k.Mark != 0 {
		return k.MarkFamily
	}
	return FamilyOf(k.Address.Addr())
}

// Compare orders keys: addresses before marks, then by address, port and
// protocol, so that a table reads the way people list it.
func (k ServiceKey) Compare(o ServiceKey) int {
	if c := cmp.Compare(k.Mark, o.Mark); c != 0 {
		return c
	}
	if c := cmp.Compare(k.MarkFamily, o.MarkFamily); c != 0 {
		return c
	}
	if c := k.Address.Compare(o.Address); c != 0 {
		return c
	}
	return cmp.Compare(k.Protocol, o.Protocol)
}

// Flags are the options of a service beside persistence. The kernel's own
// bookkeeping bits (hashed, persistent) are not among them.
type Flags uint8

// The flags. What the three scheduler flags mean depends on the scheduler: for
// sh and mh the first is fallback and the second uses the port.
const (
	OnePacket Flags = 1 << iota
	SchedulerFlag1
	SchedulerFlag2
	SchedulerFlag3
)

// Persistence keeps a client on the server that it was first sent to.
type Persistence struct {
	// Timeout is in seconds after the client's last connection ended; 0 is off.
	Timeout uint32
	// PrefixLength says how many leading bits of a client's address tell
	// clients apart; 0 is all of them (32 or 128).
	PrefixLength uint8
}

// Service is a virtual server as the kernel knows it: the key is its identity,
// everything else can be edited in place.
type Service struct {
	Key         ServiceKey
	Scheduler   string
	Persistence Persistence
	Flags       Flags
	// Destinations are sorted by address and their addresses are unique; Table.Sort sees to the order.
	Destinations []Destination
}

// ClientPrefix returns the length of the prefix that groups clients, with the
// zero value resolved to the whole address.
func (s *Service) ClientPrefix() uint8 {
	if s.Persistence.PrefixLength != 0 {
		return s.Persistence.PrefixLength
	}
	if s.Key.Family() == IPv4 {
		return 32
	}
	return 128
}

// SameAttributes reports whether two services differ in nothing that an edit
// would have to change. Keys and destinations are not looked at, and neither is
// the prefix length of a service without persistence: the kernel keeps one, but
// never uses it.
func (s *Service) SameAttributes(o *Service) bool {
	return s.Scheduler == o.Scheduler &&
		s.Flags == o.Flags &&
		s.Persistence.Timeout == o.Persistence.Timeout &&
		(s.Persistence.Timeout == 0 || s.ClientPrefix() == o.ClientPrefix())
}

// unmap turns an IPv4 address in IPv6 clothes into a plain one, so that equal
// addresses are equal keys.
func unmap(a netip.AddrPort) netip.AddrPort {
	if !a.Addr().Is4In6() {
		return a
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
