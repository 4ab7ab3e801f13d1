package vrrp_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

var (
	lanRuns = flag.Int("lan.runs", 0, "how many random schedules the simulated LAN goes through; 0 is 10,000, fewer with the race detector")
	lanFrom = flag.Uint64("lan.from", 1, "the first seed")
	lanSeed = flag.Uint64("lan.seed", 0, "replay this seed alone and print what happens")
)

// TestSimulatedLAN drives 2 to 5 machines on 1 to 3 networks through random
// schedules of loss, splits, freezes, clock steps, restarts, faults and
// reconfigurations, in virtual time. Whatever happened:
//
//   - nobody leaves active because of its own lateness: only a better router, a
//     fault, the end, or another member of the group makes it;
//   - once nothing has happened for a bounded time, no two routers that hear each
//     other are active, and none that could be active hears no active router (a
//     group: on none of its networks);
//   - the members of a group are in the same state then, that of the group, and
//     advertise the same priority;
//   - once everything is whole, one machine is active on all networks, and stays
//     so; if all may preempt, it is the one with the highest priority.
func TestSimulatedLAN(t *testing.T) {
	if *lanSeed != 0 {
		simulate(t, *lanSeed, true)
		return
	}
	runs := uint64(*lanRuns)
	if runs == 0 {
		runs = 10_000 / raceFactor
	}
	const lanes = 4
	for lane := range uint64(lanes) {
		t.Run(fmt.Sprint("lane", lane), func(t *testing.T) {
			t.Parallel()
			for seed := *lanFrom + lane; seed < *lanFrom+runs && !t.Failed(); seed += lanes {
				simulate(t, seed, false)
			}
		})
	}
}

// simulate plays one schedule.
func simulate(t *testing.T, seed uint64, verbose bool) {
	t.Helper()
	defer func() {
		if t.Failed() && !verbose {
			t.Logf("replay with: go test ./core/vrrp -run TestSimulatedLAN -v -args -lan.seed=%d", seed)
		}
	}()
	s := newSimulation(t, seed)
	if verbose {
		s.trace = func(format string, args ...any) {
			t.Logf("%12v %s", s.now.Sub(s.start), fmt.Sprintf(format, args...))
		}
	}
	for range 1 + s.rng.IntN(3) {
		for range 1 + s.rng.IntN(6) {
			s.disturb()
			s.run(s.upTo(5 * s.unit))
		}
		s.calm()
		s.settled("in the middle")
	}
	s.heal()
	s.settled("in the end")
	s.unmoved()
}

// simulation is a LAN, the machines on it and the chance that moves them.
type simulation struct {
	*lan
	rng      *rand.Rand
	machines []*machine
	// unit is the longest interval of any router.
	unit time.Duration
	// loss is the chance that a packet is lost, and deaf who does not hear whom.
	loss float64
	deaf map[[2]*node]bool
	// moves counts the transitions.
	moves int
}

// machine is a host with one router per network, which are a group or not.
type machine struct {
	name    string
	nodes   []*node
	configs []vrrp.Config
	// links and tracked are, per router, whether its link is up and whether
	// nothing that it tracks is down.
	links, tracked []bool
	team           *team
	// asked is what the trackers ask for, per router, zero if they do not.
	asked   []int
	running bool
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	t.Helper()
	s := &simulation{lan: newLAN(t), rng: rand.New(rand.NewPCG(seed, 0)), deaf: map[[2]*node]bool{}}
	s.lose = func(from, to *node) bool {
		return s.loss > 0 && s.rng.Float64() < s.loss || s.deaf[[2]*node{from, to}]
	}
	s.left = s.leaves
	s.unit = time.Duration(1+s.rng.IntN(25)) * 40 * time.Millisecond
	// Of the two versions, one or a migration from the older to the newer.
	old := s.rng.IntN(6)
	if old < 2 {
		s.unit = time.Second
	}
	s.latency, s.hop = s.upTo(s.unit/50), s.upTo(s.unit/100)
	if s.rng.IntN(4) == 0 {
		s.hop = s.upTo(s.unit / 4)
	}
	networks := 1 + s.rng.IntN(3)
	grouped := networks > 1 || s.rng.IntN(4) == 0
	owner := s.rng.IntN(8) == 0
	for i := range 2 + s.rng.IntN(4) {
		m := &machine{name: fmt.Sprint("m", i)}
		c := s.config()
		if owner && i == 0 {
			c.Priority = wire.PriorityOwner
		}
		switch {
		case old == 0 || old == 1 && s.rng.IntN(2) == 0:
			c.Version = wire.V2
		case old == 1:
			c.AlsoV2 = true
		}
		lag := time.Duration(0)
		if s.rng.IntN(2) == 0 {
			lag = s.upTo(s.unit / 8)
		}
		// Addresses of the networks are in no common order.
		for network := range networks {
			c.Interval = s.interval(&c)
			c.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{10, byte(network), 0, 254})}
			source := fmt.Sprintf("10.%d.%d.%d", network, s.rng.IntN(3), 10+i)
			n := s.add(fmt.Sprint(m.name, "n", network), source, c)
			n.segment, n.lag, n.stopped = network, lag, true
			m.nodes, m.configs = append(m.nodes, n), append(m.configs, c)
		}
		m.links, m.tracked = make([]bool, networks), make([]bool, networks)
		s.machines = append(s.machines, m)
		s.boot(m, grouped)
		if s.rng.IntN(3) == 0 {
			s.run(s.upTo(5 * s.unit))
		}
	}
	return s
}

