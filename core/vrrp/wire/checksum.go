package wire

import "net/netip"

// ChecksumForm is how version 3 over IPv4 computes its checksum. RFC 5798 was read
// as asking for the pseudo-header there, and Keepalived puts it in; RFC 9568
// §5.2.8 leaves it out, as version 2 does. Version 2 and IPv6 have one form only
// and ignore this.
type ChecksumForm uint8

// The two forms. The zero value is Keepalived's default.
const (
	PseudoHeader ChecksumForm = iota
	Plain
)

// String is the configuration's word for the form.
func (f ChecksumForm) String() string {
	if f == Plain {
		return "plain"
	}
	return "pseudo-header"
}

// sum adds the big-endian 16-bit words of b to total, an odd last byte padded
// with a zero (RFC 1071). Messages are far too short for 32 bits to overflow.
func sum(total uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		total += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		total += uint32(b[0]) << 8
	}
	return total
}

// pseudoHeader adds the pseudo-header of a message of length bytes: that of
// IPv4 (RFC 793 §3.1), and of IPv6 (RFC 8200 §8.1), where the length has 32
// bits, of which the upper 16 are zero here.
func pseudoHeader(total uint32, source, destination netip.Addr, length int) uint32 {
	total += Protocol + uint32(length)
	if source.Is4() {
		s, d := source.As4(), destination.As4()
		return sum(sum(total, s[:]), d[:])
	}
	s, d := source.As16(), destination.As16()
	return sum(sum(total, s[:]), d[:])
}

// fold reduces the total to 16 bits of one's complement.
func fold(total uint32) uint16 {
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}

// verify says whether the message's checksum is right and in which form it was
// computed. Where both fit, the wanted one counts. Over IPv6 there is no
// checksum without the pseudo-header (RFC 9568 §5.2.8, RFC 8200 §8.1): the
// network layer has none of its own that would cover the addresses.
func verify(message []byte, version Version, m Meta, want ChecksumForm) (ChecksumForm, bool) {
	total := sum(0, message)
	plain := fold(total) == 0xffff
	if version == V2 {
		return want, plain
	}
	pseudo := fold(pseudoHeader(total, m.Source, m.Destination, len(message))) == 0xffff
	switch {
	case m.Source.Is6():
		return want, pseudo
	case pseudo && plain:
		return want, true
	case plain:
		return Plain, true
	default:
		return PseudoHeader, pseudo
	}
}
