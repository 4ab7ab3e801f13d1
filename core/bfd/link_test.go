package bfd_test

import (
	"slices"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/bfd"
)

// link is two machines with a session between them, in virtual time. Packets
// travel as bytes and go through Check, and are given to the session that they
// name.
type link struct {
	t     testing.TB
	start time.Time
	now   time.Time
	sides [2]*side
	// latency is how long a packet travels.
	latency time.Duration
	// lose decides about each packet; nil loses none.
	lose   func(from *side) bool
	flying []flying
	trace  func(format string, args ...any)
}

type flying struct {
	at      time.Time
	to      *side
	payload []byte
	ttl     int
}

// side is one machine.
type side struct {
	name    string
	session *bfd.Session
	// deaf says that nothing arrives, mute that nothing leaves.
	deaf, mute bool
	// frozen says that the process does not run; what arrives waits.
	frozen  bool
	waiting []flying
	// hops is over how many routers its packets go.
	hops int
	sent []bfd.Packet
	// downs counts the ends of Up.
	downs int
}

func newLink(t testing.TB) *link {
	t.Helper()
	start := time.Unix(1_000_000, 0)
	return &link{t: t, start: start, now: start, trace: func(string, ...any) {}}
}

// add makes a side; the first is at index 0. It starts by itself.
func (l *link) add(name string, config bfd.Config, random func(uint32) uint32) *side {
	l.t.Helper()
	s := &side{name: name}
	i := slices.Index(l.sides[:], nil)
	s.session = bfd.New(config, uint32(i+1), random)
	l.sides[i] = s
	return s
}

func (l *link) other(s *side) *side {
	if l.sides[0] == s {
		return l.sides[1]
	}
	return l.sides[0]
}

func (l *link) handle(s *side, event bfd.Event) {
	l.t.Helper()
	packets := 0
	for _, action := range s.session.Handle(l.now, event, nil) {
		switch a := action.(type) {
		case *bfd.SendPacket:
			packets++
			l.send(s, &a.Packet)
		case bfd.StateChanged:
			if a.From == bfd.Up {
				s.downs++
			}
			l.trace("%s %v -> %v: %v", s.name, a.From, a.To, a.Diagnostic)
		case bfd.PacketDropped:
			l.trace("%s drops a packet: %v", s.name, a.Reason)
		}
	}
	if packets > 1 {
		l.t.Fatalf("%s sends %d packets because of one event", s.name, packets)
	}
}

func (l *link) send(s *side, p *bfd.Packet) {
	l.t.Helper()
	if p.Poll && p.Final || p.Demand || p.RequiredMinEchoRx != 0 || p.MyDiscriminator != s.session.Discriminator() {
		l.t.Fatalf("%s sends %+v", s.name, p)
	}
	s.sent = append(s.sent, *p)
	l.trace("%s sends %s", s.name, describe(p))
	to := l.other(s)
	if to == nil || s.mute || to.deaf || l.lose != nil && l.lose(s) {
		return
	}
	l.flying = append(l.flying, flying{l.now.Add(l.latency), to, p.Append(nil), 255 - s.hops})
}

// deliver hands a packet over, to a process that runs.
func (l *link) deliver(f flying) {
	l.t.Helper()
	if f.to.frozen {
		f.to.waiting = append(f.to.waiting, f)
		return
	}
	var p bfd.Packet
	drop := bfd.Check(f.payload, &p)
	if drop == bfd.DropNone && p.YourDiscriminator != 0 && p.YourDiscriminator != f.to.session.Discriminator() {
		drop = bfd.DropDiscriminator
	}
	if drop != bfd.DropNone {
		l.trace("%s drops a packet: %v", f.to.name, drop)
		return
	}
	l.handle(f.to, &bfd.PacketReceived{Packet: p, TTL: f.ttl})
}

// thaw lets a process go on: what waits comes before deadlines.
func (l *link) thaw(s *side) {
	l.t.Helper()
	s.frozen = false
	waiting := s.waiting
	s.waiting = nil
	for _, f := range waiting {
		l.deliver(f)
	}
}

// run lets time pass.
func (l *link) run(d time.Duration) {
	l.t.Helper()
	for end := l.now.Add(d); ; {
		next := end.Add(1)
		var which *side
		for _, s := range l.sides {
			if s == nil || s.frozen {
				continue
			}
			if at, ok := s.session.Deadline(); ok && at.Before(next) {
				next, which = at, s
			}
		}
		if len(l.flying) > 0 && !l.flying[0].at.After(next) {
			next, which = l.flying[0].at, nil
		}
		if next.After(end) {
			l.now = end
			return
		}
		if next.After(l.now) {
			l.now = next
		}
		if which != nil {
			l.handle(which, bfd.DeadlineReached{})
			continue
		}
		f := l.flying[0]
		l.flying = l.flying[1:]
		l.deliver(f)
	}
}
