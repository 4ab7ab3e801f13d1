// Package server is the plugin's end of the wire: the gRPC services over a set
// of check.Types and track.Types.
//
// sdk.Serve runs it behind go-plugin's handshake, sdk/sdktest runs it over a
// connection in memory. It owns no process: signals, descriptors and exits are
// sdk.Serve's. gRPC calls its methods from as many goroutines as it likes.
// Read Server first, then session.go.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/convert"
	pb "github.com/halo-ha/halo/sdk/internal/proto/halo/plugin/v1"
	"github.com/halo-ha/halo/sdk/internal/schedule"
	"github.com/halo-ha/halo/sdk/internal/session"
	"github.com/halo-ha/halo/sdk/schema"
	"github.com/halo-ha/halo/sdk/track"
)

// Server serves one plugin.
type Server struct {
	pb.UnimplementedPluginServiceServer
	pb.UnimplementedCheckServiceServer

	plugin   schema.Plugin
	types    map[string]check.Type
	trackers map[string]track.Type
	log      *slog.Logger
	seed     uint64

	// ctx ends every session: gRPC alone would leave runs out when the process
	// is about to exit.
	ctx  context.Context //nolint:containedctx // The server's life, given by New.
	stop context.CancelFunc

	mu      sync.Mutex
	current *schedule.Scheduler // of the session that is open, or nil
	last    *schedule.Scheduler // of the last session that was opened: its runs may outlive it
	ended   chan struct{}       // closed when that session has ended
	drained bool
}

// New returns a Server for a plugin that has been checked, with its types by
// name. The seed spreads probes over their intervals.
func New(plugin schema.Plugin, types []check.Type, trackers []track.Type, log *slog.Logger, seed uint64) (*Server, error) {
	s := &Server{
		plugin: plugin, types: make(map[string]check.Type, len(types)), trackers: make(map[string]track.Type, len(trackers)),
		log: log, seed: seed,
	}
	for _, t := range types {
		described, err := t.Schema()
		if err != nil {
			return nil, err
		}
		s.types[described.Name] = t
	}
	for _, t := range trackers {
		described, err := t.Schema()
		if err != nil {
			return nil, err
		}
		s.trackers[described.Name] = t
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Register puts the services on a gRPC server.
func (s *Server) Register(registrar grpc.ServiceRegistrar) {
	pb.RegisterPluginServiceServer(registrar, s)
	pb.RegisterCheckServiceServer(registrar, s)
}

// Limits are the sizes to give grpc.NewServer.
func Limits() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(session.MaxMessage),
		grpc.MaxSendMsgSize(session.MaxMessage),
	}
}

// Stop ends the session, cancels its runs, and waits for them
// until ctx ends, so that children they started are taken along: also when the
// session has ended before, as it does at once when its host is killed.
func (s *Server) Stop(ctx context.Context) error {
	s.stop()
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last == nil {
		return nil
	}
	return last.Idle(ctx)
}

// Drained reports whether the host has asked to drain: from then on the
// process may end.
func (s *Server) Drained() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drained
}

// Describe answers what `describe` prints.
func (s *Server) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	return convert.ToDescribe(s.plugin), nil
}

// Validate builds every checker and throws it away.
func (s *Server) Validate(_ context.Context, request *pb.ValidateRequest) (*pb.ValidateResponse, error) {
	if n := len(request.GetProbes()); n > session.MaxChunk {
		return nil, status.Errorf(codes.InvalidArgument, "validate %d probes: more than %d in one message", n, session.MaxChunk)
	}
	var found []session.Diagnostic
	for _, from := range request.GetProbes() {
		p, err := convert.FromProbe(from)
		if err != nil {
			found = append(found, session.Diagnostic{ProbeID: from.GetId(), Message: err.Error()})
			continue
		}
		found = append(found, s.diagnose(&p)...)
	}
	return &pb.ValidateResponse{Diagnostics: convert.ToDiagnostics(found)}, nil
}

func (s *Server) diagnose(p *session.Probe) []session.Diagnostic {
	checker, err := s.build(p)
	if err != nil {
		if settingsErr, ok := errors.AsType[*schema.SettingsError](err); ok {
			return diagnostics(p.ID, settingsErr.Problems, false)
		}
		return []session.Diagnostic{{ProbeID: p.ID, Message: err.Error()}}
	}
	if warner, ok := checker.(check.Warner); ok {
		return diagnostics(p.ID, warner.Warnings(), true)
	}
	return nil
}

// diagnostics leaves the key out of the message: it has a field of its own.
func diagnostics(id uint64, problems []schema.Problem, warning bool) []session.Diagnostic {
	found := make([]session.Diagnostic, 0, len(problems))
	for _, p := range problems {
		attribute := p.Attribute
		p.Attribute = ""
		found = append(found, session.Diagnostic{ProbeID: id, Attribute: attribute, Warning: warning, Message: p.String()})
	}
	return found
}

// build makes who answers for a probe. A tracker is a checker without a target.
func (s *Server) build(p *session.Probe) (check.Checker, error) {
	if p.Tracker != "" {
		t, ok := s.trackers[p.Type]
		if !ok {
			return nil, fmt.Errorf("tracker type %q: not provided by %s", p.Type, s.plugin.Name)
		}
		tracker, err := t.Build(p.Settings)
		if err != nil {
			return nil, err
		}
		return observer{tracker, p.Tracker}, nil
	}
	t, ok := s.types[p.Type]
	if !ok {
		return nil, fmt.Errorf("type %q: not provided by %s", p.Type, s.plugin.Name)
	}
	return t.Build(p.Settings)
}

// observer makes a checker of a tracker.
type observer struct {
	tracker track.Tracker
	name    string
}

// Check implements check.Checker.
func (o observer) Check(ctx context.Context, _ check.Target) check.Result {
	r := o.tracker.Observe(ctx, o.name)
	r.Weight = nil // That is the configuration's to say.
	return r
}

// Warnings implements check.Warner for trackers that do.
func (o observer) Warnings() []schema.Problem {
	if warner, ok := o.tracker.(check.Warner); ok {
		return warner.Warnings()
	}
	return nil
}

// Drain lets the session that is open come to rest.
func (s *Server) Drain(ctx context.Context, _ *pb.DrainRequest) (*pb.DrainResponse, error) {
	s.mu.Lock()
	s.drained = true
	current := s.current
	s.mu.Unlock()
	if current != nil {
		if err := current.Drain(ctx); err != nil {
			return nil, status.FromContextError(err).Err()
		}
	}
	return &pb.DrainResponse{}, nil
}
