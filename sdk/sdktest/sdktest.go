// Package sdktest tests checkers and plugins.
//
// Start puts a plugin behind a real gRPC connection in memory, so that a test
// of a checker goes through everything a probe in production goes through:
// settings as JSON, the schedule, the deadline, the wire. Conformance runs the
// conformance kit against a built program, in whatever language. Neither
// touches a network of its own accord. Test code of plugin authors calls it;
// nothing else does. Read Harness first.
package sdktest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/halo-ha/halo/sdk"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
	"github.com/halo-ha/halo/sdk/internal/server"
)

// giveUp is when a wait fails the test. It is for what never comes, not a
// measurement.
const giveUp = time.Minute

// Harness is a plugin in memory with the host's view of it. Its methods may be
// called from any goroutine of the test, Check from one at a time.
type Harness struct {
	*host.Client

	t testing.TB

	mu          sync.Mutex
	incarnation uint64
}

// Start serves p until the test ends. Everything the plugin logs goes to the
// test's log.
func Start(t testing.TB, p sdk.Plugin) *Harness {
	t.Helper()
	described, err := p.Describe()
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := server.New(described, p.Types, p.Trackers, log, 0)
	if err != nil {
		t.Fatal(err)
	}
	const buffer = 1 << 20
	listener := bufconn.Listen(buffer)
	g := grpc.NewServer(server.Limits()...)
	s.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), giveUp)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("probes go on after their context has ended: %v", err)
		}
		if err := conn.Close(); err != nil {
			t.Errorf("close connection: %v", err)
		}
		g.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return &Harness{Client: host.OverConn(conn), t: t}
}

// Probe is a probe of the given type and settings (a JSON object) with a
// schedule that suits a test: at once and again every 50 ms, with 3 s to
// answer. Change what the test is about.
func Probe(typ, settings string, target check.Target) host.Probe {
	return host.Probe{
		ID: 1, Type: typ, Target: target, Settings: json.RawMessage(settings),
		Schedule: host.Schedule{
			Interval: 50 * time.Millisecond, RetryInterval: 50 * time.Millisecond, Timeout: 3 * time.Second,
			Rise: 1, Fall: 1,
		},
	}
}

// Observation is Probe for a type of tracker, which has no target.
func Observation(typ, settings string) host.Probe {
	p := Probe(typ, settings, check.Target{})
	p.Tracker = "sdktest"
	return p
}

// Check runs one probe until its first result. Settings that do not validate
// fail the test.
func (h *Harness) Check(p host.Probe) check.Result {
	h.t.Helper()
	found, err := h.Validate(h.t.Context(), []host.Probe{p})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, d := range found {
		if !d.Warning {
			h.t.Fatalf("settings of %s: %s %s", p.Type, d.Attribute, d.Message)
		}
	}
	s := h.Open(p)
	defer s.Close()
	return s.Next(p.ID)
}

// Diagnose returns what the plugin says of settings.
func (h *Harness) Diagnose(typ, settings string) []host.Diagnostic {
	h.t.Helper()
	found, err := h.Validate(h.t.Context(), []host.Probe{Probe(typ, settings, check.Target{})})
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}

// Open opens a session that runs probes. There is one at a time.
func (h *Harness) Open(probes ...host.Probe) *Session {
	h.t.Helper()
	h.mu.Lock()
	h.incarnation++
	incarnation := h.incarnation
	h.mu.Unlock()
	raw, err := h.Session(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	s := &Session{Session: raw, t: h.t}
	s.must(raw.Begin(incarnation))
	s.Commit(probes, nil)
	return s
}

// Session is a session whose errors fail the test.
type Session struct {
	*host.Session

	t          testing.TB
	generation uint64
	kept       []host.Message // read together with something else
}

// Commit makes a difference true and waits for the plugin's word that it is.
// What the plugin said before that is thrown away: it is about the set before.
func (s *Session) Commit(upsert []host.Probe, remove []uint64) {
	s.t.Helper()
	s.generation++
	s.must(s.Upsert(upsert))
	s.must(s.Remove(remove))
	s.must(s.Session.Commit(s.generation))
	s.kept = nil
	for {
		if c, ok := s.receive().(*host.Committed); ok && c.Generation == s.generation {
			return
		}
	}
}

// Next waits for the next result of a probe. Results of others that come
// before it are thrown away.
func (s *Session) Next(id uint64) check.Result {
	s.t.Helper()
	for {
		results, ok := s.Message().(*host.Results)
		if !ok {
			continue
		}
		for i, r := range results.Results {
			if r.ID == id {
				if rest := results.Results[i+1:]; len(rest) > 0 {
					s.kept = append([]host.Message{&host.Results{Generation: results.Generation, Results: rest}}, s.kept...)
				}
				return r.Result
			}
		}
	}
}

// Message waits for whatever the plugin says next.
func (s *Session) Message() host.Message {
	s.t.Helper()
	if len(s.kept) > 0 {
		m := s.kept[0]
		s.kept = s.kept[1:]
		return m
	}
	return s.receive()
}

// receive ends the session when nothing comes: Recv alone would wait for ever.
func (s *Session) receive() host.Message {
	s.t.Helper()
	stop := time.AfterFunc(giveUp, s.Close)
	defer stop.Stop()
	m, err := s.Recv()
	s.must(err)
	return m
}

func (s *Session) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
