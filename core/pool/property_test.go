package pool_test

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/pool"
)

func drawConfig(t *rapid.T) pool.Config {
	c := pool.Config{
		Service: ipvs.Service{Key: ipvs.AddressKey(ipvs.TCP, netip.MustParseAddrPort("192.0.2.10:80")), Scheduler: "wrr"},
		Quorum:  rapid.IntRange(0, 5).Draw(t, "quorum"),
	}
	if rapid.Bool().Draw(t, "has sorry") {
		c.SorryServer = address(rapid.SampledFrom([]string{"A", "S"}).Draw(t, "sorry"))
	}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"A", "B", "C", "D"}), 0, 4, rapid.ID[string]).Draw(t, "servers") {
		r := pool.RealServer{
			Address:   address(name),
			Weight:    rapid.SampledFrom([]int{0, 1, 2, 3, ipvs.MaxWeight}).Draw(t, "weight"),
			OnFailure: rapid.SampledFrom([]pool.OnFailure{pool.Remove, pool.Quiesce}).Draw(t, "on failure"),
		}
		for _, check := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x", "y"}), 0, 2, rapid.ID[string]).Draw(t, "checks") {
			// Rise and fall follow from the definition: a change of them alone
			// counts from the next result on, which the model does not know.
			version := rapid.IntRange(0, 8).Draw(t, "version")
			r.Checks = append(r.Checks, pool.Check{
				Name:       check,
				Definition: fmt.Sprint(check, version),
				Rise:       version % 4,
				Fall:       (version + 2) % 3,
				FailOnLoss: rapid.Bool().Draw(t, "fail on loss"),
				Grace:      time.Second,
			})
		}
		c.Servers = append(c.Servers, r)
	}
	return c
}

func drawResult(t *rapid.T, server netip.AddrPort, check string) pool.CheckResult {
	e := pool.CheckResult{
		Server: server, Check: check,
		Outcome: rapid.SampledFrom([]pool.Outcome{pool.OutcomePass, pool.OutcomePass, pool.OutcomeFail, pool.OutcomeFail, pool.OutcomeUnknown}).Draw(t, "outcome"),
	}
	if rapid.Bool().Draw(t, "weighted") {
		e.Weighted = true
		e.Weight = rapid.SampledFrom([]int{-1, 0, 1, 4, ipvs.MaxWeight, math.MaxInt}).Draw(t, "asked")
	}
	return e
}

func drawAdopted(t *rapid.T) pool.Adopted {
	var e pool.Adopted
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"A", "B", "C", "S"}), 0, 4, rapid.ID[string]).Draw(t, "adopted") {
		e.Destinations = append(e.Destinations, ipvs.Destination{Address: address(name), Weight: rapid.Uint32Range(0, 3).Draw(t, "weight in kernel")})
	}
	return e
}

// TestOrderDoesNotMatter deals the same results in two orders that keep each
// check's own results in sequence: the same table comes out.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, adopted := drawConfig(t), drawAdopted(t)
		var streams [][]pool.Event
		for _, r := range c.Servers {
			for _, k := range r.Checks {
				results := rapid.IntRange(0, 8).Draw(t, "results")
				stream := make([]pool.Event, 0, results)
				for range results {
					stream = append(stream, drawResult(t, r.Address, k.Name))
				}
				streams = append(streams, stream)
			}
		}
		now := time.Unix(0, 0)
		deal := func(label string) ipvs.Service {
			s := pool.New(now, c)
			s.Handle(now, adopted, nil)
			rest := slices.Clone(streams)
			for {
				rest = slices.DeleteFunc(rest, func(e []pool.Event) bool { return len(e) == 0 })
				if len(rest) == 0 {
					return s.Snapshot().Service
				}
				i := rapid.IntRange(0, len(rest)-1).Draw(t, label)
				s.Handle(now, rest[i][0], nil)
				rest[i] = rest[i][1:]
			}
		}
		a, b := deal("first order"), deal("second order")
		if !a.Equal(&b) {
			t.Fatalf("one order gives\n%sand another\n%s", a.AppendText(nil), b.AppendText(nil))
		}
	})
}

