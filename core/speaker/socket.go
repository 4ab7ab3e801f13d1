package speaker

import (
	"time"
)

// The wait between two attempts to open the socket doubles from the first to
// the second of these.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
)

// socketState is what is known of the socket while there is none.
type socketState struct {
	// err is why there is none, nil if there need not be one.
	err error
	// retry is when to try again, zero for never.
	retry time.Time
	wait  time.Duration
}

// reopen closes the socket and opens one for the interface there is now.
func (l *loop) reopen(now time.Time) {
	l.closeConn()
	l.socket.retry, l.socket.wait = time.Time{}, 0
	if l.link.Exists {
		l.open(now)
	}
}

// open tries once, and plans the next attempt if it fails.
func (l *loop) open(now time.Time) {
	s := l.speaker
	conn, err := s.options.Open(l.link.Index, s.ready)
	if err != nil {
		l.failed(now, err)
		return
	}
	failed := l.socket.err != nil
	l.conn, l.socket = conn, socketState{}
	l.counters.SocketOpened++
	if failed {
		s.events.put(func(o Observer) { o.SocketChanged(s.options.Interface, nil) })
	}
	l.tellAll(now)
	// What came in before the reader was ready.
	poke(s.ready)
}

// broken gives up a socket that does not work any more.
func (l *loop) broken(now time.Time, err error) {
	l.closeConn()
	l.failed(now, err)
}

// failed reports the first of a row of failures and plans another attempt.
func (l *loop) failed(now time.Time, err error) {
	s := l.speaker
	l.counters.SocketErrors++
	first := l.socket.err == nil || l.socket.err.Error() != err.Error()
	l.socket.err = err
	l.socket.wait = min(max(2*l.socket.wait, minRetry), maxRetry)
	l.socket.retry = now.Add(l.socket.wait)
	if first {
		s.events.put(func(o Observer) { o.SocketChanged(s.options.Interface, err) })
	}
	l.tellAll(now)
}

func (l *loop) closeConn() {
	if l.conn != nil {
		_ = l.conn.Close() // It is not used again, whatever the kernel says.
		l.conn = nil
	}
}
