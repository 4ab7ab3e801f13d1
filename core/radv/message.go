package radv

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"time"
)

// The ICMPv6 types (RFC 4861 §4.1, §4.2).
const (
	TypeSolicitation  = 133
	TypeAdvertisement = 134
)

// HopLimit shows that no router forwarded a packet (RFC 4861 §6.1.1, §6.1.2).
const HopLimit = 255

// AllNodes is whom advertisements go to (RFC 4861 §2.3).
func AllNodes() netip.Addr { return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 1}) }

// AllRouters is whom hosts ask.
func AllRouters() netip.Addr { return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 2}) }

// The options (RFC 4861 §4.6, RFC 8106 §5). Their lengths are counted in eights.
const (
	optionSourceLink = 1
	optionPrefix     = 3
	optionMTU        = 5
	optionServers    = 25
	optionSearch     = 31

	unit               = 8
	advertisementFixed = 16
	prefixLength       = 4 * unit
	mtuLength          = unit
)

// The flags of the message and of a prefix (RFC 4861 §4.2, §4.6.2).
const (
	flagManaged    = 1 << 7
	flagOther      = 1 << 6
	flagOnLink     = 1 << 7
	flagAutonomous = 1 << 6
	// preferenceAt is where the two bits of the preference are (RFC 4191 §2.2).
	preferenceAt = 3
)

// Append appends the message, its checksum left to whoever sends it: the kernel
// makes that of every ICMPv6 packet. link is the hardware address that the router
// is found at, so that no host has to ask for it; empty leaves it out. lifetime is
// Lifetime, or zero to say that the router is no default router (any more).
func (c *Config) Append(b, link []byte, lifetime time.Duration) []byte {
	var flags byte
	if c.Managed {
		flags |= flagManaged
	}
	if c.OtherConfig {
		flags |= flagOther
	}
	if lifetime > 0 {
		// RFC 4191 §2.2: with a lifetime of zero it must be medium.
		flags |= c.Preference.bits() << preferenceAt
	}
	b = append(b, TypeAdvertisement, 0, 0, 0, c.HopLimit, flags)
	b = binary.BigEndian.AppendUint16(b, uint16(lifetime/time.Second)) //nolint:gosec // Validate bounds it.
	b = binary.BigEndian.AppendUint32(b, uint32(c.ReachableTime/time.Millisecond))
	b = binary.BigEndian.AppendUint32(b, uint32(c.RetransmitTimer/time.Millisecond))

	b = appendLink(b, link)
	if c.MTU != 0 {
		b = append(b, optionMTU, mtuLength/unit, 0, 0)
		b = binary.BigEndian.AppendUint32(b, c.MTU)
	}
	for _, p := range c.Prefixes {
		b = p.append(b)
	}
	if len(c.DNSServers) > 0 {
		b = append(b, optionServers, byte(1+2*len(c.DNSServers)), 0, 0)
		b = binary.BigEndian.AppendUint32(b, seconds(c.DNSLifetime))
		for _, a := range c.DNSServers {
			b = append(b, a.AsSlice()...)
		}
	}
	if len(c.DNSSearch) > 0 {
		b = c.appendSearch(b)
	}
	return b
}

// Length is that of the longest message, with the hardware address of an Ethernet.
func (c *Config) Length() int {
	return len(c.Append(nil, make([]byte, 6), c.Lifetime))
}

// appendLink appends the Source Link-Layer Address, padded (RFC 4861 §4.6.1).
func appendLink(b, link []byte) []byte {
	if len(link) == 0 {
		return b
	}
	start := len(b)
	b = append(b, optionSourceLink, 0)
	b = pad(append(b, link...), start)
	b[start+1] = byte((len(b) - start) / unit)
	return b
}

func (p Prefix) append(b []byte) []byte {
	var flags byte
	if p.OnLink {
		flags |= flagOnLink
	}
	if p.Autonomous {
		flags |= flagAutonomous
	}
	b = append(b, optionPrefix, prefixLength/unit, byte(p.Prefix.Bits()), flags)
	b = binary.BigEndian.AppendUint32(b, seconds(p.Valid))
	b = binary.BigEndian.AppendUint32(b, seconds(p.Preferred))
	b = append(b, 0, 0, 0, 0)
	return append(b, p.Prefix.Addr().AsSlice()...)
}

// appendSearch appends the names as RFC 1035 §3.1 writes them, which RFC 8106 §5.2
// wants without compression.
func (c *Config) appendSearch(b []byte) []byte {
	start := len(b)
	b = append(b, optionSearch, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, seconds(c.DNSLifetime))
	for _, name := range c.DNSSearch {
		for label := range strings.SplitSeq(name, ".") {
			b = append(b, byte(len(label)))
			b = append(b, label...)
		}
		b = append(b, 0)
	}
	b = pad(b, start)
	b[start+1] = byte((len(b) - start) / unit)
	return b
}

// pad fills an option up to whole units.
func pad(b []byte, start int) []byte {
	for (len(b)-start)%unit != 0 {
		b = append(b, 0)
	}
	return b
}

// bits are the preference on the wire (RFC 4191 §2.1).
func (p Preference) bits() byte {
	switch p {
	case High:
		return 0b01
	case Low:
		return 0b11
	case Medium:
	}
	return 0b00
}

// seconds is what a time is on the wire.
func seconds(d time.Duration) uint32 { return uint32(min(max(d, 0), finite) / time.Second) }
