package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

const (
	// Protocol is the IP protocol number of VRRP (RFC 9568 §5.1.1.4).
	Protocol = 112
	// HopLimit is the TTL or hop limit every multicast advertisement is sent
	// with and must arrive with: nobody outside the link can forge it
	// (RFC 9568 §5.1.1.3, §5.1.2.3).
	HopLimit = 255
	// MaxAddresses is what the eight bits of the address count can say.
	MaxAddresses = 255
	// MaxLength is the longest advertisement over IPv4, in bytes.
	MaxLength = headerLength + MaxAddresses*ipv4Length + passwordLength
	// MaxLengthIPv6 is the longest one over IPv6.
	MaxLengthIPv6 = headerLength + MaxAddresses*ipv6Length

	headerLength = 8
	ipv4Length   = 4
	ipv6Length   = 16

	typeAdvertisement = 1

	// The interval's resolution and largest value, by version: eight bits of
	// seconds (RFC 3768 §5.3.7), twelve bits of centiseconds (RFC 9568 §5.2.7).
	unitV2, maxIntervalV2 = time.Second, 255 * time.Second
	unitV3, maxIntervalV3 = 10 * time.Millisecond, 4095 * 10 * time.Millisecond
)

// Version is the protocol version, 2 or 3. The zero value is neither.
type Version uint8

// The versions halo speaks.
const (
	V2 Version = 2
	V3 Version = 3
)

// PriorityOwner and PriorityRelease are the two reserved priorities
// (RFC 9568 §5.2.4): of the router whose own address is the virtual one, and
// of an active router that stops taking part.
const (
	PriorityRelease = 0
	PriorityOwner   = 255
)

// Advertisement is the one message of VRRP.
type Advertisement struct {
	Version Version
	// Family is that of Addresses and of the packet; IPv6 takes version 3.
	Family   Family
	VRID     uint8
	Priority uint8
	// Interval is the Max Advertise Interval (version 3) or Advertisement
	// Interval (version 2) of the sender: whole seconds up to 255 s in version
	// 2, whole centiseconds up to 40.95 s in version 3.
	Interval time.Duration
	// Addresses are the virtual addresses, in the sender's order.
	Addresses []netip.Addr
	// Auth is the zero value in version 3, which has none.
	Auth Auth
}

// String shows everything but the password.
func (a Advertisement) String() string {
	s := fmt.Sprintf("v%d vrid %d priority %d interval %v addresses %v", a.Version, a.VRID, a.Priority, a.Interval, a.Addresses)
	if a.Auth.Type != AuthNone {
		s += " auth " + a.Auth.Type.String()
	}
	return s
}

// Length is the number of bytes Append adds.
func (a Advertisement) Length() int {
	n := headerLength + len(a.Addresses)*a.Family.addressLength()
	if a.Version == V2 {
		n += passwordLength
	}
	return n
}

// Validate says whether the values can be put on the wire.
func (a Advertisement) Validate() error {
	if err := ValidInterval(a.Version, a.Interval); err != nil {
		return err
	}
	switch {
	case a.Family > IPv6:
		return fmt.Errorf("encode advertisement: address family %d is not one", a.Family)
	case a.Version == V2 && a.Family != IPv4: // RFC 3768 §1.
		return errors.New("encode advertisement: version 2 knows IPv4 only")
	case a.VRID == 0:
		return errors.New("encode advertisement: virtual router id 0 is reserved")
	case len(a.Addresses) == 0:
		return errors.New("encode advertisement: no addresses")
	case len(a.Addresses) > MaxAddresses:
		return fmt.Errorf("encode advertisement: %d addresses, at most %d fit", len(a.Addresses), MaxAddresses)
	}
	if err := a.Auth.validate(a.Version); err != nil {
		return err
	}
	for _, addr := range a.Addresses {
		if !a.Family.Has(addr) || addr.Zone() != "" {
			return fmt.Errorf("encode advertisement: %v is not an %s address", addr, a.Family.protocol())
		}
	}
	return nil
}

