package pool_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/core/scenario"
)

// TestScenarios runs the scripts in testdata. The commands:
//
//	configure               the lines that follow are one configuration:
//	  service [sched=wrr] [persist=SECONDS] [quorum=N] [sorry=SERVER[/FORWARD]]
//	  server SERVER [weight=N] [dr|tun] [quiesce] [CHECK[@VERSION][:rise=N][:fall=N][:loss=GRACE] ...]
//	adopt [SERVER=WEIGHT ...]
//	pass|fail|unknown SERVER CHECK[@VERSION] [REASON] [weight=N] [xTIMES]
//	lost SERVER CHECK
//	wait DURATION           time passes; a deadline within it is reached on time
//	timer                   a timer fires, due or not
//	status                  prints the snapshot
//
// SERVER is a letter: A is 192.0.2.31:80, B is 192.0.2.32:80 and so on. A check's
// version stands for its definition; without one it is 1.
func TestScenarios(t *testing.T) {
	scenario.Run(t, func(t *testing.T, script string) string {
		t.Helper()
		return newStage(t).play(script)
	})
}

// stage runs one script.
type stage struct {
	tb     testing.TB
	now    time.Time
	start  time.Time
	server *pool.Server
	out    strings.Builder
}

func newStage(tb testing.TB) *stage {
	tb.Helper()
	return &stage{tb: tb, now: scenario.Start(), start: scenario.Start()}
}

// play runs a script and returns it with the traces that it really leaves.
func (s *stage) play(script string) string {
	s.tb.Helper()
	return scenario.Play(script, func(commands []string) string {
		s.out.Reset()
		s.run(commands)
		return s.out.String()
	})
}

// Run implements scenario.Stage.
func (s *stage) Run(script string) {
	s.tb.Helper()
	commands, _ := scenario.Commands(script)
	s.run(commands)
}

// Trace implements scenario.Stage.
func (s *stage) Trace() string { return s.out.String() }

func (s *stage) run(commands []string) {
	s.tb.Helper()
	var config []string
	for _, line := range commands {
		words := strings.Fields(line)
		switch words[0] {
		case "configure":
		case "service", "server":
			config = append(config, line)
		default:
			s.configure(config)
			config = nil
			s.command(words)
		}
	}
	s.configure(config)
}

func (s *stage) configure(lines []string) {
	s.tb.Helper()
	if len(lines) == 0 {
		return
	}
	c := parseConfig(s.tb, lines)
	if s.server == nil {
		s.server = pool.New(s.now, c)
		return
	}
	s.handle(pool.Reconfigured{Config: c})
}

func (s *stage) command(words []string) {
	s.tb.Helper()
	switch words[0] {
	case "adopt":
		var e pool.Adopted
		for _, w := range words[1:] {
			name, weight, _ := strings.Cut(w, "=")
			e.Destinations = append(e.Destinations, ipvs.Destination{Address: address(name), Weight: uint32(scenario.Number(s.tb, weight))})
		}
		s.handle(e)
	case "pass", "fail", "unknown":
		e, times := parseResult(s.tb, words)
		for range times {
			s.handle(e)
		}
	case "lost":
		s.handle(pool.PluginLost{Server: address(words[1]), Check: words[2]})
	case "wait":
		s.wait(scenario.Duration(s.tb, words[1]))
	case "timer":
		s.handle(pool.DeadlineReached{})
	case "status":
		s.status()
	default:
		s.tb.Fatalf("unknown command %q", words)
	}
}

func parseResult(tb testing.TB, words []string) (pool.CheckResult, int) {
	tb.Helper()
	e := pool.CheckResult{
		Outcome: map[string]pool.Outcome{"pass": pool.OutcomePass, "fail": pool.OutcomeFail, "unknown": pool.OutcomeUnknown}[words[0]],
		Server:  address(words[1]),
	}
	e.Check, e.Definition = scenario.Versioned(words[2])
	times := 1
	for _, w := range words[3:] {
		switch value, isWeight := strings.CutPrefix(w, "weight="); {
		case isWeight:
			e.Weighted, e.Weight = true, scenario.Number(tb, value)
		case w[0] == 'x':
			times = scenario.Number(tb, w[1:])
		default:
			e.Reason = w
		}
	}
	return e, times
}

func (s *stage) wait(d time.Duration) {
	s.now = scenario.Pass(s.now, d, s.server.Deadline, func(at time.Time) {
		s.now = at
		s.handle(pool.DeadlineReached{})
	})
}

func (s *stage) handle(e pool.Event) {
	for _, a := range s.server.Handle(s.now, e, nil) {
		s.out.WriteString(describe(a) + "\n")
	}
}

