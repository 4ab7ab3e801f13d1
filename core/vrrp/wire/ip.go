package wire

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Meta is what the IP layer knows about a received advertisement. SplitIPv4
// reads it from the packet. Over IPv6 a raw socket delivers the payload alone,
// behind all extension headers, and the caller fills it from control messages.
type Meta struct {
	// Source and Destination are of one family. A zone is ignored.
	Source, Destination netip.Addr
	// TTL, over IPv6 the hop limit, as it arrived; 255 means that no router
	// forwarded it.
	TTL uint8
	// Interface is the index of the interface it arrived on.
	Interface int
	// Truncated says that bytes which belong to the packet are missing.
	Truncated bool
	// Arrived is when the kernel took it in, zero where nobody knows. Stamps are
	// measured by it, against its wall clock.
	Arrived time.Time
	// AH is the authentication header that stood before the payload, zero if
	// there was none.
	AH AH
}

const (
	ipv4HeaderLength = 20
	ipv6HeaderLength = 40
)

// SplitIPv4 takes apart a packet as an IPv4 raw socket delivers it, for Protocol
// or for ProtocolAH. The payload shares the packet's memory and is never nil when
// ok. Interface and Arrived are left for the caller, who knows them.
func SplitIPv4(packet []byte) (payload []byte, m Meta, ok bool) {
	if len(packet) < ipv4HeaderLength || packet[0]>>4 != 4 {
		return nil, Meta{}, false
	}
	header := int(packet[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(packet[2:]))
	if header < ipv4HeaderLength || total < header || len(packet) < header {
		return nil, Meta{}, false
	}
	m = Meta{
		Source:      netip.AddrFrom4([4]byte(packet[12:16])),
		Destination: netip.AddrFrom4([4]byte(packet[16:20])),
		TTL:         packet[8],
		Truncated:   total > len(packet),
	}
	// Bytes behind the total length are the link's, not the packet's.
	payload = packet[header:min(total, len(packet))]
	if packet[9] != ProtocolAH {
		return payload, m, true
	}
	if header != ipv4HeaderLength {
		// Some options change on the way; nobody sends any with this header.
		return nil, Meta{}, false
	}
	if m.AH, ok = parseAH(payload); !ok {
		return nil, Meta{}, false
	}
	m.AH.Identification = binary.BigEndian.Uint16(packet[4:])
	return payload[ahLength:], m, true
}

// VRID peeks at the virtual router a payload is for, so that a receiver with
// many routers finds the right one before it looks any closer.
func VRID(payload []byte) (vrid uint8, ok bool) {
	if len(payload) < headerLength {
		return 0, false
	}
	return payload[1], true
}