func (s *simulation) upTo(d time.Duration) time.Duration {
	return time.Duration(s.rng.Int64N(int64(d)))
}

// config is what an operator may choose for one machine.
func (s *simulation) config() vrrp.Config {
	c := baseConfig()
	c.Priority = uint8(1 + s.rng.IntN(254))
	if s.rng.IntN(3) == 0 {
		c.Priority = 100
	}
	c.Preempt = s.rng.IntN(4) > 0
	if s.rng.IntN(4) == 0 {
		c.PreemptDelay = s.upTo(5 * s.unit)
	}
	c.Announcement.Delay, c.Announcement.LowerPriorityDelay = s.unit, s.unit
	return c
}

func (s *simulation) interval(c *vrrp.Config) time.Duration {
	if c.Version == wire.V2 || c.AlsoV2 {
		return s.unit
	}
	return (s.unit / time.Duration(1+s.rng.IntN(4))).Truncate(10 * time.Millisecond)
}

// boot starts the process of a machine.
func (s *simulation) boot(m *machine, grouped bool) {
	s.trace("%s boots", m.name)
	m.running, m.asked = true, make([]int, len(m.nodes))
	hold := time.Duration(0)
	if s.rng.IntN(4) == 0 {
		hold = s.upTo(2 * s.unit)
	}
	for i, n := range m.nodes {
		m.configs[i].Hold, m.configs[i].Group = hold, vrrp.Membership{}
		n.router, n.config, n.stopped, n.frozen = vrrp.New(m.configs[i]), m.configs[i], false, false
		n.epoch++
		n.orders, n.waiting, n.team = nil, nil, nil
		m.links[i], m.tracked[i] = true, true
	}
	if m.team != nil {
		m.team.frozen = true // It went with the process.
	}
	m.team = nil
	if grouped {
		s.regroup(m)
	}
	for _, n := range m.nodes {
		s.up(n)
	}
}

// regroup makes the routers of a machine a group, or applies what has changed.
func (s *simulation) regroup(m *machine) {
	if m.team == nil {
		wall := m.nodes[0].wall
		m.team = s.join(fmt.Sprint(m.name, " ", m.nodes[0].epoch, len(s.groups)), m.configs, m.nodes...)
		m.team.wall = wall
	} else {
		s.join(m.team.name, m.configs, m.nodes...)
	}
	s.track(m)
}

// track has the trackers say what they make of the priority.
func (s *simulation) track(m *machine) {
	for i, n := range m.nodes {
		asked := m.asked[i]
		if asked == 0 {
			asked = int(m.configs[i].Priority)
		}
		if m.team != nil {
			s.tell(m.team, vrrp.MemberPriority{Member: n.name, Priority: asked})
		} else {
			s.handle(n, vrrp.PriorityChanged{Priority: asked})
		}
	}
}

// settled lets the time pass that healing may take, and looks.
func (s *simulation) settled(when string) {
	s.t.Helper()
	// A timer of four intervals, one more that a late backup listens and its
	// skew, two for ties and a startup delay of two; then the same again for
	// those who were told to make way meanwhile.
	s.run(20 * s.unit)
	first := s.violation()
	if first == "" {
		return
	}
	// A preempt delay may just be over.
	s.run(2 * s.unit)
	if again := s.violation(); again != "" {
		s.t.Fatalf("%s, %v after the start: %s; and then %s", when, s.now.Sub(s.start), first, again)
	}
}

// unmoved proves that a network that is whole has come to rest, with the right
// machine active.
func (s *simulation) unmoved() {
	s.t.Helper()
	s.run(10 * s.unit)
	moves := s.moves
	s.run(10 * s.unit)
	if s.moves != moves {
		s.t.Fatalf("still %d transitions long after everything was healed", s.moves-moves)
	}
	var active []*machine
	best, preempt := uint8(0), true
	for _, m := range s.machines {
		if m.nodes[0].router.State() == vrrp.Active {
			active = append(active, m)
		}
		// Without a group the first network tells; the others may differ.
		best = max(best, m.nodes[0].router.Snapshot().EffectivePriority)
		preempt = preempt && m.configs[0].Preempt
	}
	if len(active) != 1 {
		s.t.Fatalf("%d machines are active in the end", len(active))
	}
	if got := active[0].nodes[0].router.Snapshot().EffectivePriority; got != best && (preempt || best == wire.PriorityOwner) {
		s.t.Fatalf("%s is active in the end with priority %d, the best is %d", active[0].name, got, best)
	}
}

// leaves looks at why a router is no longer active.
func (s *simulation) leaves(n *node, c vrrp.StateChanged, during any) {
	s.t.Helper()
	s.moves++
	if e, ok := during.(vrrp.GroupOrdered); ok {
		during = e.Event
	}
	switch e := during.(type) {
	case *vrrp.AdvertReceived:
		if e.Advertisement.Priority < c.Priority {
			s.t.Fatalf("%s makes way for priority %d, with %d", n.name, e.Advertisement.Priority, c.Priority)
		}
	case vrrp.InterfaceChanged, vrrp.FaultRaised, vrrp.GroupYielded, vrrp.Stopped:
	default:
		s.t.Fatalf("%s leaves active because of %T", n.name, during)
	}
}
