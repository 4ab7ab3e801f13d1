// Package radv is the Router Advertisements of a virtual router: the messages of
// IPv6 Neighbor Discovery that make hosts send to it by default, and when they are
// due (RFC 4861 §6.2, RFC 4191, RFC 8106; RFC 9568 §8.2.3).
//
// An Advertiser is a value that computes. It opens no socket, reads no clock,
// starts no goroutine and logs nothing: every event comes with the time it
// happened at, the randomness comes from a function given to New, and the answer
// is a list of actions in the order they must be carried out. The radvspeaker is
// its only caller, from one goroutine.
//
// Hosts know a virtual router by its link-local address, which moves with it, so
// to them a takeover is no event: the next active router goes on advertising what
// the last one did. A router that stands down therefore just falls silent. A final
// advertisement with a lifetime of zero (RFC 4861 §6.2.5) would come from the very
// address of its successor, and take the default route of every host until that is
// heard; it is sent only when the virtual router stays and ceases to advertise.
//
// Router Advertisements of others are not read, so differences between routers of
// a link are not told (RFC 4861 §6.2.7).
//
// Read Config first, then Advertiser, then Event and Action.
package radv
