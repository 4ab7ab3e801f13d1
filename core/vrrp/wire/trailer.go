package wire

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
)

const (
	// TrailerLength is the number of bytes AppendHMAC adds to those of Append.
	TrailerLength = trailerHead + macLength
	// MaxLengthHMAC is the longest payload AppendHMAC makes, in bytes.
	MaxLengthHMAC = MaxLengthIPv6 + TrailerLength

	trailerHead = 12
	macLength   = 16
	// pseudoLength is what stands before the message where the MAC is made.
	pseudoLength = 20

	trailerHMACSHA256 = 1
)

// Trailer is what follows a message that is authenticated with HMAC. Its MAC says
// whether any of it may be believed.
type Trailer struct {
	// Type is 1, for HMAC-SHA-256 cut to 128 bits; no other exists.
	Type uint8
	// KeyID names the key. No key has id 0.
	KeyID uint8
	// Reserved is zero.
	Reserved uint16
	Stamp    Stamp
}

// TrailerOf peeks at the trailer of a payload that Check dropped, so that a
// complaint can name the key and the time. That it is there is told by its length
// alone: that of the message, which the header says, and of the trailer.
func TrailerOf(payload []byte, family Family) (Trailer, bool) {
	if len(payload) < headerLength || !speaks(Version(payload[0]>>4), family) {
		return Trailer{}, false
	}
	n := messageLength(payload, family)
	if len(payload) != n+TrailerLength {
		return Trailer{}, false
	}
	return parseTrailer(payload[n:]), true
}

func parseTrailer(b []byte) Trailer {
	return Trailer{
		Type: b[0], KeyID: b[1], Reserved: binary.BigEndian.Uint16(b[2:]), Stamp: Stamp(binary.BigEndian.Uint64(b[4:])),
	}
}

// appendTrailer adds the trailer of a message that stands at the end of dst.
func (k Key) appendTrailer(dst, message []byte, source netip.Addr, stamp Stamp) []byte {
	start := len(dst)
	dst = append(dst, trailerHMACSHA256, k.id, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, uint64(stamp))
	mac := k.mac(source, message, dst[start:])
	return append(dst, mac[:]...)
}

// authentic compares the MAC, in the same time wherever it differs.
func (k Key) authentic(source netip.Addr, message, trailer []byte) bool {
	want := k.mac(source, message, trailer[:trailerHead])
	return subtle.ConstantTimeCompare(trailer[trailerHead:], want[:]) == 1
}

// mac is HMAC-SHA-256 (RFC 2104 §2), cut to 128 bits (RFC 2104 §5), over a pseudo
// header, the message without its checksum, the head of the trailer and zeros in
// the place of the MAC. The pseudo header is the IP version, the version and id of
// the virtual router, a zero, and the source, filled with zeros to 16 bytes. The
// destination is not in it, so that copies to several peers are alike. Version and
// id are taken from the message: the virtual router was found by the one, and the
// other was compared.
func (k Key) mac(source netip.Addr, message, head []byte) [macLength]byte {
	// One buffer on the stack holds the padded key and what is summed, so that
	// nothing is allocated for a packet.
	var inner [sha256.BlockSize + pseudoLength + MaxLengthHMAC]byte
	var outer [sha256.BlockSize + sha256.Size]byte
	for i, b := range k.secret.block {
		inner[i] = b ^ 0x36
		outer[i] = b ^ 0x5c
	}
	b := inner[sha256.BlockSize:]
	b[1], b[2] = message[0]>>4, message[1]
	if source.Is4() {
		s := source.As4()
		b[0] = 4
		copy(b[4:], s[:])
	} else {
		// A zone is this host's word for the link and does not travel.
		s := source.As16()
		b[0] = 6
		copy(b[4:], s[:])
	}
	b = b[pseudoLength:]
	n := copy(b, message)
	// The checksum may be the kernel's to fill in, and over IPv6 covers the MAC.
	clear(b[6:8])
	n += copy(b[n:], head) + macLength
	digest := sha256.Sum256(inner[:sha256.BlockSize+pseudoLength+n])
	copy(outer[sha256.BlockSize:], digest[:])
	digest = sha256.Sum256(outer[:])
	return [macLength]byte(digest[:])
}
