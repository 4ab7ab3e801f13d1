// Package netloop opens very many TCP connections for the price of the system
// calls alone: one goroutine and one epoll set for all of them, no goroutine,
// no thread and no timer per target.
//
// It answers one question, "does the target complete a TCP handshake in
// time?", and closes the connection at once; nothing is ever sent over it. It
// keeps no schedule, retries nothing and judges nothing beyond sorting errors
// into the target's and this machine's own (Answer.Result). It never resolves
// names.
//
// A checker calls Dial from any goroutine; one goroutine per process runs
// Run, and calls every done function. The package runs on Linux only.
//
// # Why an orderly close
//
// A connected socket is closed plainly: the target sees a client that connects
// and leaves (FIN). Closing with a reset (SO_LINGER 0) would spare this machine
// the TIME_WAIT entries, but many servers log a reset as an error of their
// client, once per check, and some count it against the client's address. A
// TIME_WAIT entry costs about 250 bytes of kernel memory for 60 seconds, so
// 1,000 checks a second hold some 15 MB, bounded by net.ipv4.tcp_max_tw_buckets;
// and it occupies a local port towards that one target only, so that ports
// cannot run out below some 400 checks a second of one single endpoint. The
// close never blocks: no linger time is set. A target that greets first (SMTP,
// SSH) may still see a reset when its greeting meets the closed socket.
//
// Read Loop first, then Answer.
package netloop

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// eventBatch is how many ready sockets one system call may report.
const eventBatch = 256

// Loop is one epoll set and the attempts in it.
//
//	Dial --(mutex, queue)--> Run: take queue -> socket, bind, connect -> epoll
//	                              ready sockets  -> done(Connected | error)
//	                              due deadlines  -> done(TimedOut)
//
// The epoll descriptor itself is registered with the runtime's poller, so an
// idle loop is a parked goroutine, not a thread inside epoll_wait, and waking
// it is a change of its read deadline, not a write to an eventfd: Dial makes
// no system call. The zero Loop is not usable; Open makes one.
type Loop struct {
	file *os.File
	conn syscall.RawConn
	// epoch is what the int64 nanoseconds below count from; it keeps the
	// monotonic clock and saves two words per attempt.
	epoch time.Time

	mu      sync.Mutex
	queue   []request // waiting for Run to start them
	parked  bool      // Run sleeps, or is about to: its deadline must be moved to wake it
	running bool
	closed  bool

	// What follows belongs to the goroutine in Run alone.
	taking    []request // the other half of a double buffer with queue
	attempts  []attempt // slots, addressed by the epoll user data
	free      []int32   // slots not in use
	deadlines deadlines
	events    [eventBatch]unix.EpollEvent
	target4   unix.SockaddrInet4
	target6   unix.SockaddrInet6
}

// request is one Dial that Run has not yet started.
type request struct {
	target   netip.AddrPort
	bind     netip.Addr
	deadline int64
	done     func(Answer)
}

// attempt is one connection under way.
type attempt struct {
	done     func(Answer)
	deadline int64
	started  int64
	fd       int
	// generation tells a late event of a slot's previous user from its present one's.
	generation int32
	// place is the attempt's index in the deadline heap.
	place int32
}

// Open makes a loop. It uses one descriptor and starts nothing; Run does the work.
func Open() (*Loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll set: %w", err)
	}
	// os.NewFile hands a descriptor to the runtime's poller only if it is non-blocking.
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make epoll set non-blocking: %w", err)
	}
	l := &Loop{file: os.NewFile(uintptr(fd), "epoll"), epoch: time.Now()}
	if l.conn, err = l.file.SyscallConn(); err != nil {
		_ = l.file.Close()
		return nil, fmt.Errorf("use epoll set: %w", err)
	}
	if err := l.file.SetReadDeadline(time.Time{}); err != nil {
		_ = l.file.Close()
		return nil, fmt.Errorf("register epoll set with the runtime: %w", err)
	}
	return l, nil
}

// Dial begins a connection to target and returns at once, without a system
// call. A valid bind is the local address to connect from. done is called
// exactly once, at the deadline at the latest: from Run's goroutine, or from
// Dial or Close where no Run is there to do it. It must not block, but it may
// call Dial.
func (l *Loop) Dial(target netip.AddrPort, bind netip.Addr, deadline time.Time, done func(Answer)) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		done(Answer{State: Closed})
		return
	}
	l.queue = append(l.queue, request{target, bind, int64(deadline.Sub(l.epoch)), done})
	l.wake()
	l.mu.Unlock()
}