// model computes the table from everything that was ever said, the slow way.
type model struct {
	config  pool.Config
	servers map[netip.AddrPort]*modelServer
}

type modelServer struct {
	in      bool
	held    int // weight found in the kernel, -1 for none
	history map[string][]pool.CheckResult
}

func (m *model) configure(c pool.Config) {
	old := m.config
	m.config = c
	servers := map[netip.AddrPort]*modelServer{}
	for _, r := range c.Servers {
		s := m.servers[r.Address]
		if s == nil {
			s = &modelServer{in: len(r.Checks) == 0, held: -1, history: map[string][]pool.CheckResult{}}
		}
		history := map[string][]pool.CheckResult{}
		for _, k := range r.Checks {
			h := s.history[k.Name]
			if !defined(old, r.Address, k) {
				// Another check of that name: what was decided is void, only the
				// weight asked for is inherited, as if by nobody's verdict.
				h = []pool.CheckResult{{Check: "inherited", Weighted: false}}
				if w, ok := asked(s.history[k.Name]); ok {
					h[0].Weighted, h[0].Weight = true, w
				}
			}
			history[k.Name] = h
		}
		s.history = history
		servers[r.Address] = s
	}
	m.servers = servers
}

func defined(c pool.Config, server netip.AddrPort, k pool.Check) bool {
	for _, r := range c.Servers {
		for _, o := range r.Checks {
			if r.Address == server && o.Name == k.Name {
				return o.Definition == k.Definition
			}
		}
	}
	return true // New: there is no history either.
}

// asked is the weight that the last pass asked for.
func asked(history []pool.CheckResult) (int, bool) {
	for _, e := range slices.Backward(history) {
		if e.Outcome == pool.OutcomePass || e.Check == "inherited" {
			return min(max(e.Weight, 0), ipvs.MaxWeight), e.Weighted
		}
	}
	return 0, false
}

func verdict(k pool.Check, history []pool.CheckResult) pool.State {
	v, row, of := pool.Unknown, 0, pool.OutcomeUnknown
	for _, e := range history {
		if e.Check == "inherited" || e.Outcome == pool.OutcomeUnknown {
			continue
		}
		if e.Outcome != of {
			row, of = 0, e.Outcome
		}
		row++
		if e.Outcome == pool.OutcomePass && row >= k.Rise {
			v = pool.Up
		}
		if e.Outcome == pool.OutcomeFail && row >= k.Fall {
			v = pool.Down
		}
	}
	return v
}

func (m *model) decide() {
	for _, r := range m.config.Servers {
		s := m.servers[r.Address]
		states := map[pool.State]int{}
		for _, k := range r.Checks {
			states[verdict(k, s.history[k.Name])]++
		}
		switch {
		case states[pool.Down] > 0:
			s.in, s.held = false, -1
		case states[pool.Up] == len(r.Checks):
			s.in, s.held = true, -1
		}
	}
}

func (m *model) adopt(e pool.Adopted) {
	for _, d := range e.Destinations {
		for _, r := range m.config.Servers {
			s := m.servers[r.Address]
			failed := d.Weight == 0 && r.OnFailure == pool.Quiesce && r.Weight > 0
			if r.Address == d.Address && !s.in && !failed && !m.anyDown(r) {
				s.in, s.held = true, int(d.Weight)
			}
		}
	}
}

func (m *model) anyDown(r pool.RealServer) bool {
	return slices.ContainsFunc(r.Checks, func(k pool.Check) bool {
		return verdict(k, m.servers[r.Address].history[k.Name]) == pool.Down
	})
}

func (m *model) weight(r pool.RealServer) int {
	s := m.servers[r.Address]
	if s.held >= 0 {
		return s.held
	}
	w := r.Weight
	for _, k := range r.Checks {
		if a, ok := asked(s.history[k.Name]); ok {
			w += a - r.Weight
		}
	}
	return min(max(w, 0), ipvs.MaxWeight)
}

