package watch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/track"
)

// Times of Processes. A look at all processes follows lost events at once;
// while the storm goes on looks are spaced out, from rescanPause to rescanPauseMax.
const (
	rescanPause    = 10 * time.Millisecond
	rescanPauseMax = 500 * time.Millisecond
	// calm is how long no event may be lost for the next loss to be one of its own.
	calm = time.Second
)

// scanShare bounds what looking at all processes may cost: after a look that
// took some time there is none for that many times as long.
const scanShare = 50

// eventBuffer is the size of the queue of events: some 5,000.
const eventBuffer = 4 << 20

// Processes counts processes. Make it with NewProcesses.
type Processes struct {
	outbox
	wanted inbox[Process]

	// Of a test that does not want to wait, or wants other processes.
	root        string
	audit, poll time.Duration
	open        func() (*connector, error)

	mu    sync.Mutex
	stats ProcessStats
}

// ProcessStats is how Processes works, for people.
type ProcessStats struct {
	// Events says that the kernel reports processes, Refused why it does not;
	// then all of them are looked at every second.
	Events  bool
	Refused string
	// Overruns counts the storms in which events were lost, Scans the looks at
	// all processes.
	Overruns, Scans uint64
}

// NewProcesses returns Processes that count nothing yet and hold no descriptor.
func NewProcesses() *Processes {
	return &Processes{
		outbox: newOutbox(), wanted: newInbox[Process](),
		root: "/proc", audit: auditInterval, poll: pollInterval,
		open: func() (*connector, error) { return openConnector(eventBuffer) },
	}
}

// Set replaces what is counted. What stays the same keeps its state; everything
// else is observed at once, whatever it is. Of two processes of one tracker the
// first counts.
func (p *Processes) Set(processes []Process) { p.wanted.put(processes) }

// Stats tells how it works.
func (p *Processes) Stats() ProcessStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

func (p *Processes) note(change func(*ProcessStats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.stats)
}

// Run counts until ctx ends, and then returns nil.
func (p *Processes) Run(ctx context.Context) error {
	r := &processRun{processes: p, procfs: newProcfs(p.root), pause: rescanPause}
	defer r.close()
	timer := time.NewTimer(p.audit)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wanted.changed:
			r.configure(p.wanted.take())
		case batch := <-r.happenings():
			r.apply(time.Now(), batch)
		case <-timer.C:
		}
		timer.Reset(r.settle(time.Now()))
	}
}

// processRun is what Run knows.
type processRun struct {
	processes *Processes
	procfs    *procfs
	connector *connector // nil while there is nothing to count, or it is refused
	// reported says that the kernel has agreed to report.
	reported bool
	rules    []*counted

	next     time.Time // when to look at all processes, at the latest
	failure  error     // of the last look at all processes
	lastLoss time.Time
	pause    time.Duration
}

func (r *processRun) happenings() <-chan happenings {
	if r.connector == nil {
		return nil
	}
	return r.connector.c
}

func (r *processRun) close() {
	if r.connector != nil {
		r.connector.close()
	}
	r.connector, r.reported = nil, false
}

// configure takes over what is wanted.
func (r *processRun) configure(wanted []Process) {
	old := r.rules
	r.rules = nil
	for _, rule := range wanted {
		named := func(c *counted) bool { return c.rule.Tracker == rule.Tracker }
		if slices.ContainsFunc(r.rules, named) {
			continue
		}
		c := newCounted(rule)
		if n := slices.IndexFunc(old, named); n >= 0 && old[n].rule.equal(&rule) {
			c = old[n]
		}
		r.rules = append(r.rules, c)
	}
	r.procfs.reach(r.rules)
	r.next = time.Time{} // At once.
	if len(r.rules) == 0 {
		r.close()
		r.processes.note(func(s *ProcessStats) { s.Events, s.Refused = false, "" })
		return
	}
	r.connect()
}

