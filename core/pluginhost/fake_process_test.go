package pluginhost

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/sdk/host"
	"github.com/halo-ha/halo/sdk/schema"
)

// fakeLauncher starts processes that exist in the test only.
type fakeLauncher struct {
	// next decides how a start goes; n counts from 0.
	next func(ctx context.Context, n int) (*fakeRunning, error)
	// state is the fingerprint.
	state string

	guard  sync.Mutex
	starts []time.Time
	specs  []Spec
}

func (f *fakeLauncher) launch(ctx context.Context, spec Spec, _ uint64) (*launched, error) {
	f.guard.Lock()
	n := len(f.starts)
	f.starts = append(f.starts, time.Now())
	f.specs = append(f.specs, spec)
	f.guard.Unlock()
	r, err := f.next(ctx, n)
	if err != nil {
		return nil, err
	}
	return &launched{
		description: schema.Plugin{Name: spec.Plugin, Version: "1.2", Types: []schema.Type{{Name: "x"}}},
		protocol:    1, pid: 1000 + n, path: "/p/" + spec.Plugin, runsAs: "nobody", session: r, running: r,
	}, nil
}

func (f *fakeLauncher) fingerprint(Spec) string {
	f.guard.Lock()
	defer f.guard.Unlock()
	return f.state
}

func (f *fakeLauncher) change(state string) {
	f.guard.Lock()
	defer f.guard.Unlock()
	f.state = state
}

func (f *fakeLauncher) count() int {
	f.guard.Lock()
	defer f.guard.Unlock()
	return len(f.starts)
}

// fakeRunning is a process that sends what the test puts into messages.
type fakeRunning struct {
	discard
	messages chan host.Message
	dead     chan struct{}
	once     sync.Once
	ending   ending
	// endTakes is how long End takes; graceful records how it was called.
	endTakes time.Duration
	graceful []bool
	deadline time.Duration // that End was given
}

func newFakeRunning() *fakeRunning {
	return &fakeRunning{messages: make(chan host.Message), dead: make(chan struct{}), ending: ending{how: "exited with status 2", cause: "panic: x", words: []string{"panic: x"}}}
}

func (f *fakeRunning) Recv() (host.Message, error) {
	select {
	case m := <-f.messages:
		return m, nil
	case <-f.dead:
		return nil, io.EOF
	}
}

func (f *fakeRunning) Dead() <-chan struct{} { return f.dead }

func (f *fakeRunning) End(ctx context.Context, graceful bool) ending {
	f.graceful = append(f.graceful, graceful)
	if by, ok := ctx.Deadline(); ok {
		f.deadline = time.Until(by)
	}
	time.Sleep(f.endTakes)
	f.die()
	return f.ending
}

func (f *fakeRunning) die() { f.once.Do(func() { close(f.dead) }) }

// beat sends heartbeats until the process is dead or stop is closed.
func (f *fakeRunning) beat(stop <-chan struct{}) {
	ticker := time.NewTicker(heartbeatInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-stop:
			return
		case <-f.dead:
			return
		}
		select {
		case f.messages <- &host.Heartbeat{Done: 7}:
		case <-stop:
			return
		case <-f.dead:
			return
		}
	}
}

// told records what the listener hears.
type told struct {
	guard sync.Mutex
	lines []string
}

func (l *told) add(format string, arguments ...any) {
	l.guard.Lock()
	defer l.guard.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, arguments...))
}

func (l *told) SessionOpened(_ Identity, incarnation uint64, _ *Session) {
	l.add("opened %d", incarnation)
}

func (l *told) MessageReceived(_ Identity, incarnation uint64, m host.Message) {
	kind := "nothing"
	switch m.(type) {
	case *host.Committed:
		kind = "committed"
	case *host.Results:
		kind = "results"
	case *host.Heartbeat:
		kind = "heartbeat"
	}
	l.add("%s of %d", kind, incarnation)
}

func (l *told) SessionLost(_ Identity, incarnation uint64, cause string) {
	l.add("lost %d: %s", incarnation, cause)
}

func (l *told) all() string {
	l.guard.Lock()
	defer l.guard.Unlock()
	return strings.Join(l.lines, "\n")
}

// bench is a supervised process in a synctest bubble.
type bench struct {
	*process
	launcher *fakeLauncher
	told     *told
	log      *bytes.Buffer
}

// supervised runs f with a process that is not supervised before b.start.
// Everything f makes belongs to the bubble.
func supervised(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{launcher: &fakeLauncher{}, told: &told{}, log: &bytes.Buffer{}}
		var incarnation uint64
		b.process = newProcess(Spec{Identity: Identity{Plugin: "halo-check-x", User: "nobody"}}, b.launcher, b.told,
			slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			func() uint64 { incarnation++; return incarnation }, rand.New(rand.NewPCG(1, 1)))
		f(t, b)
		b.stop(time.Now().Add(stopTimeout))
		<-b.gone
	})
}

// start begins to supervise; each start goes as next says.
func (b *bench) start(next func(ctx context.Context, n int) (*fakeRunning, error)) {
	b.launcher.next = next
	go b.supervise()
}

func (b *bench) want(t *testing.T, state State) Snapshot {
	t.Helper()
	synctest.Wait()
	s := b.snapshot()
	if s.State != state {
		t.Fatalf("the state is %s (%s), want %s", s.State, s.LastError, state)
	}
	return s
}
