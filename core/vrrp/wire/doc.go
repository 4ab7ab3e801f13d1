// Package wire turns VRRP advertisements into bytes and back, and decides
// whether a received one may be believed.
//
// It knows VRRP version 2 (RFC 3768, with the simple password and the IP
// authentication header of RFC 2338) over IPv4 and version 3 (RFC 9568) over IPv4
// and IPv6, each also with the HMAC-SHA256 trailer as Keepalived 2.4.2 and later
// speaks it (draft-cassen-vrrp-auth-hmac). It is pure: it opens no socket, reads
// no clock, keeps no state, and gives equal answers to equal questions. What has
// to be remembered, which are the Sequence of the authentication header and the
// Stamps and Marks of the trailer, are values of the caller's. The speaker calls
// it from its one goroutine, with buffers it reuses; nothing here allocates once
// those have grown.
//
// Durations are time.Duration everywhere but in the bytes: seconds (version 2)
// and centiseconds (version 3) do not leave this package.
//
// Read Advertisement first, then Expect.Check, whose DropReason values are also
// the list of everything that can be wrong with a packet.
package wire
