package wire

// DropReason says why a packet was not believed. The order is the order in
// which Check looks, so a counter that rises means that every check above it
// passed.
type DropReason uint8

// The reasons, in order.
const (
	// DropNone means that the packet counts.
	DropNone DropReason = iota
	// DropLength: shorter than a header, truncated, or not as long as its
	// version and address count ask for.
	DropLength
	// DropTTL: it was forwarded by a router, or forged beyond the link.
	DropTTL
	// DropVersion: another version than the one configured.
	DropVersion
	// DropAuthType: version 2 with another authentication type, or with an
	// authentication header where none belongs, or without one where it does.
	DropAuthType
	// DropPassword: version 2 with another password.
	DropPassword
	// DropSPI: the authentication header belongs to another association.
	DropSPI
	// DropICV: the authentication header was made with another password, or the
	// packet was changed on its way.
	DropICV
	// DropReplay: the authentication header's sequence number is not above all
	// that were seen.
	DropReplay
	// DropInterval: version 2 with another interval. RFC 3768 §7.1 demands it,
	// and both routers stay active: the most common misconfiguration.
	DropInterval
	// DropType: not an advertisement.
	DropType
	// DropChecksum: wrong in every form.
	DropChecksum
	// DropDestination: not sent to the group this router listens to.
	DropDestination
	// DropNoAddresses: version 3 without any address.
	DropNoAddresses
	// DropZeroInterval: an interval of zero, with which every backup would
	// take over at once.
	DropZeroInterval
	// DropHMACMissing: it has no trailer where one is enforced.
	DropHMACMissing
	// DropHMACMalformed: the trailer is of a type that does not exist, or its
	// reserved bytes are not zero.
	DropHMACMalformed
	// DropHMACStale: the trailer's time is further from this router's clock than
	// the window allows. Either clock may be the wrong one.
	DropHMACStale
	// DropHMACUnknownKey: the trailer names a key that is not configured.
	DropHMACUnknownKey
	// DropHMACInvalid: the trailer was made with another key of that id, or the
	// packet was changed on its way, its source included.
	DropHMACInvalid
	// DropHMACReplay: the trailer's stamp is not after all of its sender's that
	// were seen.
	DropHMACReplay
)

// DropReasonCount is the length of an array indexed by DropReason.
const DropReasonCount = int(DropHMACReplay) + 1

// String is the reason's word in logs, status and metrics.
func (r DropReason) String() string {
	names := [DropReasonCount]string{
		"none", "length", "ttl", "version", "auth_type", "password", "spi", "icv", "replay", "interval",
		"type", "checksum", "destination", "no_addresses", "zero_interval",
		"hmac_missing", "hmac_malformed", "hmac_stale", "hmac_unknown_key", "hmac_invalid", "hmac_replay",
	}
	if int(r) >= len(names) {
		return "unknown"
	}
	return names[r]
}
