package checks

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/core/track"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
)

var (
	tcp    = Process{"halo-check-tcp", "nobody"}
	misc   = Process{"halo-check-misc", "nobody"}
	nagios = Process{"halo-check-misc", "nagios"}
)

func server(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(2 + n/250), byte(1 + n%250)}), 80)
}

// want is a probe of the n-th server of "web".
func want(p Process, n int, definition string) Probe {
	return Probe{
		Service: "web", Server: server(n), Check: "c", Definition: definition, Process: p,
		Wire: host.Probe{
			Type: "t", Settings: []byte(`{}`),
			Target:   check.Target{RealServer: server(n), VirtualServer: "web"},
			Schedule: host.Schedule{Interval: 5 * time.Second, RetryInterval: time.Second, Timeout: time.Second, Rise: 2, Fall: 3},
		},
	}
}

// sink records events as text.
type sink struct {
	mu    sync.Mutex
	lines []string
}

func (s *sink) Post(service string, r pool.CheckResult) {
	weight := ""
	if r.Weighted {
		weight = fmt.Sprintf(" weight %d", r.Weight)
	}
	s.add("%s %s %s %s: %s %s %q%s", service, r.Server, r.Check, r.Definition, r.Outcome, r.Reason, r.Detail, weight)
}

func (s *sink) PostLoss(service string, l pool.PluginLost) {
	s.add("%s %s %s: plugin lost", service, l.Server, l.Check)
}

func (s *sink) PostTrack(e track.Event) {
	switch e := e.(type) {
	case track.Observed:
		s.add("tracker %s %s: %s %s %q", e.Tracker, e.Definition, e.State, e.Reason, e.Detail)
	case track.Lost:
		s.add("tracker %s: lost", e.Tracker)
	case track.DeadlineReached, track.Reconfigured:
		s.add("%T, which nobody found out", e)
	}
}

func (s *sink) add(format string, arguments ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, arguments...))
}

// take returns what has come since the last call.
func (s *sink) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.lines = nil
	return lines
}

// session is a plugin process as far as it is told things: it keeps the set as
// the SDK would.
type session struct {
	mu sync.Mutex
	// log has a line for each call, committed is the set as of the last Commit.
	log        []string
	pending    map[uint64]host.Probe
	committed  map[uint64]host.Probe
	generation uint64
	commits    int
	// blocked, if not nil, holds calls up until it is closed.
	blocked chan struct{}
	err     error
}

func newSession() *session {
	return &session{pending: make(map[uint64]host.Probe), committed: make(map[uint64]host.Probe)}
}

func (s *session) begin(format string, arguments ...any) error {
	s.mu.Lock()
	blocked := s.blocked
	s.mu.Unlock()
	if blocked != nil {
		<-blocked
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf(format, arguments...))
	return s.err
}

func (s *session) Upsert(probes []host.Probe) error {
	ids := make([]uint64, len(probes))
	for i := range probes {
		ids[i] = probes[i].ID
	}
	if err := s.begin("upsert %d", ids); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range probes {
		s.pending[p.ID] = p
	}
	return nil
}

func (s *session) Remove(ids []uint64) error {
	if err := s.begin("remove %d", ids); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.pending, id)
	}
	return nil
}

func (s *session) Commit(generation uint64) error {
	if err := s.begin("commit %d", generation); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed, s.generation = maps.Clone(s.pending), generation
	s.commits++
	return nil
}

// told returns the calls since the last time, when nothing is under way.
func (s *session) told() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	return log
}

// probes returns the committed set by id.
func (s *session) probes() map[uint64]host.Probe {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.committed)
}

func (s *session) unblock() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blocked != nil {
		close(s.blocked)
		s.blocked = nil
	}
}

// bench is Checks with its surroundings.
type bench struct {
	*Checks
	sink *sink
	log  *bytes.Buffer
}

// run calls f in a bubble. Everything must have ended when f returns.
func run(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{sink: &sink{}, log: &bytes.Buffer{}}
		b.Checks = New(b.sink, slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		f(t, b)
		b.Close()
	})
}

func equal(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// result is a result of the probe with an id.
func result(id uint64, o check.Outcome) host.ProbeResult {
	r := host.ProbeResult{ID: id}
	r.Outcome = o
	return r
}

func results(generation uint64, list ...host.ProbeResult) *host.Results {
	return &host.Results{Generation: generation, Results: list}
}

var errSession = errors.New("the session is over")

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
