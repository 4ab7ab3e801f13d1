// Package vrrp is one virtual router: the states, the timers and the election
// of RFC 9568 (version 3) and RFC 3768 (version 2).
//
// A Router is a value that computes. It opens no socket, reads no clock, starts
// no goroutine and logs nothing: every event comes with the time it happened
// at, and the answer is a list of actions in the order they must be carried
// out. The speaker is its only caller, from one goroutine per interface.
//
// The contract with the caller:
//
//   - Call Handle for every event, then carry out the actions in order. After
//     any number of events, ask Deadline, and call Handle with DeadlineReached
//     when that time has come. Being late is harmless, early as well: the
//     Router compares its own deadlines with the time it is given.
//   - Hand over every advertisement that waits on the socket before reporting a
//     deadline. A process that was stopped for seconds then acts on what it was
//     told in the meantime, not on its own silence.
//   - Times must carry the monotonic reading that time.Now gives them, so that
//     a step of the wall clock changes nothing.
//
// Two states are RFC 9568's, Backup and Active. Initialize lasts until the first
// InterfaceChanged. Fault is halo's own: Initialize held down by a set of
// causes, which is left by itself when the last of them has gone.
//
// Where the Router departs from the RFC it says so at that line. The departures
// worth knowing: an address owner does listen to advertisements, so that two
// owners can be told apart; a router that yields says so with a last
// advertisement, so that the better one notices a split whoever speaks first;
// and a backup that was not running when its timer expired listens for one more
// interval before it claims the addresses.
//
// Read Router first, then Event and Action.
package vrrp
