package vrrp_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/scenario"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// TestScenarios runs the scripts in testdata. The commands:
//
//	router NAME SOURCE [key=value ...]   a router on the network
//	up|down|missing|sourceless NAME      what is true of its interface
//	run DURATION                         let time pass
//	latency DURATION                     how long a packet travels from now on
//	cut|join NAME                        take it off the network, or back
//	move NAME NETWORK                    put it on another network, by number
//	freeze|thaw NAME                     stop its process, or let it go on
//	step NAME DURATION                   step the wall clock of its machine
//	advert NAME SOURCE [key=value ...]   it hears an advertisement made up here
//	set NAME [key=value ...]             reconfigure it
//	fault NAME CAUSE [DURATION]          raise a cause
//	clear NAME CAUSE                     clear it
//	track NAME PRIORITY                  its trackers, or those of a member, ask for a priority
//	group NAME ROUTER ...                make them a sync group
//	stop NAME                            stop it
//	status [NAME ...]                    print what it says of itself
func TestScenarios(t *testing.T) { scenario.Run(t, play) }

// script is one scenario being played.
type script struct {
	*lan
	out     strings.Builder
	configs map[string]vrrp.Config
	// last is the line printed most recently; what repeats it is counted.
	last    string
	repeats int
	until   time.Duration
}

// line prints one line of a trace.
func (s *script) line(format string, args ...any) {
	text, at := fmt.Sprintf(format, args...), s.now.Sub(s.start).Truncate(time.Microsecond)
	if text == s.last {
		s.repeats++
		s.until = at
		return
	}
	s.settle()
	s.last = text
	fmt.Fprintf(&s.out, "%9s %s\n", at, text)
}

// settle prints how often the last line was repeated.
func (s *script) settle() {
	if s.repeats > 0 {
		fmt.Fprintf(&s.out, "%9s ... the same, %d more\n", s.until, s.repeats)
	}
	s.last, s.repeats = "", 0
}

func play(t *testing.T, text string) string {
	t.Helper()
	s := &script{lan: newLAN(t), configs: map[string]vrrp.Config{}}
	s.trace = s.line
	return scenario.Play(text, func(commands []string) string {
		s.out.Reset()
		s.block(t, commands)
		return s.out.String()
	})
}

// block carries out commands.
func (s *script) block(t *testing.T, commands []string) {
	t.Helper()
	for _, c := range commands {
		s.command(t, strings.Fields(c))
		s.checkHolds()
	}
	s.settle()
	if s.out.Len() == 0 {
		s.out.WriteString("    nothing\n")
	}
}

func (s *script) command(t *testing.T, words []string) {
	t.Helper()
	arg := func(i int) string {
		if i >= len(words) {
			t.Fatalf("%v: too few words", words)
		}
		return words[i]
	}
	switch verb := arg(0); verb {
	case "router":
		c := baseConfig()
		apply(t, &c, words[3:])
		s.configs[arg(1)] = c
		s.add(arg(1), arg(2), c)
		s.trace("%s is %v from %s", arg(1), summary(&c), arg(2))
	case "up":
		s.up(s.node(arg(1)))
	case "down":
		n := s.node(arg(1))
		s.handle(n, vrrp.InterfaceChanged{Exists: true, Source: n.source})
	case "missing":
		s.handle(s.node(arg(1)), vrrp.InterfaceChanged{})
	case "sourceless":
		s.handle(s.node(arg(1)), vrrp.InterfaceChanged{Exists: true, Up: true})
	case "run":
		s.run(scenario.Duration(t, arg(1)))
	case "latency":
		s.latency = scenario.Duration(t, arg(1))
	case "cut", "join":
		s.node(arg(1)).cut = verb == "cut"
	case "freeze":
		s.node(arg(1)).frozen = true
	case "thaw":
		s.thaw(s.node(arg(1)))
	case "advert":
		s.advert(t, s.node(arg(1)), arg(2), words[3:])
	case "set":
		c := s.configs[arg(1)]
		apply(t, &c, words[2:])
		s.configs[arg(1)] = c
		if g := s.node(arg(1)).team; g != nil {
			t.Fatalf("%s is in group %s: its members change together", arg(1), g.name)
		}
		s.handle(s.node(arg(1)), vrrp.Reconfigured{Config: c})
	case "fault":
		e := vrrp.FaultRaised{Cause: cause(t, arg(2))}
		if len(words) > 3 {
			e.For = scenario.Duration(t, arg(3))
		}
		if e.Cause == vrrp.FaultTracker {
			e.Detail = "nginx"
		}
		s.handle(s.node(arg(1)), e)
	case "clear":
		s.handle(s.node(arg(1)), vrrp.FaultCleared{Cause: cause(t, arg(2))})
	case "track":
		p := scenario.Number(t, arg(2))
		if n := s.node(arg(1)); n.team != nil {
			s.tell(n.team, vrrp.MemberPriority{Member: n.name, Priority: p, Detail: "nginx"})
		} else {
			s.handle(n, vrrp.PriorityChanged{Priority: p, Detail: "nginx"})
		}
	case "group":
		s.group(t, arg(1), words[2:])
	case "move":
		s.node(arg(1)).segment = scenario.Number(t, arg(2))
	case "step":
		s.node(arg(1)).wall += scenario.Duration(t, arg(2))
	case "stop":
		s.handle(s.node(arg(1)), vrrp.Stopped{})
		s.node(arg(1)).stopped = true
	case "status":
		for _, n := range s.nodes {
			if len(words) == 1 || slices.Contains(words[1:], n.name) {
				s.status(n)
			}
		}
	default:
		t.Fatalf("unknown command %q", verb)
	}
}

