package bfdspeaker

import (
	"strconv"
	"time"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/nowait"
)

// The wait between two attempts to open a socket doubles from the first to the
// second of these.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
)

// socketCount is how many there can be: two ports, two families.
const socketCount = 4

// socket is one of the ports to receive from, open while a session needs it.
type socket struct {
	receiver Receiver
	// wanted says that a session needs it.
	wanted bool
	// err is why there is none, nil if there need not be one.
	err error
	// retry is when to try again, zero for never.
	retry time.Time
	wait  time.Duration
}

// kind tells the sockets apart by their place.
func kind(multihop, ipv6 bool) int {
	k := 0
	if multihop {
		k |= 1
	}
	if ipv6 {
		k |= 2
	}
	return k
}

// socketName is what a socket is called in reports.
func socketName(kind int) string {
	name := "udp4:"
	if kind&2 != 0 {
		name = "udp6:"
	}
	return name + strconv.Itoa(int(bfd.Path{Multihop: kind&1 != 0}.Port()))
}

// review opens the sockets that sessions need, and closes the others.
func (l *loop) review(now time.Time) {
	var wanted [socketCount]bool
	for _, s := range l.byDiscriminator {
		wanted[kind(s.path.Multihop, s.path.Peer.Is6())] = true
	}
	for i := range l.sockets {
		s := &l.sockets[i]
		switch {
		case wanted[i] && !s.wanted:
			s.wanted = true
			l.open(now, s)
		case !wanted[i] && s.wanted:
			s.close()
			if s.err != nil {
				// Nobody misses it any more.
				l.speaker.events.Put(func(o Observer) { o.SocketChanged(socketName(i), nil) })
			}
			*s = socket{}
		}
	}
}

// place is the socket's kind.
func (l *loop) place(s *socket) int {
	for i := range l.sockets {
		if s == &l.sockets[i] {
			return i
		}
	}
	return socketCount
}

// open tries once, and plans the next attempt if it fails.
func (l *loop) open(now time.Time, s *socket) {
	k := l.place(s)
	receiver, err := l.speaker.options.Listen(k&1 != 0, k&2 != 0, l.speaker.ready)
	if err != nil {
		l.failed(now, s, err)
		return
	}
	failed := s.err != nil
	*s = socket{receiver: receiver, wanted: true}
	l.counters.SocketsOpened++
	if failed {
		l.speaker.events.Put(func(o Observer) { o.SocketChanged(socketName(k), nil) })
	}
	// What came in before the reader was ready.
	nowait.Poke(l.speaker.ready)
}

// broken gives up a socket that does not work any more.
func (l *loop) broken(now time.Time, s *socket, err error) {
	s.close()
	l.failed(now, s, err)
}

// failed reports the first of a row of failures and plans another attempt.
func (l *loop) failed(now time.Time, s *socket, err error) {
	l.counters.SocketErrors++
	first := s.err == nil || s.err.Error() != err.Error()
	s.err = err
	s.wait = min(max(2*s.wait, minRetry), maxRetry)
	s.retry = now.Add(s.wait)
	if first {
		name := socketName(l.place(s))
		l.speaker.events.Put(func(o Observer) { o.SocketChanged(name, err) })
	}
}

func (s *socket) close() {
	if s.receiver != nil {
		_ = s.receiver.Close() // It is not used again, whatever the kernel says.
		s.receiver = nil
	}
}
