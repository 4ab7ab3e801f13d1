// Package ipvsnl reads and changes the kernel's IPVS table over generic netlink.
//
// Changes go through cloudflare/ipvs; the package takes care of what that library
// leaves to its callers: the mask without which the kernel refuses a service, the
// family id that dies with the kernel module, and errors that do not say what
// they are about. Reading, which happens all the time, is done here. The package
// decides nothing, keeps nothing about the table, loads no module and starts no
// goroutine.
//
// A Handle belongs to the network namespace of the thread that opened it, and
// stays there whichever thread uses it later. core/balance uses one from its
// goroutine through an interface of its own; core/daemon asks it at start
// whether IPVS is there. Tests against a real kernel run in the test kernel.
//
// Read Handle first.
package ipvsnl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	lvs "github.com/cloudflare/ipvs"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/ipvs"
)

// Handle is access to one network namespace's IPVS table. It connects when it
// is first used, and again after the module was unloaded and loaded, so that it
// can be made on a machine that has no IPVS yet. Its methods may be called from
// any goroutine; they run one at a time.
type Handle struct {
	mu     sync.Mutex
	dial   func() (connection, error)
	conn   connection // nil while there is none
	home   *namespace
	closed bool
	// scratch is kept for its memory.
	scratch []ipvs.Destination
}

// connection is access to the family as it was when the connection was made.
type connection interface {
	Info() (lvs.Info, error)
	CreateService(lvs.Service) error
	UpdateService(lvs.Service) error
	RemoveService(lvs.Service) error
	CreateDestination(lvs.Service, lvs.Destination) error
	UpdateDestination(lvs.Service, lvs.Destination) error
	RemoveDestination(lvs.Service, lvs.Destination) error

	services() (ipvs.Table, error)
	service(ipvs.ServiceKey) (ipvs.Service, error)
	destinations([]ipvs.Destination, ipvs.ServiceKey) ([]ipvs.Destination, error)
	close() error
}

// kernelConnection is a connection to the real thing.
type kernelConnection struct {
	lvs.Client
	*reader
}

// Open returns a Handle for the calling thread's network namespace. It does not
// ask yet whether there is IPVS: Version does.
func Open() (*Handle, error) {
	home, err := currentNamespace()
	if err != nil {
		return nil, fmt.Errorf("open IPVS: %w", err)
	}
	h := &Handle{home: home}
	h.dial = func() (connection, error) {
		var c connection
		err := home.do(func() (err error) {
			c, err = dial()
			return err
		})
		return c, err
	}
	return h, nil
}

// dial connects in the calling thread's network namespace.
func dial() (connection, error) {
	r, err := openReader()
	if err != nil {
		return nil, err
	}
	client, err := lvs.New()
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return &kernelConnection{client, r}, nil
}

func (c *kernelConnection) close() error {
	err := c.reader.close()
	if client, ok := c.Client.(io.Closer); ok {
		err = errors.Join(err, client.Close())
	}
	return err
}

// Close ends the connection. The table stays as it is.
func (h *Handle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	h.hangUp()
	return h.home.close()
}

// Version returns the kernel's IPVS version, "1.2.1", or an error that says what
// is missing and what to do about it.
func (h *Handle) Version() (string, error) {
	var info lvs.Info
	err := h.call(func(c connection) (err error) {
		info, err = c.Info()
		return err
	})
	if err != nil {
		return "", explain("read the IPVS version", err)
	}
	return fmt.Sprintf("%d.%d.%d", info.Version[0], info.Version[1], info.Version[2]), nil
}

// call runs f with a connection. A connection whose family id the kernel no
// longer knows is replaced, and f runs once more.
func (h *Handle) call(f func(connection) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return os.ErrClosed
	}
	fresh := h.conn == nil
	if fresh {
		c, err := h.dial()
		if err != nil {
			return absent(err)
		}
		h.conn = c
	}
	err := guard(h.conn, f)
	switch {
	case errors.Is(err, errBroken):
		h.hangUp()
		return err
	case fresh || !h.stale(err):
		return err
	}
	h.hangUp()
	c, err := h.dial()
	if err != nil {
		return absent(err)
	}
	h.conn = c
	return guard(h.conn, f)
}

