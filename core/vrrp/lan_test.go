package vrrp_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// lan is a network of routers in virtual time. Advertisements travel as bytes
// and go through the receive checks, so that a scenario proves both packages.
type lan struct {
	t     testing.TB
	start time.Time
	now   time.Time
	nodes []*node
	// latency is how long a packet travels.
	latency time.Duration
	// lose decides about each copy of a packet; nil loses none.
	lose   func(from, to *node) bool
	flying []packet
	trace  func(format string, args ...any)
}

type packet struct {
	at       time.Time
	from, to *node
	bytes    []byte
	meta     wire.Meta
}

type node struct {
	name   string
	router *vrrp.Router
	source netip.Addr
	// cut says that the node neither hears nor is heard.
	cut bool
	// frozen says that the process does not run; what arrives waits.
	frozen  bool
	stopped bool
	waiting []packet
	// holds says whether the last order was to acquire or to release.
	holds    bool
	received wire.Advertisement
	adverts  int
	bursts   int
}

func newLAN(t testing.TB) *lan {
	t.Helper()
	start := time.Unix(1_000_000, 0)
	return &lan{t: t, start: start, now: start, trace: func(string, ...any) {}}
}

func (l *lan) add(name, source string, config vrrp.Config) *node {
	n := &node{name: name, source: netip.MustParseAddr(source), router: vrrp.New(config)}
	l.nodes = append(l.nodes, n)
	return n
}

func (l *lan) node(name string) *node {
	l.t.Helper()
	i := slices.IndexFunc(l.nodes, func(n *node) bool { return n.name == name })
	if i < 0 {
		l.t.Fatalf("no router %q", name)
	}
	return l.nodes[i]
}

// up makes the interface usable.
func (l *lan) up(n *node) {
	l.handle(n, vrrp.InterfaceChanged{Exists: true, Up: true, Source: n.source})
}

func (l *lan) handle(n *node, event vrrp.Event) {
	l.t.Helper()
	for _, action := range n.router.Handle(l.now, event, nil) {
		l.act(n, action)
	}
}

func (l *lan) act(n *node, action vrrp.Action) {
	l.t.Helper()
	switch a := action.(type) {
	case *vrrp.SendAdvert:
		n.adverts++
		l.trace("%s sends priority %d interval %v from %v", n.name, a.Advertisement.Priority, a.Advertisement.Interval, a.Source)
		b, err := a.Advertisement.Append(nil, a.Source, a.Destination, a.Checksum)
		if err != nil {
			l.t.Fatalf("%s: %v", n.name, err)
		}
		m := wire.Meta{Source: a.Source, Destination: a.Destination, TTL: wire.HopLimit}
		for _, to := range l.nodes {
			if to == n || n.cut || to.cut || l.lose != nil && l.lose(n, to) {
				continue
			}
			l.flying = append(l.flying, packet{at: l.now.Add(l.latency), from: n, to: to, bytes: bytes.Clone(b), meta: m})
		}
	case vrrp.AcquireAddresses:
		n.holds = true
		l.trace("%s acquires addresses", n.name)
	case vrrp.ReleaseAddresses:
		n.holds = false
		l.trace("%s releases addresses", n.name)
	case vrrp.Announce:
		n.bursts++
		l.trace("%s announces %d times: %v", n.name, a.Repeat, a.Reason)
	case vrrp.StateChanged:
		l.trace("%s", describe(n.name, a))
	case vrrp.Mismatch:
		l.trace("%s mismatch %v with %v: ours %s, theirs %s", n.name, a.Kind, a.Peer, a.Ours, a.Theirs)
	}
}

func describe(name string, c vrrp.StateChanged) string {
	s := fmt.Sprintf("%s %v -> %v: %v, priority %d", name, c.From, c.To, c.Reason, c.Priority)
	if c.Faults != 0 {
		s += ", faults " + c.Faults.String()
	}
	if c.Peer.IsValid() {
		s += ", peer " + c.Peer.String()
	}
	return s
}

