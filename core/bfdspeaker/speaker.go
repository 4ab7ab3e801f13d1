package bfdspeaker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/nowait"
)

// Receiver is the socket that the packets of one family come to on one port. Only
// the Speaker's goroutine uses it.
type Receiver interface {
	// Receive returns the payload of the next packet that waits, in the memory
	// of buf, without waiting: nil says that there is none, and from then on
	// the channel given to Listen gets a value once there is.
	Receive(buf []byte) (payload []byte, meta bfd.Meta, err error)
	Close() error
}

// Sender is what one session sends through. Only the Speaker's goroutine uses it.
type Sender interface {
	// Send sends without waiting. A packet that cannot go out now is an error,
	// and the next one may go out again.
	Send(payload []byte, ttl uint8) error
	// Port is the source port, the same for life.
	Port() uint16
	Close() error
}

// Alarm is a timer.
type Alarm = nowait.Alarm

// Observer is told what happened, in order, from a goroutine that does nothing
// else. When it is too slow the oldest events are dropped and counted.
type Observer interface {
	// StateChanged tells of every transition of a session. A session begins as
	// Down, or as AdminDown if it is disabled, without being told; when it is
	// removed, or the Speaker ends, it goes to AdminDown.
	StateChanged(session string, at time.Time, c bfd.StateChanged)
	// SocketChanged tells that a receiving socket cannot be opened, or has
	// broken, and with nil that it works again.
	SocketChanged(socket string, err error)
}

// eventLimit is how many events wait for an Observer before the oldest are
// dropped.
const eventLimit = 1024

// Options are what a Speaker needs. All are required but Alarm and Random.
type Options struct {
	// Listen opens a receiving socket. ready has room for one value and is
	// written without waiting.
	Listen func(multihop, ipv6 bool, ready chan<- struct{}) (Receiver, error)
	// Dial opens the socket of a session.
	Dial func(path bfd.Path) (Sender, error)
	// Alarm makes the timer; nil is a time.Timer, which may be a millisecond
	// late.
	Alarm    func() (Alarm, error)
	Observer Observer
	// Random answers a number below n that is hard to guess, for discriminators
	// and jitter; nil is the runtime's generator.
	Random func(n uint32) uint32
}

// Speaker serves the BFD sessions of a machine. Its methods may be called from
// any goroutine and, but for Run and Snapshot, never wait.
type Speaker struct {
	options Options
	mail    nowait.Mailbox
	// ready gets a value when packets wait.
	ready chan struct{}
	// done is closed when Run has ended, behind the writing of final.
	done  chan struct{}
	final Snapshot

	events *nowait.Outbox[func(Observer)]

	// loop is the goroutine's own.
	loop loop
}

// New makes a Speaker without sessions. Nothing happens before Run.
func New(options Options) *Speaker {
	if options.Random == nil {
		options.Random = rand.Uint32N
	}
	s := &Speaker{
		options: options, mail: nowait.NewMailbox(),
		ready: make(chan struct{}, 1), done: make(chan struct{}), events: nowait.NewOutbox[func(Observer)](eventLimit),
	}
	s.loop = newLoop(s)
	return s
}

// Set adds a session, or changes the one of that name. An unchanged configuration
// changes nothing, and another one keeps the session: the peer is told new
// intervals. Another path makes it another session, and the old one says goodbye.
func (s *Speaker) Set(name string, path bfd.Path, config bfd.Config) error {
	err := path.Validate()
	if err == nil {
		err = config.Validate()
	}
	if err != nil {
		return fmt.Errorf("configure BFD session %s: %w", name, err)
	}
	s.mail.Put(func(now time.Time) { s.loop.set(now, name, path, config) })
	return nil
}

// Remove ends a session. The peer is told so for as long as it may reckon with
// packets.
func (s *Speaker) Remove(name string) {
	s.mail.Put(func(now time.Time) { s.loop.remove(now, name) })
}

// ErrNotRunning is what Snapshot says of a Speaker whose Run does not answer.
var ErrNotRunning = errors.New("BFD speaker is not running")

// Snapshot asks the loop for its state and waits for the answer. After the end of
// Run it is the state at that end.
func (s *Speaker) Snapshot(ctx context.Context) (Snapshot, error) {
	answer := make(chan Snapshot, 1)
	s.mail.Put(func(time.Time) { answer <- s.loop.snapshot() })
	select {
	case snapshot := <-answer:
		return snapshot, nil
	case <-s.done:
		return s.final, nil
	case <-ctx.Done():
		return Snapshot{}, fmt.Errorf("read state of BFD sessions: %w: %w", ErrNotRunning, ctx.Err())
	}
}
