package radv

import "net/netip"

// Meta is what is known of a message beside its bytes.
type Meta struct {
	Source   netip.Addr
	HopLimit int
}

// DropReason says why a solicitation is not answered.
type DropReason uint8

// The reasons, in the order in which they are looked for.
const (
	// DropNone means that it is answered.
	DropNone DropReason = iota
	// DropType: it is another message.
	DropType
	// DropHopLimit: it may have come from beyond the link.
	DropHopLimit
	// DropCode: its code is not 0.
	DropCode
	// DropTruncated: it is shorter than a solicitation.
	DropTruncated
	// DropOption: one of its options has no length, or is cut off.
	DropOption
	// DropSource: it comes from no address and tells a hardware address.
	DropSource
)

// DropReasonCount is the length of an array indexed by DropReason.
const DropReasonCount = int(DropSource) + 1

// String is the reason's word in status and metrics.
func (r DropReason) String() string {
	names := [DropReasonCount]string{"none", "type", "hop_limit", "code", "truncated", "option", "source"}
	if int(r) >= len(names) {
		return "unknown"
	}
	return names[r]
}

// solicitationFixed is the length without options (RFC 4861 §4.1).
const solicitationFixed = 8

// CheckSolicitation examines an ICMPv6 message by the rules of RFC 4861 §6.1.1. The
// checksum is not among them: the kernel hands over no message with a wrong one.
// Nothing in a solicitation is of use to a router that answers all nodes.
func CheckSolicitation(message []byte, m Meta) DropReason {
	switch {
	case len(message) == 0:
		return DropTruncated
	case message[0] != TypeSolicitation:
		return DropType
	case m.HopLimit != HopLimit:
		return DropHopLimit
	case len(message) > 1 && message[1] != 0:
		return DropCode
	case len(message) < solicitationFixed:
		return DropTruncated
	}
	for options := message[solicitationFixed:]; len(options) > 0; {
		if len(options) < 2 || options[1] == 0 || int(options[1])*unit > len(options) {
			return DropOption
		}
		if options[0] == optionSourceLink && m.Source.IsUnspecified() {
			return DropSource
		}
		options = options[int(options[1])*unit:]
	}
	return DropNone
}
