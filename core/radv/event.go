package radv

import "time"

// Event is something that happened to an Advertiser.
//
//sumtype:decl
type Event interface{ event() }

// Began says that the virtual router is active, and its address there to advertise
// from.
type Began struct{}

// Ceased says that it is not any more: silence from here on. With Withdrawn it is
// still active and there, and is to advertise no longer: hosts are told.
type Ceased struct{ Withdrawn bool }

// Solicited says that a host asked, in a message that passed CheckSolicitation.
type Solicited struct{}

// DeadlineReached is sent when the time Deadline told has come.
type DeadlineReached struct{}

// Unsent says that what was to be sent just now could not be.
type Unsent struct{}

// Reconfigured carries another configuration.
type Reconfigured struct{ Config Config }

func (Began) event()           {}
func (Ceased) event()          {}
func (Solicited) event()       {}
func (DeadlineReached) event() {}
func (Unsent) event()          {}
func (Reconfigured) event()    {}

// Action is something the caller has to do.
//
//sumtype:decl
type Action interface{ action() }

// Send is an advertisement to all nodes, to be sent at once. Lifetime is what to
// give to Config.Append.
type Send struct{ Lifetime time.Duration }

func (Send) action() {}

// Phase is what an Advertiser does.
type Phase uint8

// The phases.
const (
	// Silent is every router but the active one.
	Silent Phase = iota
	// Advertising is the active router.
	Advertising
	// Withdrawing is an active router that takes back what it said.
	Withdrawing
)

// String is the phase's word in logs and status.
func (p Phase) String() string {
	switch p {
	case Silent:
		return "silent"
	case Advertising:
		return "advertising"
	case Withdrawing:
		return "withdrawing"
	default:
		return "unknown"
	}
}
