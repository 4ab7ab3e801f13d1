// Package vrrp is one virtual router: the states, the timers and the election
// of RFC 9568 (version 3) and RFC 3768 (version 2); and the sync group, which
// makes several of them one.
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
// worth knowing: an address owner listens to advertisements in version 2 too, as
// erratum 8298 of RFC 9568 has it, so that two owners can be told apart; a router
// that yields says so with a last advertisement, so that the better one notices a
// split whoever speaks first;
// and a backup that was not running when its timer expired listens for one more
// interval before it claims the addresses.
//
// # Sync groups
//
// A Group computes in the same way. Its members' routers may live on different
// interfaces, and so with different goroutines; the Group needs none of its own,
// only that its calls do not overlap (a mutex held while Handle runs is enough,
// since Handle never waits), and that nothing of what follows waits either:
//
//   - A router whose Config names a group (see Enroll) puts a Standing among its
//     actions whenever that has changed. Hand it to Group.Handle as
//     MemberStanding: each of them, and in order for each member.
//   - Post the Event of every Order to the member's router, in order for each
//     member, and before the next call of Handle. The router may be the one that
//     has just spoken: post, do not call.
//   - Post what a member's trackers make of its priority to the Group, as
//     MemberPriority, and not to the router. Everything else goes to the router.
//   - Call Handle with GroupDeadlineReached when the Group's Deadline has come.
//   - When the configuration changes: first GroupReconfigured (or NewGroup), then
//     the routers, then remove those that are gone, then what trackers say. A
//     Standing of another group than a router is now in does not matter, nor an
//     Order of one.
//
// So a member whose timer ends only says that it wants to be active. When all
// want, or are, the Group orders those that are not to become active. A member
// that makes way for a better router, or has a fault, is followed by the others:
// they say goodbye with priority 0, which keeps the next active router from
// waiting for their silence. A member that is new, or was started again, joins a
// group that is active when its own timer ends, and moves nobody before.
//
// Orders have numbers, and a Standing tells the last one carried out: where a
// member stood before it got an order is not taken for an answer. A member that
// does not obey within a second of the process running makes the others yield.
//
// Read Router first, then Event and Action; then Group and Standing.
package vrrp
