package vrrp

import (
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// ownersState settles a mistake: two routers with priority 255. RFC 3768 has an
// owner discard advertisements (§7.1), and so did RFC 9568 before erratum 8298,
// which leaves both active for ever. Here the lower address yields, as between
// equals; and if the other owner is one that discards advertisements, the
// higher address steps back to 254 after having insisted.
type ownersState struct {
	// since is when the other owner was first heard, last when most recently.
	since, last time.Time
}

// ownerGivesUp notes an advertisement of another owner and says whether this
// one has insisted for long enough. It then is an owner no more, until the
// other one has gone.
func (r *Router) ownerGivesUp(now time.Time, a *wire.Advertisement) bool {
	if r.priority != wire.PriorityOwner || a.Priority != wire.PriorityOwner {
		return false
	}
	s, pace := &r.owners, max(r.config.Interval, a.Interval)
	if s.since.IsZero() || now.Sub(s.last) > 3*pace {
		s.since = now
	}
	s.last = now
	// A little over one interval: a peer that listens has stood down by then.
	if now.Sub(s.since) < pace+pace/5 {
		return false
	}
	r.priority = wire.PriorityOwner - 1
	*s = ownersState{}
	return true
}

// ownerAlone makes an owner that had stepped back an owner again, because the
// other one has gone or somebody else speaks, and says whether it had.
func (r *Router) ownerAlone() bool {
	if !r.config.owner() || r.priority == wire.PriorityOwner {
		return false
	}
	r.priority = wire.PriorityOwner
	return true
}
