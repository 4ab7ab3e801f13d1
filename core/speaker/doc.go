// Package speaker drives the virtual routers of one interface: it turns packets,
// deadlines and notes from the rest of the core into events for vrrp.Router,
// and the Router's actions into packets and orders.
//
// One Speaker serves all routers of one interface and address family with one
// goroutine, one socket and one timer; a second socket is for advertisements with
// an authentication header, where version 2 is spoken. A packet is looked at once
// and handed to the one router it is for, so 255 routers cost little more than
// one. A router speaks to its group or to a list of peers, never to both.
//
// The advertisement goes out on time: the goroutine that sends it waits for
// nothing but the socket, the timer and its mailbox. It takes no lock that is
// held across anything slow, writes no log, and calls nobody else's code except
// the socket's and that of Groups. What else it has to tell leaves through two outboxes, each with a
// goroutine of its own, so that neither an Addresses nor an Observer that hangs
// is ever waited for.
//
// The daemon makes a Speaker per interface, calls Run, and tells it the
// configuration with Set, SetUnicast and Remove, the state of the interface with SetLink,
// and everything else with Post. All of those leave a note and return at once.
//
// Read Speaker first, then its loop in run.go.
package speaker
