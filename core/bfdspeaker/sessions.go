package bfdspeaker

import (
	"math"
	"net/netip"
	"time"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/nowait"
)

// session is one session and what is counted about it.
type session struct {
	name    string
	path    bfd.Path
	config  bfd.Config
	machine *bfd.Session
	// sender is nil until something is to be sent and the socket could be
	// opened.
	sender Sender
	// handled is when the last event was handled.
	handled time.Time

	// due is its place in the queue.
	due nowait.Entry[*session]

	counters  SessionCounters
	sendError string
}

// set adds or changes a session.
func (l *loop) set(now time.Time, name string, path bfd.Path, config bfd.Config) {
	s, ok := l.byName[name]
	if ok && s.path != path {
		l.remove(now, name)
		ok = false
	}
	if ok {
		if s.config != config {
			s.config = config
			l.handle(now, s, bfd.Reconfigured{Config: config})
		}
		return
	}
	// Its predecessor must not go on telling the peer that all is down.
	for _, other := range l.byDiscriminator {
		if l.byName[other.name] != other && other.path.Peer == path.Peer && other.path.Multihop == path.Multihop {
			l.forget(other)
		}
	}
	s = &session{name: name, path: path, config: config}
	s.due.Owner = s
	s.machine = bfd.New(config, l.discriminator(), l.speaker.options.Random)
	l.byName[name] = s
	l.byDiscriminator[s.machine.Discriminator()] = s
	// A session that still has this path is about to lose it: the notes of a
	// reload come in no particular order.
	l.byPath[key(path)] = s
	l.review(now)
	l.handle(now, s, bfd.Started{})
}

// discriminator is one that no session has, hard to guess (RFC 5880 §6.8.1).
func (l *loop) discriminator() uint32 {
	for {
		d := 1 + l.speaker.options.Random(math.MaxUint32)
		if _, taken := l.byDiscriminator[d]; !taken {
			return d
		}
	}
}

// remove lets a session say goodbye; it is forgotten when it has.
func (l *loop) remove(now time.Time, name string) {
	s, ok := l.byName[name]
	if !ok {
		return
	}
	delete(l.byName, name)
	if l.byPath[key(s.path)] == s {
		delete(l.byPath, key(s.path))
	}
	l.handle(now, s, bfd.Stopped{})
}

// key is what two paths have in common that are the same one.
func key(path bfd.Path) bfd.Path {
	path.Routed = false
	return path
}

// forget is the end of a session.
func (l *loop) forget(s *session) {
	l.deadlines.Set(&s.due, time.Time{}, false)
	delete(l.byDiscriminator, s.machine.Discriminator())
	if s.sender != nil {
		_ = s.sender.Close() // It is not used again, whatever the kernel says.
		s.sender = nil
	}
	l.review(time.Now())
}

// find is the session a packet is for (RFC 5880 §6.8.6): the one it names, else
// the one that is configured with its sender (RFC 5881 §3), the most exact first.
func (l *loop) find(p *bfd.Packet, m *bfd.Meta) (*session, bfd.DropReason) {
	if p.YourDiscriminator != 0 {
		s, ok := l.byDiscriminator[p.YourDiscriminator]
		if !ok || s.path.Multihop != m.Multihop || s.path.Peer.Is4() != m.Source.Is4() {
			return nil, bfd.DropDiscriminator
		}
		return s, bfd.DropNone
	}
	for _, source := range [...]netip.Addr{m.Destination, {}} {
		for _, iface := range [...]string{m.Interface, ""} {
			s, ok := l.byPath[bfd.Path{Peer: m.Source, Source: source, Interface: iface, Multihop: m.Multihop}]
			if ok {
				return s, bfd.DropNone
			}
		}
	}
	return nil, bfd.DropNoSession
}
