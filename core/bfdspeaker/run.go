package bfdspeaker

import (
	"context"
	"fmt"
	"time"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/nowait"
)

// Who sends what to whom:
//
//	Set, Remove, Snapshot --notes--> mailbox --+
//	Receiver --ready, then Receive-----------> loop --> bfd.Session (one per name)
//	Alarm    --C-------------------------------+  |
//	                                              +--Send--> Sender, at once
//	                                              +--events--> goroutine --> Observer

const (
	// drainLimit is how many packets are read from a socket before the
	// deadlines are looked at: more than its buffer holds, yet no flood can
	// keep a packet from going out.
	drainLimit = 2048
	// stall is for how long this goroutine may have been held up since it read
	// the sockets, and still act on a silence. It is below every interval.
	stall = 500 * time.Microsecond
	// farewell is how long Run waits, at its end, for the Observer to take what
	// is left for it.
	farewell = time.Second
	// packetLimit is longer than any Control packet, whose length is a byte.
	packetLimit = 512
)

// loop is the state of the one goroutine.
type loop struct {
	speaker *Speaker
	sockets [socketCount]socket

	byName map[string]*session
	// byDiscriminator has also those sessions that are saying goodbye.
	byDiscriminator map[uint32]*session
	byPath          map[bfd.Path]*session
	deadlines       nowait.Queue[*session]
	// drained is a time before which nothing waits on the sockets any more,
	// but for a flood.
	drained time.Time
	flooded bool

	alarm Alarm
	// armed is when the alarm goes off, zero if it does not.
	armed time.Time

	counters Counters
	lateness time.Duration

	// Memory that is used again.
	notes    []nowait.Note
	actions  []bfd.Action
	in, out  []byte
	received bfd.PacketReceived
}

func newLoop(s *Speaker) loop {
	return loop{
		speaker: s, byName: make(map[string]*session),
		byDiscriminator: make(map[uint32]*session), byPath: make(map[bfd.Path]*session),
		in: make([]byte, packetLimit), out: make([]byte, 0, bfd.Length),
	}
}

// Run serves until the context ends. Then every session goes to AdminDown and
// tells its peer, and Run returns when that was handed over. It may be called
// once.
func (s *Speaker) Run(ctx context.Context) error {
	l := &s.loop
	defer close(s.done)
	if err := l.makeAlarm(); err != nil {
		return fmt.Errorf("speak BFD: %w", err)
	}
	defer l.alarm.Stop()
	go s.events.Run(func(tell func(Observer)) { tell(s.options.Observer) })

	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.mail.Signal():
			l.pass()
		case <-s.ready:
			l.pass()
		case <-l.alarm.C():
			l.armed = time.Time{}
			l.pass()
		}
	}
	l.stop()
	return nil
}

func (l *loop) makeAlarm() (err error) {
	if l.speaker.options.Alarm == nil {
		l.alarm = nowait.NewAlarm()
		return nil
	}
	l.alarm, err = l.speaker.options.Alarm()
	return err
}

// pass does everything there is to do. Whatever woke it, packets come before
// deadlines: after a stall the sessions learn what was sent in the meantime
// before they act on a silence that was their own.
func (l *loop) pass() {
	l.readMail()
	l.drain()
	l.fire()
	l.arm()
}

func (l *loop) readMail() {
	notes := l.speaker.mail.Take(l.notes)
	for i, n := range notes {
		n(time.Now())
		notes[i] = nil
	}
	l.notes = notes
}

// drain reads what waits on the sockets.
func (l *loop) drain() {
	l.drained, l.flooded = time.Now(), false
	first := true
	for i := range l.sockets {
		s := &l.sockets[i]
		if s.receiver == nil {
			continue
		}
		if empty := l.drainSocket(s); first || empty.Before(l.drained) {
			l.drained, first = empty, false
		}
	}
}

// drainSocket answers with a time before which nothing waits on the socket any
// more. A flood, which does not end, is left for the next pass: it must not keep
// the deadlines from being served.
func (l *loop) drainSocket(s *socket) time.Time {
	for range drainLimit {
		now := time.Now()
		if s.receiver == nil {
			return now
		}
		payload, meta, err := s.receiver.Receive(l.in)
		if err != nil {
			l.counters.ReceiveErrors++
			l.broken(now, s, err)
			return now
		}
		if payload == nil {
			return now
		}
		l.packet(payload, meta)
	}
	// There is more, which the socket will not tell again.
	nowait.Poke(l.speaker.ready)
	l.flooded = true
	return time.Now()
}