// group makes routers a sync group, or changes one.
func (s *script) group(t *testing.T, name string, names []string) {
	t.Helper()
	var nodes []*node
	var configs []vrrp.Config
	for _, n := range names {
		nodes, configs = append(nodes, s.node(n)), append(configs, s.configs[n])
	}
	s.join(name, configs, nodes...)
}

// advert makes up an advertisement; what is not said is as the node expects it.
func (s *script) advert(t *testing.T, n *node, source string, words []string) {
	t.Helper()
	c := s.configs[n.name]
	priority := uint8(0)
	rest := words[:0:0]
	for _, w := range words {
		if v, ok := strings.CutPrefix(w, "priority="); ok {
			priority = scenario.Byte(t, v)
			continue
		}
		rest = append(rest, w)
	}
	apply(t, &c, rest)
	from := netip.MustParseAddr(source)
	family := wire.IPv4
	if from.Is6() {
		family = wire.IPv6
	}
	a := wire.Advertisement{Version: c.Version, Family: family, VRID: c.VRID, Priority: priority, Interval: c.Interval, Addresses: c.Addresses, Auth: c.Auth}
	b, err := a.Append(nil, from, family.Group(), c.Checksum)
	if err != nil {
		t.Fatal(err)
	}
	s.deliver(packet{to: n, bytes: b, meta: wire.Meta{Source: from, Destination: family.Group(), TTL: wire.HopLimit}})
}

func (s *script) status(n *node) {
	v := n.router.Snapshot()
	line := fmt.Sprintf("%s %v (%v) for %v, priority %d", n.name, v.State, v.Reason, s.now.Sub(v.Since), v.Priority)
	if v.EffectivePriority != v.Priority {
		line += fmt.Sprintf(" (effective %d)", v.EffectivePriority)
	}
	if v.Faults != 0 {
		line += ", faults " + v.Faults.String()
	}
	line += because(v.FaultDetail)
	line += fmt.Sprintf(", interval %v skew %v down %v", v.ActiveAdverInterval, v.SkewTime, v.ActiveDownInterval)
	if v.Peer.Address.IsValid() {
		line += fmt.Sprintf(", peer %v priority %d", v.Peer.Address, v.Peer.Priority)
	}
	if at, ok := n.router.Deadline(); ok {
		line += fmt.Sprintf(", next in %v", at.Sub(s.now))
	}
	var mismatches strings.Builder
	for _, m := range v.Mismatches {
		fmt.Fprintf(&mismatches, ", mismatch %v", m.Kind)
	}
	s.trace("%s%s", line, mismatches.String())
}

func summary(c *vrrp.Config) string {
	return fmt.Sprintf("v%d priority %d interval %v", c.Version, c.Priority, c.Interval)
}

// apply reads key=value words into a configuration.
func apply(t *testing.T, c *vrrp.Config, words []string) {
	t.Helper()
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "version":
			c.Version = wire.Version(value[0] - '0')
		case "priority":
			c.Priority = scenario.Byte(t, value)
		case "interval":
			c.Interval = scenario.Duration(t, value)
		case "preempt":
			c.Preempt = value == "true"
		case "preempt_delay":
			c.PreemptDelay = scenario.Duration(t, value)
		case "hold":
			c.Hold = scenario.Duration(t, value)
		case "also_v2":
			c.AlsoV2 = value == "true"
		case "addresses":
			c.Addresses = nil
			for a := range strings.SplitSeq(value, ",") {
				c.Addresses = append(c.Addresses, netip.MustParseAddr(a))
			}
		case "checksum":
			c.Checksum = wire.PseudoHeader
			if value == "plain" {
				c.Checksum = wire.Plain
			}
		case "password":
			p, err := wire.NewPassword(value)
			if err != nil {
				t.Fatal(err)
			}
			c.Auth = wire.Auth{Type: wire.AuthPassword, Password: p}
		case "ignore_link_down":
			c.IgnoreLinkDown = value == "true"
		case "refresh":
			c.Announcement.Refresh = scenario.Duration(t, value)
		case "delay":
			c.Announcement.Delay = scenario.Duration(t, value)
		default:
			t.Fatalf("unknown key %q", key)
		}
	}
}

func cause(t *testing.T, word string) vrrp.FaultCause {
	t.Helper()
	for c := vrrp.FaultInterfaceMissing; c <= vrrp.FaultGroup; c++ {
		if c.String() == word {
			return c
		}
	}
	t.Fatalf("no cause %q", word)
	return 0
}
