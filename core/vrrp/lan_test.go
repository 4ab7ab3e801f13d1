package vrrp_test

import (
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
	// actions is memory that is used again.
	actions []vrrp.Action
	// hop is how long an order of a sync group, or what it is told, travels.
	hop    time.Duration
	notes  []note
	groups []*team
	trace  func(format string, args ...any)
	// left is told of every transition out of Active and the event that was
	// handled.
	left func(n *node, c vrrp.StateChanged, during any)
}

// team is a sync group and the routers on one machine that are in it.
type team struct {
	name    string
	machine *vrrp.Group
	frozen  bool
	wall    time.Duration
	state   vrrp.GroupStateChanged
}

// note is an order of a sync group on its way to a router.
type note struct {
	at    time.Time
	to    *node
	epoch int
	event vrrp.Event
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
	// segment is the network it is on, side the part of it if that is split.
	segment, side int
	// config is the last one it got.
	config vrrp.Config
	// team is its sync group, if any, and epoch counts its restarts.
	team  *team
	epoch int
	// wall is how far the machine's wall clock has been stepped, lag how late
	// it looks at its deadlines.
	wall, lag time.Duration
	// frozen says that the process does not run; what arrives waits.
	frozen  bool
	stopped bool
	waiting []packet
	orders  []note
	// holds says whether the last order was to acquire or to release.
	holds    bool
	received wire.Advertisement
	adverts  int
	bursts   int
}

func newLAN(t testing.TB) *lan {
	t.Helper()
	start := time.Now() // For its monotonic reading: what it says does not matter.
	return &lan{
		t: t, start: start, now: start, trace: func(string, ...any) {},
		left: func(*node, vrrp.StateChanged, any) {},
	}
}

func (l *lan) add(name, source string, config vrrp.Config) *node {
	n := &node{name: name, source: netip.MustParseAddr(source), router: vrrp.New(config), config: config}
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
	if e, ok := event.(vrrp.Reconfigured); ok {
		n.config = e.Config
	}
	l.actions = n.router.Handle(stepped(l.now, n.wall), event, l.actions[:0])
	for _, action := range l.actions {
		l.act(n, action, event)
	}
}