// heard is the time from which a packet counts: when the kernel took it in, so
// that a deadline does not move by the time this goroutine took to wake up. It is
// never before what the session has handled already: time does not go back.
func (s *session) heard(meta *bfd.Meta) time.Time {
	if meta.Arrived.After(s.handled) {
		return meta.Arrived
	}
	return time.Now()
}

// packet hands one packet to the session it is for.
func (l *loop) packet(payload []byte, meta bfd.Meta) {
	l.counters.Packets++
	drop := bfd.Check(payload, &l.received.Packet)
	var s *session
	if drop == bfd.DropNone {
		s, drop = l.find(&l.received.Packet, &meta)
	}
	if drop != bfd.DropNone {
		l.counters.Dropped[drop]++
		return
	}
	s.counters.Packets++
	l.received.TTL = meta.TTL
	l.handle(s.heard(&meta), s, &l.received)
}

// fire reports the deadlines that have come, the earliest first. The system may
// stop this goroutine at any place: if it did since the sockets were read, they
// are read again.
func (l *loop) fire() {
	reread := false
	for first := l.deadlines.First(); first != nil; first = l.deadlines.First() {
		s, now := first.Owner, time.Now()
		if now.Before(first.At()) {
			break
		}
		if !reread && now.Sub(l.drained) > stall {
			reread = true
			l.drain()
			continue
		}
		reread = l.flooded
		l.lateness = max(l.lateness, now.Sub(first.At()))
		l.handle(now, s, bfd.DeadlineReached{})
	}
	for i := range l.sockets {
		if s := &l.sockets[i]; !s.retry.IsZero() && !time.Now().Before(s.retry) {
			l.open(time.Now(), s)
		}
	}
}

// arm sets the alarm to the next deadline. A deadline that has moved away is
// left to go off for nothing: with many packets that is much cheaper than
// setting it for each.
func (l *loop) arm() {
	var next time.Time
	if first := l.deadlines.First(); first != nil {
		next = first.At()
	}
	for i := range l.sockets {
		if retry := l.sockets[i].retry; !retry.IsZero() && (next.IsZero() || retry.Before(next)) {
			next = retry
		}
	}
	if next.IsZero() || !l.armed.IsZero() && !next.Before(l.armed) {
		return
	}
	l.armed = next
	l.alarm.Reset(time.Until(next))
}

// handle gives a session one event and does what it says.
func (l *loop) handle(now time.Time, s *session, event bfd.Event) {
	s.handled = now
	l.actions = s.machine.Handle(now, event, l.actions[:0])
	for _, action := range l.actions {
		l.act(now, s, action)
	}
	clear(l.actions)
	at, ok := s.machine.Deadline()
	l.deadlines.Set(&s.due, at, ok)
	if s.machine.Ended() {
		l.forget(s)
	}
}

func (l *loop) act(now time.Time, s *session, action bfd.Action) {
	switch a := action.(type) {
	case *bfd.SendPacket:
		l.send(s, &a.Packet)
	case bfd.PacketDropped:
		s.counters.Dropped[a.Reason]++
	case bfd.StateChanged:
		s.counters.Transitions++
		if a.To == bfd.Up {
			s.counters.BecameUp++
		}
		name := s.name
		l.speaker.events.Put(func(o Observer) { o.StateChanged(name, now, a) })
	}
}

// send puts a packet on the wire, here and now. The socket is opened when there
// is something to send through it, and again until that succeeds.
func (l *loop) send(s *session, p *bfd.Packet) {
	var err error
	if s.sender == nil {
		s.sender, err = l.speaker.options.Dial(s.path)
	}
	if err == nil {
		l.out = p.Append(l.out[:0])
		err = s.sender.Send(l.out, s.config.TTL)
	}
	if err != nil {
		s.counters.SendErrors++
		s.sendError = err.Error()
		return
	}
	s.counters.Sent++
	s.sendError = ""
}

// stop says goodbye for all sessions, once each, and waits a moment for the
// Observer to hear of it.
func (l *loop) stop() {
	s := l.speaker
	l.readMail()
	l.drain()
	for _, x := range l.byName {
		l.handle(time.Now(), x, bfd.Stopped{})
	}
	s.events.Close()
	limit := time.NewTimer(farewell)
	defer limit.Stop()
	select {
	case <-s.events.Done():
	case <-limit.C:
	}
	s.final = l.snapshot()
	for _, x := range l.byDiscriminator {
		l.forget(x)
	}
	for i := range l.sockets {
		l.sockets[i].close()
	}
}