// connect asks for events, unless somebody has. It is before a look at all
// processes, so that nothing happens between them unseen.
func (r *processRun) connect() {
	if r.connector != nil {
		return
	}
	c, err := r.processes.open()
	if err != nil {
		r.processes.note(func(s *ProcessStats) { s.Events, s.Refused = false, err.Error() })
		return
	}
	r.connector = c
	r.processes.note(func(s *ProcessStats) { s.Events, s.Refused = false, "process events: the kernel has not answered" })
}

// apply takes events in.
func (r *processRun) apply(now time.Time, batch happenings) {
	if batch.err != nil {
		r.close()
		r.processes.note(func(s *ProcessStats) { s.Events, s.Refused = false, "process events: "+batch.err.Error() })
		r.next = now
		return
	}
	if batch.lost {
		r.lost(now)
	}
	for _, h := range batch.list {
		switch h.what {
		case eventAnswer:
			r.answered(h.failure)
		case eventExit:
			for _, c := range r.rules {
				delete(c.members, h.pid)
			}
		case eventFork:
			// A child begins as a copy: it counts only if its parent does.
			if slices.ContainsFunc(r.rules, func(c *counted) bool { return c.has(h.parent) }) {
				r.classify(h.pid)
			}
		default:
			r.classify(h.pid)
		}
	}
}

// answered notes whether the kernel reports. The answers to others are seen,
// too, which say the same.
func (r *processRun) answered(failure unix.Errno) {
	switch {
	case failure == 0 && !r.reported:
		r.reported = true
		r.processes.note(func(s *ProcessStats) { s.Events, s.Refused = true, "" })
	case failure != 0 && !r.reported:
		err := errors.Join(errors.New("process events"), failure)
		r.processes.note(func(s *ProcessStats) { s.Refused = err.Error() })
	}
}

// lost notes lost events and says when to look: at once the first time, spaced
// out while it goes on.
func (r *processRun) lost(now time.Time) {
	if now.Sub(r.lastLoss) >= calm {
		r.processes.note(func(s *ProcessStats) { s.Overruns++ })
		r.pause = rescanPause
		r.next = now
	} else {
		r.next = now.Add(r.pause)
		r.pause = min(2*r.pause, rescanPauseMax)
	}
	r.lastLoss = now
}

// classify looks at one process and puts it where it belongs.
func (r *processRun) classify(pid int) {
	o, alive := r.procfs.find(pid)
	for _, c := range r.rules {
		if alive && c.rule.matches(&o) {
			c.members[pid] = struct{}{}
		} else {
			delete(c.members, pid)
		}
	}
}

// settle looks at all processes if it is time to, draws the conclusions, and
// returns how long nothing will have to be done.
func (r *processRun) settle(now time.Time) time.Duration {
	if len(r.rules) == 0 {
		return r.processes.audit
	}
	if !now.Before(r.next) {
		r.scan(now)
	}
	next := r.next
	for _, c := range r.rules {
		if r.failure != nil {
			c.last.tell(&r.processes.outbox, track.Observed{
				Tracker: c.rule.Tracker, Definition: c.rule.Definition, Reason: reasonLocal, Detail: r.failure.Error(),
			})
			continue
		}
		c.review(now)
		switch {
		case c.pending.IsZero():
			c.last.tell(&r.processes.outbox, c.observed())
		case c.pending.Before(next):
			next = c.pending
		}
	}
	return max(time.Until(next), 0)
}

// scan looks at all processes.
func (r *processRun) scan(now time.Time) {
	r.connect()
	for _, c := range r.rules {
		clear(c.members)
	}
	r.failure = r.procfs.each(r.classify)
	r.processes.note(func(s *ProcessStats) { s.Scans++ })
	interval := r.processes.poll
	if r.reported {
		interval = r.processes.audit
	}
	r.next = now.Add(max(interval, scanShare*time.Since(now)))
}
