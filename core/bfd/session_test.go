package bfd_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/bfd"
)

const (
	ms = time.Millisecond
	// local and peer are the discriminators of the session under test and of
	// what it hears.
	local, peer = 0x11, 0x22
)

var t0 = time.Unix(1_000_000, 0)

// steady draws no jitter.
func steady(uint32) uint32 { return 0 }

// baseConfig: 100 ms both ways while up, 300 ms to detect.
func baseConfig() bfd.Config {
	c := bfd.Defaults()
	c.MinTx, c.MinRx, c.Multiplier = 100*ms, 100*ms, 3
	return c
}

func with(change func(c *bfd.Config)) bfd.Config {
	c := baseConfig()
	change(&c)
	return c
}

// heard is a packet of a peer that has the same configuration, over no hop.
func heard(state bfd.State, change ...func(p *bfd.Packet)) *bfd.PacketReceived {
	p := bfd.Packet{
		State: state, Multiplier: 3, MyDiscriminator: peer, YourDiscriminator: local,
		DesiredMinTx: time.Second, RequiredMinRx: 100 * ms,
	}
	if state == bfd.Up {
		p.DesiredMinTx = 100 * ms
	}
	for _, c := range change {
		c(&p)
	}
	return &bfd.PacketReceived{Packet: p, TTL: 255}
}

func poll(p *bfd.Packet)  { p.Poll = true }
func final(p *bfd.Packet) { p.Final = true }

// in brings a session into a state at t0, its Poll Sequence over.
func in(t testing.TB, state bfd.State, config bfd.Config) *bfd.Session {
	t.Helper()
	s := bfd.New(config, local, steady)
	start := t0.Add(-ms)
	s.Handle(start, bfd.Started{}, nil)
	switch state {
	case bfd.AdminDown:
		c := config
		c.Disabled = true
		s.Handle(t0, bfd.Reconfigured{Config: c}, nil)
	case bfd.Down:
		s.Handle(t0, heard(bfd.Up), nil)
	case bfd.Init:
		s.Handle(t0, heard(bfd.Down), nil)
	case bfd.Up:
		s.Handle(start, heard(bfd.Down), nil)
		s.Handle(start, heard(bfd.Init), nil)
		s.Handle(start, heard(bfd.Up, final), nil)
		s.Handle(t0, heard(bfd.Up), nil)
		at, _ := s.Deadline()
		if early := at.Sub(start); early != max(config.MinTx, 100*ms) {
			t.Fatalf("the first packet of Up is due after %v", early)
		}
		s.Handle(t0, bfd.DeadlineReached{}, nil)
	}
	if s.State() != state {
		t.Fatalf("is %v, want %v", s.State(), state)
	}
	return s
}

// lines prints actions.
func lines(actions []bfd.Action) string {
	words := make([]string, 0, len(actions))
	for _, action := range actions {
		words = append(words, line(action))
	}
	return strings.Join(words, "; ")
}

func line(action bfd.Action) string {
	switch a := action.(type) {
	case *bfd.SendPacket:
		return "send " + describe(&a.Packet)
	case bfd.StateChanged:
		s := fmt.Sprintf("%v>%v", a.From, a.To)
		if a.Diagnostic != bfd.DiagNone {
			s += " " + a.Diagnostic.String()
		}
		return s
	case bfd.PacketDropped:
		return "drop " + a.Reason.String()
	}
	return "?"
}

// describe prints what differs from packet to packet.
func describe(p *bfd.Packet) string {
	s := p.State.String()
	if p.Poll {
		s += " P"
	}
	if p.Final {
		s += " F"
	}
	if p.Demand {
		s += " D"
	}
	return s
}

