// Package bfdspeaker drives the BFD sessions of a machine: it turns packets and
// deadlines into events for bfd.Session, and the Session's actions into packets
// and reports.
//
// One Speaker serves all sessions with one goroutine, one timer, one socket to
// send through for each session, and one to receive from for each port and
// family that is in use.
//
// A session that is late looks like a path that is broken: the goroutine waits for
// nothing but the sockets, the timer and its mailbox. It takes no lock that is
// held across anything slow, writes no log, and calls nobody else's code except
// the sockets. What it has to tell leaves through an outbox with a goroutine of
// its own, so that an Observer that hangs is never waited for.
//
// The daemon makes one Speaker, calls Run, and tells it the configuration with Set
// and Remove, which leave a note and return at once.
//
// Read Speaker first, then its loop in run.go.
package bfdspeaker
