// Package schedule runs probes when they are due and hands on what they find.
//
// One heap, one loop. The loop starts what is due and never waits for it: a
// Starter is told to start, any other Checker gets a goroutine for the one
// run. There is no pool, so targets that do not answer cannot keep those that
// do from being asked; what is bounded is one run at a time for each probe.
// A second goroutine sends, so that a host that does not read delays nothing
// but its own news, of which it then finds only the newest of each probe.
//
//	Apply ──► heap ──► loop ── start ──► Checker / Starter
//	                    │ heartbeat          │ done
//	                    ▼                    ▼
//	                    outbox (newest per probe when the host is slow)
//	                    │ every 100 ms, at once when an outcome changes
//	                    ▼
//	                    sender ──► Sink
//
// It decides nothing about a target: rise and fall only choose between
// interval and retry interval. It uses the real clock; its tests run in
// testing/synctest bubbles. Read Scheduler first, then loop.go.
package schedule

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/convert"
	"github.com/halo-ha/halo/sdk/internal/session"
)

// Sink is where a session's messages go. It is called from one goroutine; an
// error ends the session. Slices are good until the call returns.
type Sink interface {
	Results(generation uint64, results []session.ProbeResult) error
	Heartbeat(h *session.Heartbeat) error
	Committed(c *session.Committed) error
}

// Job is a probe and who answers for it.
type Job struct {
	Probe   session.Probe
	Checker check.Checker
}

// Scheduler runs the probes of one session. Apply, Same, Drain and Idle may be
// called from any goroutine, Run once.
type Scheduler struct {
	sink  Sink
	log   *slog.Logger
	seed  uint64
	epoch time.Time // All times below are nanoseconds since.

	// wake ends the loop's sleep, kick the sender's.
	wake, kick chan struct{}

	mu         sync.Mutex
	base       context.Context //nolint:containedctx // Run's, for every run of a Checker.
	probes     map[uint64]*probe
	queue      queue
	outbox     outbox
	generation uint64
	inFlight   int
	done       uint64
	draining   bool
	pulse      chan struct{} // closed and forgotten when await should look again

	wakeAt  int64 // when the loop means to wake
	nextAt  int64 // when the next heartbeat is due
	worst   int64 // the worst lateness since the last heartbeat
	stall   stall
	started []run // of the current turn, kept for its memory
}

// stall is the last time the loop was notably late.
type stall struct {
	until, lag int64
}

// probe is a Job with its timers and its history.
type probe struct {
	definition session.Probe
	checker    check.Checker
	starter    check.Starter // nil for a plain Checker
	ctx        context.Context
	fraction   uint64

	at    int64 // of the next event
	index int   // in the queue

	last check.Outcome
	seen int

	// The run that has started and not ended. reported means that its timeout
	// has been told already; stale, that it belongs to a definition that has
	// been replaced; gone, that the probe has been removed.
	run         uint64
	startedAt   int64
	outstanding bool
	reported    bool
	stale       bool
	gone        bool
	cancel      context.CancelFunc

	// Where the newest result waits in the outbox.
	batch uint64
	place int
}

// New returns a Scheduler without probes. The seed moves its probes on the
// circle of their interval.
func New(sink Sink, log *slog.Logger, seed uint64) *Scheduler {
	return &Scheduler{
		sink: sink, log: log, seed: seed,
		epoch:  time.Now(),
		wake:   make(chan struct{}, 1),
		kick:   make(chan struct{}, 1),
		probes: make(map[uint64]*probe),
		outbox: outbox{number: 1},
	}
}

func (s *Scheduler) now() int64 { return int64(time.Since(s.epoch)) }

// Same reports whether a probe is being run exactly as p defines it, in which
// case there is nothing to build.
func (s *Scheduler) Same(p *session.Probe) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, ok := s.probes[p.ID]
	return ok && convert.Equal(&have.definition, p)
}

// Apply makes a set of changes true at once, as the given generation: a nil
// Job removes the probe of that id. A probe that is not named keeps its timers
// and its history.
func (s *Scheduler) Apply(generation uint64, changes map[uint64]*Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	window := warmUpFor(len(changes))
	for id, job := range changes {
		have, ok := s.probes[id]
		switch {
		case job == nil && ok:
			s.drop(have)
		case job == nil:
		case ok:
			s.replace(have, job, now, window)
		default:
			p := &probe{fraction: fraction(s.seed, id)}
			p.define(job)
			p.at = p.firstRun(now, window)
			s.probes[id] = p
			s.queue.push(p)
		}
	}
	s.generation = generation
	s.outbox.forgetStale()
	s.outbox.commits = append(s.outbox.commits, generation)
	s.kickSender()
	s.wakeLoop()
}

func (p *probe) define(job *Job) {
	p.definition, p.checker = job.Probe, job.Checker
	p.starter, _ = job.Checker.(check.Starter)
	p.ctx = nil
	p.forget()
}

// drop removes a probe. A run of it that is still out is cancelled and its
// result thrown away.
func (s *Scheduler) drop(p *probe) {
	p.gone = true
	p.abandon()
	s.queue.remove(p)
	delete(s.probes, p.definition.ID)
}

// replace gives a probe another definition. Its next run waits until the one
// that is out, if any, has ended.
func (s *Scheduler) replace(p *probe, job *Job, now int64, window time.Duration) {
	p.abandon()
	p.stale = p.outstanding
	p.define(job)
	p.batch = 0
	p.at = p.firstRun(now, window)
	s.queue.fix(p)
}

func (p *probe) abandon() {
	if p.outstanding && p.cancel != nil {
		p.cancel()
	}
}

// Run runs the probes until ctx ends or the sink fails, and returns why. Runs
// that are out then are cancelled; Idle waits for them.
func (s *Scheduler) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	s.base = ctx
	s.mu.Unlock()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		cancel(s.send(ctx))
	}()
	s.loop(ctx)
	<-sent
	return context.Cause(ctx)
}

// Drain starts nothing any more, waits for what is out and until its results
// have been sent.
func (s *Scheduler) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	if err := s.Idle(ctx); err != nil {
		return err
	}
	s.kickSender()
	return s.await(ctx, s.outbox.idle)
}

// Idle waits until no run is out.
func (s *Scheduler) Idle(ctx context.Context) error {
	return s.await(ctx, func() bool { return s.inFlight == 0 })
}

func (s *Scheduler) await(ctx context.Context, reached func() bool) error {
	s.mu.Lock()
	for !reached() {
		if s.pulse == nil {
			s.pulse = make(chan struct{})
		}
		pulse := s.pulse
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-pulse:
		}
		s.mu.Lock()
	}
	s.mu.Unlock()
	return nil
}

// tell lets await look again.
func (s *Scheduler) tell() {
	if s.pulse != nil {
		close(s.pulse)
		s.pulse = nil
	}
}

func (s *Scheduler) wakeLoop() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Scheduler) kickSender() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}
