package bfd_test

import (
	"testing"
	"time"

	"github.com/halo-ha/halo/core/bfd"
)

// hops is a packet that came with a TTL.
func hops(ttl int) *bfd.PacketReceived {
	e := heard(bfd.Down)
	e.TTL = ttl
	return e
}

//rfc:5880/9-2 positive negative
//rfc:5881/5-2 positive negative
func TestTTL(t *testing.T) {
	tests := []struct {
		ttl, maxHops uint8
		received     int
		counts       bool
	}{
		{255, 0, 255, true},
		{255, 0, 254, false},
		{255, 0, 64, false},
		{255, 0, 0, false},
		{255, 0, -1, false},
		{255, 1, 254, true},
		{255, 1, 253, false},
		{64, 0, 64, true},
		{64, 0, 63, false},
		{64, 0, 255, true}, // A peer that sends more cannot be farther.
		{64, 100, 0, true},
		{64, bfd.AnyHops, 1, true},
		{255, bfd.AnyHops, -1, true},
	}
	for _, tt := range tests {
		s := in(t, bfd.Down, with(func(c *bfd.Config) { c.TTL, c.MaxHops = tt.ttl, tt.maxHops }))
		want := "drop ttl"
		if tt.counts {
			want = "send init; down>init"
		}
		if got := lines(s.Handle(t0, hops(tt.received), nil)); got != want {
			t.Errorf("sent with %d, at most %d hops, arrived with %d: %q, want %q", tt.ttl, tt.maxHops, tt.received, got, want)
		}
	}
}

// A packet that does not count changes nothing, not even when the peer was heard.
// The TTL comes before the authentication, as RFC 5881 §5 allows.
//
//rfc:5880/6.8.6-11 positive negative
//rfc:5880/6.8.6-20 positive negative
func TestDroppedPacketsChangeNothing(t *testing.T) {
	authenticated := func(p *bfd.Packet) { p.Authentication = true }
	far := heard(bfd.Down, authenticated)
	far.TTL = 254
	tests := []struct {
		want  string
		event *bfd.PacketReceived
	}{
		{"drop authentication", heard(bfd.Down, authenticated, poll)},
		{"drop ttl", far},
		{"drop ttl", hops(254)},
	}
	for _, tt := range tests {
		c := newClock(t, in(t, bfd.Up, baseConfig()))
		before := c.Snapshot()
		c.run(200 * ms)
		c.packets()
		c.handle(tt.event)
		c.want("200ms " + tt.want)
		if after := c.Snapshot(); after != before {
			t.Errorf("%s: %+v, before %+v", tt.want, after, before)
		}
		c.run(100*ms - 1)
		if c.packets(); c.State() != bfd.Up {
			t.Errorf("%s: is %v early", tt.want, c.State())
		}
		c.run(1)
		if c.State() != bfd.Down {
			t.Errorf("%s: is %v", tt.want, c.State())
		}
	}
	// One that counts does.
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	c.run(200 * ms)
	c.handle(heard(bfd.Up))
	c.run(299 * ms)
	if c.State() != bfd.Up {
		t.Errorf("is %v", c.State())
	}
}

// The state machine of RFC 5880 §6.8.6, every state with every state of the peer.
//
//rfc:5880/6.8.6-17 positive negative
func TestStateMachine(t *testing.T) {
	tests := map[bfd.State][bfd.StateCount]bfd.State{
		//              the peer is in  AdminDown      Down           Init           Up
		bfd.AdminDown: {bfd.AdminDown, bfd.AdminDown, bfd.AdminDown, bfd.AdminDown},
		bfd.Down:      {bfd.Down, bfd.Init, bfd.Up, bfd.Down},
		bfd.Init:      {bfd.Down, bfd.Init, bfd.Up, bfd.Up},
		bfd.Up:        {bfd.Down, bfd.Down, bfd.Up, bfd.Up},
	}
	for from, row := range tests {
		for remote, to := range row {
			s := in(t, from, baseConfig())
			s.Handle(t0, heard(bfd.State(remote)), nil)
			v := s.Snapshot()
			if v.State != to || v.RemoteState != bfd.State(remote) {
				t.Errorf("%v hears %v: is %v, want %v", from, bfd.State(remote), v.State, to)
			}
			if from > bfd.Down && to == bfd.Down && v.Diagnostic != bfd.DiagNeighborSignaledDown {
				t.Errorf("%v hears %v: %v", from, bfd.State(remote), v.Diagnostic)
			}
		}
	}
}

//rfc:5880/6.5-1 positive negative
//rfc:5880/6.8.7-8 positive negative
func TestPollIsAnswered(t *testing.T) {
	for _, state := range []bfd.State{bfd.Down, bfd.Init, bfd.Up} {
		c := newClock(t, in(t, state, baseConfig()))
		// While a Poll Sequence of its own is on its way.
		c.handle(bfd.Reconfigured{Config: with(func(c *bfd.Config) { c.MinRx = 150 * ms })})
		c.packets()
		before, _ := c.Deadline()
		remote := state
		switch state { // To what leaves it where it is.
		case bfd.Down:
			remote = bfd.AdminDown
		case bfd.Init:
			remote = bfd.Down
		case bfd.AdminDown, bfd.Up:
		}
		for range 3 {
			c.handle(heard(remote, poll))
		}
		list := c.packets()
		if len(list) != 3 || !all(list, func(p bfd.Packet) bool { return p.Final && !p.Poll && p.YourDiscriminator == peer }) {
			t.Errorf("%v: %+v", state, list)
		}
		// It moves no timer of the session's own packets.
		if after, _ := c.Deadline(); state != bfd.Down && !after.Equal(before) {
			t.Errorf("%v: the next packet was due at %v, is at %v", state, before.Sub(t0), after.Sub(t0))
		}
		c.handle(heard(remote))
		if list := c.packets(); len(list) != 0 {
			t.Errorf("%v: without a poll %+v", state, list)
		}
	}
}

// The peer counts as heard for a Detection Time after its last packet, whatever
// the state, and what it said is forgotten after that.
//
//rfc:5880/6.8.1-1 positive negative
//rfc:5880/6.8.1-6 positive negative
//rfc:5880/6.8.18-1 positive negative
//rfc:5880/6.8.18-2 positive negative
func TestSilence(t *testing.T) {
	last := func(state bfd.State) *bfd.PacketReceived {
		return heard(state, func(p *bfd.Packet) { p.RequiredMinRx, p.DesiredMinTx = 0, time.Second })
	}
	for state, remote := range map[bfd.State]bfd.State{
		bfd.AdminDown: bfd.Down, bfd.Down: bfd.AdminDown, bfd.Init: bfd.Down, bfd.Up: bfd.Up,
	} {
		c := newClock(t, in(t, state, baseConfig()))
		c.handle(last(remote))
		c.packets()
		// It has asked for no periodic packets.
		c.run(3*time.Second - 1)
		c.want("")
		if s := c.Snapshot(); s.RemoteDiscriminator != peer || s.State != state || s.DetectionTime != 3*time.Second {
			t.Errorf("%v: %+v", state, s)
		}
		c.run(1)
		if s := c.Snapshot(); s.RemoteDiscriminator != 0 || s.RemoteState != bfd.Down || s.DetectionTime != 0 || !s.Heard.IsZero() {
			t.Errorf("%v: %+v", state, s)
		}
		// And says again where it stands.
		c.run(time.Second)
		if list := c.packets(); len(list) == 0 || list[0].after != 3*time.Second || list[0].YourDiscriminator != 0 {
			t.Errorf("%v: %+v", state, list)
		}
	}
}
