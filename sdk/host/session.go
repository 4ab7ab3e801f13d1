package host

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/halo-ha/halo/sdk/internal/convert"
	pb "github.com/halo-ha/halo/sdk/internal/proto/halo/plugin/v1"
)

// ErrFlood ends a session whose plugin sends more than any set of probes could
// yield.
var ErrFlood = errors.New("the plugin floods its host")

// errSlow is why a session ends whose plugin does not read.
var errSlow = errors.New("the plugin does not read what it is sent")

// What a session may send in a second, beyond which it is a flood. The slack
// covers what piles up while a host stands still for a while.
const (
	floodMessages = 10_000
	floodResults  = 100_000
)

// Session is the one stream to a plugin: the set of probes goes out as a
// difference, results and heartbeats come back.
//
// One goroutine sends (Begin, Upsert, Remove, Commit), one receives (Recv);
// Close may come from anywhere. The order is Begin once, then any number of
// Upsert and Remove followed by Commit, which makes them true at once. A probe
// that is not named keeps its timers; so does one that is upserted unchanged.
// A restarted plugin gets the whole set again.
//
// Recv drops messages of another incarnation. It does not know the probes: the
// caller drops results of ids that it does not know.
type Session struct {
	stream      grpc.BidiStreamingClient[pb.SessionRequest, pb.SessionResponse]
	ctx         context.Context //nolint:containedctx // The stream's own, to tell why it ended.
	cancel      context.CancelCauseFunc
	incarnation atomic.Uint64 // set by Begin

	window            time.Time // start of the second that is being counted
	messages, results int
}

// Session opens the stream. It ends with ctx, with Close, or with the process;
// any error from it is final.
func (c *Client) Session(ctx context.Context) (*Session, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := time.AfterFunc(CallTimeout, func() { cancel(errSlow) })
	defer stop.Stop()
	stream, err := c.check.Session(ctx, limits()...)
	if err != nil {
		cancel(err)
		return nil, fmt.Errorf("open session: %w", err)
	}
	return &Session{stream: stream, ctx: ctx, cancel: cancel}, nil
}

// Begin names the incarnation: a number that the host gives every process it
// starts, and that every answer repeats.
func (s *Session) Begin(incarnation uint64) error {
	s.incarnation.Store(incarnation)
	return s.send("begin", &pb.SessionRequest{Message: &pb.SessionRequest_Begin{Begin: &pb.Begin{Incarnation: incarnation}}})
}

// Upsert adds probes or replaces those of the same id, from the next Commit.
func (s *Session) Upsert(probes []Probe) error {
	for chunk := range chunks(probes) {
		request := &pb.SessionRequest{Message: &pb.SessionRequest_Upsert{Upsert: &pb.Upsert{Probes: convert.ToProbes(chunk)}}}
		if err := s.send("upsert", request); err != nil {
			return err
		}
	}
	return nil
}

// Remove takes probes away, from the next Commit.
func (s *Session) Remove(ids []uint64) error {
	for chunk := range chunks(ids) {
		request := &pb.SessionRequest{Message: &pb.SessionRequest_Remove{Remove: &pb.Remove{Ids: chunk}}}
		if err := s.send("remove", request); err != nil {
			return err
		}
	}
	return nil
}

// Commit makes everything sent since the last one true; the plugin answers
// with Committed.
func (s *Session) Commit(generation uint64) error {
	return s.send("commit", &pb.SessionRequest{Message: &pb.SessionRequest_Commit{Commit: &pb.Commit{Generation: generation}}})
}

// send waits at most CallTimeout: a plugin that does not read fills its window,
// and a blocked stream can only be ended.
func (s *Session) send(what string, request *pb.SessionRequest) error {
	stop := time.AfterFunc(CallTimeout, func() { s.cancel(errSlow) })
	defer stop.Stop()
	if err := s.stream.Send(request); err != nil {
		return fmt.Errorf("session %s: %w", what, s.reason(err))
	}
	return nil
}

// reason prefers why this end gave up over what gRPC makes of it.
func (s *Session) reason(err error) error {
	if cause := context.Cause(s.ctx); cause != nil {
		return cause
	}
	return err
}

// Recv waits for the next message. It has no deadline of its own: a plugin
// without probes says nothing but its heartbeat every second, and whoever
// watches that ends ctx. After an error the session is over.
func (s *Session) Recv() (Message, error) {
	for {
		response, err := s.stream.Recv()
		if err != nil {
			// A stream that this end's Send broke holds the true error here.
			return nil, fmt.Errorf("session receive: %w", s.reason(err))
		}
		if s.flooded(response) {
			s.cancel(ErrFlood)
			return nil, fmt.Errorf("session receive: %w", ErrFlood)
		}
		if response.GetIncarnation() != s.incarnation.Load() {
			continue
		}
		if message := convert.FromResponse(response); message != nil {
			return message, nil
		}
	}
}

func (s *Session) flooded(response *pb.SessionResponse) bool {
	if now := time.Now(); now.Sub(s.window) >= time.Second {
		s.window, s.messages, s.results = now, 0, 0
	}
	s.messages++
	s.results += max(len(response.GetResults().GetId()), len(response.GetResults().GetRemarks()))
	return s.messages > floodMessages || s.results > floodResults
}

// Close ends the session at once, and with it every probe in the plugin. It
// never blocks.
func (s *Session) Close() {
	s.cancel(context.Canceled)
}
