package wire

import (
	"net/netip"
	"slices"
	"time"
)

// minEthernetPayload is the shortest IPv4 payload that needs no padding to fill
// an Ethernet frame: some senders count their padding into the packet, so as
// much more than asked for is tolerated, and nothing beyond.
const minEthernetPayload = 46 - ipv4HeaderLength

// Expect is what a router is configured to hear from its peers.
type Expect struct {
	Version  Version
	Interval time.Duration
	Auth     Auth
	Checksum ChecksumForm
	// Addresses are compared as a set.
	Addresses []netip.Addr
	// Group is the destination advertisements are sent to.
	Group netip.Addr
}

// Findings are differences between an advertisement and the configuration that
// an operator must hear about and that do not make it unusable: to drop a
// peer's advertisement means two active routers.
type Findings struct {
	// Addresses says that the set of virtual addresses differs.
	Addresses bool
	// Interval says that version 3 advertises with another interval, which
	// backups learn (RFC 9568 §6.4.2).
	Interval bool
	// Checksum says that version 3 was summed in the other form.
	Checksum bool
}

// Any says whether there is something to tell.
func (f Findings) Any() bool { return f != Findings{} }

// Check examines a payload in a fixed order and decodes it into a, whose
// memory it reuses. The first check that fails is the reason; DropNone means
// that the advertisement counts. Unless the reason is DropLength, a holds what
// the packet says, so that a complaint can name it.
func (e *Expect) Check(payload []byte, m Meta, a *Advertisement) (Findings, DropReason) {
	message, version, ok := trim(payload, m)
	if !ok {
		return Findings{}, DropLength
	}
	if version != V2 && version != V3 {
		*a = Advertisement{Version: version, VRID: payload[1], Priority: payload[2], Addresses: a.Addresses[:0]}
		if m.TTL != HopLimit {
			return Findings{}, DropTTL
		}
		return Findings{}, DropVersion
	}
	decode(a, message)
	form, intact := verify(message, version, m, e.Checksum)
	switch {
	case m.TTL != HopLimit: // RFC 9568 §7.1, RFC 3768 §7.1.
		return Findings{}, DropTTL
	case version != e.Version:
		return Findings{}, DropVersion
	case version == V2 && a.Auth.Type != e.Auth.Type:
		return Findings{}, DropAuthType
	case version == V2 && e.Auth.Type == AuthPassword && !a.Auth.Password.equal(e.Auth.Password):
		return Findings{}, DropPassword
	case version == V2 && a.Interval != e.Interval: // RFC 3768 §7.1.
		return Findings{}, DropInterval
	case message[0]&0x0f != typeAdvertisement: // RFC 9568 §5.2.2.
		return Findings{}, DropType
	case !intact:
		return Findings{}, DropChecksum
	case m.Destination != e.Group:
		return Findings{}, DropDestination
	case version == V3 && len(a.Addresses) == 0: // RFC 9568 §5.2.5, erratum.
		return Findings{}, DropNoAddresses
	case a.Interval == 0: // RFC 9568 §5.2.7, erratum.
		return Findings{}, DropZeroInterval
	}
	return Findings{
		Addresses: !sameSet(a.Addresses, e.Addresses),
		Interval:  a.Interval != e.Interval,
		Checksum:  version == V3 && form != e.Checksum,
	}, DropNone
}

// trim cuts a payload to the message its header announces. Of a version that
// is neither 2 nor 3 only the header is known, and the payload is returned
// whole.
func trim(payload []byte, m Meta) (message []byte, version Version, ok bool) {
	if len(payload) < headerLength || m.Truncated || !m.Source.Is4() || !m.Destination.Is4() {
		return nil, 0, false
	}
	version = Version(payload[0] >> 4)
	length := headerLength + int(payload[3])*ipv4Length
	switch version {
	case V2:
		length += passwordLength
	case V3:
	default:
		return payload, version, true
	}
	if len(payload) < length || len(payload) > max(length, minEthernetPayload) {
		return nil, version, false
	}
	return payload[:length], version, true
}

// sameSet compares without regard to order. Peers usually agree on the order
// too, and then nothing is copied.
func sameSet(a, b []netip.Addr) bool {
	if slices.Equal(a, b) {
		return true
	}
	if len(a) != len(b) {
		return false
	}
	x, y := slices.Clone(a), slices.Clone(b)
	slices.SortFunc(x, netip.Addr.Compare)
	slices.SortFunc(y, netip.Addr.Compare)
	return slices.Equal(x, y)
}
