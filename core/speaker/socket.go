package speaker

import (
	"fmt"
	"time"

	"github.com/halo-ha/halo/core/nowait"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// The wait between two attempts to open a socket doubles from the first to the
// second of these.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
)

// The sockets of a Speaker: one for advertisements as they are, and one for those
// with an authentication header.
const (
	plain = iota
	withAH
	channelCount
)

// channel is one of the sockets, and what is known of it while there is none.
type channel struct {
	conn Conn
	// is what conn was opened for, want what it should be.
	is, want Socket
	// quiet says that nobody is to be told of errors: no router depends on it.
	quiet bool
	// err is why there is none as it is wanted, nil if there is.
	err error
	// retry is when to try again, zero for never.
	retry time.Time
	wait  time.Duration
}

// channel is the one that a router speaks through.
func (l *loop) channel(r *router) *channel {
	if r.config.Auth.Type == wire.AuthHeader {
		return &l.channels[withAH]
	}
	return &l.channels[plain]
}

// serves says whether a router can speak through the channel as it is.
func (c *channel) serves(r *router) bool {
	return c.conn != nil && (c.is.Group || r.unicast != nil)
}

// wants says what socket is needed. Whoever speaks version 2 listens to what comes
// with an authentication header as well, to tell that the peer has one; so does
// the socket for the rest for those who have one themselves.
func (l *loop) wants(which int) (want Socket, wanted, quiet bool) {
	if !l.link.Exists {
		return Socket{}, false, false
	}
	want, quiet = Socket{Index: l.link.Index, Family: l.speaker.options.Family, AH: which == withAH}, which == withAH
	for _, r := range l.byName {
		if want.AH && r.config.Version != wire.V2 && !r.alsoV2 {
			continue
		}
		wanted = true
		want.Group = want.Group || r.unicast == nil
		quiet = quiet && r.config.Auth.Type != wire.AuthHeader
	}
	return want, wanted, quiet
}

// adjustSockets closes what is not needed and opens what is. A socket that is to
// be replaced is kept until the new one is there, and read to its end.
func (l *loop) adjustSockets(now time.Time) {
	for i := range l.channels {
		c := &l.channels[i]
		want, wanted, quiet := l.wants(i)
		switch {
		case !wanted:
			c.close()
			continue
		case c.conn != nil && c.is == want:
			c.err, c.retry, c.wait = nil, time.Time{}, 0
		case c.want != want || c.retry.IsZero():
			c.want, c.wait, c.quiet = want, 0, quiet
			l.open(now, c)
		}
		c.want, c.quiet = want, quiet
	}
}

// open tries once, and plans the next attempt if it fails.
func (l *loop) open(now time.Time, c *channel) {
	s := l.speaker
	conn, err := s.options.Open(c.want, s.ready)
	if err != nil {
		l.failed(now, c, err)
		return
	}
	if old := c.conn; old != nil {
		for payload, meta, err := old.Receive(l.in); err == nil && payload != nil; payload, meta, err = old.Receive(l.in) {
			l.packet(l.heard(meta), payload, meta)
		}
		_ = old.Close() // It is not used again, whatever the kernel says.
	}
	failed := c.err != nil
	c.conn, c.is, c.err, c.retry, c.wait = conn, c.want, nil, time.Time{}, 0
	l.counters.SocketOpened++
	if failed && !c.quiet && l.socketError() == nil {
		s.events.Put(func(o Observer) { o.SocketChanged(s.options.Interface, nil) })
	}
	// What came in before the reader was ready.
	nowait.Poke(s.ready)
}

// broken gives up a socket that does not work any more.
func (l *loop) broken(now time.Time, c *channel, err error) {
	_ = c.conn.Close() // It is not used again, whatever the kernel says.
	c.conn = nil
	l.failed(now, c, err)
	l.tellAll(now)
}

// failed reports the first of a row of failures and plans another attempt.
func (l *loop) failed(now time.Time, c *channel, err error) {
	s := l.speaker
	l.counters.SocketErrors++
	first := c.err == nil || c.err.Error() != err.Error()
	c.err = err
	c.wait = min(max(2*c.wait, minRetry), maxRetry)
	c.retry = now.Add(c.wait)
	if first && !c.quiet {
		s.events.Put(func(o Observer) { o.SocketChanged(s.options.Interface, err) })
	}
}

// socketError is why a router that needs a socket has none, nil if all have.
func (l *loop) socketError() error {
	for i := range l.channels {
		if c := &l.channels[i]; c.err != nil && !c.quiet {
			return c.err
		}
	}
	return nil
}

// retrySockets tries again what has failed, if it is time to.
func (l *loop) retrySockets() {
	for i := range l.channels {
		c, now := &l.channels[i], time.Now()
		if !c.retry.IsZero() && !now.Before(c.retry) {
			l.open(now, c)
			l.tellAll(now)
		}
	}
}

// nextRetry is when retrySockets has something to do, zero for never.
func (l *loop) nextRetry() time.Time {
	var next time.Time
	for i := range l.channels {
		if retry := l.channels[i].retry; !retry.IsZero() && (next.IsZero() || retry.Before(next)) {
			next = retry
		}
	}
	return next
}

// close forgets the socket and what was wrong with it.
func (c *channel) close() {
	if c.conn != nil {
		_ = c.conn.Close() // It is not used again, whatever the kernel says.
	}
	*c = channel{}
}

func (l *loop) closeSockets() {
	for i := range l.channels {
		l.channels[i].close()
	}
}

// drain reads what waits on the sockets.
func (l *loop) drain() {
	defer func() { l.drained = time.Now() }()
	for i := range l.channels {
		if l.drainChannel(&l.channels[i]) {
			// There may be more, which the socket will not tell again.
			nowait.Poke(l.speaker.ready)
		}
	}
}

// drainChannel says whether it has left something.
func (l *loop) drainChannel(c *channel) (more bool) {
	for range drainLimit {
		if c.conn == nil {
			return false
		}
		payload, meta, err := c.conn.Receive(l.in)
		if err != nil {
			l.counters.ReceiveErrors++
			l.broken(time.Now(), c, fmt.Errorf("receive on %s: %w", l.speaker.options.Interface, err))
			return false
		}
		if payload == nil {
			return false
		}
		l.packet(l.heard(meta), payload, meta)
	}
	return true
}
