// Package checks knows which probe runs in which plugin process, and turns the
// results that processes stream into events for the pools and for what tracks.
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
// The package starts no process and decides nothing about servers and trackers:
// rise, fall and what a lost plugin means are the pool's and the tally's. What plugins send is hostile:
// what no probe is waiting for is dropped and counted.
//
// Read Checks first, then assignment.
package checks

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/core/track"
	"github.com/halo-ha/halo/sdk/host"
)

// Process names one plugin process: a plugin, run as a user.
type Process struct{ Plugin, User string }

// Probe is one check of one real server, or one tracker, as it is wanted.
type Probe struct {
	// Tracker is the name of the tracker that the results are about; empty for a
	// check, and then Service, Server and Check say it.
	Tracker string
	Service string
	Server  netip.AddrPort
	Check   string
	// Definition stands for what is asked of whom, as in pool.Check and
	// track.Tracker. Two probes of one server with the same definition are the same question.
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
	// PostTrack takes what is about a tracker: track.Observed or track.Lost.
	PostTrack(e track.Event)
}

// Checks assigns probes to processes. Make it with New; its methods may be
// called from any goroutine, and none of them waits for a plugin.
type Checks struct {
	sink Sink
	log  *slog.Logger

	mu         sync.Mutex
	lastID     uint64
	generation uint64
	processes  map[Process]*assignment
	dropped    Dropped
	closed     bool
	feeders    sync.WaitGroup
}

// Dropped counts the results that were not passed on.
type Dropped struct {
	// Replaced is of results of a process that another has replaced, or that
	// counts as gone.
	Replaced uint64
	// Stale is of results found before the probe was changed by a reload.
	Stale uint64
	// Unknown is of results that no probe was waiting for: it was removed while
	// they were under way, or the plugin lies.
	Unknown uint64
}

// New returns Checks without probes.
func New(sink Sink, log *slog.Logger) *Checks {
	return &Checks{sink: sink, log: log, processes: make(map[Process]*assignment)}
}

// Apply makes probes the ones that run. It returns at once; the processes are
// told by goroutines of their own. A probe that is new, and whose process has
// no session yet, is reported as without a plugin.
func (c *Checks) Apply(probes []Probe) {
	byProcess := make(map[Process][]Probe)
	var order []Process // so that ids do not depend on chance
	for _, p := range probes {
		if _, seen := byProcess[p.Process]; !seen {
			order = append(order, p.Process)
		}
		byProcess[p.Process] = append(byProcess[p.Process], p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	for id, a := range c.processes {
		if _, stays := byProcess[id]; !stays {
			a.replace(nil, c.generation, c.nextID)
			if a.feeder == nil {
				delete(c.processes, id)
			}
		}
	}
	for _, id := range order {
		a := c.assignment(id)
		added := a.replace(byProcess[id], c.generation, c.nextID)
		if a.feeder == nil {
			c.lose(added)
		}
	}
}

// nextID returns an id that no probe has had before.
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
// the whole set. It does not wait for the process. A session that is older
// than the one at hand is not taken.
func (c *Checks) Opened(id Process, incarnation uint64, s Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.assignment(id)
	if c.closed || incarnation <= a.incarnation {
		return
	}
	if a.feeder != nil {
		a.feeder.end()
	}
	f := newFeeder(s)
	a.incarnation, a.feeder = incarnation, f
	c.feeders.Go(func() {
		if err := f.run(); err != nil {
			// The host learns the same from the session and ends the process.
			c.log.Debug("probes were not handed over", "plugin", id.Plugin, "user", id.User, "reason", err)
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
	c.lose(a.sorted())
}

func (c *Checks) lose(probes []*assigned) {
	for _, p := range probes {
		p.told = 0
		if p.Tracker != "" {
			c.sink.PostTrack(track.Lost{Tracker: p.Tracker})
			continue
		}
		c.sink.PostLoss(p.Service, pool.PluginLost{Server: p.Server, Check: p.Check})
	}
}

// Received takes what a process said, and passes on what can change anything:
// the rest only Snapshot knows. Commits and heartbeats are the host's
// business.
func (c *Checks) Received(id Process, incarnation uint64, m host.Message) {
	results, ok := m.(*host.Results)
	if !ok {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.processes[id]
	if !ok || a.feeder == nil || a.incarnation != incarnation {
		c.dropped.Replaced += uint64(len(results.Results))
		return
	}
	for i := range results.Results {
		r := &results.Results[i]
		p, known := a.probes[r.ID]
		switch {
		case !known:
			c.dropped.Unknown++
		case results.Generation < p.generation:
			c.dropped.Stale++
		default:
			switch news := p.news(r); {
			case news && p.Tracker != "":
				c.sink.PostTrack(p.observed(r))
			case news:
				c.sink.Post(p.Service, p.event(r))
			}
			p.take(now, r)
		}
	}
}

// Close ends the feeders and waits for them. Sessions that still block must
// have been ended before. No session is taken afterwards.
func (c *Checks) Close() {
	c.mu.Lock()
	c.closed = true
	for _, a := range c.processes {
		if a.feeder != nil {
			a.feeder.end()
			a.feeder = nil
		}
	}
	c.mu.Unlock()
	c.feeders.Wait()
}
