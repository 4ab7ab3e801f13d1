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
	// HopLimit is the TTL every multicast advertisement is sent with and must
	// arrive with: nobody outside the link can forge it (RFC 9568 §5.1.1.3).
	HopLimit = 255
	// MaxAddresses is what the eight bits of the address count can say.
	MaxAddresses = 255
	// MaxLength is the longest advertisement over IPv4, in bytes.
	MaxLength = headerLength + MaxAddresses*ipv4Length + passwordLength

	headerLength = 8
	ipv4Length   = 4

	typeAdvertisement = 1

	// The interval's resolution and largest value, by version: eight bits of
	// seconds (RFC 3768 §5.3.7), twelve bits of centiseconds (RFC 9568 §5.2.7).
	unitV2, maxIntervalV2 = time.Second, 255 * time.Second
	unitV3, maxIntervalV3 = 10 * time.Millisecond, 4095 * 10 * time.Millisecond
)

// GroupIPv4 is where multicast advertisements go (RFC 9568 §5.1.1.2).
func GroupIPv4() netip.Addr { return netip.AddrFrom4([4]byte{224, 0, 0, 18}) }

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
	Version  Version
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
	n := headerLength + len(a.Addresses)*ipv4Length
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
	case a.VRID == 0:
		return errors.New("encode advertisement: virtual router id 0 is reserved")
	case len(a.Addresses) == 0:
		return errors.New("encode advertisement: no addresses")
	case len(a.Addresses) > MaxAddresses:
		return fmt.Errorf("encode advertisement: %d addresses, at most %d fit", len(a.Addresses), MaxAddresses)
	case a.Auth.Type != AuthPassword && a.Auth.Password != Password{} || a.Auth.Type > AuthPassword:
		return fmt.Errorf("encode advertisement: authentication type %v is not supported", a.Auth.Type)
	case a.Version != V2 && a.Auth != Auth{}:
		return fmt.Errorf("encode advertisement: version %d has no authentication", a.Version)
	}
	for _, addr := range a.Addresses {
		if !addr.Is4() {
			return fmt.Errorf("encode advertisement: %v is not an IPv4 address", addr)
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

// Append encodes the advertisement behind dst. Source and destination are those
// of the IP packet: they enter the checksum of version 3 unless form is Plain.
func (a Advertisement) Append(dst []byte, source, destination netip.Addr, form ChecksumForm) ([]byte, error) {
	if err := a.Validate(); err != nil {
		return dst, err
	}
	if a.Version == V3 && form == PseudoHeader && (!source.Is4() || !destination.Is4()) {
		return dst, fmt.Errorf("encode advertisement: no IPv4 pseudo-header from %v to %v", source, destination)
	}
	start := len(dst)
	dst = append(dst, byte(a.Version)<<4|typeAdvertisement, a.VRID, a.Priority, byte(len(a.Addresses)))
	if a.Version == V2 {
		dst = append(dst, byte(a.Auth.Type), byte(a.Interval/unitV2))
	} else {
		// The four bits above the interval are reserved and zero (§5.2.6).
		dst = binary.BigEndian.AppendUint16(dst, uint16(a.Interval/unitV3))
	}
	dst = append(dst, 0, 0)
	for _, addr := range a.Addresses {
		b := addr.As4()
		dst = append(dst, b[:]...)
	}
	if a.Version == V2 {
		dst = append(dst, a.Auth.Password[:]...)
	}
	message := dst[start:]
	total := sum(0, message)
	if a.Version == V3 && form == PseudoHeader {
		total = pseudoHeader(total, source, destination, len(message))
	}
	binary.BigEndian.PutUint16(message[6:], ^fold(total))
	return dst, nil
}

// decode fills a from a message of exactly the length its count asks for, whose
// version is known to be 2 or 3.
func decode(a *Advertisement, message []byte) {
	a.Version = Version(message[0] >> 4)
	a.VRID = message[1]
	a.Priority = message[2]
	count := int(message[3])
	a.Auth = Auth{}
	if a.Version == V2 {
		a.Auth.Type = AuthType(message[4])
		a.Interval = time.Duration(message[5]) * unitV2
		if a.Auth.Type == AuthPassword {
			// Without a password the field means nothing (RFC 3768 §5.3.10).
			copy(a.Auth.Password[:], message[headerLength+count*ipv4Length:])
		}
	} else {
		// The upper four bits are reserved and ignored (RFC 9568 §5.2.6).
		a.Interval = time.Duration(binary.BigEndian.Uint16(message[4:])&0x0fff) * unitV3
	}
	a.Addresses = a.Addresses[:0]
	for i := range count {
		at := headerLength + i*ipv4Length
		a.Addresses = append(a.Addresses, netip.AddrFrom4([4]byte(message[at:at+ipv4Length])))
	}
}