// ValidInterval says whether an advertisement of this version can carry the
// interval.
func ValidInterval(version Version, interval time.Duration) error {
	var unit, largest time.Duration
	switch version {
	case V2:
		unit, largest = unitV2, maxIntervalV2
	case V3:
		unit, largest = unitV3, maxIntervalV3
	default:
		return fmt.Errorf("encode advertisement: version %d is not 2 or 3", version)
	}
	if interval < unit || interval > largest || interval%unit != 0 {
		return fmt.Errorf("encode advertisement: interval %v is not in %v to %v in steps of %v", interval, unit, largest, unit)
	}
	return nil
}

// Append encodes the advertisement behind dst: the payload of an IP packet, or
// with AuthHeader that of the authentication header, which AppendAH adds. Source
// and destination are those of the IP packet: they enter the checksum of version
// 3, over IPv4 unless form is Plain.
func (a Advertisement) Append(dst []byte, source, destination netip.Addr, form ChecksumForm) ([]byte, error) {
	packet, err := a.appendMessage(dst)
	if err != nil {
		return dst, err
	}
	if a.pseudo(form) {
		if err := a.Family.validSource(source, destination); err != nil {
			return dst, err
		}
	}
	a.seal(packet[len(dst):], source, destination, form)
	return packet, nil
}

// appendMessage encodes everything but the checksum, which is left zero.
func (a Advertisement) appendMessage(dst []byte) ([]byte, error) {
	if err := a.Validate(); err != nil {
		return dst, err
	}
	dst = append(dst, byte(a.Version)<<4|typeAdvertisement, a.VRID, a.Priority, byte(len(a.Addresses)))
	if a.Version == V2 {
		dst = append(dst, byte(a.Auth.Type), byte(a.Interval/unitV2))
	} else {
		// The four bits above the interval are reserved and zero (§5.2.6).
		dst = binary.BigEndian.AppendUint16(dst, uint16(a.Interval/unitV3))
	}
	dst = append(dst, 0, 0)
	for _, addr := range a.Addresses {
		dst = appendAddr(dst, addr)
	}
	if a.Version == V2 {
		dst = a.Auth.append(dst)
	}
	return dst, nil
}

// pseudo says whether the checksum covers the pseudo-header.
func (a Advertisement) pseudo(form ChecksumForm) bool {
	return a.Version == V3 && (form == PseudoHeader || a.Family == IPv6)
}

// seal fills in the checksum of a payload: the message and, where there is one,
// the trailer, which only that of IPv6 covers.
func (a Advertisement) seal(payload []byte, source, destination netip.Addr, form ChecksumForm) {
	if a.Family == IPv4 {
		payload = payload[:a.Length()]
	}
	total := sum(0, payload)
	if a.pseudo(form) {
		total = pseudoHeader(total, source, destination, len(payload))
	}
	binary.BigEndian.PutUint16(payload[6:], ^fold(total))
}

func appendAddr(dst []byte, addr netip.Addr) []byte {
	if addr.Is4() {
		b := addr.As4()
		return append(dst, b[:]...)
	}
	b := addr.As16()
	return append(dst, b[:]...)
}

// decode fills a from a message of exactly the length its count asks for, whose
// version is known to be 2 or 3.
func decode(a *Advertisement, message []byte, family Family) {
	a.Version, a.Family = Version(message[0]>>4), family
	a.VRID = message[1]
	a.Priority = message[2]
	count, length := int(message[3]), family.addressLength()
	a.Auth = Auth{}
	if a.Version == V2 {
		a.Auth.Type = AuthType(message[4])
		a.Interval = time.Duration(message[5]) * unitV2
		if a.Auth.Type == AuthPassword {
			// Without a password the field means nothing (RFC 3768 §5.3.10).
			copy(a.Auth.Password[:], message[headerLength+count*length:])
		}
	} else {
		// The upper four bits are reserved and ignored (RFC 9568 §5.2.6).
		a.Interval = time.Duration(binary.BigEndian.Uint16(message[4:])&0x0fff) * unitV3
	}
	a.Addresses = a.Addresses[:0]
	for addresses := message[headerLength : headerLength+count*length]; len(addresses) > 0; addresses = addresses[length:] {
		if family == IPv6 {
			a.Addresses = append(a.Addresses, netip.AddrFrom16([ipv6Length]byte(addresses)))
		} else {
			a.Addresses = append(a.Addresses, netip.AddrFrom4([ipv4Length]byte(addresses)))
		}
	}
}