// Run works until ctx ends or Close is called, then answers Closed to every
// attempt and releases the descriptors. It returns nil after Close, even one
// that came first, and the context's error otherwise. A loop runs once.
func (l *Loop) Run(ctx context.Context) error {
	l.mu.Lock()
	if l.closed && !l.running {
		l.mu.Unlock()
		return nil
	}
	if l.running {
		l.mu.Unlock()
		return errors.New("run connection loop: it runs already")
	}
	l.running = true
	l.mu.Unlock()
	defer l.release()
	defer context.AfterFunc(ctx, l.Close)()

	for {
		// The callback runs at once and then after each readiness of the epoll
		// set, all inside one Read: an event between two calls is never lost.
		err := l.conn.Read(func(fd uintptr) bool { return !l.turn(int(fd)) })
		switch {
		case err == nil:
			return ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			// A deadline of an attempt, or wake. The next Read needs one that
			// has not passed; the turn it begins with sets the real one.
			l.mu.Lock()
			l.parked = false
			_ = l.file.SetReadDeadline(time.Time{})
			l.mu.Unlock()
		default:
			return fmt.Errorf("wait for connections: %w", err)
		}
	}
}

// Close ends Run, which then answers Closed to every attempt. It does not wait
// for that, and may be called more than once and before Run.
func (l *Loop) Close() {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	if l.running {
		l.wake()
		first = false
	}
	l.mu.Unlock()
	if first {
		l.release()
	}
}

// wake makes a sleeping Run look at the queue. The mutex is held.
func (l *Loop) wake() {
	if l.parked {
		l.parked = false
		_ = l.file.SetReadDeadline(l.epoch)
	}
}

// turn does everything there is to do and reports false when the loop is
// closed. Readiness is looked at before deadlines: after a stall of this
// process an answer that came in time still counts, and an attempt without one
// has truly had none.
func (l *Loop) turn(epoll int) bool {
	for {
		ready := l.collect(epoll)
		l.expire()
		more, open := l.begin(epoll)
		if !open {
			return false
		}
		// With nothing begun and nothing left ready there is nothing to do
		// before the next event; otherwise look again, as a connection over
		// the loopback is usually complete by now.
		if !more && ready < eventBatch {
			if l.park() {
				return true
			}
		}
	}
}

// collect answers the attempts that came to an end by themselves.
func (l *Loop) collect(epoll int) (last int) {
	for {
		n, err := unix.EpollWait(epoll, l.events[:], 0)
		if err != nil || n == 0 { // EINTR: the caller looks again.
			return 0
		}
		now := l.now()
		for _, event := range l.events[:n] {
			slot := event.Fd
			a := &l.attempts[slot]
			if a.generation != event.Pad || a.done == nil {
				continue
			}
			// A socket that is writable and neither in error nor hung up is
			// connected; only the others need a system call to say why.
			answer := Answer{State: Connected, Took: time.Duration(now - a.started)}
			if event.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
				answer.State, answer.Errno = ended(a.fd)
			}
			l.finish(slot, answer)
		}
		if n < eventBatch {
			return n
		}
	}
}

// expire answers TimedOut to the attempts whose deadline has come.
func (l *Loop) expire() {
	if len(l.deadlines) == 0 {
		return
	}
	now := l.now()
	for len(l.deadlines) > 0 {
		slot := l.deadlines[0]
		a := &l.attempts[slot]
		if a.deadline > now {
			return
		}
		l.finish(slot, Answer{State: TimedOut, Took: time.Duration(now - a.started)})
	}
}

// begin starts what Dial has queued; it reports whether there was anything,
// and whether the loop is still open.
func (l *Loop) begin(epoll int) (more, open bool) {
	l.mu.Lock()
	l.taking, l.queue = l.queue, l.taking[:0]
	open = !l.closed
	l.mu.Unlock()
	for i := range l.taking {
		if open {
			l.start(epoll, &l.taking[i])
		} else {
			l.taking[i].done(Answer{State: Closed})
		}
		l.taking[i].done = nil
	}
	return len(l.taking) > 0, open
}

// park sets the time to wake at. It reports false when the queue has filled meanwhile.
func (l *Loop) park() bool {
	var at time.Time
	if len(l.deadlines) > 0 {
		at = l.epoch.Add(time.Duration(l.attempts[l.deadlines[0]].deadline))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 || l.closed {
		return false
	}
	l.parked = true
	_ = l.file.SetReadDeadline(at)
	return true
}

// finish ends an attempt, gives its slot back and tells its owner.
func (l *Loop) finish(slot int32, answer Answer) {
	a := &l.attempts[slot]
	done := a.done
	// Closing the only descriptor of a socket takes it out of the epoll set.
	_ = unix.Close(a.fd)
	l.deadlines.remove(l.attempts, a.place)
	a.done = nil
	a.generation++
	l.free = append(l.free, slot)
	done(answer)
}

// release answers everything that is left and gives the descriptors back.
func (l *Loop) release() {
	l.mu.Lock()
	l.closed = true
	l.taking, l.queue = l.queue, nil
	l.mu.Unlock()
	for i := range l.taking {
		l.taking[i].done(Answer{State: Closed})
	}
	for len(l.deadlines) > 0 {
		l.finish(l.deadlines[0], Answer{State: Closed})
	}
	_ = l.file.Close()
}

func (l *Loop) now() int64 { return int64(time.Since(l.epoch)) }
