package radvspeaker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/halo-ha/halo/core/nowait"
	"github.com/halo-ha/halo/core/radv"
)

// Conn is where one router advertises. Only the Speaker's goroutine uses it.
type Conn interface {
	// Send sends a message to all nodes of the link. It may wait for a moment.
	Send(message []byte) error
	Close() error
}

// Kernel is the machine.
type Kernel interface {
	// Open opens a Conn. heard is called, from another goroutine, for what
	// looks like a solicitation, and must not keep it.
	Open(at Place, source netip.Addr, heard func(message []byte, m radv.Meta)) (Conn, error)
	// Forwards says whether what arrives by a link is sent on.
	Forwards(link string) bool
}

// Place is a link that carries a router's address.
type Place struct {
	Link  string
	Index int
	// Hardware is the bytes of the link's address, empty where it has none.
	Hardware string
}

// Links is what is known of the machine's links at one time.
type Links interface {
	// Find is where an interface's virtual router can be spoken for: the link
	// that is up and has the address, ready for use.
	Find(iface string, address netip.Addr) (Place, bool)
}

// Router is one virtual router of IPv6.
type Router struct {
	Interface string
	// Source is its link-local address, by which hosts know it.
	Source netip.Addr
	// Config is nil for a router that advertises nothing.
	Config *radv.Config
}

// Options are what a Speaker needs. Random may be nil.
type Options struct {
	Kernel Kernel
	Log    *slog.Logger
	// Random answers a time below n; nil is the runtime's generator.
	Random func(n time.Duration) time.Duration
}

// Speaker advertises the virtual routers of a machine. Its methods may be called
// from any goroutine and, but for Run and Snapshots, never wait.
type Speaker struct {
	options Options
	// wake has a value when there may be something to do.
	wake      chan struct{}
	questions chan chan map[string]Snapshot

	mu    sync.Mutex
	facts facts

	// routers are the goroutine's own.
	routers map[string]*router
	message []byte
}

// facts are what the Speaker was told last.
type facts struct {
	routers map[string]Router
	active  map[string]bool
	links   Links // nil before the kernel was looked at
}

// New makes a Speaker without routers. Nothing happens before Run.
func New(options Options) *Speaker {
	if options.Random == nil {
		options.Random = rand.N[time.Duration]
	}
	return &Speaker{
		options: options, wake: make(chan struct{}, 1), questions: make(chan chan map[string]Snapshot),
		facts: facts{routers: map[string]Router{}, active: map[string]bool{}}, routers: map[string]*router{},
	}
}

// Apply makes routers, by name, the ones there are. One that is unchanged notices
// nothing. One that is not among them falls silent: others may go on advertising
// it. One that is, and has no Config any more, tells hosts.
func (s *Speaker) Apply(routers map[string]Router) error {
	for name, r := range routers {
		if r.Config == nil {
			continue
		}
		err := r.Config.Validate()
		if err == nil && !r.Source.IsLinkLocalUnicast() {
			err = fmt.Errorf("%v is not link-local", r.Source) // RFC 4861 §4.2.
		}
		if err != nil {
			return fmt.Errorf("configure router advertisements of %s: %w", name, err)
		}
	}
	s.note(func(f *facts) {
		f.routers = maps.Clone(routers)
		maps.DeleteFunc(f.active, func(name string, _ bool) bool {
			_, stays := routers[name]
			return !stays
		})
	})
	return nil
}

// SetActive tells whether a router is the active one.
func (s *Speaker) SetActive(name string, active bool) {
	s.note(func(f *facts) {
		if _, known := f.routers[name]; known {
			f.active[name] = active
		}
	})
}

// SetLinks tells what is true of the links now.
func (s *Speaker) SetLinks(links Links) { s.note(func(f *facts) { f.links = links }) }

func (s *Speaker) note(change func(*facts)) {
	s.mu.Lock()
	change(&s.facts)
	s.mu.Unlock()
	s.poke()
}

func (s *Speaker) poke() { nowait.Poke(s.wake) }

// known is a copy of the facts.
func (s *Speaker) known() facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return facts{routers: s.facts.routers, active: maps.Clone(s.facts.active), links: s.facts.links}
}

// Run serves until ctx ends. Then it is silent, and so are hosts told nothing: the
// next active router goes on.
func (s *Speaker) Run(ctx context.Context) error {
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, r := range s.routers {
				r.silence(time.Now())
			}
			return nil
		case answer := <-s.questions:
			answer <- s.snapshots()
			continue
		case <-s.wake:
		case <-alarm.C:
		}
		alarm.Reset(s.pass())
	}
}

// pass does everything there is to do, and says when there is more.
func (s *Speaker) pass() time.Duration {
	f := s.known()
	for name, want := range f.routers {
		if s.routers[name] == nil && want.Config != nil {
			s.routers[name] = newRouter(s, name, want)
		}
	}
	rest := time.Hour
	for name, r := range s.routers {
		next, ends := r.pass(f)
		if ends {
			delete(s.routers, name)
			continue
		}
		if !next.IsZero() {
			rest = min(rest, time.Until(next))
		}
	}
	return rest
}

// ErrNotRunning is what Snapshots says of a Speaker whose Run does not answer.
var ErrNotRunning = errors.New("speaker of router advertisements is not running")

// Snapshots asks for the state of all routers that are to advertise, by name.
func (s *Speaker) Snapshots(ctx context.Context) (map[string]Snapshot, error) {
	answer := make(chan map[string]Snapshot, 1)
	select {
	case s.questions <- answer:
		return <-answer, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("read state of router advertisements: %w: %w", ErrNotRunning, ctx.Err())
	}
}