func (l *lan) act(n *node, action vrrp.Action, event vrrp.Event) {
	switch a := action.(type) {
	case *vrrp.SendAdvert:
		n.adverts++
		if _, also := n.router.ExpectV2(); also {
			l.trace("%s sends v%d priority %d interval %v from %v", n.name, a.Advertisement.Version, a.Advertisement.Priority, a.Advertisement.Interval, a.Source)
		} else {
			l.trace("%s sends priority %d interval %v from %v", n.name, a.Advertisement.Priority, a.Advertisement.Interval, a.Source)
		}
		b, err := a.Advertisement.Append(nil, a.Source, a.Destination, a.Checksum)
		if err != nil {
			l.t.Fatalf("%s: %v", n.name, err)
		}
		m := wire.Meta{Source: a.Source, Destination: a.Destination, TTL: wire.HopLimit}
		for _, to := range l.nodes {
			if to == n || !connected(n, to) || l.lose != nil && l.lose(n, to) {
				continue
			}
			l.flying = append(l.flying, packet{at: l.now.Add(l.latency), from: n, to: to, bytes: b, meta: m})
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
		if a.From == vrrp.Active {
			l.left(n, a, event)
		}
	case vrrp.FaultChanged:
		l.trace("%s has another fault: %v, faults %v%s", n.name, a.Reason, a.Faults, because(a.Detail))
	case vrrp.EffectiveChanged:
		l.trace("%s effective priority %d -> %d%s", n.name, a.From, a.To, because(a.Detail))
	case vrrp.Standing:
		if n.team != nil {
			l.tell(n.team, vrrp.MemberStanding{Member: n.name, Standing: a})
		}
	case vrrp.Mismatch:
		l.trace("%s mismatch %v with %v: ours %s, theirs %s", n.name, a.Kind, a.Peer, a.Ours, a.Theirs)
	}
}

func describe(name string, c vrrp.StateChanged) string {
	s := fmt.Sprintf("%s %v -> %v: %v, priority %d", name, c.From, c.To, c.Reason, c.Priority)
	if c.Faults != 0 {
		s += ", faults " + c.Faults.String()
	}
	s += because(c.Detail)
	if c.Peer.IsValid() {
		s += ", peer " + c.Peer.String()
	}
	return s
}

// deliver hands a packet to a node as the speaker does.
func (l *lan) deliver(p packet) {
	n := p.to
	if n.stopped {
		return
	}
	if n.frozen {
		n.waiting = append(n.waiting, p)
		return
	}
	expect := n.router.Expect()
	if v2, also := n.router.ExpectV2(); also && p.bytes[0]>>4 == byte(wire.V2) {
		expect = v2
	}
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
	orders, waiting := n.orders, n.waiting
	n.orders, n.waiting = nil, nil
	for _, o := range orders {
		l.order(o)
	}
	for _, p := range waiting {
		l.deliver(p)
	}
	l.fire(n)
}

// fire reports a deadline if it has come.
func (l *lan) fire(n *node) {
	if at, ok := n.router.Deadline(); ok && !at.After(l.now) {
		l.handle(n, vrrp.DeadlineReached{})
		if next, ok := n.router.Deadline(); ok && !next.After(l.now) {
			l.t.Fatalf("%s: the deadline %v is still due after it was handled", n.name, next.Sub(l.start))
		}
	}
}

// next is the earliest thing to happen, and does it if that is not after end:
// packets before orders before timers.
func (l *lan) next(end time.Time) bool {
	const (
		none = iota
		arrival
		order
		deadline
		groupDeadline
	)
	var at time.Time
	what, which := none, 0
	consider := func(when time.Time, kind, i int) {
		if what == none || when.Before(at) {
			at, what, which = when, kind, i
		}
	}
	for i := range l.flying {
		consider(l.flying[i].at, arrival, i)
	}
	for i := range l.notes {
		consider(l.notes[i].at, order, i)
	}
	for i, n := range l.nodes {
		if n.frozen {
			continue
		}
		if d, ok := n.router.Deadline(); ok {
			consider(d.Add(n.lag), deadline, i)
		}
	}
	for i, g := range l.groups {
		if g.frozen {
			continue
		}
		if d, ok := g.machine.Deadline(); ok {
			consider(d, groupDeadline, i)
		}
	}
	if what == none || at.After(end) {
		return false
	}
	if at.After(l.now) {
		l.now = at
	}
	switch what {
	case arrival:
		p := l.flying[which]
		l.flying = slices.Delete(l.flying, which, which+1)
		l.deliver(p)
	case order:
		o := l.notes[which]
		l.notes = slices.Delete(l.notes, which, which+1)
		l.order(o)
	case deadline:
		l.fire(l.nodes[which])
	case groupDeadline:
		l.tell(l.groups[which], vrrp.GroupDeadlineReached{})
	}
	return true
}

// join makes routers a sync group, or changes that of the name.
func (l *lan) join(name string, configs []vrrp.Config, nodes ...*node) *team {
	members := make([]vrrp.Member, len(nodes))
	for i, n := range nodes {
		members[i] = vrrp.Member{Name: n.name, Config: configs[i]}
	}
	members = vrrp.Enroll(name, members)
	at := slices.IndexFunc(l.groups, func(g *team) bool { return g.name == name })
	if at < 0 {
		at = len(l.groups)
		l.groups = append(l.groups, &team{name: name, machine: vrrp.NewGroup(name, nil)})
	}
	g := l.groups[at]
	l.tell(g, vrrp.GroupReconfigured{Members: members})
	for i, n := range nodes {
		n.team = g
		l.handle(n, vrrp.Reconfigured{Config: members[i].Config})
	}
	return g
}

// tell hands an event to a sync group and sends its orders on their way.
func (l *lan) tell(g *team, event vrrp.GroupEvent) {
	for _, action := range g.machine.Handle(stepped(l.now, g.wall), event, nil) {
		switch a := action.(type) {
		case vrrp.Order:
			to := l.node(a.Member)
			l.notes = append(l.notes, note{at: l.now.Add(l.hop), to: to, epoch: to.epoch, event: a.Event})
			if _, yield := a.Event.(vrrp.GroupOrdered).Event.(vrrp.GroupYielded); yield {
				if _, late := event.(vrrp.GroupDeadlineReached); late {
					l.left(to, vrrp.StateChanged{}, event)
				}
			}
		case vrrp.GroupStateChanged:
			g.state = a
			s := fmt.Sprintf("group %s %v -> %v: %v, priority %d", g.name, a.From, a.To, a.Cause, a.Priority)
			if a.Cause.Peer.IsValid() {
				s += ", peer " + a.Cause.Peer.String()
			}
			l.trace("%s", s)
		case vrrp.GroupFaultChanged:
			l.trace("group %s has another fault: %v", g.name, a.Cause)
		}
	}
}

// order hands an order to a router, unless that was started again meanwhile.
func (l *lan) order(o note) {
	switch {
	case o.epoch != o.to.epoch || o.to.stopped:
	case o.to.frozen:
		o.to.orders = append(o.to.orders, o)
	default:
		l.handle(o.to, o.event)
	}
}

// connected says whether a packet gets from one to the other.
func connected(a, b *node) bool {
	return a.segment == b.segment && a.side == b.side && !a.cut && !b.cut
}

func because(detail string) string {
	if detail == "" {
		return ""
	}
	return " (" + detail + ")"
}

// run lets d pass.
func (l *lan) run(d time.Duration) {
	l.t.Helper()
	end := l.now.Add(d)
	for range 1_000_000 {
		if !l.next(end) {
			l.now = end
			return
		}
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
		case vrrp.FaultChanged:
			fmt.Fprintf(&b, "fault %v; ", a.Reason)
		case vrrp.EffectiveChanged:
			fmt.Fprintf(&b, "effective %d>%d; ", a.From, a.To)
		case vrrp.Standing:
			fmt.Fprintf(&b, "stands %v", a.State)
			if a.Wants {
				b.WriteString(" wants")
			}
			if a.Defers {
				b.WriteString(" defers")
			}
			fmt.Fprintf(&b, " %d; ", a.Obeyed)
		}
	}
	return strings.TrimSuffix(b.String(), "; ")
}
