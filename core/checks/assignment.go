package checks

import (
	"net/netip"
	"reflect"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
)

// assignment is what one process is to probe, and its session if it has one.
type assignment struct {
	probes      map[uint64]*assigned
	byQuestion  map[question]uint64
	incarnation uint64
	feeder      *feeder // nil without a session
}

// assigned is a probe with its id.
type assigned struct {
	Probe
	id   uint64
	last check.Outcome
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
	for _, w := range wanted {
		q := question{w.Service, w.Server, w.Definition, 0}
		for ; ; q.number++ {
			if _, taken := byQuestion[q]; !taken {
				break
			}
		}
		id, known := a.byQuestion[q]
		if !known {
			id = nextID()
			p := &assigned{Probe: w, id: id}
			a.probes[id] = p
			added = append(added, p)
			upserts = append(upserts, p.wire())
		} else {
			p := a.probes[id]
			changed := p.Wire.Schedule != w.Wire.Schedule || !reflect.DeepEqual(p.Wire.Target, w.Wire.Target)
			p.Probe = w
			if changed {
				upserts = append(upserts, p.wire())
			}
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

// everything is the whole set, for a process that knows nothing.
func (a *assignment) everything() []host.Probe {
	all := make([]host.Probe, 0, len(a.probes))
	for _, p := range a.probes {
		all = append(all, p.wire())
	}
	return all
}

// wire is the probe as the plugin is told it.
func (p *assigned) wire() host.Probe {
	w := p.Wire
	w.ID, w.LastOutcome = p.id, p.last
	return w
}
