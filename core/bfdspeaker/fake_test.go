package bfdspeaker_test

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

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/bfdspeaker"
)

const ms = time.Millisecond

// network is an Ethernet without latency.
type network struct {
	mu    sync.Mutex
	hosts []*host
	// lose decides about each packet; nil loses none.
	lose func(from, to netip.Addr) bool
}

// host is a Speaker with everything around it.
type host struct {
	*bfdspeaker.Speaker
	t       *testing.T
	network *network
	address netip.Addr
	start   time.Time

	mu        sync.Mutex
	receivers map[kind]*receiver
	opened    int
	listenErr error
	dialErr   error
	sendErr   error
	senders   []*sender
	sent      []sending
	log       []string
	// block makes the Observer hang while it is open.
	block chan struct{}
	// random is what the next draws answer, then halves.
	random []uint32
}

type kind struct{ multihop, ipv6 bool }

type sending struct {
	at time.Time
	to netip.Addr
	bfd.Packet
}

func newHost(t *testing.T, n *network, address string, change ...func(*bfdspeaker.Options)) *host {
	t.Helper()
	h := &host{t: t, network: n, address: netip.MustParseAddr(address), start: time.Now(), receivers: map[kind]*receiver{}}
	options := bfdspeaker.Options{Listen: h.listen, Dial: h.dial, Observer: (*observer)(h), Random: h.draw}
	for _, c := range change {
		c(&options)
	}
	h.Speaker = bfdspeaker.New(options)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts = append(n.hosts, h)
	return h
}

// run starts the Speaker. The function it returns ends it.
func (h *host) run() (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Errorf("Run: %v", err)
		}
	})
}

// draw answers what a test wants, else the middle.
func (h *host) draw(n uint32) uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.random) == 0 {
		// A discriminator that differs from one to the next; no jitter.
		if n == 1<<32-1 {
			h.opened++
			return uint32(1000*h.opened) + uint32(h.address.As16()[15])
		}
		return 0
	}
	r := h.random[0]
	h.random = h.random[1:]
	return r
}

func (h *host) set(name, peer string, change ...func(*bfd.Config)) {
	h.t.Helper()
	c := bfd.Defaults()
	c.MinTx, c.MinRx, c.Multiplier = 100*ms, 100*ms, 3
	for _, f := range change {
		f(&c)
	}
	if err := h.Set(name, bfd.Path{Peer: netip.MustParseAddr(peer)}, c); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) listen(multihop, ipv6 bool, ready chan<- struct{}) (bfdspeaker.Receiver, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listenErr != nil {
		return nil, h.listenErr
	}
	k := kind{multihop, ipv6}
	if h.receivers[k] != nil {
		return nil, fmt.Errorf("socket %v is open", k)
	}
	r := &receiver{host: h, kind: k, ready: ready}
	h.receivers[k] = r
	return r, nil
}

func (h *host) dial(path bfd.Path) (bfdspeaker.Sender, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dialErr != nil {
		return nil, h.dialErr
	}
	s := &sender{host: h, path: path, port: uint16(50000 + len(h.senders))}
	h.senders = append(h.senders, s)
	return s, nil
}

func (h *host) fail(listen, dial, send error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listenErr, h.dialErr, h.sendErr = listen, dial, send
}

// receiver is one of a host's ports.
type receiver struct {
	host  *host
	kind  kind
	ready chan<- struct{}

	mu     sync.Mutex
	queue  []datagram
	armed  bool
	closed bool
	err    error
	// endless is a packet that there is always one more of, each of which takes
	// a while to read.
	endless *datagram
}

type datagram struct {
	payload []byte
	meta    bfd.Meta
}

func (r *receiver) Receive([]byte) ([]byte, bfd.Meta, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, bfd.Meta{}, r.err
	}
	if r.endless != nil {
		time.Sleep(10 * time.Microsecond)
		return r.endless.payload, r.endless.meta, nil
	}
	if len(r.queue) == 0 {
		r.armed = true
		return nil, bfd.Meta{}, nil
	}
	d := r.queue[0]
	r.queue = r.queue[1:]
	return d.payload, d.meta, nil
}