// Every state with every event: what is done, the state after it and the next
// deadline, counted from the event 50 ms after the state was entered.
func TestEveryStateWithEveryEvent(t *testing.T) {
	const (
		none = time.Duration(0)
		slow = time.Second
		rest = slow - 50*ms // of the second between two slow packets
	)
	admin := func(c *bfd.Config) { c.Disabled = true }
	faster := func(c *bfd.Config) { c.MinTx = 40 * ms }
	tests := []struct {
		from  bfd.State
		name  string
		event bfd.Event
		want  string
		to    bfd.State
		next  time.Duration
	}{
		{bfd.AdminDown, "started again", bfd.Started{}, "", bfd.AdminDown, rest},
		{bfd.AdminDown, "hears admin_down", heard(bfd.AdminDown), "drop admin_down", bfd.AdminDown, rest},
		{bfd.AdminDown, "hears down", heard(bfd.Down), "drop admin_down", bfd.AdminDown, rest},
		{bfd.AdminDown, "hears init", heard(bfd.Init), "drop admin_down", bfd.AdminDown, rest},
		{bfd.AdminDown, "hears up", heard(bfd.Up), "drop admin_down", bfd.AdminDown, 300 * ms},
		{bfd.AdminDown, "is polled", heard(bfd.Down, poll), "drop admin_down", bfd.AdminDown, rest},
		{bfd.AdminDown, "early deadline", bfd.DeadlineReached{}, "", bfd.AdminDown, rest},
		{bfd.AdminDown, "disabled", bfd.Reconfigured{Config: with(admin)}, "", bfd.AdminDown, rest},
		{bfd.AdminDown, "enabled", bfd.Reconfigured{Config: baseConfig()}, "send down; admin_down>down", bfd.Down, slow},
		{bfd.AdminDown, "stopped", bfd.Stopped{}, "", bfd.AdminDown, none},

		{bfd.Down, "started again", bfd.Started{}, "", bfd.Down, 250 * ms},
		{bfd.Down, "hears admin_down", heard(bfd.AdminDown), "", bfd.Down, slow - 51*ms},
		{bfd.Down, "hears down", heard(bfd.Down), "send init; down>init", bfd.Init, slow},
		{bfd.Down, "hears init", heard(bfd.Init), "send up; down>up", bfd.Up, 100 * ms},
		{bfd.Down, "hears up", heard(bfd.Up), "", bfd.Down, 300 * ms},
		{bfd.Down, "is polled", heard(bfd.AdminDown, poll), "send down F", bfd.Down, slow - 51*ms},
		{bfd.Down, "is polled by one that is down", heard(bfd.Down, poll), "send init F; down>init", bfd.Init, slow - 51*ms},
		{bfd.Down, "early deadline", bfd.DeadlineReached{}, "", bfd.Down, 250 * ms},
		{bfd.Down, "reconfigured", bfd.Reconfigured{Config: with(faster)}, "", bfd.Down, 250 * ms},
		{bfd.Down, "disabled", bfd.Reconfigured{Config: with(admin)}, "send admin_down; down>admin_down administratively_down", bfd.AdminDown, 250 * ms},
		{bfd.Down, "stopped", bfd.Stopped{}, "send admin_down; down>admin_down administratively_down", bfd.AdminDown, 250 * ms},

		{bfd.Init, "started again", bfd.Started{}, "", bfd.Init, rest},
		{bfd.Init, "hears admin_down", heard(bfd.AdminDown), "send down; init>down neighbor_signaled_down", bfd.Down, slow},
		{bfd.Init, "hears down", heard(bfd.Down), "", bfd.Init, rest},
		{bfd.Init, "hears init", heard(bfd.Init), "send up; init>up", bfd.Up, 100 * ms},
		{bfd.Init, "hears up", heard(bfd.Up), "send up; init>up", bfd.Up, 100 * ms},
		{bfd.Init, "is polled by one that is up", heard(bfd.Up, poll), "send up F; init>up", bfd.Up, 50 * ms},
		{bfd.Init, "early deadline", bfd.DeadlineReached{}, "", bfd.Init, rest},
		{bfd.Init, "reconfigured", bfd.Reconfigured{Config: with(faster)}, "", bfd.Init, rest},
		{bfd.Init, "disabled", bfd.Reconfigured{Config: with(admin)}, "send admin_down; init>admin_down administratively_down", bfd.AdminDown, slow},
		{bfd.Init, "stopped", bfd.Stopped{}, "send admin_down; init>admin_down administratively_down", bfd.AdminDown, slow},

		{bfd.Up, "started again", bfd.Started{}, "", bfd.Up, 49 * ms},
		{bfd.Up, "hears admin_down", heard(bfd.AdminDown), "send down; up>down neighbor_signaled_down", bfd.Down, slow},
		{bfd.Up, "hears down", heard(bfd.Down), "send down; up>down neighbor_signaled_down", bfd.Down, slow},
		{bfd.Up, "hears init", heard(bfd.Init), "", bfd.Up, 49 * ms},
		{bfd.Up, "hears up", heard(bfd.Up), "", bfd.Up, 49 * ms},
		{bfd.Up, "is polled", heard(bfd.Up, poll), "send up F", bfd.Up, 49 * ms},
		{bfd.Up, "early deadline", bfd.DeadlineReached{}, "", bfd.Up, 49 * ms},
		// The peer receives no more often than every 100 ms, whatever is wished.
		{bfd.Up, "reconfigured", bfd.Reconfigured{Config: with(faster)}, "", bfd.Up, 49 * ms},
		{bfd.Up, "disabled", bfd.Reconfigured{Config: with(admin)}, "send admin_down; up>admin_down administratively_down", bfd.AdminDown, 250 * ms},
		{bfd.Up, "stopped", bfd.Stopped{}, "send admin_down; up>admin_down administratively_down", bfd.AdminDown, 250 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.from.String()+"/"+tt.name, func(t *testing.T) {
			s := in(t, tt.from, baseConfig())
			now := t0.Add(50 * ms)
			if got := lines(s.Handle(now, tt.event, nil)); got != tt.want {
				t.Errorf("did\n%q, want\n%q", got, tt.want)
			}
			if s.State() != tt.to {
				t.Errorf("is %v, want %v", s.State(), tt.to)
			}
			at, ok := s.Deadline()
			if ok != (tt.next != none) || ok && at.Sub(now) != tt.next {
				t.Errorf("next deadline in %v (%v), want %v", at.Sub(now), ok, tt.next)
			}
		})
	}
}
