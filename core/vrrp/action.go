package vrrp

import (
	"net/netip"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Action is something the caller has to do.
//
//sumtype:decl
type Action interface{ action() }

// SendAdvert is to be sent at once, before the next action. It points into the
// Router and is valid until the next call of Handle.
type SendAdvert struct {
	// Advertisement shares the Router's list of addresses: read only.
	Advertisement       wire.Advertisement
	Source, Destination netip.Addr
	Checksum            wire.ChecksumForm
}

// AcquireAddresses asks for the virtual addresses to be put on the interface.
type AcquireAddresses struct{}

// ReleaseAddresses asks for them to be taken off, if any are there. It comes
// with every change to a state other than Active, the first one included, so
// that left-overs of a crash go too.
type ReleaseAddresses struct{}

// Announce asks for gratuitous ARP: Repeat packets for each address, behind
// the AcquireAddresses before it.
type Announce struct {
	Repeat int
	Reason AnnounceReason
}

// AnnounceReason says what an announcement is for.
type AnnounceReason uint8

// The reasons.
const (
	// AnnounceActive: the router became active; first and second burst.
	AnnounceActive AnnounceReason = iota
	// AnnounceLowerPriority: another active router was heard, whose neighbours
	// may have learnt its address; at once and again later.
	AnnounceLowerPriority
	// AnnounceStalled: this router was silent for so long that another may
	// have been active; at once and again later.
	AnnounceStalled
	// AnnounceRefresh: the configured period is over.
	AnnounceRefresh
	// AnnounceClaimed: somebody else claims one of the addresses.
	AnnounceClaimed
	// AnnounceLinkUp: the interface was down, and is back.
	AnnounceLinkUp
)

// String is the reason's word in logs.
func (r AnnounceReason) String() string {
	switch r {
	case AnnounceActive:
		return "active"
	case AnnounceLowerPriority:
		return "lower_priority"
	case AnnounceStalled:
		return "stalled"
	case AnnounceRefresh:
		return "refresh"
	case AnnounceClaimed:
		return "claimed"
	case AnnounceLinkUp:
		return "link_up"
	default:
		return "unknown"
	}
}

// StateChanged tells of a transition, after the actions that make it true.
type StateChanged struct {
	From, To State
	Reason   Reason
	// Faults is the set of causes, empty unless To is Fault.
	Faults Faults
	// Detail names what raised the gravest of them, where FaultRaised said so,
	// or the member that moved the sync group.
	Detail string
	// Priority is the effective one.
	Priority uint8
	// Peer is the router whose advertisement, or silence, led here; invalid if
	// none was heard or the reason is another one.
	Peer netip.Addr
}

// FaultChanged tells that a router in Fault is there for another reason than
// before: the gravest cause has gone, a graver one has come, or something else has
// raised it. The state is the same.
type FaultChanged struct {
	Reason Reason
	// Faults and Detail are as in StateChanged.
	Faults Faults
	Detail string
}

// EffectiveChanged tells that trackers or the configuration have moved the
// effective priority. An active router has advertised it by then.
type EffectiveChanged struct {
	From, To uint8
	// Detail is that of the PriorityChanged, empty if the configuration changed.
	Detail string
}

func (*SendAdvert) action()      {}
func (AcquireAddresses) action() {}
func (ReleaseAddresses) action() {}
func (Announce) action()         {}
func (StateChanged) action()     {}
func (FaultChanged) action()     {}
func (EffectiveChanged) action() {}
func (Mismatch) action()         {}
func (Standing) action()         {}
