package bfd_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/scenario"
)

// TestScenarios runs the scripts in testdata. No interval is jittered. The commands:
//
//	session NAME [key=value ...]   one side: min_tx, min_rx, idle_tx, multiplier, passive, max_hops
//	start|stop NAME                begin or end it
//	restart NAME                   as after a crash, with another discriminator
//	run DURATION                   let time pass
//	latency DURATION               how long a packet travels from now on
//	deaf|hearing|mute|loud NAME    whether packets reach it, or leave it
//	freeze|thaw NAME               stop its process, or let it go on
//	hops NAME NUMBER               over how many routers its packets go from now on
//	set NAME [key=value ...]       reconfigure it
//	hear NAME STATE [WORD ...]     it hears a packet made up here: poll, final, demand, authenticated, key=value
//	status                         print what each says of itself
func TestScenarios(t *testing.T) { scenario.Run(t, play) }

// script is one scenario being played.
type script struct {
	*link
	out     strings.Builder
	configs map[string]bfd.Config
	// last are the lines printed most recently; what repeats them is counted.
	last    []string
	repeats int
	until   time.Duration
}

// line prints one line of a trace. The two sides' periodic packets alternate, so
// a line that one of the last two said is a repetition.
func (s *script) line(format string, args ...any) {
	text, at := fmt.Sprintf(format, args...), s.now.Sub(s.start).Truncate(time.Microsecond)
	if slices.Contains(s.last, text) {
		s.repeats++
		s.until = at
		return
	}
	s.settle()
	s.last = append(s.last, text)
	if len(s.last) > 2 {
		s.last = s.last[1:]
	}
	fmt.Fprintf(&s.out, "%9s %s\n", at, text)
}

// settle prints how often the last lines were repeated.
func (s *script) settle() {
	if s.repeats > 0 {
		fmt.Fprintf(&s.out, "%9s ... the same, %d more\n", s.until, s.repeats)
		s.last = nil
	}
	s.repeats = 0
}

func play(t *testing.T, text string) string {
	t.Helper()
	s := &script{link: newLink(t), configs: map[string]bfd.Config{}}
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
	s.last = nil
	for _, c := range commands {
		s.command(t, strings.Fields(c))
	}
	s.settle()
}

func (s *script) command(t *testing.T, words []string) {
	t.Helper()
	switch words[0] {
	case "run":
		s.run(scenario.Duration(t, words[1]))
		return
	case "latency":
		s.latency = scenario.Duration(t, words[1])
		return
	case "status":
		for _, x := range s.sides {
			s.status(x)
		}
		return
	case "session":
		c := baseConfig()
		apply(t, &c, words[2:])
		s.configs[words[1]] = c
		s.add(words[1], c, steady)
		return
	}
	i := slices.IndexFunc(s.sides[:], func(x *side) bool { return x != nil && x.name == words[1] })
	if i < 0 {
		t.Fatalf("no session %q", words[1])
	}
	x := s.sides[i]
	switch words[0] {
	case "start":
		s.handle(x, bfd.Started{})
	case "stop":
		s.handle(x, bfd.Stopped{})
	case "restart":
		x.session = bfd.New(s.configs[x.name], x.session.Discriminator()+2, steady)
		s.handle(x, bfd.Started{})
	case "deaf", "hearing":
		x.deaf = words[0] == "deaf"
	case "mute", "loud":
		x.mute = words[0] == "mute"
	case "freeze":
		x.frozen = true
	case "thaw":
		s.thaw(x)
	case "hops":
		x.hops = scenario.Number(t, words[2])
	case "set":
		c := s.configs[x.name]
		apply(t, &c, words[2:])
		s.configs[x.name] = c
		s.handle(x, bfd.Reconfigured{Config: c})
	case "hear":
		s.hear(t, x, words[2:])
	default:
		t.Fatalf("unknown command %q", words[0])
	}
}

// hear makes up a packet; what is not said is as its own configuration.
func (s *script) hear(t *testing.T, x *side, words []string) {
	t.Helper()
	c := s.configs[x.name]
	e := &bfd.PacketReceived{TTL: 255, Packet: bfd.Packet{
		Multiplier: c.Multiplier, DesiredMinTx: c.MinTx, RequiredMinRx: c.MinRx,
		MyDiscriminator: 99, YourDiscriminator: x.session.Discriminator(),
	}}
	p := &e.Packet
	states := map[string]bfd.State{}
	for i := range bfd.StateCount {
		states[bfd.State(i).String()] = bfd.State(i)
	}
	p.State = states[words[0]]
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "poll":
			p.Poll = true
		case "final":
			p.Final = true
		case "demand":
			p.Demand = true
		case "authenticated":
			p.Authentication = true
		case "min_rx":
			p.RequiredMinRx = scenario.Duration(t, value)
		case "ttl":
			e.TTL = scenario.Number(t, value)
		default:
			t.Fatalf("unknown word %q", w)
		}
	}
	s.handle(x, e)
}

func (s *script) status(x *side) {
	v := x.session.Snapshot()
	if v.Since.IsZero() {
		s.line("%s %v, not started", x.name, v.State)
		return
	}
	line := fmt.Sprintf("%s %v (%v) for %v, peer %v", x.name, v.State, v.Diagnostic, s.now.Sub(v.Since), v.RemoteState)
	if v.TransmitInterval > 0 {
		line += fmt.Sprintf(", sends every %v", v.TransmitInterval)
	}
	if v.DetectionTime > 0 {
		line += fmt.Sprintf(", detects in %v", v.DetectionTime)
	}
	if v.Polling {
		line += ", polling"
	}
	if v.RemoteDemand {
		line += ", demand mode"
	}
	s.line("%s", line)
}

// apply reads key=value words into a configuration.
func apply(t *testing.T, c *bfd.Config, words []string) {
	t.Helper()
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "min_tx":
			c.MinTx = scenario.Duration(t, value)
		case "min_rx":
			c.MinRx = scenario.Duration(t, value)
		case "idle_tx":
			c.IdleTx = scenario.Duration(t, value)
		case "multiplier":
			c.Multiplier = scenario.Byte(t, value)
		case "max_hops":
			c.MaxHops = scenario.Byte(t, value)
		case "passive":
			c.Passive = value == "true"
		case "disabled":
			c.Disabled = value == "true"
		default:
			t.Fatalf("unknown key %q", key)
		}
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
}
