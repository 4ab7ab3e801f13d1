package sdktest_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/halo-ha/halo/sdk"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
	"github.com/halo-ha/halo/sdk/schema"
	"github.com/halo-ha/halo/sdk/sdktest"
)

type dialSettings struct {
	Greeting string        `halo:"greeting" doc:"What the server says first." required:"true"`
	Pause    time.Duration `halo:"pause" doc:"How long to wait before asking." max:"1s"`
}

// dial is a checker as an author would write it.
type dial struct{ dialSettings }

func (d dial) Check(ctx context.Context, t check.Target) check.Result {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", netip.AddrPortFrom(t.Address, t.Port).String())
	if err != nil {
		return check.FromError(err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return check.FromError(err)
		}
	}
	got := make([]byte, len(d.Greeting))
	if _, err := conn.Read(got); err != nil {
		return check.FromError(err)
	}
	if string(got) != d.Greeting {
		return check.Failed(check.ReasonMismatch, string(got))
	}
	return check.Passed("")
}

func dialPlugin() sdk.Plugin {
	return sdk.Plugin{Name: "halo-check-dial", Version: "1", Types: []check.Type{
		check.New("dial", "Reads a greeting.", func(s dialSettings) (check.Checker, error) {
			if strings.ContainsRune(s.Greeting, '\n') {
				return nil, schema.Invalid("greeting", "one line", "has several lines")
			}
			return dial{s}, nil
		}),
		check.New("count", "Counts its runs.", func(struct{}) (check.Checker, error) { return &count{}, nil }),
	}}
}

// count says how often it was asked.
type count struct{ n atomic.Int64 }

func (c *count) Check(context.Context, check.Target) check.Result {
	weight := int(c.n.Add(1))
	return check.Result{Outcome: check.Pass, Weight: &weight}
}

// greeter listens on loopback and greets who connects; an empty greeting says
// nothing.
func greeter(t *testing.T, greeting string) check.Target {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if greeting == "" {
				t.Cleanup(func() { _ = conn.Close() })
				continue
			}
			_, _ = conn.Write([]byte(greeting))
			_ = conn.Close()
		}
	}()
	address := netip.MustParseAddrPort(listener.Addr().String())
	return check.Target{Address: address.Addr(), Port: address.Port()}
}

func TestCheck(t *testing.T) {
	h := sdktest.Start(t, dialPlugin())
	closed := check.Target{Address: netip.MustParseAddr("127.0.0.1"), Port: 1}
	for _, tc := range []struct {
		name   string
		target check.Target
		want   check.Result
	}{
		{"good", greeter(t, "220 "), check.Result{Outcome: check.Pass}},
		{"another greeting", greeter(t, "421 busy"), check.Result{Outcome: check.Fail, Reason: check.ReasonMismatch}},
		{"refused", closed, check.Result{Outcome: check.Fail, Reason: check.ReasonRefused}},
		{"silent", greeter(t, ""), check.Result{Outcome: check.Fail, Reason: check.ReasonTimeout}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := sdktest.Probe("dial", `{"greeting": "220 "}`, tc.target)
			if tc.want.Reason == check.ReasonTimeout {
				p.Schedule.Timeout = 100 * time.Millisecond
			}
			got := h.Check(p)
			if got.Outcome != tc.want.Outcome || got.Reason != tc.want.Reason || got.Took <= 0 {
				t.Errorf("result = %+v, want %v %v", got, tc.want.Outcome, tc.want.Reason)
			}
		})
	}
}

func TestDiagnose(t *testing.T) {
	h := sdktest.Start(t, dialPlugin())
	for _, tc := range []struct{ settings, attribute string }{
		{`{}`, "greeting"},
		{`{"greeting": "a\nb"}`, "greeting"},
		{`{"greeting": "a", "pause": "2s"}`, "pause"},
		{`{"greeting": "a", "psuae": "1s"}`, "psuae"},
		{`[]`, ""},
	} {
		found := h.Diagnose("dial", tc.settings)
		if len(found) != 1 || found[0].Attribute != tc.attribute || found[0].Warning || found[0].Message == "" {
			t.Errorf("%s: %+v, want a complaint about %q", tc.settings, found, tc.attribute)
		}
	}
	if found := h.Diagnose("dial", `{"greeting": "a", "pause": "1s"}`); len(found) > 0 {
		t.Errorf("good settings: %+v", found)
	}
}

func TestReloadKeepsWhatDidNotChange(t *testing.T) {
	h := sdktest.Start(t, dialPlugin())
	p := sdktest.Probe("count", "", check.Target{})
	s := h.Open(p)
	defer s.Close()
	var seen int
	for range 3 {
		seen = *s.Next(1).Weight
	}
	other := p
	other.ID = 2
	s.Commit([]host.Probe{p, other}, nil) // p unchanged: the same checker goes on counting.
	if next := *s.Next(1).Weight; next <= seen {
		t.Errorf("run %d after run %d: the probe was built anew", next, seen)
	}
	changed := p
	changed.Schedule.Timeout = time.Second
	s.Commit([]host.Probe{changed}, []uint64{2})
	if next := *s.Next(1).Weight; next != 1 {
		t.Errorf("run %d of a changed probe, want a new checker", next)
	}
}

