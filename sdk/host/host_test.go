package host_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
	pb "github.com/halo-ha/halo/sdk/internal/proto/halo/plugin/v1"
)

// liar is a plugin that does what it is told, which nothing in the SDK would.
type liar struct {
	pb.UnimplementedPluginServiceServer
	pb.UnimplementedCheckServiceServer

	describe func() *pb.DescribeResponse
	validate func(ctx context.Context, r *pb.ValidateRequest) (*pb.ValidateResponse, error)
	session  func(s pb.CheckService_SessionServer) error
}

func (l *liar) Describe(ctx context.Context, _ *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	if l.describe == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return l.describe(), nil
}

func (l *liar) Validate(ctx context.Context, r *pb.ValidateRequest) (*pb.ValidateResponse, error) {
	return l.validate(ctx, r)
}

func (l *liar) Drain(ctx context.Context, _ *pb.DrainRequest) (*pb.DrainResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (l *liar) Session(s pb.CheckService_SessionServer) error { return l.session(s) }

// lie runs a test against a liar, all in one bubble, where a deadline costs no
// time.
func lie(t *testing.T, l *liar, test func(t *testing.T, c *host.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		const buffer = 1 << 20
		listener := bufconn.Listen(buffer)
		g := grpc.NewServer(grpc.MaxSendMsgSize(64<<20), grpc.MaxRecvMsgSize(64<<20))
		pb.RegisterPluginServiceServer(g, l)
		pb.RegisterCheckServiceServer(g, l)
		served := make(chan error, 1)
		go func() { served <- g.Serve(listener) }()
		conn, err := grpc.NewClient("passthrough:///liar",
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		test(t, host.OverConn(conn))
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// begun opens a session and has begun it as incarnation 7.
func begun(t *testing.T, c *host.Client) *host.Session {
	t.Helper()
	s, err := c.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(7); err != nil {
		t.Fatal(err)
	}
	return s
}

func probes(n int) []host.Probe {
	list := make([]host.Probe, n)
	for i := range list {
		list[i] = host.Probe{ID: uint64(i), Type: "x", Schedule: host.Schedule{ //nolint:gosec // Small.
			Interval: time.Second, RetryInterval: time.Second, Timeout: time.Second, Rise: 1, Fall: 1,
		}}
	}
	return list
}

func TestCallsToAHungPluginEnd(t *testing.T) {
	hang := func(ctx context.Context, _ *pb.ValidateRequest) (*pb.ValidateResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, call := range map[string]func(ctx context.Context, c *host.Client) error{
		"describe": func(ctx context.Context, c *host.Client) error { _, err := c.Describe(ctx); return err },
		"validate": func(ctx context.Context, c *host.Client) error { _, err := c.Validate(ctx, probes(1)); return err },
		"drain":    func(ctx context.Context, c *host.Client) error { return c.Drain(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			lie(t, &liar{validate: hang}, func(t *testing.T, c *host.Client) {
				begin := time.Now()
				err := call(t.Context(), c)
				if status.Code(errors.Unwrap(err)) != codes.DeadlineExceeded {
					t.Errorf("err = %v, want deadline exceeded", err)
				}
				if took := time.Since(begin); took != host.CallTimeout {
					t.Errorf("took %v, want %v", took, host.CallTimeout)
				}
				if !strings.HasPrefix(err.Error(), name) {
					t.Errorf("the error does not name the call: %v", err)
				}
			})
		})
	}
}

func TestDescribeOfALiar(t *testing.T) {
	for _, tc := range []struct {
		name string
		said *pb.DescribeResponse
		want string
	}{
		{"nothing", &pb.DescribeResponse{}, "name is"},
		{"a later kind", &pb.DescribeResponse{Name: "halo-x", Version: "1", Protocols: []int32{1}, Types: []*pb.Type{{Name: "a", Kind: 9}}}, "number-9"},
		{"an escape", &pb.DescribeResponse{Name: "halo-x", Version: "\x1b[2J", Protocols: []int32{1}}, `version is "\x1b[2J"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lie(t, &liar{describe: func() *pb.DescribeResponse { return tc.said }}, func(t *testing.T, c *host.Client) {
				if _, err := c.Describe(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("Describe = %v, want %q", err, tc.want)
				}
			})
		})
	}
}

func TestOversizeAnswersAreErrors(t *testing.T) {
	huge := strings.Repeat("x", 17<<20)
	l := &liar{
		describe: func() *pb.DescribeResponse { return &pb.DescribeResponse{Name: huge} },
		session: func(s pb.CheckService_SessionServer) error {
			return s.Send(&pb.SessionResponse{Incarnation: 7, Message: &pb.SessionResponse_Results{Results: &pb.Results{
				Id: []uint64{1}, Remarks: []*pb.Remark{{Detail: huge}},
			}}})
		},
	}
	lie(t, l, func(t *testing.T, c *host.Client) {
		if _, err := c.Describe(t.Context()); status.Code(errors.Unwrap(err)) != codes.ResourceExhausted {
			t.Errorf("Describe = %v, want resource exhausted", err)
		}
		s := begun(t, c)
		defer s.Close()
		if _, err := s.Recv(); status.Code(errors.Unwrap(err)) != codes.ResourceExhausted {
			t.Errorf("Recv = %v, want resource exhausted", err)
		}
	})
}

func TestListsGoInChunks(t *testing.T) {
	var validated, upserted, removed []int
	l := &liar{
		validate: func(_ context.Context, r *pb.ValidateRequest) (*pb.ValidateResponse, error) {
			validated = append(validated, len(r.GetProbes()))
			return &pb.ValidateResponse{Diagnostics: []*pb.Diagnostic{{ProbeId: r.GetProbes()[0].GetId(), Message: "x"}}}, nil
		},
		session: func(s pb.CheckService_SessionServer) error {
			for {
				r, err := s.Recv()
				if err != nil {
					return err
				}
				switch m := r.GetMessage().(type) {
				case *pb.SessionRequest_Upsert:
					upserted = append(upserted, len(m.Upsert.GetProbes()))
				case *pb.SessionRequest_Remove:
					removed = append(removed, len(m.Remove.GetIds()))
				case *pb.SessionRequest_Commit:
					return s.Send(&pb.SessionResponse{Incarnation: 7, Message: &pb.SessionResponse_Committed{Committed: &pb.Committed{Generation: m.Commit.GetGeneration()}}})
				}
			}
		},
	}
	lie(t, l, func(t *testing.T, c *host.Client) {
		found, err := c.Validate(t.Context(), probes(2500))
		if err != nil || len(found) != 3 || found[2].ProbeID != 2000 {
			t.Errorf("Validate = %v, %v", found, err)
		}
		s := begun(t, c)
		defer s.Close()
		if err := errors.Join(s.Upsert(probes(2001)), s.Remove(make([]uint64, 1000)), s.Upsert(nil), s.Remove(nil), s.Commit(5)); err != nil {
			t.Fatal(err)
		}
		if m, err := s.Recv(); err != nil || m.(*host.Committed).Generation != 5 { //nolint:forcetypeassert // A panic fails the test.
			t.Errorf("Recv = %v, %v", m, err)
		}
	})
	if got := fmt.Sprint(validated, upserted, removed); got != "[1000 1000 500] [1000 1000 1] [1000]" {
		t.Errorf("chunks = %s", got)
	}
}

func TestRecvReadsWhatIsItsOwn(t *testing.T) {
	l := &liar{session: func(s pb.CheckService_SessionServer) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		// A message of a later version: a field number nobody knows yet.
		later := &pb.SessionResponse{Incarnation: 7}
		later.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 1))
		return errors.Join(
			s.Send(&pb.SessionResponse{Incarnation: 6, Message: &pb.SessionResponse_Committed{Committed: &pb.Committed{Generation: 1}}}),
			s.Send(&pb.SessionResponse{Message: &pb.SessionResponse_Committed{Committed: &pb.Committed{Generation: 2}}}),
			s.Send(later),
			s.Send(&pb.SessionResponse{Incarnation: 7, Message: &pb.SessionResponse_Results{Results: &pb.Results{
				Generation: 3, Id: []uint64{99}, Outcome: []pb.Outcome{pb.Outcome_OUTCOME_FAIL}, Took: []uint64{math.MaxUint64},
				Remarks: []*pb.Remark{{Reason: 12, Detail: strings.Repeat("\n", 1000)}},
			}}}),
			status.Error(codes.Internal, "the end"),
		)
	}}
	lie(t, l, func(t *testing.T, c *host.Client) {
		s := begun(t, c)
		defer s.Close()
		m, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		got, ok := m.(*host.Results)
		if !ok || got.Generation != 3 || got.Results[0].ID != 99 {
			t.Fatalf("Recv = %+v, want the results: everything before is not this session's", m)
		}
		if r := got.Results[0]; r.Outcome != check.Unknown || len(r.Detail) != 256 || strings.Contains(r.Detail, "\n") || r.Took != 24*time.Hour {
			t.Errorf("result = %+v", r)
		}
		if _, err := s.Recv(); err == nil {
			t.Error("the end of the stream is no error")
		}
	})
}

func TestAFloodEndsTheSession(t *testing.T) {
	for name, message := range map[string]*pb.SessionResponse{
		"of messages": {Incarnation: 7, Message: &pb.SessionResponse_Heartbeat{Heartbeat: &pb.Heartbeat{}}},
		"of results":  {Incarnation: 7, Message: &pb.SessionResponse_Results{Results: &pb.Results{Id: make([]uint64, 50_000)}}},
		"of remarks":  {Incarnation: 7, Message: &pb.SessionResponse_Results{Results: &pb.Results{Remarks: slices.Repeat([]*pb.Remark{{}}, 50_000)}}},
		"of others":   {Incarnation: 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := &liar{session: func(s pb.CheckService_SessionServer) error {
				for {
					if err := s.Send(message); err != nil {
						return err
					}
				}
			}}
			lie(t, l, func(t *testing.T, c *host.Client) {
				s := begun(t, c)
				defer s.Close()
				for {
					if _, err := s.Recv(); err != nil {
						if !errors.Is(err, host.ErrFlood) {
							t.Errorf("Recv = %v, want a flood", err)
						}
						break
					}
				}
				if _, err := s.Recv(); err == nil {
					t.Error("the session goes on")
				}
			})
		})
	}
}

func TestAPluginThatDoesNotReadEndsTheSession(t *testing.T) {
	l := &liar{session: func(s pb.CheckService_SessionServer) error {
		<-s.Context().Done()
		return s.Context().Err()
	}}
	lie(t, l, func(t *testing.T, c *host.Client) {
		s := begun(t, c)
		defer s.Close()
		begin := time.Now()
		var err error
		for err == nil && time.Since(begin) < time.Minute {
			err = s.Upsert(probes(1000))
		}
		if err == nil || !strings.Contains(err.Error(), "does not read") {
			t.Errorf("Upsert = %v after %v", err, time.Since(begin))
		}
		if took := time.Since(begin); took != host.CallTimeout {
			t.Errorf("given up after %v, want %v", took, host.CallTimeout)
		}
		if _, err := s.Recv(); err == nil {
			t.Error("the session goes on")
		}
	})
}

func TestCloseFreesAWaitingRecv(t *testing.T) {
	l := &liar{session: func(s pb.CheckService_SessionServer) error {
		<-s.Context().Done()
		return s.Context().Err()
	}}
	lie(t, l, func(t *testing.T, c *host.Client) {
		s := begun(t, c)
		received := make(chan error, 1)
		go func() {
			_, err := s.Recv()
			received <- err
		}()
		synctest.Wait()
		s.Close()
		s.Close() // Twice does no harm.
		if err := <-received; !errors.Is(err, context.Canceled) {
			t.Errorf("Recv = %v, want cancelled", err)
		}
	})
}

func TestTheContextEndsTheSession(t *testing.T) {
	l := &liar{session: func(s pb.CheckService_SessionServer) error {
		<-s.Context().Done()
		return s.Context().Err()
	}}
	lie(t, l, func(t *testing.T, c *host.Client) {
		watch := errors.New("three heartbeats missed")
		ctx, cancel := context.WithCancelCause(t.Context())
		s, err := c.Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		time.AfterFunc(time.Second, func() { cancel(watch) })
		if _, err := s.Recv(); !errors.Is(err, watch) {
			t.Errorf("Recv = %v, want the cause", err)
		}
	})
}

func TestNewClientRefusesStrangers(t *testing.T) {
	if _, err := host.NewClient("not a client"); err == nil || !strings.Contains(err.Error(), "got a string") {
		t.Errorf("NewClient = %v", err)
	}
	if _, ok := host.PluginSet()[host.Protocols()[0]][host.Name]; !ok {
		t.Error("the plugin set lacks the protocol it claims")
	}
	if h := host.Handshake(); h.MagicCookieKey != "HALO_PLUGIN_MAGIC_COOKIE" || len(h.MagicCookieValue) != 64 {
		t.Errorf("handshake = %+v", h)
	}
}