func (m *model) table() ipvs.Table {
	total := 0
	for _, r := range m.config.Servers {
		if m.servers[r.Address].in {
			total += m.weight(r)
		}
	}
	sorry := total < max(m.config.Quorum, 1) && m.config.SorryServer.IsValid()
	s := m.config.Service
	for _, r := range m.config.Servers {
		w, in := m.weight(r), m.servers[r.Address].in
		d := ipvs.Destination{Address: r.Address, Forwarding: r.Forwarding}
		switch {
		case sorry && r.Address == m.config.SorryServer:
			d.Weight = 1
			if in {
				d.Weight = uint32(max(w, 1))
			}
		case in && !sorry:
			d.Weight = uint32(w)
		case r.OnFailure == pool.Remove:
			continue
		}
		s.Destinations = append(s.Destinations, d)
	}
	if sorry && !slices.ContainsFunc(m.config.Servers, func(r pool.RealServer) bool { return r.Address == m.config.SorryServer }) {
		s.Destinations = append(s.Destinations, ipvs.Destination{Address: m.config.SorryServer, Forwarding: m.config.SorryForwarding, Weight: 1})
	}
	t := ipvs.Table{s}
	t.Sort()
	return t
}

// TestTableIsAFunctionOfItsInputs plays any sequence of events, reloads included,
// and compares the table with what the model makes of the whole history. The
// actions must tell the same story: each begins where the last one ended, and
// SetTable comes if and only if the table is another.
func TestTableIsAFunctionOfItsInputs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		c := drawConfig(t)
		s := pool.New(now, c)
		m := &model{}
		m.configure(c)
		m.decide()
		told := story{servers: map[netip.AddrPort]pool.ServerChanged{}}
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			now = now.Add(time.Millisecond)
			var event pool.Event
			switch rapid.IntRange(0, 9).Draw(t, "kind") {
			case 0:
				c = drawConfig(t)
				event = pool.Reconfigured{Config: c}
				m.configure(c)
			case 1:
				e := drawAdopted(t)
				event = e
				m.adopt(e)
			case 2:
				event = pool.DeadlineReached{} // Never due: less than the grace passes.
			default:
				server := address(rapid.SampledFrom([]string{"A", "B", "C", "D", "Z"}).Draw(t, "server"))
				e := drawResult(t, server, rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "check"))
				event = e
				if ms := m.servers[server]; ms != nil {
					if _, ok := ms.history[e.Check]; ok {
						ms.history[e.Check] = append(ms.history[e.Check], e)
					}
				}
				if rapid.Bool().Draw(t, "lost before") {
					if a := s.Handle(now, pool.PluginLost{Server: server, Check: e.Check}, nil); told.began && len(a) != 0 {
						t.Fatalf("the loss of a plugin moves something: %v", a)
					} else {
						told.hear(t, a)
					}
				}
			}
			m.decide()
			told.hear(t, s.Handle(now, event, nil))
			want := m.table()
			if got := (ipvs.Table{s.Snapshot().Service}); !got.Equal(want) {
				t.Fatalf("after %T:\n%swant:\n%s", event, got, want)
			}
			told.agrees(t, s.Snapshot())
		}
	})
}

// story is what the actions have told so far.
type story struct {
	began   bool
	servers map[netip.AddrPort]pool.ServerChanged
	quorum  pool.QuorumChanged
	table   ipvs.Service
}

func (s *story) hear(t *rapid.T, actions []pool.Action) {
	stage := 0
	for _, action := range actions {
		switch a := action.(type) {
		case pool.ServerChanged:
			was := s.servers[a.Server]
			if stage > 0 || a.Reason == pool.ReasonNone || a.From == a.To && a.WasInService == a.InService {
				t.Fatalf("bad change in %v", actions)
			}
			if a.From != was.To || a.WasInService != was.InService {
				t.Fatalf("%v follows %v", a, was)
			}
			s.servers[a.Server] = a
		case pool.QuorumChanged:
			if stage > 0 || a.From != s.quorum.To || a.To == a.From || a.Reason == pool.ReasonNone {
				t.Fatalf("%v follows %v in %v", a, s.quorum, actions)
			}
			s.quorum, stage = a, 1
		case pool.SetTable:
			if stage > 1 || s.began && a.Service.Equal(&s.table) || s.began && a.Reason == pool.ReasonNone {
				t.Fatalf("bad table in %v", actions)
			}
			s.table, s.began, stage = a.Service, true, 2
		}
	}
}

