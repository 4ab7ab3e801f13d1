package schedule

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/session"
)

// bench is a Scheduler in a bubble with a sink that writes everything down.
type bench struct {
	*Scheduler

	t     *testing.T
	begin time.Time
	end   context.CancelFunc
	ended chan error

	mu    sync.Mutex
	news  []news
	block chan struct{} // while not nil, the sink waits for it to be closed
	fail  error
}

// news is one message with the time of its arrival since the beginning.
type news struct {
	at         time.Duration
	generation uint64
	results    []session.ProbeResult
	beat       *session.Heartbeat
	committed  bool
}

func (b *bench) add(n news) error {
	b.mu.Lock()
	block := b.block
	b.mu.Unlock()
	if block != nil {
		<-block
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n.at = time.Since(b.begin)
	b.news = append(b.news, n)
	return b.fail
}

func (b *bench) Results(generation uint64, results []session.ProbeResult) error {
	return b.add(news{generation: generation, results: slices.Clone(results)})
}

func (b *bench) Heartbeat(h *session.Heartbeat) error { return b.add(news{beat: h}) }

func (b *bench) Committed(c *session.Committed) error {
	return b.add(news{committed: true, generation: c.Generation})
}

// inBubble runs a test with a Scheduler whose loop runs. Everything started in
// it has ended when the test has.
func inBubble(t *testing.T, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		b := &bench{t: t, begin: time.Now(), ended: make(chan error, 1)}
		b.Scheduler = New(b, slog.New(slog.DiscardHandler), 0)
		ctx, cancel := context.WithCancel(t.Context())
		b.end = cancel
		go func() { b.ended <- b.Run(ctx) }()
		synctest.Wait()
		test(b)
		cancel()
		// Time passes while runs that are deaf to their context come to their end.
		// A Starter that never is done may stay: it has no goroutine of ours.
		wait, stop := context.WithTimeout(context.WithoutCancel(t.Context()), time.Hour)
		_ = b.Idle(wait)
		stop()
		synctest.Wait()
	})
}

// pass waits for a time in the bubble and for all that happens at its end.
func (b *bench) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// set commits jobs as one generation.
func (b *bench) set(generation uint64, jobs ...Job) {
	changes := map[uint64]*Job{}
	for i := range jobs {
		changes[jobs[i].Probe.ID] = &jobs[i]
	}
	b.Apply(generation, changes)
}

func (b *bench) remove(generation uint64, ids ...uint64) {
	changes := map[uint64]*Job{}
	for _, id := range ids {
		changes[id] = nil
	}
	b.Apply(generation, changes)
}

// results returns everything reported of a probe, in order of arrival.
func (b *bench) results(id uint64) []session.ProbeResult {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []session.ProbeResult
	for _, n := range b.news {
		for _, r := range n.results {
			if r.ID == id {
				found = append(found, r)
			}
		}
	}
	return found
}

func (b *bench) last(id uint64) session.ProbeResult {
	b.t.Helper()
	all := b.results(id)
	if len(all) == 0 {
		b.t.Fatalf("nothing was reported of probe %d", id)
	}
	return all[len(all)-1]
}

func (b *bench) messages() []news {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.news)
}

// plan is the schedule most tests use.
func plan(interval time.Duration) session.Schedule {
	return session.Schedule{Interval: interval, RetryInterval: interval, Timeout: time.Second, Rise: 1, Fall: 1}
}

func job(id uint64, s session.Schedule, c check.Checker) Job {
	return Job{Checker: c, Probe: session.Probe{
		ID: id, Type: "fake", Schedule: s,
		Target: check.Target{VirtualServer: "web", RealServer: netip.MustParseAddrPort("192.0.2.1:80")},
	}}
}

// known makes a probe whose state the host believes to know.
func known(j Job, o check.Outcome) Job {
	j.Probe.LastOutcome = o
	return j
}

// fake is a Checker that notes when it was asked and answers as told.
type fake struct {
	mu      sync.Mutex
	begin   time.Time
	starts  []time.Duration
	running int
	most    int
	answer  func(n int, ctx context.Context) check.Result // n counts from 0
}

func answering(answer func(n int, ctx context.Context) check.Result) *fake {
	return &fake{begin: time.Now(), answer: answer}
}

func always(r check.Result) *fake {
	return answering(func(int, context.Context) check.Result { return r })
}

func (f *fake) Check(ctx context.Context, _ check.Target) check.Result {
	f.mu.Lock()
	n := len(f.starts)
	f.starts = append(f.starts, time.Since(f.begin))
	f.running++
	f.most = max(f.most, f.running)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running--
		f.mu.Unlock()
	}()
	return f.answer(n, ctx)
}

func (f *fake) times() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.starts)
}

func (f *fake) together() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

// starter is a Starter that hands its calls to a function.
type starter struct {
	start func(deadline time.Time, t check.Target, done func(check.Result))
}

func (s *starter) Check(context.Context, check.Target) check.Result {
	panic("a Starter is started")
}

func (s *starter) Start(deadline time.Time, t check.Target, done func(check.Result)) {
	s.start(deadline, t, done)
}

var errSink = errors.New("the host is gone")
