package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/halo-ha/halo/core/nowait"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Who sends what to whom:
//
//	Set, Remove, SetLink, Post, Snapshot --notes--> mailbox --+
//	Conn --ready, then Receive------------------------------> loop --> vrrp.Router (one per instance)
//	Alarm --C-------------------------------------------------+  |
//	                                                             +--Send--> Conn, at once
//	                                                             +--orders--> goroutine --> Addresses
//	                                                             +--events--> goroutine --> Observer

const (
	// drainLimit is how many packets are read before the deadlines are looked
	// at: more than a socket's buffer holds, yet no flood can keep an
	// advertisement from going out.
	drainLimit = 1024
	// farewell is how long Run waits, at its end, for Addresses and Observer to
	// take what is left for them.
	farewell = time.Second
	// stall is how long after reading no deadline is acted on before reading
	// again. The process may be stopped anywhere, and the shortest interval is
	// as long.
	stall = 10 * time.Millisecond
	// passLimit is how often that is done before the mailbox is looked at.
	passLimit = 4
	// receiveLength has room for the longest packet of either family, with an
	// IP header with options and with what may follow or precede the message.
	receiveLength = 60 + max(wire.MaxLength, wire.MaxLengthAH, wire.MaxLengthHMAC) + 128
)

// loop is the state of the one goroutine.
type loop struct {
	speaker  *Speaker
	channels [channelCount]channel
	// link is the last one told, known whether there was one.
	link  Link
	known bool

	byName map[string]*router
	// byVRID finds the routers a packet may be for, the newest first.
	byVRID    [256][]*router
	deadlines nowait.Queue[*router]
	// handled is when the last event was handled, drained when the sockets were
	// last read to their end.
	handled, drained time.Time
	// stale says that other sockets may be needed, and that routers may have to
	// be told another source address.
	stale bool
	// virtual are the addresses of all routers, nil before they are needed.
	virtual map[netip.Addr]bool

	alarm Alarm
	// armed is when the alarm goes off, zero if it does not.
	armed time.Time

	counters Counters
	foreign  [256]uint64
	bySource map[foreignKey]*Foreign

	// Memory that is used again.
	notes    []nowait.Note
	actions  []vrrp.Action
	in, out  []byte
	received vrrp.AdvertReceived
	rejected vrrp.AdvertRejected
}

// router is one virtual router and what is counted about it.
type router struct {
	name    string
	config  vrrp.Config
	machine *vrrp.Router
	expect  wire.Expect
	// expectV2 is for those who know version 2 only, where alsoV2.
	expectV2 wire.Expect
	alsoV2   bool
	// sequence is that of the authentication header.
	sequence wire.Sequence
	// stamps are those of the trailers it sends, and marks those that were heard.
	stamps wire.Stamps
	marks  *wire.Marks
	// unicast is nil for a router that speaks to the group; peers are its peers
	// with what is known of them, and intruder who sent last without being one.
	unicast  *Unicast
	peers    []PeerSnapshot
	intruder netip.Addr
	// told is the last InterfaceChanged, introduced whether there was one.
	told       vrrp.InterfaceChanged
	introduced bool
	// noSocket says that it was told of the socket's fault.
	noSocket bool

	// due is its place in the queue.
	due nowait.Entry[*router]

	counters  RouterCounters
	lateness  Histogram
	gap       Histogram
	sent      time.Time // the last advertisement while active, zero otherwise
	sendError string
}

func newLoop(s *Speaker) loop {
	return loop{
		speaker: s, byName: make(map[string]*router), bySource: make(map[foreignKey]*Foreign),
		in: make([]byte, receiveLength), out: make([]byte, 0, receiveLength),
	}
}

