package bfdspeaker

import (
	"time"

	"github.com/halo-ha/halo/core/bfd"
)

// Counters are of all sessions together and only grow.
type Counters struct {
	// Packets is all that arrived.
	Packets uint64
	// Dropped is those that no session got, by the first rule they broke.
	Dropped [bfd.DropReasonCount]uint64
	// ReceiveErrors and SocketErrors are failures of the receiving sockets;
	// SocketsOpened is how often one was opened.
	ReceiveErrors, SocketErrors, SocketsOpened uint64
	// EventsDropped is how many events an Observer was too slow for.
	EventsDropped uint64
}

// SessionCounters are of one session and only grow.
type SessionCounters struct {
	// Packets is all that were for the session.
	Packets uint64
	// Dropped is those among Packets that do not count, by the first rule they
	// broke.
	Dropped [bfd.DropReasonCount]uint64
	// Sent is the packets that went out, SendErrors those that did not.
	Sent, SendErrors uint64
	// Transitions is the changes of state, BecameUp those to Up.
	Transitions, BecameUp uint64
}

// Snapshot is the state of a Speaker at one time. It shares nothing with it.
type Snapshot struct {
	Counters Counters
	// Lateness is by how much the latest of all deadlines was served late.
	Lateness time.Duration
	// Sockets are the receiving sockets that sessions need, by name, with the
	// reason why one is not there, or "".
	Sockets map[string]string
	// Sessions are by name. One that has been removed and says goodbye is not
	// among them.
	Sessions map[string]SessionSnapshot
}

// SessionSnapshot is the state of one session.
type SessionSnapshot struct {
	bfd.Snapshot

	Path   bfd.Path
	Config bfd.Config
	// Port is the source port, zero while there is no socket.
	Port     uint16
	Counters SessionCounters
	// SendError is why the last packet did not go out, empty if it did.
	SendError string
}

func (l *loop) snapshot() Snapshot {
	v := Snapshot{
		Counters: l.counters, Lateness: l.lateness,
		Sockets: make(map[string]string), Sessions: make(map[string]SessionSnapshot, len(l.byName)),
	}
	v.Counters.EventsDropped = l.speaker.events.Drops()
	for i := range l.sockets {
		if s := &l.sockets[i]; s.wanted {
			v.Sockets[socketName(i)] = ""
			if s.err != nil {
				v.Sockets[socketName(i)] = s.err.Error()
			}
		}
	}
	for name, s := range l.byName {
		x := SessionSnapshot{
			Snapshot: s.machine.Snapshot(), Path: s.path, Config: s.config,
			Counters: s.counters, SendError: s.sendError,
		}
		if s.sender != nil {
			x.Port = s.sender.Port()
		}
		v.Sessions[name] = x
	}
	return v
}
