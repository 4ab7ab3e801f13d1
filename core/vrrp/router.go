package vrrp

import (
	"net/netip"
	"slices"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Router is one virtual router. Make it with New; it must not be copied. It is
// not safe for concurrent use.
type Router struct {
	config Config
	state  State
	reason Reason
	// since is when the state was entered.
	since time.Time
	// priority is the effective one: the configured one and what trackers add
	// or take, unless an owner has stepped back.
	priority uint8
	// tracked is what trackers add or take, zero in an owner.
	tracked int
	// source is the address to advertise from: the last usable one, so that a
	// router which loses it can still try to say goodbye.
	source  netip.Addr
	stopped bool
	// born is when the first event was seen, zero before, and held until when
	// the router only listens after it.
	born, held time.Time

	// linkDown is what the last InterfaceChanged said.
	linkDown bool

	faults     faultState
	backup     backupState
	active     activeState
	owners     ownersState
	announce   announceState
	mismatches [mismatchKinds]mismatchState
	peer       Peer
	// led is the peer that the last transition was due to, if any.
	led netip.Addr
	// v3 is who of those that speak both versions was heard last.
	v3 v3Peer
	// standing is what the sync group is to know, as far as it is not computed
	// from the rest, and reported what it was told last.
	standing, reported Standing
	// advert and advertV2 are the memory of SendAdvert.
	advert, advertV2 SendAdvert
}

// Peer is the other router that was heard last.
type Peer struct {
	// Address is invalid if none was heard.
	Address  netip.Addr
	Priority uint8
	Interval time.Duration
	// Heard is when.
	Heard time.Time
}

// New makes a router in Initialize. It waits for an InterfaceChanged. The
// configuration must be valid.
func New(config Config) *Router {
	config.Addresses = slices.Clone(config.Addresses)
	return &Router{config: config, priority: config.Priority}
}

// Handle takes one event that happened at now and appends to actions what has
// to be done about it, in order.
func (r *Router) Handle(now time.Time, event Event, actions []Action) []Action {
	if r.stopped {
		return actions
	}
	if r.born.IsZero() {
		r.born, r.held = now, after(now, r.config.Hold)
	}
	actions = r.handle(now, event, actions)
	if r.config.Group.Name != "" {
		actions = r.reportStanding(actions)
	}
	return actions
}

func (r *Router) handle(now time.Time, event Event, actions []Action) []Action {
	switch e := event.(type) {
	case *AdvertReceived:
		return r.received(now, e, actions)
	case *AdvertRejected:
		return r.rejected(now, e, actions)
	case DeadlineReached:
		return r.deadlineReached(now, actions)
	case InterfaceChanged:
		return r.interfaceChanged(now, e, actions)
	case Reconfigured:
		return r.reconfigured(now, e.Config, actions)
	case FaultRaised:
		r.faults.set(e.Cause, true)
		r.faults.until[e.Cause], r.faults.details[e.Cause] = after(now, e.For), e.Detail
		return r.reviewFaults(now, actions)
	case FaultCleared:
		r.faults.set(e.Cause, false)
		return r.reviewFaults(now, actions)
	case PriorityChanged:
		return r.priorityChanged(now, e, actions)
	case GroupOrdered:
		if e.Group != r.config.Group.Name {
			return actions
		}
		return r.handle(now, e.Event, actions)
	case AddressClaimed:
		if r.state != Active {
			return actions
		}
		return r.announceAgain(now, AnnounceClaimed, actions)
	case GroupActivated:
		return r.groupActivated(now, e, actions)
	case GroupYielded:
		return r.groupYielded(now, e, actions)
	case GroupAnnounced:
		return r.groupAnnounced(now, e, actions)
	case Stopped:
		return r.stop(now, actions)
	}
	return actions
}

// Deadline is when Handle wants to see DeadlineReached next, if ever.
func (r *Router) Deadline() (time.Time, bool) {
	if r.stopped {
		return time.Time{}, false
	}
	first := r.faults.deadline()
	switch r.state {
	case Initialize, Fault:
	case Backup:
		first = earliest(first, r.backup.down)
	case Active:
		first = earliest(first, r.active.advert)
		first = earliest(first, r.announce.deadline())
	}
	return first, !first.IsZero()
}

// Expect is what the receive checks compare advertisements with. It shares the
// Router's list of addresses.
func (r *Router) Expect() wire.Expect { return r.config.Expect() }

// State is the present state.
func (r *Router) State() State { return r.state }

// received is an advertisement that may be believed, in whatever state.
func (r *Router) received(now time.Time, e *AdvertReceived, actions []Action) []Action {
	a := &e.Advertisement
	if r.config.AlsoV2 && r.repeatedInV2(now, e) {
		return actions
	}
	switch r.state {
	case Initialize, Fault:
		// RFC 9568 §6.4.1 knows no advertisement here.
		return actions
	case Backup:
		actions = r.observe(now, e, actions)
		actions = r.backupReceived(now, a, actions)
	case Active:
		actions = r.observe(now, e, actions)
		actions = r.activeReceived(now, a, e.Source, actions)
	}
	r.peer = Peer{Address: e.Source, Priority: a.Priority, Interval: a.Interval, Heard: now}
	return actions
}

func (r *Router) deadlineReached(now time.Time, actions []Action) []Action {
	if due(r.faults.deadline(), now) {
		r.faults.expire(now)
		actions = r.reviewFaults(now, actions)
	}
	switch r.state {
	case Initialize, Fault:
	case Backup:
		actions = r.backupDeadline(now, actions)
	case Active:
		actions = r.activeDeadline(now, actions)
	}
	return actions
}

// enter makes the transition and reports it. What the state needs has been
// set up before.
func (r *Router) enter(now time.Time, to State, reason Reason, actions []Action) []Action {
	detail := ""
	if to == Fault {
		detail = r.faults.detail()
		r.faults.told = detail
	}
	return r.enterDetailed(now, to, reason, detail, actions)
}

func (r *Router) enterDetailed(now time.Time, to State, reason Reason, detail string, actions []Action) []Action {
	change := StateChanged{From: r.state, To: to, Reason: reason, Detail: detail, Priority: r.priority}
	r.led = netip.Addr{}
	if reason.electoral() {
		r.led = r.peer.Address
	}
	change.Peer = r.led
	if to == Fault {
		change.Faults = r.faults.causes
	}
	r.state, r.reason, r.since = to, reason, now
	return append(actions, change)
}

// send advertises with the given priority.
func (r *Router) send(priority uint8, actions []Action) []Action {
	c := &r.config
	r.advert = SendAdvert{
		Advertisement: wire.Advertisement{
			Version: c.Version, Family: c.family(), VRID: c.VRID, Priority: priority,
			Interval: c.Interval, Addresses: c.Addresses, Auth: c.Auth,
		},
		Source: r.source, Destination: c.family().Group(), Checksum: c.Checksum,
	}
	actions = append(actions, &r.advert)
	if c.AlsoV2 {
		actions = r.sendV2(actions)
	}
	return actions
}
