package speaker

import (
	"container/heap"
	"context"
	"fmt"
	"net/netip"
	"time"

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
)

// loop is the state of the one goroutine.
type loop struct {
	speaker *Speaker
	conn    Conn
	socket  socketState
	// link is the last one told, known whether there was one.
	link  Link
	known bool

	byName map[string]*router
	// byVRID finds the router of a packet.
	byVRID    [256]*router
	deadlines deadlines
	// handled is when the last event was handled.
	handled time.Time
	// stale says that routers may have to be told another source address.
	stale bool

	alarm Alarm
	// armed is when the alarm goes off, zero if it does not.
	armed time.Time

	counters Counters
	foreign  [256]uint64

	// Memory that is used again.
	notes    []note
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
	// told is the last InterfaceChanged, introduced whether there was one.
	told       vrrp.InterfaceChanged
	introduced bool
	// noSocket says that it was told of the socket's fault.
	noSocket bool

	// deadline and index belong to the queue; index is -1 outside of it.
	deadline time.Time
	index    int

	counters  RouterCounters
	lateness  Histogram
	gap       Histogram
	sent      time.Time // the last advertisement while active, zero otherwise
	sendError string
}

func newLoop(s *Speaker) loop {
	return loop{
		speaker: s, byName: make(map[string]*router),
		in: make([]byte, 60+wire.MaxLength), out: make([]byte, 0, wire.MaxLength),
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
	go s.events.run(func(tell func(Observer)) { tell(s.options.Observer) })

	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.mail.signal:
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
		l.alarm = newTimerAlarm()
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
	l.drain()
	l.fire()
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

// refresh tells the routers what a number of notes has changed for them, once.
func (l *loop) refresh() {
	if l.stale {
		l.stale = false
		l.tellAll(time.Now())
	}
}

// drain reads what waits on the socket.
func (l *loop) drain() {
	for range drainLimit {
		if l.conn == nil {
			return
		}
		payload, meta, err := l.conn.Receive(l.in)
		if err != nil {
			l.counters.ReceiveErrors++
			l.broken(time.Now(), fmt.Errorf("receive on %s: %w", l.speaker.options.Interface, err))
			return
		}
		if payload == nil {
			return
		}
		l.packet(l.heard(meta), payload, meta)
	}
	// There may be more, which the socket will not tell again.
	poke(l.speaker.ready)
}

// heard is the time from which a packet counts: when the kernel took it in, so
// that a deadline does not move by the time this goroutine took to wake up. It is
// never before what has been handled already: to a router time does not go back.
func (l *loop) heard(meta wire.Meta) time.Time {
	if meta.Arrived.After(l.handled) {
		return meta.Arrived
	}
	return time.Now()
}

// packet hands one packet to the router it is for.
func (l *loop) packet(now time.Time, payload []byte, meta wire.Meta) {
	l.counters.Packets++
	vrid, ok := wire.VRID(payload)
	if !ok {
		l.counters.Short++
		return
	}
	r := l.byVRID[vrid]
	if r == nil {
		l.foreign[vrid]++
		return
	}
	findings, drop := r.expect.Check(payload, meta, &l.received.Advertisement)
	if drop != wire.DropNone {
		r.counters.Dropped[drop]++
		l.rejected = vrrp.AdvertRejected{Drop: drop, Advertisement: l.received.Advertisement, Source: meta.Source}
		l.handle(now, r, &l.rejected)
		return
	}
	r.counters.received(r.machine.State(), &l.received.Advertisement, findings)
	l.received.Source, l.received.Findings = meta.Source, findings
	l.handle(now, r, &l.received)
}

// fire reports the deadlines that have come, the earliest first.
func (l *loop) fire() {
	for len(l.deadlines) > 0 {
		r, now := l.deadlines[0], time.Now()
		if now.Before(r.deadline) {
			break
		}
		r.lateness.observe(now.Sub(r.deadline))
		l.handle(now, r, vrrp.DeadlineReached{})
	}
	if !l.socket.retry.IsZero() && !time.Now().Before(l.socket.retry) {
		l.open(time.Now())
	}
}

// arm sets the alarm to the next deadline. A deadline that has moved away is
// left to go off for nothing: with many packets that is much cheaper than
// setting it for each.
func (l *loop) arm() {
	next := l.socket.retry
	if len(l.deadlines) > 0 && (next.IsZero() || l.deadlines[0].deadline.Before(next)) {
		next = l.deadlines[0].deadline
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
	l.schedule(r)
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
	l.speaker.events.put(func(o Observer) { o.Changed(name, now, what) })
}

// send puts an advertisement on the wire, here and now.
func (l *loop) send(now time.Time, r *router, a *vrrp.SendAdvert) {
	b, err := a.Advertisement.Append(l.out[:0], a.Source, a.Destination, a.Checksum)
	if err == nil {
		l.out = b
		err = l.transmit(b, a.Source, a.Destination)
	}
	if err != nil {
		r.counters.SendErrors++
		r.sendError = err.Error()
		return
	}
	r.counters.Sent++
	if a.Advertisement.Priority == wire.PriorityRelease {
		r.counters.SentRelease++
		return
	}
	if !r.sent.IsZero() {
		r.gap.observe(now.Sub(r.sent))
	}
	r.sent = now
}

func (l *loop) transmit(b []byte, source, destination netip.Addr) error {
	if l.conn == nil {
		return fmt.Errorf("send on %s: no socket", l.speaker.options.Interface)
	}
	return l.conn.Send(b, source, destination)
}

// schedule puts a router into its place in the queue.
func (l *loop) schedule(r *router) {
	at, ok := r.machine.Deadline()
	switch {
	case !ok && r.index >= 0:
		heap.Remove(&l.deadlines, r.index)
	case ok && r.index < 0:
		r.deadline = at
		heap.Push(&l.deadlines, r)
	case ok && !at.Equal(r.deadline):
		r.deadline = at
		heap.Fix(&l.deadlines, r.index)
	}
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
	s.addresses.outbox.close()
	s.events.close()
	limit := time.NewTimer(farewell)
	defer limit.Stop()
	for _, done := range []<-chan struct{}{s.addresses.outbox.done, s.events.done} {
		select {
		case <-done:
		case <-limit.C:
			limit.Reset(0)
		}
	}
	s.final = l.snapshot()
	if l.conn != nil {
		_ = l.conn.Close() // Nothing more is read or written.
	}
}
