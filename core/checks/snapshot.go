package checks

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/halo-ha/halo/sdk/host"
)

// Snapshot is a copy of everything for people and metrics.
type Snapshot struct {
	// Generation counts the calls of Apply.
	Generation uint64
	Dropped    Dropped
	// Probes are sorted by tracker, service, server and check: checks come first.
	Probes []ProbeSnapshot
}

// ProbeSnapshot is one probe.
type ProbeSnapshot struct {
	// Tracker is whom it is about, or else the three behind it.
	Tracker string
	Service string
	Server  netip.AddrPort
	Check   string
	Process Process
	// ID is what the plugin knows it by.
	ID uint64
	// Away says that its process has no session.
	Away bool
	// Last is the last result, which was found At; zero before the first.
	// Its weight and metrics must not be changed.
	Last   host.ProbeResult
	At     time.Time
	Counts Counts
}

// Counts are how often a probe has ended in which way, since it is asked what
// it is asked.
type Counts struct{ Pass, Fail, Unknown uint64 }

// Snapshot returns the state as it is now.
func (c *Checks) Snapshot() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Snapshot{Generation: c.generation, Dropped: c.dropped}
	n := 0
	for _, a := range c.processes {
		n += len(a.probes)
	}
	s.Probes = make([]ProbeSnapshot, 0, n)
	for id, a := range c.processes {
		for _, p := range a.probes {
			s.Probes = append(s.Probes, ProbeSnapshot{
				Tracker: p.Tracker, Service: p.Service, Server: p.Server, Check: p.Check, Process: id, ID: p.id,
				Away: a.feeder == nil, Last: p.last, At: p.at, Counts: p.counts,
			})
		}
	}
	slices.SortFunc(s.Probes, func(a, b ProbeSnapshot) int {
		return cmp.Or(cmp.Compare(a.Tracker, b.Tracker), cmp.Compare(a.Service, b.Service), a.Server.Compare(b.Server), cmp.Compare(a.Check, b.Check), cmp.Compare(a.ID, b.ID))
	})
	return s
}