// stale reports whether err may mean that the connection's family id is gone,
// and is. Generic netlink answers ENOENT to a message for an unknown family,
// and IPVS answers ENOENT to much else, so the question is asked again with a
// command that cannot fail that way.
func (h *Handle) stale(err error) bool {
	if !errors.Is(err, unix.ENOENT) {
		return false
	}
	return errors.Is(guard(h.conn, func(c connection) error {
		_, err := c.Info()
		return err
	}), unix.ENOENT)
}

func (h *Handle) hangUp() {
	if h.conn != nil {
		_ = h.conn.close() // Nothing is buffered, so nothing can be lost.
		h.conn = nil
	}
}

// guard turns a panic into an error: the library slices values out of the
// kernel's messages without looking at their length.
func guard(c connection, f func(connection) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errBroken, r)
		}
	}()
	return f(c)
}

// Dump returns all services, sorted. The destinations are read of those that
// interest (nil: all) says are of interest; the others come without. interest is
// called for one service after the other, in order, each time before the kernel
// is asked.
func (h *Handle) Dump(interest func(ipvs.ServiceKey) bool) (ipvs.Table, error) {
	var t ipvs.Table
	err := h.call(func(c connection) (err error) {
		t, err = c.services()
		return err
	})
	if err != nil {
		return nil, explain("list IPVS services", err)
	}
	// The kernel walks its table in steps and remembers a position, not an
	// entry: a change in between can make it report one twice.
	t.Sort()
	t = slices.CompactFunc(t, func(a, b ipvs.Service) bool { return a.Key == b.Key })
	for i := range t {
		if interest == nil || interest(t[i].Key) {
			if err := h.readDestinations(&t[i]); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// Read returns one service with its destinations, and false when there is none.
func (h *Handle) Read(k ipvs.ServiceKey) (ipvs.Service, bool, error) {
	var s ipvs.Service
	err := h.call(func(c connection) (err error) {
		s, err = c.service(k)
		return err
	})
	switch {
	case errors.Is(err, unix.ESRCH):
		return ipvs.Service{}, false, nil
	case err != nil:
		return ipvs.Service{}, false, explain("read service "+k.String(), err)
	}
	if err := h.readDestinations(&s); err != nil {
		return ipvs.Service{}, false, err
	}
	return s, true, nil
}

func (h *Handle) readDestinations(s *ipvs.Service) error {
	err := h.call(func(c connection) (err error) {
		h.scratch, err = c.destinations(h.scratch[:0], s.Key)
		s.Destinations = slices.Clone(h.scratch)
		return err
	})
	if err != nil {
		return explain("list destinations of service "+s.Key.String(), err)
	}
	ipvs.SortDestinations(s.Destinations)
	s.Destinations = slices.CompactFunc(s.Destinations, func(a, b ipvs.Destination) bool { return a.Address == b.Address })
	return nil
}

// Apply does one operation. errors.Is tells ipvs.ErrExists and ipvs.ErrNotFound,
// after which the table is not what the caller thought, from everything else.
func (h *Handle) Apply(op ipvs.Op) error {
	s, d := toService(&op.Service), toDestination(&op.Destination)
	err := h.call(func(c connection) error {
		switch op.Verb {
		case ipvs.AddService:
			return c.CreateService(s)
		case ipvs.EditService:
			return c.UpdateService(s)
		case ipvs.DeleteService:
			return c.RemoveService(s)
		case ipvs.AddDestination:
			return c.CreateDestination(s, d)
		case ipvs.EditDestination:
			return c.UpdateDestination(s, d)
		case ipvs.DeleteDestination:
			return c.RemoveDestination(s, d)
		default:
			return errors.New("no such operation")
		}
	})
	if err == nil {
		return nil
	}
	return explainOp(&op, err)
}
