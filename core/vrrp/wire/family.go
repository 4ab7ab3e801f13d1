package wire

import (
	"fmt"
	"net/netip"
)

// Family is the IP version that carries an advertisement and that all its
// addresses belong to. The virtual routers of the two are independent, also
// where they have the same id (RFC 9568 §1).
type Family uint8

// The two families. Version 2 knows the first one only, which is the zero value.
const (
	IPv4 Family = iota
	IPv6
)

// FamilyOf is the family of a virtual address; of what is not an address, IPv4.
func FamilyOf(addr netip.Addr) Family {
	if IPv6.Has(addr) {
		return IPv6
	}
	return IPv4
}

// String is the family's word in logs, status and metrics.
func (f Family) String() string {
	if f == IPv6 {
		return "ipv6"
	}
	return "ipv4"
}

// protocol is the family's name in sentences.
func (f Family) protocol() string {
	if f == IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// Group is where multicast advertisements of the family go.
func (f Family) Group() netip.Addr {
	if f == IPv6 {
		return GroupIPv6()
	}
	return GroupIPv4()
}

// Has says whether the address belongs to the family. IPv4 addresses written as
// IPv6 ones belong to neither.
func (f Family) Has(addr netip.Addr) bool {
	if f == IPv6 {
		return addr.Is6() && !addr.Is4In6()
	}
	return addr.Is4()
}

// GroupIPv4 is where multicast advertisements over IPv4 go (RFC 9568 §5.1.1.2).
func GroupIPv4() netip.Addr { return netip.AddrFrom4([4]byte{224, 0, 0, 18}) }

// GroupIPv6 is where multicast advertisements over IPv6 go (RFC 9568 §5.1.2.2).
func GroupIPv6() netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
}

// LinkLocalFirst says whether the first virtual address is as it must be: over
// IPv6 the virtual router's link-local one, which hosts have as their default
// router (RFC 9568 §5.2.9, §6.1). Over IPv4 any will do.
func (f Family) LinkLocalFirst(addresses []netip.Addr) bool {
	return f == IPv4 || len(addresses) > 0 && f.Has(addresses[0]) && addresses[0].IsLinkLocalUnicast()
}

// addressLength is the number of bytes of one address.
func (f Family) addressLength() int {
	if f == IPv6 {
		return ipv6Length
	}
	return ipv4Length
}

// headerLength is the number of bytes of an IP header without options.
func (f Family) headerLength() int {
	if f == IPv6 {
		return ipv6HeaderLength
	}
	return ipv4HeaderLength
}

// validSource says whether advertisements may leave with the source. Over IPv6
// it is the link-local address of the interface (RFC 9568 §5.1.2.1); only
// unicast, which RFC 9568 does not know, may cross a router with another one.
func (f Family) validSource(source, destination netip.Addr) error {
	switch {
	case !f.Has(source) || !f.Has(destination):
		return fmt.Errorf("encode advertisement: no %s packet goes from %v to %v", f.protocol(), source, destination)
	case f == IPv6 && destination.IsMulticast() && !source.IsLinkLocalUnicast():
		return fmt.Errorf("encode advertisement: source %v is not link-local", source)
	}
	return nil
}
