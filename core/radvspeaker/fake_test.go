package radvspeaker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/radv"
	"github.com/halo-ha/halo/core/radvspeaker"
)

// machine is a Speaker with everything around it: links of which each has one
// address, and sockets that write down what is sent.
type machine struct {
	*radvspeaker.Speaker
	t     *testing.T
	start time.Time
	stop  func()

	mu sync.Mutex
	// links are by name; an address is there while it is in them.
	links   map[string]radvspeaker.Place
	there   map[string]netip.Addr
	idle    bool
	openErr error
	sendErr error
	open    []*conn
	opened  int
	sent    []string
	log     bytes.Buffer
}

// conn is an open socket.
type conn struct {
	*machine
	place  radvspeaker.Place
	source netip.Addr
	heard  func([]byte, radv.Meta)
}

var vip = netip.MustParseAddr("fe80::10")

// newMachine runs a Speaker on a machine with the link eth0.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{
		t: t, start: time.Now(),
		links: map[string]radvspeaker.Place{"eth0": {Link: "eth0", Index: 7, Hardware: "\x02\x00\x00\x00\x00\x07"}},
		there: map[string]netip.Addr{},
	}
	m.Speaker = radvspeaker.New(radvspeaker.Options{
		Kernel: m, Random: func(n time.Duration) time.Duration { return n - 1 },
		Log: slog.New(slog.NewTextHandler(&lockedWriter{m}, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(m.stop)
	return m
}

type lockedWriter struct{ *machine }

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

// Open implements radvspeaker.Kernel.
func (m *machine) Open(at radvspeaker.Place, source netip.Addr, heard func([]byte, radv.Meta)) (radvspeaker.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened++
	if m.openErr != nil {
		return nil, m.openErr
	}
	c := &conn{m, at, source, heard}
	m.open = append(m.open, c)
	return c, nil
}

// Forwards implements radvspeaker.Kernel.
func (m *machine) Forwards(string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.idle
}

// Send implements radvspeaker.Conn.
func (c *conn) Send(message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sendErr != nil {
		return c.sendErr
	}
	if !slices.Contains(c.open, c) || c.there[c.place.Link] != c.source {
		c.t.Errorf("sent on %v from %v, which is not there", c.place, c.source)
	}
	lifetime := int(message[6])<<8 | int(message[7])
	c.sent = append(c.sent, fmt.Sprintf("%s %v %ds @%v", c.place.Link, c.source, lifetime, time.Since(c.start).Round(time.Millisecond)))
	return nil
}

// Close implements radvspeaker.Conn.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = slices.DeleteFunc(c.open, func(o *conn) bool { return o == c })
	return nil
}

// view is the links at one time.
type view struct {
	links map[string]radvspeaker.Place
	there map[string]netip.Addr
}

// Find implements radvspeaker.Links.
func (v view) Find(iface string, address netip.Addr) (radvspeaker.Place, bool) {
	p, ok := v.links[iface]
	return p, ok && v.there[iface] == address
}

// put makes the address be on a link, an invalid one takes it away.
func (m *machine) put(link string, address netip.Addr) {
	m.mu.Lock()
	m.there[link] = address
	v := view{map[string]radvspeaker.Place{}, map[string]netip.Addr{}}
	for name, p := range m.links {
		v.links[name], v.there[name] = p, m.there[name]
	}
	m.mu.Unlock()
	m.SetLinks(v)
	synctest.Wait()
}

// change does something to the machine.
func (m *machine) change(f func()) {
	m.mu.Lock()
	f()
	m.mu.Unlock()
}

// apply configures VI_1 on eth0; nil is a router that advertises nothing.
func (m *machine) apply(c *radv.Config) {
	m.t.Helper()
	m.applyAll(map[string]radvspeaker.Router{"VI_1": {Interface: "eth0", Source: vip, Config: c}})
}

func (m *machine) applyAll(routers map[string]radvspeaker.Router) {
	m.t.Helper()
	if err := m.Apply(routers); err != nil {
		m.t.Fatal(err)
	}
	synctest.Wait()
}

func (m *machine) setActive(active bool) {
	m.SetActive("VI_1", active)
	synctest.Wait()
}

// want compares what was sent since it was asked last.
func (m *machine) want(sent ...string) {
	m.t.Helper()
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Equal(m.sent, sent) {
		m.t.Errorf("sent\n%s\nwant\n%s", strings.Join(m.sent, "\n"), strings.Join(sent, "\n"))
	}
	m.sent = nil
}

// forget leaves out of account what was sent so far.
func (m *machine) forget() {
	synctest.Wait()
	m.change(func() { m.sent = nil })
}

// restart makes now the time that times are counted from.
func (m *machine) restart() {
	synctest.Wait()
	m.change(func() { m.start = time.Now() })
}

// opens is how often a socket was asked for.
func (m *machine) opens() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opened
}

// sockets is how many are open.
func (m *machine) sockets() int {
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.open)
}

func (m *machine) wantLog(lines ...string) {
	m.t.Helper()
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if got := strings.TrimSuffix(m.log.String(), "\n"); got != strings.Join(lines, "\n") {
		m.t.Errorf("logged\n%s\nwant\n%s", got, strings.Join(lines, "\n"))
	}
	m.log.Reset()
}

// ask is a host that solicits.
func (m *machine) ask(hops int) {
	m.mu.Lock()
	open := slices.Clone(m.open)
	m.mu.Unlock()
	for _, c := range open {
		c.heard([]byte{radv.TypeSolicitation, 0, 0, 0, 0, 0, 0, 0}, radv.Meta{Source: netip.MustParseAddr("fe80::3"), HopLimit: hops})
	}
	synctest.Wait()
}

func (m *machine) snapshot() radvspeaker.Snapshot {
	m.t.Helper()
	all, err := m.Snapshots(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	return all["VI_1"]
}

// hour advertises every ten minutes, for half an hour.
func hour() *radv.Config {
	return &radv.Config{MinInterval: 200 * time.Second, MaxInterval: 600 * time.Second, Lifetime: 1800 * time.Second, HopLimit: 64}
}

var errNoWay = errors.New("no way")
