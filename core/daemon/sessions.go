package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/bfdspeaker"
	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/kernel/bfdsock"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/track"
)

// sessions are the BFD sessions of trackers. A session begins as down, which is
// no news about its path: it is unknown until it has come up, or has had time to.
type sessions struct {
	speaker *bfdspeaker.Speaker
	tell    func(...track.Observed)
	logger  *slog.Logger

	mu     sync.Mutex
	known  map[string]string // the definition of each session that there is
	chance map[string]*time.Timer
}

// chances is how many idle intervals a session has to come up.
const chances = 3

func newSessions(tell func(...track.Observed), logger *slog.Logger) *sessions {
	s := &sessions{tell: tell, logger: logger, known: map[string]string{}, chance: map[string]*time.Timer{}}
	s.speaker = bfdspeaker.New(bfdspeaker.Options{
		Listen: func(multihop, ipv6 bool, ready chan<- struct{}) (bfdspeaker.Receiver, error) {
			r, err := bfdsock.Listen(multihop, ipv6, ready)
			if err != nil {
				return nil, err // and not a nil *Receiver in an interface
			}
			return r, nil
		},
		Dial: func(path bfd.Path) (bfdspeaker.Sender, error) {
			d, err := bfdsock.Dial(path)
			if err != nil {
				return nil, err
			}
			return d, nil
		},
		Alarm: func() (bfdspeaker.Alarm, error) {
			a, err := rawsock.NewAlarm()
			if err != nil {
				return nil, err
			}
			return a, nil
		},
		Observer: s,
	})
	return s
}

func (s *sessions) run(ctx context.Context) error { return s.speaker.Run(ctx) }

// set makes the sessions of trackers the ones there are.
func (s *sessions) set(trackers map[string]*config.Tracker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, definition := range s.known {
		if k := trackers[name]; k == nil || k.Definition() != definition {
			s.speaker.Remove(name)
			delete(s.known, name)
			s.settle(name)
		}
	}
	for name, k := range trackers {
		if k.BFD == nil {
			continue
		}
		b := k.BFD
		err := s.speaker.Set(name,
			bfd.Path{
				Peer: b.Neighbor, Source: b.SourceAddress, Interface: k.Interface,
				Multihop: b.Multihop, Routed: !b.Multihop && b.MaxHops > 0,
			},
			bfd.Config{
				MinTx: b.MinTx, MinRx: b.MinRx, IdleTx: b.IdleTx, Multiplier: b.Multiplier, Passive: b.Passive, TTL: b.TTL, MaxHops: b.MaxHops,
			})
		if err != nil { // The configuration was judged by the same rules.
			s.logger.Error("bfd session cannot be made", "tracker", name, "error", err)
			continue
		}
		if _, had := s.known[name]; !had {
			s.known[name] = k.Definition()
			s.chance[name] = time.AfterFunc(chances*b.IdleTx, func() { s.missed(name, k.Definition()) })
		}
	}
}

// settle says that a session's first state is known, or not of interest.
func (s *sessions) settle(name string) {
	if t := s.chance[name]; t != nil {
		t.Stop()
		delete(s.chance, name)
	}
}

// missed is called when a session has had its time to come up.
func (s *sessions) missed(name, definition string) {
	s.mu.Lock()
	waiting := s.chance[name] != nil && s.known[name] == definition
	delete(s.chance, name)
	s.mu.Unlock()
	if waiting {
		s.tell(track.Observed{Tracker: name, Definition: definition, State: track.Down, Reason: "no_session"})
	}
}

// StateChanged implements bfdspeaker.Observer.
func (s *sessions) StateChanged(name string, at time.Time, c bfd.StateChanged) {
	s.logger.Info("bfd session changed state", "tracker", name, "from", c.From.String(), "to", c.To.String(), "reason", c.Diagnostic.String(), "at", at)
	s.mu.Lock()
	definition, ours := s.known[name]
	up, down := c.To == bfd.Up, c.From == bfd.Up
	if up {
		s.settle(name)
	}
	s.mu.Unlock()
	switch {
	case !ours:
	case down && c.RemoteState == bfd.AdminDown:
		// The neighbour's operator has ended it, which says nothing of the path
		// (RFC 5882 §3.2).
		s.tell(track.Observed{Tracker: name, Definition: definition, State: track.Unknown, Reason: "admin_down"})
	case up:
		s.tell(track.Observed{Tracker: name, Definition: definition, State: track.Up})
	case down:
		s.tell(track.Observed{Tracker: name, Definition: definition, State: track.Down, Reason: c.Diagnostic.String()})
	}
}

// SocketChanged implements bfdspeaker.Observer.
func (s *sessions) SocketChanged(socket string, err error) {
	if err != nil {
		s.logger.Error("bfd socket is not usable", "socket", socket, "error", err)
		return
	}
	s.logger.Info("bfd socket is usable again", "socket", socket)
}

// close forgets what is still waited for.
func (s *sessions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.chance {
		s.settle(name)
	}
}