// deliver hands a packet to a node as the speaker does.
func (l *lan) deliver(p packet) {
	l.t.Helper()
	n := p.to
	if n.stopped {
		return
	}
	if n.frozen {
		n.waiting = append(n.waiting, p)
		return
	}
	expect := n.router.Expect()
	findings, drop := expect.Check(p.bytes, p.meta, &n.received)
	if drop != wire.DropNone {
		l.trace("%s drops an advertisement from %v: %v", n.name, p.meta.Source, drop)
		l.handle(n, &vrrp.AdvertRejected{Drop: drop, Advertisement: n.received, Source: p.meta.Source})
		return
	}
	l.handle(n, &vrrp.AdvertReceived{Advertisement: n.received, Source: p.meta.Source, Findings: findings})
}

// thaw lets a frozen node run again: it reads what waits before it looks at
// its timer.
func (l *lan) thaw(n *node) {
	l.t.Helper()
	n.frozen = false
	waiting := n.waiting
	n.waiting = nil
	for _, p := range waiting {
		l.deliver(p)
	}
	l.fire(n)
}

// fire reports a deadline if it has come.
func (l *lan) fire(n *node) {
	l.t.Helper()
	if at, ok := n.router.Deadline(); ok && !at.After(l.now) {
		l.handle(n, vrrp.DeadlineReached{})
		if next, ok := n.router.Deadline(); ok && !next.After(l.now) {
			l.t.Fatalf("%s: the deadline %v is still due after it was handled", n.name, next.Sub(l.start))
		}
	}
}

// next is the earliest thing to happen, packets before timers.
func (l *lan) next() (at time.Time, do func(), ok bool) {
	for i, p := range l.flying {
		if !ok || p.at.Before(at) {
			at, ok = p.at, true
			do = func() {
				l.flying = slices.Delete(l.flying, i, i+1)
				l.deliver(p)
			}
		}
	}
	for _, n := range l.nodes {
		if n.frozen {
			continue
		}
		if d, has := n.router.Deadline(); has && (!ok || d.Before(at)) {
			at, ok, do = d, true, func() { l.fire(n) }
		}
	}
	return at, do, ok
}

// run lets d pass.
func (l *lan) run(d time.Duration) {
	l.t.Helper()
	end := l.now.Add(d)
	for range 1_000_000 {
		at, do, ok := l.next()
		if !ok || at.After(end) {
			l.now = end
			return
		}
		if at.After(l.now) {
			l.now = at
		}
		do()
	}
	l.t.Fatal("the network does not come to rest")
}

func (l *lan) active() []string {
	var names []string
	for _, n := range l.nodes {
		if n.router.State() == vrrp.Active {
			names = append(names, n.name)
		}
	}
	return names
}

// checkHolds compares what the addresses' owner was told with the states.
func (l *lan) checkHolds() {
	l.t.Helper()
	for _, n := range l.nodes {
		if n.holds != (n.router.State() == vrrp.Active) {
			l.t.Errorf("%s holds addresses: %v, in state %v", n.name, n.holds, n.router.State())
		}
	}
}

// baseConfig is the configuration of the examples: version 3, one second.
func baseConfig() vrrp.Config {
	return vrrp.Config{
		Version: wire.V3, VRID: 51, Priority: 100, Interval: time.Second, Preempt: true,
		Addresses:    []netip.Addr{netip.MustParseAddr("192.0.2.10")},
		Announcement: vrrp.Announcement{Repeat: 5, Delay: 5 * time.Second, RefreshRepeat: 1, LowerPriorityRepeat: 5, LowerPriorityDelay: 5 * time.Second},
	}
}

func with(change func(*vrrp.Config)) vrrp.Config {
	c := baseConfig()
	change(&c)
	return c
}

func lines(actions []vrrp.Action) string {
	var b strings.Builder
	for _, action := range actions {
		switch a := action.(type) {
		case *vrrp.SendAdvert:
			fmt.Fprintf(&b, "send %d; ", a.Advertisement.Priority)
		case vrrp.AcquireAddresses:
			b.WriteString("acquire; ")
		case vrrp.ReleaseAddresses:
			b.WriteString("release; ")
		case vrrp.Announce:
			fmt.Fprintf(&b, "announce %d %v; ", a.Repeat, a.Reason)
		case vrrp.StateChanged:
			fmt.Fprintf(&b, "%v>%v %v; ", a.From, a.To, a.Reason)
		case vrrp.Mismatch:
			fmt.Fprintf(&b, "mismatch %v; ", a.Kind)
		}
	}
	return strings.TrimSuffix(b.String(), "; ")
}
