package balance

import (
	"time"

	"github.com/halo-ha/halo/core/ipvs"
)

// Drift is what somebody else had changed in services of ours, found by one
// comparison or, when they keep at it, by several.
type Drift struct {
	At time.Time
	// Changes are the first of them, at most maxDriftChanges; Total is how many
	// there were.
	Changes []DriftChange
	Total   int
}

// DriftChange is one change by somebody else.
type DriftChange struct {
	// Service is the virtual server's name.
	Service string
	// What was done: "service removed", "service changed", "destination added",
	// "destination removed" or "destination changed".
	What string
	// Object is the service's key or the destination's address.
	Object string
	// From and To are the attributes before and after that change, empty where
	// the object did not exist.
	From, To string
}

const (
	maxDriftChanges = 20
	// driftPause is the least time between two reports.
	driftPause = 10 * time.Second
)

// driftLog collects changes until they may be reported.
type driftLog struct {
	pending Drift
	last    time.Time // of the last report
	total   uint64
}

func (l *driftLog) add(c DriftChange) {
	l.total++
	l.pending.Total++
	if len(l.pending.Changes) < maxDriftChanges {
		l.pending.Changes = append(l.pending.Changes, c)
	}
}

// flush reports what has been collected, if there is anything and the last
// report was long enough ago. What has to wait goes with a later comparison.
func (l *driftLog) flush(now time.Time, o Observer) {
	if l.pending.Total == 0 || !l.last.IsZero() && now.Sub(l.last) < driftPause {
		return
	}
	l.pending.At, l.last = now, now
	o.Drifted(l.pending)
	l.pending = Drift{}
}

// detect compares what is in the kernel with what we left there.
func (b *Balancer) detect(s *service, actual *ipvs.Service) {
	if !s.synced || actual != nil && (actual.Equal(&s.applied) || actual.Equal(&s.wanted)) {
		return
	}
	if actual == nil {
		b.drift.add(DriftChange{Service: s.name, What: "service removed", Object: s.key().String(), From: s.applied.Attributes()})
		return
	}
	// The difference says how to get from what is there to what was; the change
	// was made the other way round.
	for _, op := range ipvs.Diff(nil, ipvs.Table{*actual}, ipvs.Table{s.applied}, nil) {
		c := DriftChange{Service: s.name, Object: op.Destination.Address.String()}
		switch op.Verb {
		case ipvs.EditService:
			c.What, c.Object = "service changed", s.key().String()
			c.From, c.To = op.Service.Attributes(), op.WasService.Attributes()
		case ipvs.AddDestination:
			c.What, c.From = "destination removed", op.Destination.Attributes()
		case ipvs.EditDestination:
			c.What = "destination changed"
			c.From, c.To = op.Destination.Attributes(), op.WasDestination.Attributes()
		case ipvs.DeleteDestination:
			c.What, c.To = "destination added", op.Destination.Attributes()
		case ipvs.AddService, ipvs.DeleteService:
			continue // Both are there.
		}
		b.drift.add(c)
	}
}