func describe(action pool.Action) string {
	switch a := action.(type) {
	case pool.ServerChanged:
		return fmt.Sprintf("server %s: %v > %v, in %v > %v, weight %d (%s)",
			letter(a.Server), a.From, a.To, a.WasInService, a.InService, a.Weight, a.Why)
	case pool.QuorumChanged:
		return fmt.Sprintf("quorum: %v > %v, %d of %d, sorry %v (%v)", a.From, a.To, a.Weight, a.Quorum, a.Sorry, a.Reason)
	case pool.SetTable:
		var destinations []string
		for _, d := range a.Service.Destinations {
			destinations = append(destinations, " "+letter(d.Address)+" "+d.Attributes())
		}
		return fmt.Sprintf("table (%v): %s:%s", a.Reason, a.Service.Attributes(), strings.Join(destinations, ","))
	default:
		return "?"
	}
}

func (s *stage) status() {
	v := s.server.Snapshot()
	fmt.Fprintf(&s.out, "%v since %v (%v), %d of %d, sorry %v\n", v.State, v.Since.Sub(s.start), v.Reason, v.Weight, v.Quorum, v.SorryActive)
	for _, r := range v.Servers {
		fmt.Fprintf(&s.out, "  %s %v, in %v, weight %d of %d, since %v (%s)\n", letter(r.Address), r.State, r.InService, r.Weight, r.EffectiveWeight, r.Since.Sub(s.start), r.Why)
		for _, c := range r.Checks {
			fmt.Fprintf(&s.out, "    %s %v (verdict %v), last %v %s", c.Name, c.State, c.Verdict, c.Outcome, c.Reason)
			if c.Weighted {
				fmt.Fprintf(&s.out, ", weight %d", c.Weight)
			}
			if c.PluginLost {
				fmt.Fprint(&s.out, ", plugin lost")
			}
			fmt.Fprintln(&s.out)
		}
	}
}

func parseConfig(tb testing.TB, lines []string) pool.Config {
	tb.Helper()
	c := pool.Config{Quorum: 1, Service: ipvs.Service{
		Key: ipvs.AddressKey(ipvs.TCP, netip.MustParseAddrPort("192.0.2.10:80")), Scheduler: "wrr",
	}}
	for _, line := range lines {
		words := strings.Fields(line)
		switch words[0] {
		case "service":
			parseService(tb, &c, words[1:])
		case "server":
			c.Servers = append(c.Servers, parseServer(tb, words[1:]))
		default:
			tb.Fatalf("unknown word %q", words[0])
		}
	}
	return c
}

func parseService(tb testing.TB, c *pool.Config, words []string) {
	tb.Helper()
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "sched":
			c.Service.Scheduler = value
		case "persist":
			c.Service.Persistence.Timeout = uint32(scenario.Number(tb, value))
		case "quorum":
			c.Quorum = scenario.Number(tb, value)
		case "sorry":
			name, forward, _ := strings.Cut(value, "/")
			c.SorryServer = address(name)
			c.SorryForwarding, _ = ipvs.ParseForwarding(forward)
		default:
			tb.Fatalf("unknown word %q", w)
		}
	}
}

func parseServer(tb testing.TB, words []string) pool.RealServer {
	tb.Helper()
	r := pool.RealServer{Address: address(words[0]), Weight: 1}
	for _, w := range words[1:] {
		if f, ok := ipvs.ParseForwarding(w); ok {
			r.Forwarding = f
			continue
		}
		if p, ok := pool.ParseOnFailure(w); ok {
			r.OnFailure = p
			continue
		}
		if value, ok := strings.CutPrefix(w, "weight="); ok {
			r.Weight = scenario.Number(tb, value)
			continue
		}
		r.Checks = append(r.Checks, parseCheck(tb, w))
	}
	return r
}

func parseCheck(tb testing.TB, word string) pool.Check {
	tb.Helper()
	parts := strings.Split(word, ":")
	c := pool.Check{Rise: 2, Fall: 3}
	c.Name, c.Definition = scenario.Versioned(parts[0])
	for _, p := range parts[1:] {
		switch key, value, _ := strings.Cut(p, "="); key {
		case "rise":
			c.Rise = scenario.Number(tb, value)
		case "fall":
			c.Fall = scenario.Number(tb, value)
		case "loss":
			c.FailOnLoss, c.Grace = true, scenario.Duration(tb, value)
		default:
			tb.Fatalf("unknown word %q", word)
		}
	}
	return c
}

func address(name string) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 31 + name[0] - 'A'}), 80)
}

func letter(a netip.AddrPort) string {
	return string(rune('A' + a.Addr().As4()[3] - 31))
}
