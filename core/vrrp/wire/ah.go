package wire

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"net/netip"
)

const (
	// ProtocolAH is the IP protocol number of the authentication header
	// (RFC 2402 §2), which advertisements with AuthHeader are sent with.
	ProtocolAH = 51
	// MaxLengthAH is the longest packet AppendAH makes, in bytes.
	MaxLengthAH = ipv4HeaderLength + ahLength + MaxLength

	icvLength = 12
	ahLength  = 12 + icvLength
	// ahWords is the header's length as it says it itself: in words of 32 bits,
	// less two (RFC 2402 §2.2).
	ahWords = ahLength/4 - 2

	// internetControl is the precedence of routing protocols (RFC 791 §3.1).
	internetControl = 0xc0
)

// AH is the authentication header of a received packet (RFC 2402 §2). The zero
// value says that there was none.
type AH struct {
	Present bool
	// Identification is that of the IP header, which the ICV covers.
	Identification uint16
	// Reserved is sent as zero, and received it only enters the ICV
	// (RFC 2402 §2.3).
	Reserved uint16
	// SPI names the association. Nobody negotiates one: it is the sender's
	// address.
	SPI uint32
	// Sequence is 1 and up.
	Sequence uint32
	// ICV is the integrity check value: HMAC-MD5-96 (RFC 2403).
	ICV [icvLength]byte
}

// parseAH reads the header at the start of an IP payload. Behind it must be an
// advertisement.
func parseAH(payload []byte) (AH, bool) {
	if len(payload) < ahLength || payload[0] != Protocol || payload[1] != ahWords {
		return AH{}, false
	}
	return AH{
		Present:  true,
		Reserved: binary.BigEndian.Uint16(payload[2:]),
		SPI:      binary.BigEndian.Uint32(payload[4:]),
		Sequence: binary.BigEndian.Uint32(payload[8:]),
		ICV:      [icvLength]byte(payload[12:]),
	}, true
}

// AppendAH encodes an advertisement with AuthHeader behind dst, as a whole IPv4
// packet for a raw socket that takes the header from its user (IP_HDRINCL). The
// sequence number is Sequence.Next's, asked once for each advertisement: copies
// of it to several unicast peers have the same one.
func (a Advertisement) AppendAH(dst []byte, source, destination netip.Addr, ttl uint8, sequence uint32) ([]byte, error) {
	if a.Auth.Type != AuthHeader {
		return dst, errors.New("encode advertisement: the authentication type is not ah")
	}
	if err := a.Family.validSource(source, destination); err != nil {
		return dst, err
	}
	start := len(dst)
	packet, err := a.Append(append(dst, make([]byte, ipv4HeaderLength+ahLength)...), source, destination, PseudoHeader)
	if err != nil {
		return dst, err
	}
	header, message := packet[start:], packet[start+ipv4HeaderLength+ahLength:]
	m := Meta{Source: source, Destination: destination, TTL: ttl}
	m.AH = AH{Identification: uint16(max(sequence&0xffff, 1)), SPI: spi(source), Sequence: sequence}
	m.AH.ICV = m.AH.icv(a.Auth.Password, m, message)
	m.AH.put(header, m, len(message))
	header[1], header[8] = internetControl, ttl
	binary.BigEndian.PutUint16(header[10:], ^fold(sum(0, header[:ipv4HeaderLength])))
	copy(header[ipv4HeaderLength+ahLength-icvLength:], m.AH.ICV[:])
	return packet, nil
}

// spi is the association of a sender.
func spi(source netip.Addr) uint32 {
	b := source.As4()
	return binary.BigEndian.Uint32(b[:])
}

// authentic compares the ICV, in the same time wherever it differs. The message
// is of the length its header announces.
func (h AH) authentic(key Password, m Meta, message []byte) bool {
	want := h.icv(key, m, message)
	return subtle.ConstantTimeCompare(h.ICV[:], want[:]) == 1
}

// put writes the IP header and the authentication header as the ICV covers them:
// with zeros for itself and for what changes on the way (RFC 2402 §3.3.3.1.1.1),
// which is the type of service, the flags and fragment offset, the TTL and the
// checksum. Keepalived, the only one to talk to, keeps the TTL of multicast,
// which no router may change, and so does halo. The identification is covered.
func (h AH) put(b []byte, m Meta, length int) {
	s, d := m.Source.As4(), m.Destination.As4()
	b[0] = 4<<4 | ipv4HeaderLength/4
	binary.BigEndian.PutUint16(b[2:], uint16(ipv4HeaderLength+ahLength+length))
	binary.BigEndian.PutUint16(b[4:], h.Identification)
	if m.Destination.IsMulticast() {
		b[8] = m.TTL
	}
	b[9] = ProtocolAH
	copy(b[12:], s[:])
	copy(b[16:], d[:])
	b = b[ipv4HeaderLength:]
	b[0], b[1] = Protocol, ahWords
	binary.BigEndian.PutUint16(b[2:], h.Reserved)
	binary.BigEndian.PutUint32(b[4:], h.SPI)
	binary.BigEndian.PutUint32(b[8:], h.Sequence)
}

// icv is HMAC-MD5 (RFC 2104 §2), cut to 96 bits (RFC 2403 §2), over the headers
// and the message. That MD5 itself has fallen does not break it; it is what the
// protocol has, and better than a password in clear text. The key is the eight bytes of the password: HMAC fills a short
// one with zeros, as Password does.
func (h AH) icv(key Password, m Meta, message []byte) [icvLength]byte {
	// One buffer on the stack holds the padded key and what is summed, so that
	// nothing is allocated for a packet.
	var inner [md5.BlockSize + MaxLengthAH]byte
	var outer [md5.BlockSize + md5.Size]byte
	copy(inner[:], key[:])
	copy(outer[:], key[:])
	for i := range md5.BlockSize {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	h.put(inner[md5.BlockSize:], m, len(message))
	n := md5.BlockSize + ipv4HeaderLength + ahLength
	n += copy(inner[n:], message)
	digest := md5.Sum(inner[:n])
	copy(outer[md5.BlockSize:], digest[:])
	digest = md5.Sum(outer[:])
	return [icvLength]byte(digest[:])
}
