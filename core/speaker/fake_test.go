package speaker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// network is an Ethernet without latency.
type network struct {
	mu    sync.Mutex
	conns []*conn
}

type datagram struct {
	payload []byte
	meta    wire.Meta
}

// conn is one machine's socket.
type conn struct {
	host *host
	speaker.Socket
	network *network
	ready   chan<- struct{}

	mu     sync.Mutex
	queue  []datagram
	armed  bool
	closed bool
	// receives counts the calls of Receive.
	receives int
	// sent is what was sent, and when.
	sent []sending
	// receiveHook and sendHook run before the call; an error fails it.
	receiveHook, sendHook func() error
	// unreachable is where nothing can be sent to.
	unreachable netip.Addr
	// record is the payload that was sent last.
	record []byte
}

type sending struct {
	at          time.Time
	source      netip.Addr
	destination netip.Addr
	sequence    uint32 // of the authentication header, zero without one
	trailer     wire.Trailer
	signed      bool // by a trailer
	wire.Advertisement
}

var errUnreachable = errors.New("network is unreachable")

func (c *conn) Receive([]byte) ([]byte, wire.Meta, error) {
	c.mu.Lock()
	hook := c.receiveHook
	c.receives++
	c.mu.Unlock()
	if hook != nil {
		if err := hook(); err != nil {
			return nil, wire.Meta{}, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.armed = true
		return nil, wire.Meta{}, nil
	}
	d := c.queue[0]
	c.queue = c.queue[1:]
	return d.payload, d.meta, nil
}

func (c *conn) Send(payload []byte, source, destination netip.Addr) error {
	c.mu.Lock()
	hook, unreachable := c.sendHook, c.unreachable
	c.mu.Unlock()
	if hook != nil {
		if err := hook(); err != nil {
			return err
		}
	}
	if destination == unreachable {
		return errUnreachable
	}
	if destination.IsMulticast() && !c.Group {
		return errors.New("this socket is for unicast only")
	}
	meta := wire.Meta{Source: source, Destination: destination, TTL: wire.HopLimit, Interface: c.Index}
	if c.AH {
		var ok bool
		if payload, meta, ok = wire.SplitIPv4(payload); !ok {
			return errors.New("no packet with an authentication header")
		}
		meta.Interface = c.Index
	}
	meta.Arrived = time.Now()
	s := sending{at: meta.Arrived, source: source, destination: destination, sequence: meta.AH.Sequence}
	s.Version, s.VRID, s.Priority = wire.Version(payload[0]>>4), payload[1], payload[2]
	s.trailer, s.signed = wire.TrailerOf(payload, c.Family)
	c.mu.Lock()
	c.sent, c.record = append(c.sent, s), bytes.Clone(payload)
	c.mu.Unlock()
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	for _, other := range c.network.conns {
		hears := other.Group
		if !destination.IsMulticast() {
			hears = other.host.source == destination
		}
		if hears && other.host != c.host && other.AH == c.AH && other.Family == c.Family {
			other.arrive(payload, meta)
		}
	}
	return nil
}

func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	c.network.conns = slices.DeleteFunc(c.network.conns, func(x *conn) bool { return x == c })
	return nil
}

// arrive lets a packet reach the socket.
func (c *conn) arrive(payload []byte, meta wire.Meta) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, datagram{bytes.Clone(payload), meta})
	if c.armed {
		c.armed = false
		select {
		case c.ready <- struct{}{}:
		default:
		}
	}
}

func (c *conn) calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.receives
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *conn) sendings() []sending {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sent)
}

// recorded is the payload that was sent last.
func (c *conn) recorded() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record
}

// cutOff makes an address one that nothing can be sent to.
func (c *conn) cutOff(address netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unreachable = address
}

func (c *conn) hooks(receive, send func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receiveHook, c.sendHook = receive, send
}

// host is a Speaker with everything around it.
type host struct {
	*speaker.Speaker
	t       *testing.T
	network *network
	source  netip.Addr

	mu      sync.Mutex
	conns   []*conn
	openErr error
	// failing says for which sockets openErr is; nil is for all.
	failing func(speaker.Socket) bool
	log     []string
	// block makes Addresses and Observer hang while it is open.
	block chan struct{}
	start time.Time
}

func newHost(t *testing.T, n *network, source string, change ...func(*speaker.Options)) *host {
	t.Helper()
	h := &host{t: t, network: n, source: netip.MustParseAddr(source), start: time.Now()}
	options := speaker.Options{Interface: "eth0", Open: h.open, Addresses: (*addresses)(h), Observer: (*observer)(h), Groups: (*groups)(h)}
	for _, c := range change {
		c(&options)
	}
	h.Speaker = speaker.New(options)
	return h
}

// run starts the Speaker on an interface that is up. It ends with the test.
func (h *host) run() (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Errorf("Run: %v", err)
		}
	})
	return stop
}

func (h *host) up() {
	h.SetLink(speaker.Link{Exists: true, Index: 2, Up: true, Addresses: []netip.Addr{h.source}})
}

