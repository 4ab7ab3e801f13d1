package bfd

// DropReason says why a packet was not believed. The order is that of RFC 5880
// §6.8.6, so a counter that rises means that every rule above it was kept.
type DropReason uint8

// The reasons, in order.
const (
	// DropNone means that the packet counts.
	DropNone DropReason = iota
	// DropVersion: another version than 1.
	DropVersion
	// DropLength: its Length is less than a packet has.
	DropLength
	// DropTruncated: its Length is more than there is.
	DropTruncated
	// DropMultiplier: a Detect Mult of zero.
	DropMultiplier
	// DropMultipoint: the Multipoint bit is set.
	DropMultipoint
	// DropMyDiscriminator: the sender's discriminator is zero.
	DropMyDiscriminator
	// DropState: it names no session of ours, which only a side that is down
	// may do.
	DropState
	// DropDiscriminator: it names a session that is not here.
	DropDiscriminator
	// DropNoSession: it names none, and none is configured with its sender.
	DropNoSession
	// DropTTL: it has come over more hops than the session allows
	// (RFC 5881 §5).
	DropTTL
	// DropAuthentication: it is authenticated, which no session here is.
	DropAuthentication
	// DropAdminDown: the session is held down by its operator. Alone of all
	// reasons it comes after the session has learnt what the packet says.
	DropAdminDown
)

// DropReasonCount is the length of an array indexed by DropReason.
const DropReasonCount = int(DropAdminDown) + 1

// String is the reason's word in logs, status and metrics.
func (r DropReason) String() string {
	names := [DropReasonCount]string{
		"none", "version", "length", "truncated", "multiplier", "multipoint", "my_discriminator", "state",
		"discriminator", "no_session", "ttl", "authentication", "admin_down",
	}
	if int(r) >= len(names) {
		return "unknown"
	}
	return names[r]
}
