package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Conn is the socket of one interface. Only the Speaker's goroutine uses it.
type Conn interface {
	// Receive returns the payload of the next packet that waits, in the memory
	// of buf, without waiting: nil says that there is none, and from then on
	// the channel given to OpenFunc gets a value once there is.
	Receive(buf []byte) (payload []byte, meta wire.Meta, err error)
	// Send sends without waiting. A packet that cannot go out now is an error.
	Send(payload []byte, source, destination netip.Addr) error
	Close() error
}

// OpenFunc opens the socket on the interface with the index. ready has room for
// one value and is written without waiting.
type OpenFunc func(index int, ready chan<- struct{}) (Conn, error)

// Alarm is a timer. The zero delay and less are now.
type Alarm interface {
	// Reset makes the channel get a value once, d from now, and no longer when
	// it was to before. A value from before may still be in it.
	Reset(d time.Duration)
	C() <-chan time.Time
	// Stop ends the alarm for good.
	Stop()
}

// Addresses owns the virtual addresses. It is called in order from a goroutine
// that does nothing else; orders it is too slow for are replaced by later ones.
type Addresses interface {
	Acquire(instance string)
	// Release may come for an instance that holds nothing.
	Release(instance string)
	// Announce comes behind the Acquire it belongs to.
	Announce(instance string, a vrrp.Announce)
}

// Observer is told what happened, in order, from a goroutine that does nothing
// else. When it is too slow the oldest events are dropped and counted.
type Observer interface {
	// Changed tells of a vrrp.StateChanged, vrrp.EffectiveChanged or
	// vrrp.Mismatch.
	Changed(instance string, at time.Time, what vrrp.Action)
	// SocketChanged tells that the socket cannot be opened, or has broken, and
	// with nil that it works again.
	SocketChanged(iface string, err error)
}

// Groups is told what concerns sync groups and priorities. It is called by the
// Speaker's own goroutine, every time and in order, and must never wait.
type Groups interface {
	// Stands tells where a member of a sync group stands.
	Stands(instance string, at time.Time, s vrrp.Standing)
}

// Options are what a Speaker needs. All are required but Alarm and Groups.
type Options struct {
	Interface string
	Open      OpenFunc
	// Alarm makes the timer; nil is a time.Timer, which may be a millisecond
	// late.
	Alarm     func() (Alarm, error)
	Addresses Addresses
	Observer  Observer
	// Groups may be nil where no router belongs to a sync group.
	Groups Groups
}

// Link is what is true of the interface.
type Link struct {
	// Exists says that there is an interface of that name.
	Exists bool
	// Index tells it from an earlier one of the same name.
	Index int
	// Up says that it is up and has carrier.
	Up bool
	// Addresses are those of the Speaker's family, in the kernel's order.
	Addresses []netip.Addr
}

func (l *Link) equal(other *Link) bool {
	return l.Exists == other.Exists && l.Index == other.Index && l.Up == other.Up &&
		slices.Equal(l.Addresses, other.Addresses)
}

// Speaker serves the virtual routers of one interface. Its methods may be called
// from any goroutine and, but for Run and Snapshot, never wait.
type Speaker struct {
	options Options
	mail    mailbox
	// ready gets a value when packets wait.
	ready chan struct{}
	// done is closed when Run has ended, behind the writing of final.
	done  chan struct{}
	final Snapshot

	addresses *orders
	events    *outbox[func(Observer)]

	// loop is the goroutine's own.
	loop loop
}

// New makes a Speaker without routers. Nothing happens before Run.
func New(options Options) *Speaker {
	s := &Speaker{
		options: options, mail: newMailbox(),
		ready: make(chan struct{}, 1), done: make(chan struct{}),
		addresses: newOrders(), events: newOutbox[func(Observer)](eventLimit),
	}
	s.loop = newLoop(s)
	return s
}

// Set adds a router, or changes the one of that name. An unchanged configuration
// changes nothing. Another VRID makes it another router: the old one says
// goodbye.
func (s *Speaker) Set(name string, config vrrp.Config) error {
	if err := config.Validate(); err != nil {
		return fmt.Errorf("configure virtual router %s: %w", name, err)
	}
	config.Addresses = slices.Clone(config.Addresses)
	s.mail.put(func(now time.Time) { s.loop.set(now, name, config) })
	return nil
}

// Remove stops a router: an active one says goodbye and releases its addresses.
func (s *Speaker) Remove(name string) {
	s.mail.put(func(now time.Time) { s.loop.remove(now, name) })
}

// SetLink tells what is true of the interface. Only the latest counts.
func (s *Speaker) SetLink(link Link) {
	link.Addresses = slices.Clone(link.Addresses)
	s.mail.putLink(link)
}

// Post hands an event to a router. One that does not exist misses nothing.
func (s *Speaker) Post(name string, event vrrp.Event) {
	s.mail.put(func(now time.Time) { s.loop.post(now, name, event) })
}

// ErrNotRunning is what Snapshot says of a Speaker whose Run does not answer.
var ErrNotRunning = errors.New("speaker is not running")

// Snapshot asks the loop for its state and waits for the answer. After the end of
// Run it is the state at that end.
func (s *Speaker) Snapshot(ctx context.Context) (Snapshot, error) {
	answer := make(chan Snapshot, 1)
	s.mail.put(func(time.Time) {
		s.loop.refresh()
		answer <- s.loop.snapshot()
	})
	select {
	case snapshot := <-answer:
		return snapshot, nil
	case <-s.done:
		return s.final, nil
	case <-ctx.Done():
		return Snapshot{}, fmt.Errorf("read state of interface %s: %w: %w", s.options.Interface, ErrNotRunning, ctx.Err())
	}
}
