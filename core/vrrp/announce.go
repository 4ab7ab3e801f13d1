package vrrp

import "time"

// minAnnouncePause keeps a peer that never stands down from causing a burst
// with each of its advertisements.
const minAnnouncePause = time.Second

// announceState is when the next announcements are due; zero is never.
type announceState struct {
	// second is the second burst after becoming active.
	second time.Time
	// again is the second burst after another active router or a stall, and
	// reason which of the two.
	again  time.Time
	reason AnnounceReason
	// last is when the first of those was.
	last    time.Time
	refresh time.Time
	// burst is when the most recent one of any kind was: two at the same
	// instant are one.
	burst time.Time
}

func (s *announceState) deadline() time.Time {
	return earliest(earliest(s.second, s.again), s.refresh)
}

// announceActive is the first burst, and plans the second.
func (r *Router) announceActive(now time.Time, actions []Action) []Action {
	c := &r.config.Announcement
	r.announce = announceState{second: after(now, c.Delay), refresh: after(now, c.Refresh)}
	return r.burst(now, c.Repeat, AnnounceActive, actions)
}

// announceAgain is a burst now and one later. Within the pause between the two
// there are no others.
func (r *Router) announceAgain(now time.Time, reason AnnounceReason, actions []Action) []Action {
	c, s := &r.config.Announcement, &r.announce
	if !s.last.IsZero() && now.Sub(s.last) < max(c.LowerPriorityDelay, minAnnouncePause) {
		return actions
	}
	s.last, s.again, s.reason = now, after(now, c.LowerPriorityDelay), reason
	return r.burst(now, c.LowerPriorityRepeat, reason, actions)
}

// reclaim is such a burst, and lets the sync group know, whose other members
// were not heard any better than this one.
func (r *Router) reclaim(now time.Time, reason AnnounceReason, actions []Action) []Action {
	before := r.announce.last
	actions = r.announceAgain(now, reason, actions)
	if !r.announce.last.Equal(before) {
		r.standing.Reclaims++
		r.standing.Reclaim = reason
	}
	return actions
}

// announceDue sends the bursts whose time has come.
func (r *Router) announceDue(now time.Time, actions []Action) []Action {
	c, s := &r.config.Announcement, &r.announce
	if due(s.second, now) {
		s.second = time.Time{}
		actions = r.burst(now, c.Repeat, AnnounceActive, actions)
	}
	if due(s.again, now) {
		s.again = time.Time{}
		actions = r.burst(now, c.LowerPriorityRepeat, s.reason, actions)
	}
	if due(s.refresh, now) {
		s.refresh = after(now, c.Refresh)
		actions = r.burst(now, c.RefreshRepeat, AnnounceRefresh, actions)
	}
	return actions
}

func (r *Router) burst(now time.Time, repeat int, reason AnnounceReason, actions []Action) []Action {
	if repeat <= 0 || r.announce.burst.Equal(now) {
		return actions
	}
	r.announce.burst = now
	return append(actions, Announce{Repeat: repeat, Reason: reason})
}