func TestRemoveAndUpsertOfOneCommit(t *testing.T) {
	h := sdktest.Start(t, dialPlugin())
	p := sdktest.Probe("count", "", check.Target{})
	s := h.Open(p)
	defer s.Close()
	first := *s.Next(1).Weight
	// Taken away and given back before the commit: nothing has happened.
	if err := errors.Join(s.Remove([]uint64{1}), s.Upsert([]host.Probe{p})); err != nil {
		t.Fatal(err)
	}
	s.Commit(nil, nil)
	if next := *s.Next(1).Weight; next <= first {
		t.Errorf("run %d after run %d: the probe was built anew", next, first)
	}
}

func TestAProbeThatCannotBeBuiltIsNotKnown(t *testing.T) {
	h := sdktest.Start(t, dialPlugin())
	bad := sdktest.Probe("dial", `{}`, check.Target{})
	foreign := sdktest.Probe("elsewhere", `{}`, check.Target{})
	foreign.ID = 2
	s := h.Open(bad, foreign)
	defer s.Close()
	for id, want := range map[uint64]string{1: "greeting is missing", 2: `type "elsewhere": not provided by halo-check-dial`} {
		got := s.Next(id)
		if got.Outcome != check.Unknown || got.Reason != check.ReasonLocalError || !strings.Contains(got.Detail, want) {
			t.Errorf("probe %d: %+v, want %q", id, got, want)
		}
	}
}

func TestDrainSendsTheLastResultAndStops(t *testing.T) {
	h := sdktest.Start(t, dialPlugin())
	s := h.Open(sdktest.Probe("count", "", check.Target{}))
	defer s.Close()
	s.Next(1)
	if err := h.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The answer to a commit stands behind everything that was sent before.
	const marker = 99
	if err := s.Session.Commit(marker); err != nil {
		t.Fatal(err)
	}
	drained := false
	for beats := 0; beats < 2; {
		switch m := s.Message().(type) {
		case *host.Committed:
			drained = drained || m.Generation == marker
		case *host.Heartbeat:
			if drained {
				beats++
			}
		case *host.Results:
			if drained {
				t.Errorf("results after the drain: %+v", m)
			}
		}
	}
}

func TestSessionsFollowEachOther(t *testing.T) {
	h := sdktest.Start(t, dialPlugin())
	for range 20 {
		if got := h.Check(sdktest.Probe("count", "", check.Target{})); got.Outcome != check.Pass {
			t.Fatalf("result = %+v", got)
		}
	}
}

func TestASecondSessionIsRefused(t *testing.T) {
	h := sdktest.Start(t, dialPlugin())
	first := h.Open(sdktest.Probe("count", "", check.Target{}))
	defer first.Close()
	second, err := h.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := second.Begin(9); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Recv(); status.Code(errors.Unwrap(err)) != codes.FailedPrecondition {
		t.Errorf("Recv = %v, want failed precondition", err)
	}
	first.Next(1)
}

func TestMistakesOfAHostEndItsSession(t *testing.T) {
	h := sdktest.Start(t, dialPlugin())
	endless := sdktest.Probe("count", "", check.Target{})
	endless.Schedule.Interval = 0
	for _, tc := range []struct {
		name string
		send func(s *host.Session) error
		want string
	}{
		{"no begin", func(s *host.Session) error { return s.Commit(1) }, "not begin"},
		{"two begins", func(s *host.Session) error { return errors.Join(s.Begin(1), s.Begin(2)) }, "begin came twice"},
		{"no interval", func(s *host.Session) error { return errors.Join(s.Begin(1), s.Upsert([]host.Probe{endless})) }, "interval 0s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := h.Session(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := tc.send(s); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Recv(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Recv = %v, want %q", err, tc.want)
			}
			if _, err := h.Describe(t.Context()); err != nil {
				t.Errorf("the plugin did not survive: %v", err)
			}
		})
	}
}

func TestLargeSetsGoThrough(t *testing.T) {
	h := sdktest.Start(t, dialPlugin())
	padding := strings.Repeat("x", 4300) // 1,000 of them pass gRPC's 4 MiB.
	probes := make([]host.Probe, 1100)
	for i := range probes {
		// Of a type there is not, so that size is all that is tested.
		probes[i] = sdktest.Probe("elsewhere", `{"padding": "`+padding+`"}`, check.Target{})
		probes[i].ID = uint64(i + 1) //nolint:gosec // Small.
		probes[i].Schedule.Interval, probes[i].Schedule.RetryInterval = time.Minute, time.Minute
	}
	found, err := h.Validate(t.Context(), probes)
	if err != nil || len(found) != len(probes) {
		t.Fatalf("validate: %d diagnostics, %v", len(found), err)
	}
	s := h.Open(probes...)
	defer s.Close()
	seen := map[uint64]bool{}
	for len(seen) < len(probes) {
		if results, ok := s.Message().(*host.Results); ok {
			for _, r := range results.Results {
				seen[r.ID] = true
			}
		}
	}
}
