package server_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
	"github.com/halo-ha/halo/sdk/internal/convert"
	pb "github.com/halo-ha/halo/sdk/internal/proto/halo/plugin/v1"
	"github.com/halo-ha/halo/sdk/internal/server"
	"github.com/halo-ha/halo/sdk/internal/session"
	"github.com/halo-ha/halo/sdk/schema"
)

// holder is a Checker that takes a while to put things away.
type holder struct{ ends chan struct{} }

func (h holder) Check(ctx context.Context, _ check.Target) check.Result {
	<-ctx.Done()
	time.Sleep(300 * time.Millisecond)
	close(h.ends)
	return check.FromError(ctx.Err())
}

// serve runs a test against a Server, all in one bubble.
func serve(t *testing.T, checker check.Checker, test func(t *testing.T, s *server.Server, conn *grpc.ClientConn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		types := []check.Type{check.New("x", "A type.", func(struct{}) (check.Checker, error) { return checker, nil })}
		s, err := server.New(schema.Plugin{Name: "halo-check-x"}, types, nil, slog.New(slog.DiscardHandler), 1)
		if err != nil {
			t.Fatal(err)
		}
		const buffer = 1 << 20
		listener := bufconn.Listen(buffer)
		g := grpc.NewServer(server.Limits()...)
		s.Register(g)
		served := make(chan error, 1)
		go func() { served <- g.Serve(listener) }()
		conn, err := grpc.NewClient("passthrough:///x",
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		test(t, s, conn)
		err = s.Stop(context.WithoutCancel(t.Context()))
		if err = errors.Join(err, conn.Close()); err != nil {
			t.Error(err)
		}
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

func list(n int) []session.Probe {
	all := make([]session.Probe, n)
	for i := range all {
		all[i] = session.Probe{ID: uint64(i + 1), Type: "x", Schedule: session.Schedule{ //nolint:gosec // Small.
			Interval: time.Second, RetryInterval: time.Second, Timeout: time.Hour, Rise: 1, Fall: 1,
		}}
	}
	return all
}

func TestStopWaitsForWhatRuns(t *testing.T) {
	h := holder{ends: nil}
	serve(t, &h, func(t *testing.T, s *server.Server, conn *grpc.ClientConn) {
		h.ends = make(chan struct{})
		open, err := host.OverConn(conn).Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(open.Begin(1), open.Upsert(list(1)), open.Commit(1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		begin := time.Now()
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("Stop = %v", err)
		}
		if took := time.Since(begin); took != 300*time.Millisecond {
			t.Errorf("Stop took %v, want what the run took to end", took)
		}
		for {
			if _, err = open.Recv(); err != nil {
				break
			}
		}
		if status.Code(errors.Unwrap(err)) != codes.Unavailable {
			t.Errorf("the session ended with %v", err)
		}
	})
}

// The host was killed: its session ends before anybody has asked the plugin to.
func TestStopWaitsForTheRunsOfASessionThatEnded(t *testing.T) {
	h := holder{ends: nil}
	serve(t, &h, func(t *testing.T, s *server.Server, conn *grpc.ClientConn) {
		h.ends = make(chan struct{})
		open, err := host.OverConn(conn).Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(open.Begin(1), open.Upsert(list(1)), open.Commit(1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		open.Close()
		time.Sleep(100 * time.Millisecond)
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("Stop = %v", err)
		}
		select {
		case <-h.ends:
		default:
			t.Error("Stop did not wait for the run to put things away")
		}
	})
}

func TestStopGivesUp(t *testing.T) {
	h := holder{ends: nil}
	serve(t, &h, func(t *testing.T, s *server.Server, conn *grpc.ClientConn) {
		h.ends = make(chan struct{})
		open, err := host.OverConn(conn).Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(open.Begin(1), open.Upsert(list(1)), open.Commit(1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop = %v", err)
		}
		<-h.ends
	})
}

func TestMessagesThatAreTooLongAreRefused(t *testing.T) {
	serve(t, holder{}, func(t *testing.T, _ *server.Server, conn *grpc.ClientConn) {
		long := convert.ToProbes(list(session.MaxChunk + 1))
		_, err := pb.NewPluginServiceClient(conn).Validate(t.Context(), &pb.ValidateRequest{Probes: long})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("Validate = %v", err)
		}
		stream, err := pb.NewCheckServiceClient(conn).Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, request := range []*pb.SessionRequest{
			{Message: &pb.SessionRequest_Begin{Begin: &pb.Begin{}}},
			{Message: &pb.SessionRequest_Upsert{Upsert: &pb.Upsert{Probes: long}}},
		} {
			if err := stream.Send(request); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("Recv = %v", err)
		}
	})
}

func TestAMessageOfALaterVersionIsIgnored(t *testing.T) {
	serve(t, holder{}, func(t *testing.T, _ *server.Server, conn *grpc.ClientConn) {
		stream, err := pb.NewCheckServiceClient(conn).Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, request := range []*pb.SessionRequest{
			{Message: &pb.SessionRequest_Begin{Begin: &pb.Begin{Incarnation: 5, Capabilities: []string{"suspend"}}}},
			{}, // What an unknown oneof field looks like to this version.
			{Message: &pb.SessionRequest_Commit{Commit: &pb.Commit{Generation: 9}}},
		} {
			if err := stream.Send(request); err != nil {
				t.Fatal(err)
			}
		}
		answer, err := stream.Recv()
		if err != nil || answer.GetCommitted().GetGeneration() != 9 || answer.GetIncarnation() != 5 {
			t.Errorf("Recv = %v, %v", answer, err)
		}
	})
}

func TestDrainIsRemembered(t *testing.T) {
	serve(t, holder{}, func(t *testing.T, s *server.Server, conn *grpc.ClientConn) {
		if s.Drained() {
			t.Error("drained from the start")
		}
		if err := host.OverConn(conn).Drain(t.Context()); err != nil { // Also without a session.
			t.Error(err)
		}
		if !s.Drained() {
			t.Error("not drained after the call")
		}
	})
}

func TestDrainOfARunThatDoesNotEnd(t *testing.T) {
	h := holder{}
	serve(t, &h, func(t *testing.T, s *server.Server, conn *grpc.ClientConn) {
		h.ends = make(chan struct{})
		c := host.OverConn(conn)
		open, err := c.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(open.Begin(1), open.Upsert(list(1)), open.Commit(1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if err := c.Drain(t.Context()); status.Code(errors.Unwrap(err)) != codes.DeadlineExceeded {
			t.Errorf("Drain = %v", err)
		}
		if !s.Drained() {
			t.Error("a drain that found no end does not count")
		}
		open.Close()
	})
}

func TestNewRefusesBrokenTypes(t *testing.T) {
	if _, err := server.New(schema.Plugin{}, []check.Type{{}}, nil, slog.New(slog.DiscardHandler), 0); err == nil {
		t.Error("a type that check.New did not make was taken")
	}
}