func (s *story) agrees(t *rapid.T, v pool.Snapshot) {
	if !s.began || !s.table.Equal(&v.Service) {
		t.Fatalf("told:\n%sbut it is\n%s", s.table.AppendText(nil), v.Service.AppendText(nil))
	}
	if s.quorum.To != v.State {
		t.Fatalf("told that the quorum is %v, it is %v", s.quorum.To, v.State)
	}
	if v.State != pool.Unknown && (v.State == pool.Up) != (v.Weight >= v.Quorum) {
		t.Fatalf("quorum is %v with %d of %d", v.State, v.Weight, v.Quorum)
	}
	maps.DeleteFunc(s.servers, func(a netip.AddrPort, _ pool.ServerChanged) bool {
		return !slices.ContainsFunc(v.Servers, func(r pool.ServerSnapshot) bool { return r.Address == a })
	})
	for _, r := range v.Servers {
		if told := s.servers[r.Address]; told.InService != r.InService {
			t.Fatalf("told %+v, but it is %+v", told, r)
		}
		i := slices.IndexFunc(v.Service.Destinations, func(d ipvs.Destination) bool { return d.Address == r.Address })
		if i >= 0 && int(v.Service.Destinations[i].Weight) != r.Weight || i < 0 && r.Weight != 0 {
			t.Fatalf("%v is in the table as %v", r, v.Service.Destinations)
		}
	}
}

// TestDynamicWeightWithTimeouts is R9: the weight never drifts.
func TestDynamicWeightWithTimeouts(t *testing.T) {
	s := newStage(t)
	s.Run("configure\nservice\nserver A weight=10 misc:rise=1:fall=2\nadopt\npass A misc weight=5")
	for i := range 1000 {
		s.Run(fmt.Sprintf("fail A misc timeout\npass A misc weight=%d", i%250))
		if got := s.server.Snapshot().Servers[0].Weight; got != i%250 {
			t.Fatalf("round %d: weight %d, want %d", i, got, i%250)
		}
	}
}

func TestNothingChangedAllocatesNothing(t *testing.T) {
	s := newStage(t)
	s.Run("configure\nservice\nserver A tcp\nserver B tcp\nserver C tcp\nadopt\npass A tcp x2\npass B tcp x2\nfail C tcp x3\nlost C tcp")
	a, c := address("A"), address("C")
	actions := make([]pool.Action, 0, 4)
	allocations := testing.AllocsPerRun(100, func() {
		actions = s.server.Handle(s.now, pool.CheckResult{Server: a, Check: "tcp", Definition: "1", Outcome: pool.OutcomePass}, actions)
		actions = s.server.Handle(s.now, pool.CheckResult{Server: a, Check: "tcp", Definition: "1", Outcome: pool.OutcomeFail, Reason: "refused"}, actions)
		actions = s.server.Handle(s.now, pool.CheckResult{Server: c, Check: "tcp", Outcome: pool.OutcomeFail}, actions)
		actions = s.server.Handle(s.now, pool.PluginLost{Server: c, Check: "tcp"}, actions)
		actions = s.server.Handle(s.now, pool.DeadlineReached{}, actions)
		s.server.Deadline()
	})
	if allocations != 0 || len(actions) != 0 {
		t.Errorf("%v allocations, actions %v", allocations, actions)
	}
}

func BenchmarkResult(b *testing.B) {
	s := newStage(b)
	s.Run("configure\nservice\nserver A tcp\nserver B tcp\nserver C tcp\nserver D tcp\nadopt\npass A tcp x2\npass D tcp x2")
	d := address("D")
	b.ReportAllocs()
	for b.Loop() {
		s.server.Handle(s.now, pool.CheckResult{Server: d, Check: "tcp", Definition: "1", Outcome: pool.OutcomePass}, nil)
	}
}