func (h *host) set(name string, config vrrp.Config) {
	h.t.Helper()
	if err := h.Set(name, config); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) open(socket speaker.Socket, ready chan<- struct{}) (speaker.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.openErr != nil && (h.failing == nil || h.failing(socket)) {
		return nil, h.openErr
	}
	c := &conn{host: h, network: h.network, Socket: socket, ready: ready}
	h.conns = append(h.conns, c)
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	h.network.conns = append(h.network.conns, c)
	return c, nil
}

func (h *host) failOpen(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.openErr = err
}

// socket is the one opened last of those with or without an authentication header.
func (h *host) socket(ah bool) *conn {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range slices.Backward(h.conns) {
		if c.AH == ah {
			return c
		}
	}
	h.t.Fatal("no socket was opened")
	return nil
}

// conn is the socket opened last.
func (h *host) conn() *conn {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.conns) == 0 {
		h.t.Fatal("no socket was opened")
	}
	return h.conns[len(h.conns)-1]
}

func (h *host) snapshot() speaker.Snapshot {
	h.t.Helper()
	s, err := h.Snapshot(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// state is that of VI_1.
func (h *host) state() vrrp.State {
	h.t.Helper()
	return h.snapshot().Routers["VI_1"].State
}

func (h *host) note(format string, args ...any) {
	h.mu.Lock()
	block := h.block
	h.mu.Unlock()
	if block != nil {
		<-block
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

// told is what Addresses and Observer heard since the last call, those with
// the prefix.
func (h *host) told(prefixes ...string) []string {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for _, line := range h.log {
		if len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(line, p) }) {
			list = append(list, line)
		}
	}
	h.log = nil
	// Orders and events arrive by two ways, each of which keeps its order.
	slices.SortStableFunc(list, func(a, b string) int { return rank(a) - rank(b) })
	// Two orders to release are carried out once or twice, as it happens.
	return slices.CompactFunc(list, func(a, b string) bool { return a == b && strings.HasPrefix(a, "release ") })
}

func rank(line string) int {
	switch word, _, _ := strings.Cut(line, " "); word {
	case "acquire", "release", "announce":
		return 0
	default:
		return 1
	}
}

func (h *host) want(got []string, want ...string) {
	h.t.Helper()
	if !slices.Equal(got, want) {
		h.t.Errorf("heard\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

type addresses host

func (a *addresses) Acquire(name string) { (*host)(a).note("acquire %s", name) }
func (a *addresses) Release(name string) { (*host)(a).note("release %s", name) }

func (a *addresses) Announce(name string, x vrrp.Announce) {
	(*host)(a).note("announce %s %d %v", name, x.Repeat, x.Reason)
}

type groups host

func (g *groups) Stands(name string, _ time.Time, s vrrp.Standing) {
	(*host)(g).note("stands %s %v wants %t", name, s.State, s.Wants)
}

type observer host

func (o *observer) Changed(name string, at time.Time, what vrrp.Action) {
	switch a := what.(type) {
	case vrrp.StateChanged:
		(*host)(o).note("state %s %v>%v %v at %v", name, a.From, a.To, a.Reason, at.Sub(o.start))
	case vrrp.FaultChanged:
		(*host)(o).note("fault %s %v at %v", name, a.Reason, at.Sub(o.start))
	case vrrp.EffectiveChanged:
		(*host)(o).note("priority %s %d>%d %s at %v", name, a.From, a.To, a.Detail, at.Sub(o.start))
	case vrrp.Mismatch:
		(*host)(o).note("mismatch %s %v %v", name, a.Kind, a.Peer)
	case *vrrp.SendAdvert, vrrp.AcquireAddresses, vrrp.ReleaseAddresses, vrrp.Announce, vrrp.Standing:
		(*host)(o).note("%s %T", name, what)
	}
}

func (o *observer) SocketChanged(iface string, err error) {
	(*host)(o).note("socket %s %v", iface, err)
}

func (o *observer) Removed(name string, at time.Time) {
	(*host)(o).note("removed %s at %v", name, at.Sub(o.start))
}

func config(priority uint8) vrrp.Config {
	return vrrp.Config{
		Version: wire.V3, VRID: 51, Priority: priority, Interval: time.Second, Preempt: true,
		Addresses:    []netip.Addr{netip.MustParseAddr("192.0.2.10")},
		Announcement: vrrp.Announcement{Repeat: 5, LowerPriorityRepeat: 5},
	}
}

// payload encodes what a peer at 192.0.2.9 with this configuration would send.
func payload(t testing.TB, c vrrp.Config) ([]byte, wire.Meta) {
	t.Helper()
	a := wire.Advertisement{Version: c.Version, VRID: c.VRID, Priority: c.Priority, Interval: c.Interval, Addresses: c.Addresses, Auth: c.Auth}
	m := wire.Meta{Source: netip.MustParseAddr("192.0.2.9"), Destination: wire.GroupIPv4(), TTL: wire.HopLimit}
	b, err := a.Append(nil, m.Source, m.Destination, c.Checksum)
	if err != nil {
		t.Fatal(err)
	}
	return b, m
}

var errDenied = errors.New("open VRRP socket: operation not permitted")
