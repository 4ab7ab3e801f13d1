package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/convert"
	pb "github.com/halo-ha/halo/sdk/internal/proto/halo/plugin/v1"
	"github.com/halo-ha/halo/sdk/internal/schedule"
	"github.com/halo-ha/halo/sdk/internal/session"
)

type stream = grpc.BidiStreamingServer[pb.SessionRequest, pb.SessionResponse]

// Session runs probes until the host ends it. One at a time: a second host, or
// one that thinks it has reconnected, would run every probe twice.
func (s *Server) Session(stream stream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	begin := first.GetBegin()
	if begin == nil {
		return status.Error(codes.FailedPrecondition, "session: the first message is not begin")
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	stopWatching := context.AfterFunc(s.ctx, func() { cancel(errStopping) })
	defer stopWatching()

	scheduler := schedule.New(&sink{stream: stream, incarnation: begin.GetIncarnation()}, s.log, s.seed)
	leave, err := s.enter(ctx, scheduler)
	if err != nil {
		return err
	}
	defer leave()
	s.log.Debug("session opened", "incarnation", begin.GetIncarnation())

	received := make(chan error, 1)
	go func() {
		err := s.receive(stream, scheduler)
		received <- err
		cancel(err)
	}()
	err = scheduler.Run(ctx)
	select {
	case receiveErr := <-received: // The host's mistake, or its goodbye.
		err = receiveErr
	default:
	}
	s.log.Debug("session closed", "reason", fmt.Sprint(err))
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, errStopping):
		return status.Error(codes.Unavailable, err.Error())
	}
	return err
}

// enter makes a scheduler the one of the open session. A session that its host
// has just closed gets a moment to end.
func (s *Server) enter(ctx context.Context, scheduler *schedule.Scheduler) (leave func(), err error) {
	timer := time.NewTimer(enterTime)
	defer timer.Stop()
	for {
		s.mu.Lock()
		if s.current == nil {
			ended := make(chan struct{})
			s.current, s.last, s.ended = scheduler, scheduler, ended
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				s.current = nil
				s.mu.Unlock()
				close(ended)
			}, nil
		}
		ended := s.ended
		s.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		case <-timer.C:
			return nil, status.Error(codes.FailedPrecondition, "session: another one is open")
		}
	}
}

const enterTime = time.Second

var errStopping = errors.New("the plugin is stopping")

// receive takes the host's messages. Differences are kept aside until the
// commit, so that half a reload never runs.
func (s *Server) receive(stream stream, scheduler *schedule.Scheduler) error {
	staged := map[uint64]*schedule.Job{}
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		switch m := request.GetMessage().(type) {
		case *pb.SessionRequest_Begin:
			return status.Error(codes.FailedPrecondition, "session: begin came twice")
		case *pb.SessionRequest_Upsert:
			if err := s.stage(staged, m.Upsert.GetProbes(), scheduler); err != nil {
				return err
			}
		case *pb.SessionRequest_Remove:
			for _, id := range m.Remove.GetIds() {
				staged[id] = nil
			}
		case *pb.SessionRequest_Commit:
			scheduler.Apply(m.Commit.GetGeneration(), staged)
			if len(staged) > session.MaxChunk {
				// The messages of a large set are as large as the set.
				go debug.FreeOSMemory()
			}
			staged = map[uint64]*schedule.Job{}
		}
	}
}

// stage builds the checkers of what differs from what runs. An unchanged probe
// is left out altogether, which is what keeps its timers and history.
func (s *Server) stage(staged map[uint64]*schedule.Job, probes []*pb.Probe, scheduler *schedule.Scheduler) error {
	if len(probes) > session.MaxChunk {
		return status.Errorf(codes.InvalidArgument, "upsert %d probes: more than %d in one message", len(probes), session.MaxChunk)
	}
	for _, from := range probes {
		p, err := convert.FromProbe(from)
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		if scheduler.Same(&p) {
			delete(staged, p.ID)
			continue
		}
		checker, err := s.build(&p)
		if err != nil {
			// Validate has said so before; the world may have changed since. It
			// is this machine's trouble, so the target is not known.
			s.log.With(session.Subject(p.Type, p.Tracker, &p.Target)...).Warn("probe cannot be built", "reason", err.Error())
			checker = &unbuilt{build: func() (check.Checker, error) { return s.build(&p) }}
		}
		staged[p.ID] = &schedule.Job{Probe: p, Checker: checker}
	}
	return nil
}

// unbuilt stands in for a checker that could not be made. It tries again at
// every run, since what was missing may be back: a script that is replaced, a
// file system that is mounted.
type unbuilt struct {
	build func() (check.Checker, error)
	built check.Checker // nil until it could be made
}

// Check answers at once while there is no checker.
func (u *unbuilt) Check(ctx context.Context, t check.Target) check.Result {
	if u.built == nil {
		built, err := u.build()
		if err != nil {
			return check.NotKnown(check.ReasonLocalError, err.Error())
		}
		u.built = built
	}
	starter, ok := u.built.(check.Starter)
	if !ok {
		return u.built.Check(ctx, t)
	}
	deadline, _ := ctx.Deadline() // the scheduler always sets one
	answer := make(chan check.Result, 1)
	starter.Start(deadline, t, func(r check.Result) { answer <- r })
	select {
	case r := <-answer:
		return r
	case <-ctx.Done():
		return check.Failed(check.ReasonTimeout, "")
	}
}

// sink writes to the stream, from the scheduler's sender only.
type sink struct {
	stream      stream
	incarnation uint64
	encoder     convert.ResultsEncoder
}

func (k *sink) Results(generation uint64, results []session.ProbeResult) error {
	// Send marshals before it returns, so the encoder may use its memory again.
	return k.stream.Send(k.encoder.Encode(k.incarnation, generation, results))
}

func (k *sink) Heartbeat(h *session.Heartbeat) error {
	return k.stream.Send(convert.ToHeartbeat(k.incarnation, h))
}

func (k *sink) Committed(c *session.Committed) error {
	return k.stream.Send(convert.ToCommitted(k.incarnation, c))
}
