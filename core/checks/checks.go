// Package checks knows which probe runs in which plugin process, and turns the
// results that processes stream into events for the pools.
//
//	daemon --Apply--> Checks --differences--> feeder (one per session) --> Session (may block)
//	host   --Opened, Received, Lost--> Checks --results, losses--> Sink (must not block)
//
// A probe keeps its id for as long as what it checks stays the same, through
// any number of reloads, and a probe that checks something else gets another:
// a result can then never be taken for an answer to a question it was not
// asked. A process that comes back gets the whole set again. One that is away
// yields no opinion, which by itself moves no traffic.
//
// The package starts no process and decides nothing about servers. What plugins
// send is hostile: ids that are not known are dropped and counted.
//
// Read Checks first, then assignment.
package checks

import (
	"log/slog"
	"net/netip"
	"sync"

	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
)

// Process names one plugin process: a plugin, run as a user.
type Process struct{ Plugin, User string }

// Probe is one check of one real server, as it is wanted.
type Probe struct {
	// Service, Server and Check say whom the results are about.
	Service string
	Server  netip.AddrPort
	Check   string
	// Definition stands for what is asked of whom, as in pool.Check. Two probes
	// of one server with the same definition are the same question.
	Definition string
	Process    Process
	// Wire is what the plugin is told. Its ID and LastOutcome are not looked at.
	Wire host.Probe
}

// Session tells one process what to probe. Its methods may block; an error
// means that the session is over, which Lost tells as well.
type Session interface {
	Upsert(probes []host.Probe) error
	Remove(ids []uint64) error
	Commit(generation uint64) error
}

// Sink takes the events. Its methods must not block.
type Sink interface {
	Post(service string, r pool.CheckResult)
	PostLoss(service string, l pool.PluginLost)
}

// Checks assigns probes to processes. Make it with New; its methods may be
// called from any goroutine.
type Checks struct {
	sink Sink
	log  *slog.Logger

	mu         sync.Mutex
	lastID     uint64
	generation uint64
	processes  map[Process]*assignment
	unknown    uint64
	feeders    sync.WaitGroup
}

// New returns Checks without probes.
func New(sink Sink, log *slog.Logger) *Checks {
	return &Checks{sink: sink, log: log, processes: make(map[Process]*assignment)}
}

// Apply makes probes the ones that run. It returns at once; the processes are
// told by goroutines of their own.
func (c *Checks) Apply(probes []Probe) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	byProcess := make(map[Process][]Probe)
	for _, p := range probes {
		byProcess[p.Process] = append(byProcess[p.Process], p)
	}
	for id, a := range c.processes {
		if _, stays := byProcess[id]; !stays {
			a.replace(nil, c.generation, c.nextID)
			if a.feeder == nil {
				delete(c.processes, id)
			}
		}
	}
	for id, list := range byProcess {
		a := c.assignment(id)
		added := a.replace(list, c.generation, c.nextID)
		if a.feeder == nil {
			// Nobody answers for them until a session opens.
			c.lose(added)
		}
	}
}

func (c *Checks) nextID() uint64 {
	c.lastID++
	return c.lastID
}

func (c *Checks) assignment(id Process) *assignment {
	a, ok := c.processes[id]
	if !ok {
		a = newAssignment()
		c.processes[id] = a
	}
	return a
}

// Opened takes a session with a process that knows nothing yet, and gives it
// the whole set. It does not wait for the process.
func (c *Checks) Opened(id Process, incarnation uint64, s Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.assignment(id)
	if a.feeder != nil {
		a.feeder.end()
	}
	a.incarnation, a.feeder = incarnation, newFeeder(s)
	f := a.feeder
	c.feeders.Go(func() {
		if err := f.run(); err != nil {
			c.log.Debug("probes were not handed over; the session is lost", "plugin", id.Plugin, "error", err)
		}
	})
	f.tell(a.everything(), nil, c.generation)
}

// Lost says that the process of a session is gone. Its probes have no opinion
// until the next session brings results.
func (c *Checks) Lost(id Process, incarnation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.processes[id]
	if !ok || a.feeder == nil || a.incarnation != incarnation {
		return
	}
	a.feeder.end()
	a.feeder = nil
	if len(a.probes) == 0 {
		delete(c.processes, id)
		return
	}
	lost := make([]*assigned, 0, len(a.probes))
	for _, p := range a.probes {
		lost = append(lost, p)
	}
	c.lose(lost)
}

func (c *Checks) lose(probes []*assigned) {
	for _, p := range probes {
		c.sink.PostLoss(p.Service, pool.PluginLost{Server: p.Server, Check: p.Check})
	}
}

// Received takes what a process said.
func (c *Checks) Received(id Process, incarnation uint64, m host.Message) {
	results, ok := m.(*host.Results)
	if !ok {
		return // commits and heartbeats are the host's business
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.processes[id]
	if !ok || a.feeder == nil || a.incarnation != incarnation {
		return
	}
	for i := range results.Results {
		r := &results.Results[i]
		p, known := a.probes[r.ID]
		if !known {
			// Removed while the result was under way, or a lie.
			c.unknown++
			continue
		}
		p.last = r.Outcome
		c.sink.Post(p.Service, event(p, r))
	}
}

// event translates a result.
func event(p *assigned, r *host.ProbeResult) pool.CheckResult {
	e := pool.CheckResult{
		Server: p.Server, Check: p.Check, Definition: p.Definition,
		Reason: r.Reason.String(), Detail: r.Detail, Took: r.Took, Metrics: r.Metrics,
	}
	switch r.Outcome {
	case check.Pass:
		e.Outcome = pool.OutcomePass
	case check.Fail:
		e.Outcome = pool.OutcomeFail
	case check.Unknown:
		e.Outcome = pool.OutcomeUnknown
	}
	if r.Weight != nil {
		e.Weighted, e.Weight = true, *r.Weight
	}
	return e
}

// Unknown counts the results that no probe was waiting for.
func (c *Checks) Unknown() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unknown
}

// Close ends the feeders and waits for them. Sessions that still block must
// have been ended before.
func (c *Checks) Close() {
	c.mu.Lock()
	for _, a := range c.processes {
		if a.feeder != nil {
			a.feeder.end()
			a.feeder = nil
		}
	}
	c.mu.Unlock()
	c.feeders.Wait()
}