func (r *receiver) Close() error {
	r.host.mu.Lock()
	delete(r.host.receivers, r.kind)
	r.host.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("closed twice")
	}
	r.closed = true
	return nil
}

// arrive lets a packet reach the socket.
func (r *receiver) arrive(payload []byte, meta bfd.Meta) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(r.queue, datagram{bytes.Clone(payload), meta})
	r.wake()
}

func (r *receiver) wake() {
	if r.armed {
		r.armed = false
		select {
		case r.ready <- struct{}{}:
		default:
		}
	}
}

// fail breaks the socket.
func (r *receiver) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	r.wake()
}

type sender struct {
	host   *host
	path   bfd.Path
	port   uint16
	closed bool
}

func (s *sender) Port() uint16 { return s.port }

func (s *sender) Close() error {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	s.closed = true
	return nil
}

func (s *sender) Send(payload []byte, ttl uint8) error {
	h := s.host
	h.mu.Lock()
	err := h.sendErr
	if s.closed {
		err = errors.New("sent on a closed socket")
	}
	if err == nil {
		x := sending{at: time.Now(), to: s.path.Peer}
		if drop := bfd.Check(payload, &x.Packet); drop != bfd.DropNone {
			h.t.Errorf("sent a packet that is dropped for %v", drop)
		}
		h.sent = append(h.sent, x)
	}
	h.mu.Unlock()
	if err != nil {
		return err
	}
	meta := bfd.Meta{Source: h.address, Destination: s.path.Peer, TTL: int(ttl), Interface: "eth0", Multihop: s.path.Multihop}
	if s.path.Source.IsValid() {
		meta.Source = s.path.Source
	}
	h.network.deliver(payload, meta)
	return nil
}

func (n *network) deliver(payload []byte, meta bfd.Meta) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lose != nil && n.lose(meta.Source, meta.Destination) {
		return
	}
	for _, h := range n.hosts {
		if h.address != meta.Destination {
			continue
		}
		h.mu.Lock()
		r := h.receivers[kind{meta.Multihop, meta.Destination.Is6()}]
		h.mu.Unlock()
		if r != nil {
			r.arrive(payload, meta)
		}
	}
}

func (n *network) cut(lose func(from, to netip.Addr) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lose = lose
}

// from delivers a packet made up by a test from a peer to the host.
func (h *host) from(peer string, p bfd.Packet, change ...func(*bfd.Meta)) {
	meta := bfd.Meta{Source: netip.MustParseAddr(peer), Destination: h.address, TTL: 255, Interface: "eth0"}
	for _, c := range change {
		c(&meta)
	}
	h.network.deliver(p.Append(nil), meta)
	synctest.Wait()
}

func (h *host) snapshot() bfdspeaker.Snapshot {
	h.t.Helper()
	s, err := h.Snapshot(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// state is that of the session "peer".
func (h *host) state() bfd.State {
	h.t.Helper()
	return h.snapshot().Sessions["peer"].State
}

// sendings are the packets since the last call.
func (h *host) sendings() []sending {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.sent
	h.sent = nil
	return list
}

// told is what the Observer heard since the last call.
func (h *host) told() []string {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.log
	h.log = nil
	return list
}

func (h *host) want(got []string, want ...string) {
	h.t.Helper()
	if !slices.Equal(got, want) {
		h.t.Errorf("heard\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

type observer host

func (o *observer) note(format string, args ...any) {
	o.mu.Lock()
	block := o.block
	o.mu.Unlock()
	if block != nil {
		<-block
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.log = append(o.log, fmt.Sprintf(format, args...))
}

func (o *observer) StateChanged(name string, at time.Time, c bfd.StateChanged) {
	o.note("%s %v>%v %v at %v", name, c.From, c.To, c.Diagnostic, at.Sub(o.start))
}

func (o *observer) SocketChanged(socket string, err error) { o.note("socket %s %v", socket, err) }

var errDenied = errors.New("operation not permitted")