// Run serves until the context ends. Then every active router says goodbye and
// releases its addresses, and Run returns when that was handed over. It may be
// called once.
func (s *Speaker) Run(ctx context.Context) error {
	l := &s.loop
	defer close(s.done)
	if err := l.makeAlarm(); err != nil {
		return fmt.Errorf("speak VRRP on %s: %w", s.options.Interface, err)
	}
	defer l.alarm.Stop()
	go s.addresses.run(s.options.Addresses)
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
// deadlines: after a stall the routers learn what was said in the meantime
// before they act on a silence that was their own.
func (l *loop) pass() {
	l.readMail()
	for range passLimit {
		l.drain()
		if !l.fire() {
			l.arm()
			return
		}
	}
	// Held up each time, and there is more to do.
	nowait.Poke(l.speaker.ready)
	l.arm()
}

func (l *loop) readMail() {
	notes, link := l.speaker.mail.take(l.notes)
	if link != nil {
		l.setLink(time.Now(), *link)
	}
	for i, n := range notes {
		n(time.Now())
		notes[i] = nil
	}
	l.notes = notes
	l.refresh()
}

// refresh opens the sockets that are needed after a number of notes, and tells the
// routers what those have changed for them, once.
func (l *loop) refresh() {
	if l.stale {
		l.stale = false
		l.adjustSockets(time.Now())
		l.tellAll(time.Now())
	}
}

// fire reports the deadlines that have come, the earliest first. It gives up and
// says so when reading was too long ago for the rest.
func (l *loop) fire() (stalled bool) {
	for first := l.deadlines.First(); first != nil; first = l.deadlines.First() {
		r, now := first.Owner, time.Now()
		if now.Before(first.At()) {
			break
		}
		if now.Sub(l.drained) > stall {
			return true
		}
		r.lateness.observe(now.Sub(first.At()))
		l.handle(now, r, vrrp.DeadlineReached{})
	}
	l.retrySockets()
	return false
}

// arm sets the alarm to the next deadline. A deadline that has moved away is
// left to go off for nothing: with many packets that is much cheaper than
// setting it for each.
func (l *loop) arm() {
	next := l.nextRetry()
	if first := l.deadlines.First(); first != nil && (next.IsZero() || first.At().Before(next)) {
		next = first.At()
	}
	if next.IsZero() || !l.armed.IsZero() && !next.Before(l.armed) {
		return
	}
	l.armed = next
	l.alarm.Reset(time.Until(next))
}

// handle gives a router one event and does what it says.
func (l *loop) handle(now time.Time, r *router, event vrrp.Event) {
	l.handled = now
	l.actions = r.machine.Handle(now, event, l.actions[:0])
	for _, action := range l.actions {
		l.act(now, r, action)
	}
	clear(l.actions)
	at, ok := r.machine.Deadline()
	l.deadlines.Set(&r.due, at, ok)
}

func (l *loop) act(now time.Time, r *router, action vrrp.Action) {
	s := l.speaker
	switch a := action.(type) {
	case *vrrp.SendAdvert:
		l.send(now, r, a)
	case vrrp.AcquireAddresses:
		s.addresses.acquire(r.name)
	case vrrp.ReleaseAddresses:
		s.addresses.release(r.name)
	case vrrp.Announce:
		s.addresses.announce(r.name, a)
	case vrrp.StateChanged:
		r.counters.Transitions++
		switch {
		case a.To == vrrp.Active:
			r.counters.BecameActive++
		case a.From == vrrp.Active:
			r.sent = time.Time{}
		}
		l.tell(now, r, a)
	case vrrp.FaultChanged:
		l.tell(now, r, a)
	case vrrp.EffectiveChanged:
		l.tell(now, r, a)
	case vrrp.Mismatch:
		l.tell(now, r, a)
	case vrrp.Standing:
		if s.options.Groups != nil {
			s.options.Groups.Stands(r.name, now, a)
		}
	}
}

// tell hands an action to the observer.
func (l *loop) tell(now time.Time, r *router, what vrrp.Action) {
	name := r.name
	l.speaker.events.Put(func(o Observer) { o.Changed(name, now, what) })
}

// stop says goodbye for all routers and waits a moment for those who have to
// hear of it.
func (l *loop) stop() {
	s := l.speaker
	l.readMail()
	l.drain()
	for _, r := range l.byName {
		l.handle(time.Now(), r, vrrp.Stopped{})
	}
	s.addresses.outbox.Close()
	s.events.Close()
	limit := time.NewTimer(farewell)
	defer limit.Stop()
	for _, done := range []<-chan struct{}{s.addresses.outbox.Done(), s.events.Done()} {
		select {
		case <-done:
		case <-limit.C:
			limit.Reset(0)
		}
	}
	s.final = l.snapshot()
	l.closeSockets() // Nothing more is read or written.
}
