package checks

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/halo-ha/halo/sdk/host"
)

// assignment is what one process is to probe, and its session if it has one.
type assignment struct {
	probes     map[uint64]*assigned
	byQuestion map[question]uint64
	// incarnation is that of the last session that was taken.
	incarnation uint64
	feeder      *feeder // nil without a session
}

// question is what makes a probe the same over reloads. Number tells apart
// the checks of a server that ask the same.
type question struct {
	service    string
	server     netip.AddrPort
	definition string
	number     int
}

func newAssignment() *assignment {
	return &assignment{probes: make(map[uint64]*assigned), byQuestion: make(map[question]uint64)}
}

// replace makes wanted the set and tells the session what differs. It returns
// the probes that are new.
func (a *assignment) replace(wanted []Probe, generation uint64, nextID func() uint64) (added []*assigned) {
	byQuestion := make(map[question]uint64, len(wanted))
	var upserts []host.Probe
	for i := range wanted {
		q := question{wanted[i].Service, wanted[i].Server, wanted[i].Definition, 0}
		for {
			if _, taken := byQuestion[q]; !taken {
				break
			}
			q.number++
		}
		id, known := a.byQuestion[q]
		if !known {
			id = nextID()
			p := &assigned{Probe: wanted[i], id: id, generation: generation}
			a.probes[id] = p
			added = append(added, p)
			upserts = append(upserts, p.wire())
		} else if p := a.probes[id]; p.update(wanted[i], generation) {
			upserts = append(upserts, p.wire())
		}
		byQuestion[q] = id
	}
	var removals []uint64
	for q, id := range a.byQuestion {
		if _, stays := byQuestion[q]; !stays {
			delete(a.probes, id)
			removals = append(removals, id)
		}
	}
	a.byQuestion = byQuestion
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
