package vrrp

import (
	"net/netip"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Event is something that happened to a router.
//
//sumtype:decl
type Event interface{ event() }

// InterfaceChanged tells what is true of the interface. The first one
// starts the router (the Startup event of RFC 9568 §6.4.1).
type InterfaceChanged struct {
	// Exists says that there is an interface of the configured name.
	Exists bool
	// Up says that it is up and has carrier.
	Up bool
	// Source is the address to advertise from, invalid if there is none.
	Source netip.Addr
}

// AdvertReceived is an advertisement that passed every receive check. It is
// handed over by pointer and not kept, so that the caller can use its memory
// again.
type AdvertReceived struct {
	Advertisement wire.Advertisement
	Source        netip.Addr
	Findings      wire.Findings
	// Trailer is what it was signed with, where Findings are about that.
	Trailer wire.Trailer
}

// AdvertRejected is an advertisement for this router that failed a receive
// check. The Router changes nothing because of it, but tells once what differs.
// Handed over by pointer and not kept.
type AdvertRejected struct {
	Drop          wire.DropReason
	Advertisement wire.Advertisement
	Source        netip.Addr
	// Trailer is what the packet was signed with, where Signed says that it was.
	// Nobody has vouched for it.
	Trailer wire.Trailer
	Signed  bool
}

// DeadlineReached is sent when the time Deadline told has come.
type DeadlineReached struct{}

// Reconfigured carries a configuration for the same virtual router. State and
// timers are kept as far as it leaves them meaningful.
type Reconfigured struct{ Config Config }

// FaultRaised adds a cause to those that keep the router from taking part.
type FaultRaised struct {
	Cause FaultCause
	// For is after what time the cause goes away by itself; zero means when
	// FaultCleared says so.
	For time.Duration
	// Detail names what raised it, the tracker for example, for people to
	// read. Raising a cause again replaces it.
	Detail string
}

// FaultCleared removes a cause.
type FaultCleared struct{ Cause FaultCause }

// PriorityChanged is the effective priority that the trackers ask for. It holds
// until the next one, or until a Reconfigured changes the configured priority: post
// what the trackers make of that behind it. Below 1 and above 254 it is cut off, and an owner does not move:
// 0 and 255 mean something else on the wire (RFC 9568 §5.2.4).
type PriorityChanged struct {
	Priority int
	// Detail says which trackers, for people to read.
	Detail string
}

// AddressClaimed tells that somebody else on the network says that a virtual
// address is at his hardware address. An active router announces where it is,
// again; nobody else is concerned.
type AddressClaimed struct{}

// Stopped ends the router (the Shutdown event of RFC 9568 §6.4.2 and §6.4.3).
// It answers no event after it.
type Stopped struct{}

func (InterfaceChanged) event() {}
func (*AdvertReceived) event()  {}
func (*AdvertRejected) event()  {}
func (DeadlineReached) event()  {}
func (Reconfigured) event()     {}
func (FaultRaised) event()      {}
func (FaultCleared) event()     {}
func (PriorityChanged) event()  {}
func (AddressClaimed) event()   {}
func (GroupOrdered) event()     {}
func (GroupActivated) event()   {}
func (GroupYielded) event()     {}
func (GroupAnnounced) event()   {}
func (Stopped) event()          {}
