package vrrp

import (
	"net/netip"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// activeState is what an active router knows (RFC 9568 §6.4.3).
type activeState struct {
	// advert is the Adver_Timer, as a deadline.
	advert time.Time
	// sent is when the last advertisement was.
	sent time.Time
	// contested says that another active router was heard before the first
	// advertisement after a stall could be sent.
	contested bool
	// tie is when the present row of advertisements of equal priority from a
	// higher address began, tieHeard when the last of them was. Kept only
	// where the sync group's first member decides.
	tie, tieHeard time.Time
}

// stalled says that this process has not run for so long that backups may have
// given it up.
func (r *Router) stalled(now time.Time) bool {
	return now.Sub(r.active.sent) > 3*r.config.Interval
}

// becomeActive advertises first, so that other backups stand down, then takes
// the addresses, then tells the neighbours (RFC 9568 §6.4.1 and §6.4.2).
func (r *Router) becomeActive(now time.Time, reason Reason, actions []Action) []Action {
	r.backup = backupState{}
	actions = r.advertise(now, actions)
	actions = append(actions, AcquireAddresses{})
	actions = r.announceActive(now, actions)
	return r.enter(now, Active, reason, actions)
}

// advertise sends and restarts the Adver_Timer. The interval is the own one,
// whatever was learned as a backup.
func (r *Router) advertise(now time.Time, actions []Action) []Action {
	r.active.sent, r.active.contested = now, false
	r.active.advert = now.Add(r.config.Interval)
	return r.send(r.priority, actions)
}

// retimeActive applies a changed configuration. Peers hear at once what changed
// in the advertisement: with a longer interval they would otherwise run out of
// patience before the next one.
func (r *Router) retimeActive(now time.Time, old *Config, actions []Action) []Action {
	quiet := r.config
	quiet.Preempt, quiet.PreemptDelay, quiet.Source = old.Preempt, old.PreemptDelay, old.Source
	quiet.Announcement, quiet.Group = old.Announcement, old.Group
	if !quiet.Equal(old) {
		actions = r.tellChange(now, old.Interval, actions)
	}
	if r.config.Announcement.Refresh != old.Announcement.Refresh {
		r.announce.refresh = after(now, r.config.Announcement.Refresh)
	}
	return actions
}

// activeReceived is RFC 9568 §6.4.3, advertisement. RFC 3768 §6.4.3 differs in
// that it does not answer a lower priority; doing so does no harm there and
// ends a split one interval sooner.
func (r *Router) activeReceived(now time.Time, a *wire.Advertisement, source netip.Addr, actions []Action) []Action {
	order := compareAddresses(source, r.source)
	switch {
	case a.Priority == wire.PriorityRelease && r.stalled(now):
		return actions
	case a.Priority == wire.PriorityRelease:
		return r.advertise(now, actions)
	case a.Priority > r.priority:
		return r.yield(now, a, ReasonHigherPriority, source, actions)
	case a.Priority == r.priority && order == 0:
		// A network that reflects, or an address used twice. An answer would
		// come back as the next such advertisement, without end.
		return r.differs(now, MismatchOwnAddress, source, a, 0, actions)
	case a.Priority == r.priority && order > 0 && !r.tieSettled(now, a):
		// No answer: the other one would answer back, without end.
		return r.differs(now, MismatchOtherActive, source, a, 0, actions)
	case a.Priority == r.priority && order > 0:
		return r.yield(now, a, ReasonHigherAddress, source, actions)
	case r.ownerGivesUp(now, a):
		return r.yield(now, a, ReasonTwoOwners, source, actions)
	}
	if r.stalled(now) {
		// What is read after a stall is old, and a better router may be the
		// next to be read. The advertisement that is overdue follows then.
		r.active.contested = true
		return r.differs(now, MismatchOtherActive, source, a, 0, actions)
	}
	// Another router is active too, with less right; the answer makes it stand
	// down (§6.4.3).
	fresh := now.Sub(r.since) < max(r.config.Interval, a.Interval)
	actions = r.advertise(now, actions)
	if fresh {
		// This is the handover after the own first advertisement, and the
		// announcements belonging to it are on their way.
		return actions
	}
	// A split that has healed: the neighbours that have learnt the other
	// router's address have to be won back.
	actions = r.differs(now, MismatchOtherActive, source, a, 0, actions)
	return r.reclaim(now, AnnounceLowerPriority, actions)
}

// yield makes way for a better router and learns its interval at once.
func (r *Router) yield(now time.Time, a *wire.Advertisement, reason Reason, source netip.Addr, actions []Action) []Action {
	r.peer.Address = source
	// One last advertisement, which the RFC does not ask for. If both were
	// active because the network was split, and the better one happens to speak
	// first, it would never learn that neighbours have to be won back.
	actions = r.send(r.priority, actions)
	r.active, r.announce = activeState{}, announceState{}
	r.clearActiveMismatches()
	r.backup = backupState{interval: r.config.Interval, defers: true}
	if r.config.Version == wire.V3 {
		r.backup.interval, r.backup.learned = a.Interval, true
	}
	r.restartDown(now)
	actions = append(actions, ReleaseAddresses{})
	return r.enter(now, Backup, reason, actions)
}

// activeDeadline is the Adver_Timer and the announcements. The advertisement
// comes first: it is what must be on time.
func (r *Router) activeDeadline(now time.Time, actions []Action) []Action {
	if due(r.active.advert, now) {
		stalled, reason := r.stalled(now), AnnounceStalled
		if r.active.contested {
			reason = AnnounceLowerPriority
		}
		r.silence(now)
		actions = r.advertise(now, actions)
		if stalled {
			// Backups may have given this router up in the meantime, and the
			// neighbours may have learnt another address.
			actions = r.reclaim(now, reason, actions)
		}
	}
	return r.announceDue(now, actions)
}

// clearActiveMismatches forgets what is a mismatch only while active.
func (r *Router) clearActiveMismatches() {
	r.mismatches[MismatchOtherActive].peers = nil
	r.mismatches[MismatchOwnAddress].peers = nil
}
