// Package bfd is Bidirectional Forwarding Detection in asynchronous mode: the
// packets and one session of RFC 5880, over one hop (RFC 5881) or several
// (RFC 5883).
//
// A Session is a value that computes. It opens no socket, reads no clock, starts
// no goroutine and logs nothing: every event comes with the time it happened at,
// the randomness comes from a function given to New, and the answer is a list of
// actions in the order they must be carried out. The bfdspeaker is its only
// caller, from one goroutine.
//
// The contract with the caller:
//
//   - Give each packet to Check, find the session it is for by the rule that
//     stands there, and hand it to that session's Handle.
//   - Call Handle for every event, then carry out the actions in order. After
//     any number of events, ask Deadline, and call Handle with DeadlineReached
//     when that time has come. Being late is harmless, early as well.
//   - Hand over every packet that waits on the socket before reporting a
//     deadline. A process that was stopped for a while then acts on what it was
//     sent in the meantime, not on its own absence.
//   - Times must carry the monotonic reading that time.Now gives them.
//
// What is left out, and what a peer that asks for it gets: authentication (its
// packets are dropped), the Echo function (the advertised Required Min Echo RX
// Interval is zero, which forbids it to the peer, and none is sent), and Demand
// mode for ourselves (it is never asked of the peer; a peer that asks it of us is
// obeyed).
//
// Read Session first, then Event and Action, then Check, whose DropReason values
// are the list of everything that can be wrong with a packet.
package bfd
