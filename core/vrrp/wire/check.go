package wire

import (
	"net/netip"
	"slices"
	"time"
)

// minEthernetPayload is the shortest IP packet that needs no padding to fill an
// Ethernet frame: some senders count their padding into the packet, so as much
// more than asked for is tolerated, and nothing beyond.
const minEthernetPayload = 46

// Expect is what a router is configured to hear from its peers.
type Expect struct {
	Version Version
	// Family is that of the socket, the addresses and the group.
	Family   Family
	Interval time.Duration
	Auth     Auth
	Checksum ChecksumForm
	// Addresses are compared as a set.
	Addresses []netip.Addr
	// Group is the destination advertisements are sent to.
	Group netip.Addr
	// Sequence is the caller's counter for AuthHeader, which Check moves on.
	// Without one nothing that comes with the header is believed.
	Sequence *Sequence
	// HMAC is the authentication by trailer, which excludes that of Auth.
	HMAC HMAC
	// Marks are the caller's marks for HMAC, which Check moves on. Without them
	// nothing that comes with a trailer is believed.
	Marks *Marks
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
	// FirstAddress says that over IPv6 the first address is not link-local.
	// RFC 9568 §5.2.9 has senders put it there, and its erratum 8300 receivers
	// drop what comes without it. It is told and not dropped: Keepalived's
	// users send such lists, and to drop them means two active routers.
	FirstAddress bool
	// Source says that over IPv6 the group was sent to from an address that is
	// not link-local (RFC 9568 §5.1.2.1), which §7.1 does not drop either.
	Source bool
	// Unsigned says that HMAC is configured and the trailer is not there, which
	// every mode but Enforce allows. Nobody is ready for Enforce who says so.
	Unsigned bool
	// Clock says that the sender's clock is more than half of HMAC's window away.
	// Beyond the whole of it nothing of it will count.
	Clock bool
}

// Any says whether there is something to tell.
func (f Findings) Any() bool { return f != Findings{} }

// Check examines a payload in a fixed order and decodes it into a, whose
// memory it reuses. The first check that fails is the reason; DropNone means
// that the advertisement counts. Unless the reason is DropLength, a holds what
// the packet says, so that a complaint can name it.
//
// HMAC's trailer is looked at last, where Keepalived has it behind the version.
// Neither the checksum nor the destination is under the MAC: who can overtake an
// advertisement with a copy of it that has one of them spoiled would else use up
// its stamp, and the original be dropped for a replay. Here what moves a mark
// counts. All the checks before it are cheaper, and know only how to drop.
func (e *Expect) Check(payload []byte, m Meta, a *Advertisement) (Findings, DropReason) {
	message, version, ok := trim(payload, m, e.Family, e.HMAC.Configured())
	if !ok {
		return Findings{}, DropLength
	}
	if !speaks(version, e.Family) {
		*a = Advertisement{Version: version, Family: e.Family, VRID: payload[1], Priority: payload[2], Addresses: a.Addresses[:0]}
		if m.TTL != HopLimit {
			return Findings{}, DropTTL
		}
		return Findings{}, DropVersion
	}
	decode(a, message, e.Family)
	covered := message
	if e.Family == IPv6 {
		covered = payload // The trailer, too; there is no padding.
	}
	form, intact := verify(covered, version, m, e.Checksum)
	switch {
	case m.TTL != HopLimit: // RFC 9568 §7.1, RFC 3768 §7.1.
		return Findings{}, DropTTL
	case version != e.Version:
		return Findings{}, DropVersion
	case version == V2 && a.Auth.Type != e.Auth.Type, m.AH.Present != (e.Auth.Type == AuthHeader):
		return Findings{}, DropAuthType
	case version == V2 && e.Auth.Type == AuthPassword && !a.Auth.Password.equal(e.Auth.Password):
		return Findings{}, DropPassword
	}
	if m.AH.Present {
		if drop := e.authenticate(m, message); drop != DropNone {
			return Findings{}, drop
		}
	}
	switch {
	case version == V2 && a.Interval != e.Interval: // RFC 3768 §7.1.
		return Findings{}, DropInterval
	case message[0]&0x0f != typeAdvertisement: // RFC 9568 §5.2.2.
		return Findings{}, DropType
	case !intact:
		return Findings{}, DropChecksum
	case m.Destination.WithZone("") != e.Group:
		return Findings{}, DropDestination
	case version == V3 && len(a.Addresses) == 0: // RFC 9568 §5.2.5, erratum.
		return Findings{}, DropNoAddresses
	case a.Interval == 0: // RFC 9568 §5.2.7, erratum.
		return Findings{}, DropZeroInterval
	}
	findings := Findings{
		Addresses: !sameSet(a.Addresses, e.Addresses),
		Interval:  a.Interval != e.Interval,
		Checksum:  version == V3 && form != e.Checksum,

		FirstAddress: !e.Family.LinkLocalFirst(a.Addresses),
		Source:       e.Family == IPv6 && m.Destination.IsMulticast() && !m.Source.IsLinkLocalUnicast(),
	}
	if e.HMAC.Configured() {
		if drop := e.checkTrailer(m, message, payload[len(message):], &findings); drop != DropNone {
			return Findings{}, drop
		}
	}
	return findings, DropNone
}

// authenticate checks the authentication header. What is authentic counts as
// seen, whatever else may be wrong with it.
func (e *Expect) authenticate(m Meta, message []byte) DropReason {
	switch {
	case m.AH.SPI != spi(m.Source):
		return DropSPI
	case !m.AH.authentic(e.Auth.Password, m, message):
		return DropICV
	case e.Sequence == nil || !e.Sequence.accept(m.AH.Sequence):
		return DropReplay
	}
	return DropNone
}

// speaks says whether the form of the version is known in the family.
func speaks(version Version, family Family) bool {
	return version == V3 || version == V2 && family == IPv4
}

// trim cuts a payload to the message its header announces. Of a version that is
// not spoken only the header is known, and the payload is returned whole. A trailer
// is looked for only where one may be, and is there whole or makes the length wrong.
func trim(payload []byte, m Meta, family Family, trailer bool) (message []byte, version Version, ok bool) {
	if len(payload) < headerLength || m.Truncated || !family.Has(m.Source) || !family.Has(m.Destination) {
		return nil, 0, false
	}
	version = Version(payload[0] >> 4)
	if !speaks(version, family) {
		return payload, version, true
	}
	length, before := messageLength(payload, family), family.headerLength()
	if trailer && len(payload) == length+TrailerLength {
		return payload[:length], version, true
	}
	if m.AH.Present {
		before += ahLength
	}
	if len(payload) < length || len(payload) > max(length, minEthernetPayload-before) {
		return nil, version, false
	}
	return payload[:length], version, true
}

// messageLength is that of the message at the start of a payload, by its header.
func messageLength(payload []byte, family Family) int {
	n := headerLength + int(payload[3])*family.addressLength()
	if Version(payload[0]>>4) == V2 {
		n += passwordLength
	}
	return n
}

// sameSet compares without regard to order what was received, which is at most
// MaxAddresses, with what is configured. Peers usually agree on the order, too.
func sameSet(a, b []netip.Addr) bool {
	if slices.Equal(a, b) {
		return true
	}
	if len(a) != len(b) {
		return false
	}
	// On the stack: a peer with another order must not make every one of its
	// advertisements leave garbage behind.
	var x, y [MaxAddresses]netip.Addr
	n := copy(x[:], a)
	copy(y[:], b)
	slices.SortFunc(x[:n], netip.Addr.Compare)
	slices.SortFunc(y[:n], netip.Addr.Compare)
	return x == y
}
