package vrrp

import (
	"slices"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// interfaceChanged turns what is true of the interface into causes of fault.
func (r *Router) interfaceChanged(now time.Time, e InterfaceChanged, actions []Action) []Action {
	usable := e.Exists && e.Source.IsValid()
	if usable {
		r.source = e.Source
	}
	back := r.linkDown && e.Up
	r.linkDown = e.Exists && !e.Up
	r.faults.set(FaultInterfaceMissing, !e.Exists)
	r.faults.set(FaultLinkDown, r.linkDown && !r.config.IgnoreLinkDown)
	r.faults.set(FaultNoSourceAddress, e.Exists && !usable)
	if r.state == Initialize && r.faults.causes == 0 {
		return r.startup(now, ReasonStartup, actions)
	}
	if back && r.state == Active && r.faults.causes == 0 {
		// What was announced meanwhile has reached nobody.
		actions = r.announceAgain(now, AnnounceLinkUp, actions)
	}
	return r.faultOrHeal(now, actions)
}

// reviewFaults acts on a changed set of causes. In Initialize nothing is known
// of the interface yet, so causes only gather.
func (r *Router) reviewFaults(now time.Time, actions []Action) []Action {
	if r.state == Initialize {
		return actions
	}
	return r.faultOrHeal(now, actions)
}

func (r *Router) faultOrHeal(now time.Time, actions []Action) []Action {
	switch {
	case r.faults.causes == 0 && r.state == Fault:
		return r.startup(now, ReasonHealed, actions)
	case r.faults.causes == 0:
		return actions
	case r.state == Fault:
		return r.otherFault(actions)
	}
	return r.leave(now, Fault, r.faults.causes.reason(), actions)
}

// otherFault tells, in Fault, what the gravest cause is now, if that is news.
func (r *Router) otherFault(actions []Action) []Action {
	reason, detail := r.faults.causes.reason(), r.faults.detail()
	if reason == r.reason && detail == r.faults.told {
		return actions
	}
	r.reason, r.faults.told = reason, detail
	return append(actions, FaultChanged{Reason: reason, Faults: r.faults.causes, Detail: detail})
}

// startup is the Startup event (RFC 9568 §6.4.1, RFC 3768 §6.4.1), at first and
// whenever a fault has healed.
func (r *Router) startup(now time.Time, reason Reason, actions []Action) []Action {
	r.priority, r.owners = r.effective(), ownersState{}
	r.backup = backupState{interval: r.config.Interval}
	if !r.config.owner() {
		r.restartDown(now)
		actions = append(actions, ReleaseAddresses{})
		return r.enter(now, Backup, reason, actions)
	}
	if !r.mayWait(now) {
		return r.becomeActive(now, ReasonOwner, actions)
	}
	// It has to wait without having heard anybody, and keeps what it has: the
	// virtual addresses are its own, and without them it has none to speak from.
	r.waitAsOwner(now)
	return r.enter(now, Backup, reason, actions)
}

// mayWait says whether even an owner must not start at once: during the startup
// delay, and in a sync group, which starts when all of its members can.
func (r *Router) mayWait(now time.Time) bool {
	return now.Before(r.held) || r.config.Group.Name != ""
}

// waitAsOwner makes the timer of a backup end as soon as an owner may start.
func (r *Router) waitAsOwner(now time.Time) {
	r.restartDown(now)
	r.backup.owner = true
	r.setDown()
}

// leave takes the router out of the election: RFC 9568 §6.4.3, Shutdown. Peers
// hear priority 0 before the addresses go, and need not wait for silence.
func (r *Router) leave(now time.Time, to State, reason Reason, actions []Action) []Action {
	if r.state == Active {
		actions = r.send(wire.PriorityRelease, actions)
	}
	r.active, r.announce, r.backup = activeState{}, announceState{}, backupState{}
	r.clearActiveMismatches()
	actions = append(actions, ReleaseAddresses{})
	return r.enter(now, to, reason, actions)
}

func (r *Router) stop(now time.Time, actions []Action) []Action {
	r.faults = faultState{}
	actions = r.leave(now, Initialize, ReasonStopped, actions)
	r.stopped = true
	return actions
}

// reconfigured keeps the state. An unchanged configuration changes nothing at
// all.
func (r *Router) reconfigured(now time.Time, config Config, actions []Action) []Action {
	old, was := r.config, r.priority
	if config.Equal(&old) {
		return actions
	}
	config.Addresses = slices.Clone(config.Addresses)
	r.config = config
	r.mismatches = [mismatchKinds]mismatchState{}
	if config.Priority != old.Priority {
		r.tracked = 0
		r.priority, r.owners = r.effective(), ownersState{}
	}
	actions = r.regroup(now, &old, actions)
	switch r.state {
	case Initialize, Fault:
	case Backup:
		actions = r.retimeBackup(now, &old, actions)
	case Active:
		actions = r.retimeActive(now, &old, actions)
	}
	actions = r.reportPriority(was, "", actions)
	r.faults.set(FaultLinkDown, r.linkDown && !config.IgnoreLinkDown)
	return r.reviewFaults(now, actions)
}
