// Package nowait is what a goroutine that must never wait is made of: a Mailbox for
// what it is asked, an Outbox for what it has to tell, a Queue of deadlines, and an
// Alarm for the first of them.
//
// The speakers of VRRP and of BFD are such goroutines: whoever writes to them
// returns at once, and whoever listens to them may hang without their noticing. No
// lock here is held for longer than an append or an exchange. The package knows
// nothing of what goes through it, and starts no goroutine by itself.
//
// Read Mailbox and Outbox first.
package nowait
