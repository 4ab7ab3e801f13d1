package checks

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/halo-ha/halo/sdk/host"
)

// assignment is what one process is to probe, and its session if it has one.
type assignment struct {
	probes map[uint64]*assigned
	// incarnation is that of the last session that was taken.
	incarnation uint64
	feeder      *feeder // nil without a session
}

// question is what makes a probe the same over reloads. Number tells apart
// the checks of a server that ask the same.
type question struct {
	tracker    string
	service    string
	server     netip.AddrPort
	definition string
	number     int
}

// question is the one that p asks, numbered behind those that are in taken.
func (p *Probe) question(taken map[question]*assigned) question {
	q := question{p.Tracker, p.Service, p.Server, p.Definition, 0}
	for taken[q] != nil {
		q.number++
	}
	return q
}

func newAssignment() *assignment {
	return &assignment{probes: make(map[uint64]*assigned)}
}

// replace makes wanted the set and tells the session what differs. It returns
// the probes that are new.
func (a *assignment) replace(wanted []Probe, generation uint64, nextID func() uint64) (added []*assigned) {
	asked := make(map[question]*assigned, len(a.probes))
	for _, p := range a.sorted() {
		asked[p.question(asked)] = p
	}
	var upserts []host.Probe
	asking := make(map[question]*assigned, len(wanted))
	for i := range wanted {
		q := wanted[i].question(asking)
		p, known := asked[q]
		if !known {
			p = &assigned{Probe: wanted[i], id: nextID(), generation: generation}
			a.probes[p.id] = p
			added = append(added, p)
			upserts = append(upserts, p.wire())
		} else if p.update(wanted[i], generation) {
			upserts = append(upserts, p.wire())
		}
		asking[q] = p
	}
	var removals []uint64
	for q, p := range asked {
		if _, stays := asking[q]; !stays {
			delete(a.probes, p.id)
			removals = append(removals, p.id)
		}
	}
	if a.feeder != nil && len(upserts)+len(removals) > 0 {
		a.feeder.tell(upserts, removals, generation)
	}
	return added
}

// sorted lists the probes by id, so that what happens does not depend on chance.
func (a *assignment) sorted() []*assigned {
	all := make([]*assigned, 0, len(a.probes))
	for _, p := range a.probes {
		all = append(all, p)
	}
	slices.SortFunc(all, func(x, y *assigned) int { return cmp.Compare(x.id, y.id) })
	return all
}

// everything is the whole set, for a process that knows nothing.
func (a *assignment) everything() []host.Probe {
	all := make([]host.Probe, 0, len(a.probes))
	for _, p := range a.probes {
		all = append(all, p.wire())
	}
	return all
}
