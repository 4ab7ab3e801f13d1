package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/halo-ha/halo/core/nowait"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Conn is a socket of one interface. Only the Speaker's goroutine uses it.
type Conn interface {
	// Receive returns the payload of the next packet that waits, in the memory
	// of buf, without waiting: nil says that there is none, and from then on
	// the channel given to OpenFunc gets a value once there is.
	Receive(buf []byte) (payload []byte, meta wire.Meta, err error)
	// Send sends without waiting. A packet that cannot go out now is an error.
	// With Socket.AH the payload is a whole IP packet.
	Send(payload []byte, source, destination netip.Addr) error
	Close() error
}

// Socket is what a Speaker needs a Conn for.
type Socket struct {
	// Index is the interface's.
	Index  int
	Family wire.Family
	// Group says whether to join the family's multicast group. Without it there
	// is unicast only.
	Group bool
	// AH says that it is for advertisements with an authentication header, IP
	// protocol 51, and for those alone.
	AH bool
}

// OpenFunc opens a socket. ready has room for one value, is written without
// waiting, and is the same for all of a Speaker's sockets.
type OpenFunc func(socket Socket, ready chan<- struct{}) (Conn, error)

// Alarm is a timer.
type Alarm = nowait.Alarm

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
	// Changed tells of a vrrp.StateChanged, vrrp.FaultChanged,
	// vrrp.EffectiveChanged or vrrp.Mismatch.
	Changed(instance string, at time.Time, what vrrp.Action)
	// SocketChanged tells that the socket cannot be opened, or has broken, and
	// with nil that it works again.
	SocketChanged(iface string, err error)
	// Removed tells that the router is gone, behind everything that it did.
	Removed(instance string, at time.Time)
}

// Groups is told what concerns sync groups and priorities. It is called by the
// Speaker's own goroutine, every time and in order, and must never wait.
type Groups interface {
	// Stands tells where a member of a sync group stands.
	Stands(instance string, at time.Time, s vrrp.Standing)
}

// eventLimit is how many events wait for an Observer before the oldest are
// dropped.
const eventLimit = 1024

// Options are what a Speaker needs. All are required but Alarm and Groups;
// the zero Family is IPv4.
type Options struct {
	Interface string
	// Family is that of all routers of the Speaker.
	Family wire.Family
	Open   OpenFunc
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
	events    *nowait.Outbox[func(Observer)]

	// loop is the goroutine's own.
	loop loop
}

// New makes a Speaker without routers. Nothing happens before Run.
func New(options Options) *Speaker {
	s := &Speaker{
		options: options, mail: newMailbox(),
		ready: make(chan struct{}, 1), done: make(chan struct{}),
		addresses: newOrders(), events: nowait.NewOutbox[func(Observer)](eventLimit),
	}
	s.loop = newLoop(s)
	return s
}

// Set adds a router that speaks to its group, or changes the router of that name.
// An unchanged configuration changes nothing. Another VRID makes it another
// router: the old one says goodbye.
func (s *Speaker) Set(name string, config vrrp.Config) error {
	return s.set(name, config, nil)
}

// SetUnicast is Set for a router that speaks to its peers alone, and never to the
// group.
func (s *Speaker) SetUnicast(name string, config vrrp.Config, unicast Unicast) error {
	return s.set(name, config, &unicast)
}

func (s *Speaker) set(name string, config vrrp.Config, unicast *Unicast) error {
	err := config.Validate()
	if err == nil {
		err = s.fits(&config, unicast)
	}
	if err != nil {
		return fmt.Errorf("configure virtual router %s: %w", name, err)
	}
	config.Addresses = slices.Clone(config.Addresses)
	if unicast != nil {
		unicast = unicast.clone()
	}
	s.mail.Put(func(now time.Time) { s.loop.set(now, name, config, unicast) })
	return nil
}

// fits says whether the router can speak here and in this way.
func (s *Speaker) fits(config *vrrp.Config, unicast *Unicast) error {
	family := wire.FamilyOf(config.Addresses[0])
	switch {
	case family != s.options.Family:
		return fmt.Errorf("its addresses are of %v, and this is the speaker of %v", family, s.options.Family)
	case unicast != nil:
		return unicast.validate(family)
	case family == wire.IPv6 && config.Source.IsValid() && !config.Source.IsLinkLocalUnicast():
		return fmt.Errorf("source address %v is not link-local", config.Source) // RFC 9568 §5.1.2.1.
	}
	return nil
}

// Remove stops a router: an active one says goodbye and releases its addresses.
func (s *Speaker) Remove(name string) {
	s.mail.Put(func(now time.Time) {
		if s.loop.remove(now, name) {
			s.events.Put(func(o Observer) { o.Removed(name, now) })
		}
	})
}

// SetLink tells what is true of the interface. Only the latest counts. The
// addresses must not be changed afterwards.
func (s *Speaker) SetLink(link Link) { s.mail.putLink(link) }

// Post hands an event to a router. One that does not exist misses nothing.
func (s *Speaker) Post(name string, event vrrp.Event) {
	s.mail.Put(func(now time.Time) { s.loop.post(now, name, event) })
}

// ErrNotRunning is what Snapshot says of a Speaker whose Run does not answer.
var ErrNotRunning = errors.New("speaker is not running")

// Snapshot asks the loop for its state and waits for the answer. After the end of
// Run it is the state at that end.
func (s *Speaker) Snapshot(ctx context.Context) (Snapshot, error) {
	answer := make(chan Snapshot, 1)
	s.mail.Put(func(time.Time) {
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
