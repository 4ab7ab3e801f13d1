package bfd_test

import (
	"testing"
	"time"

	"github.com/halo-ha/halo/core/bfd"
)

func reconfigure(change func(c *bfd.Config)) bfd.Reconfigured {
	return bfd.Reconfigured{Config: with(change)}
}

// New intervals are confirmed by a Poll Sequence: the bit is on every periodic
// packet until the answer comes, and no packet is sent for its sake.
//
//rfc:5880/6.5-2 positive negative
//rfc:5880/6.8.3-1 positive negative
//rfc:5880/6.8.6-15 positive negative
func TestPollSequence(t *testing.T) {
	for name, change := range map[string]func(c *bfd.Config){
		"transmit interval": func(c *bfd.Config) { c.MinTx = 100*ms + time.Microsecond },
		"receive interval":  func(c *bfd.Config) { c.MinRx = 200 * ms },
		"both":              func(c *bfd.Config) { c.MinTx, c.MinRx = 50*ms, 50*ms },
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock(t, in(t, bfd.Up, baseConfig()))
			c.run(30 * ms)
			c.handle(reconfigure(change))
			c.want("")
			c.run(70 * ms)
			c.handle(heard(bfd.Up))
			c.run(100 * ms)
			c.handle(heard(bfd.Up, poll)) // The peer's own, which ends nothing.
			c.want("99ms send up P; 199ms send up P; 200ms send up F")
			c.handle(heard(bfd.Up, final))
			if c.Snapshot().Polling {
				t.Error("is polling after the answer")
			}
			c.run(110 * ms)
			if list := c.packets(); len(list) != 1 || list[0].Poll {
				t.Errorf("%+v", list)
			}
		})
	}
	// What is no interval needs no confirmation.
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	c.handle(reconfigure(func(c *bfd.Config) { c.Multiplier, c.IdleTx, c.MaxHops, c.Passive = 9, 7*time.Second, 4, true }))
	c.handle(heard(bfd.Up, final)) // An answer nobody asked for.
	c.run(200 * ms)
	if list := c.packets(); len(list) != 2 || !all(list, func(p bfd.Packet) bool { return !p.Poll && p.Multiplier == 9 && p.State == bfd.Up }) {
		t.Errorf("%+v", list)
	}
}

//rfc:5880/6.8.3-2 positive negative
func TestLongerTransmitIntervalWaits(t *testing.T) {
	slower := func(c *bfd.Config) { c.MinTx = 400 * ms }
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	c.handle(reconfigure(slower))
	c.hears(heard(bfd.Up), 100*ms, time.Second)
	list := c.packets()
	if len(list) != 10 || !all(list, func(p bfd.Packet) bool { return p.Poll && p.DesiredMinTx == 400*ms }) {
		t.Errorf("%+v", list)
	}
	c.handle(heard(bfd.Up, final))
	c.hears(heard(bfd.Up), 100*ms, time.Second)
	for i, gap := range gaps(c.packets()) {
		if i > 0 && gap != 400*ms {
			t.Errorf("gap %v after the answer", gap)
		}
	}
	// While not Up there is nothing to wait for.
	c = newClock(t, in(t, bfd.Init, baseConfig()))
	c.handle(reconfigure(func(c *bfd.Config) { c.IdleTx = 2 * time.Second }))
	c.hears(heard(bfd.Down), time.Second, 4*time.Second)
	for i, gap := range gaps(c.packets()) {
		if gap != 2*time.Second {
			t.Errorf("gap %d is %v", i, gap)
		}
	}
}

//rfc:5880/6.8.3-3 positive negative
func TestShorterReceiveIntervalWaits(t *testing.T) {
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	fast := func(p *bfd.Packet) { p.DesiredMinTx = 10 * ms }
	detection := func(want time.Duration) {
		t.Helper()
		if got := c.Snapshot().DetectionTime; got != want {
			t.Errorf("Detection Time %v, want %v", got, want)
		}
	}
	c.handle(heard(bfd.Up, fast))
	c.handle(reconfigure(func(c *bfd.Config) { c.MinRx = 20 * ms }))
	detection(300 * ms)
	c.run(100 * ms)
	if list := c.packets(); len(list) != 1 || list[0].RequiredMinRx != 20*ms || !list[0].Poll {
		t.Errorf("%+v", list)
	}
	c.handle(heard(bfd.Up, fast))
	detection(300 * ms)
	c.handle(heard(bfd.Up, fast, final))
	detection(60 * ms)
	// A longer one counts at once.
	c.handle(heard(bfd.Up, fast))
	c.handle(reconfigure(func(c *bfd.Config) { c.MinRx = 50 * ms }))
	detection(150 * ms)
	// While not Up a shorter one does, too.
	c = newClock(t, in(t, bfd.Init, baseConfig()))
	c.handle(heard(bfd.Down, fast))
	c.handle(reconfigure(func(c *bfd.Config) { c.MinRx = 20 * ms }))
	detection(60 * ms)
}

// The end of one sequence must not be taken for that of the next.
//
//rfc:5880/6.8.3-8 positive negative
func TestChangeDuringAPollSequence(t *testing.T) {
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	polls := func(want bool) {
		t.Helper()
		c.packets()
		c.run(100 * ms)
		list := c.packets()
		if len(list) == 0 || list[len(list)-1].Poll != want {
			t.Errorf("sent %+v", list)
		}
	}
	c.handle(reconfigure(func(c *bfd.Config) { c.MinTx = 200 * ms }))
	polls(true)
	c.handle(reconfigure(func(c *bfd.Config) { c.MinTx = 300 * ms }))
	polls(true)
	// The answer may be one to the packet with 200 ms: nothing is confirmed.
	c.handle(heard(bfd.Up, final))
	if s := c.Snapshot(); s.TransmitInterval != 100*ms || !s.Polling {
		t.Errorf("%+v", s)
	}
	// A second answer to the first sequence does not begin the next one.
	polls(false)
	c.handle(heard(bfd.Up, final))
	polls(false)
	c.handle(heard(bfd.Up))
	polls(true)
	c.handle(heard(bfd.Up, final))
	if s := c.Snapshot(); s.TransmitInterval != 300*ms || s.Polling {
		t.Errorf("%+v", s)
	}
	// So it is right after a sequence that has ended.
	c.handle(reconfigure(func(c *bfd.Config) { c.MinTx = 350 * ms }))
	c.handle(heard(bfd.Up, final))
	if s := c.Snapshot(); s.TransmitInterval != 300*ms || !s.Polling {
		t.Errorf("%+v", s)
	}
}

// A reload in the middle of everything: the state stays, and so does the peer's.
func TestReconfigurationDoesNotFlap(t *testing.T) {
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	answer := false
	for i := range 50 {
		c.handle(reconfigure(func(c *bfd.Config) {
			c.MinTx, c.MinRx = time.Duration(10+7*i%90)*ms, time.Duration(10+11*i%90)*ms
			c.Multiplier = uint8(1 + i%9)
		}))
		for range 3 {
			if answer {
				c.handle(heard(bfd.Up, final))
			}
			c.handle(heard(bfd.Up))
			c.run(20 * ms)
			list := c.packets()
			answer = len(list) > 0 && list[len(list)-1].Poll
			if !all(list, func(p bfd.Packet) bool { return p.State == bfd.Up }) {
				t.Fatalf("sent %+v", list)
			}
		}
	}
	if c.State() != bfd.Up {
		t.Errorf("is %v", c.State())
	}
}

// What differs from the packet before is told at once, but only a change of state
// is worth a packet of its own.
//
//rfc:5880/6.8.7-11 positive negative
func TestStateChangeIsToldAtOnce(t *testing.T) {
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	c.run(10 * ms)
	c.handle(heard(bfd.Down))
	c.run(10 * ms)
	c.handle(heard(bfd.Down))
	c.run(10 * ms)
	c.handle(heard(bfd.Init))
	c.run(10 * ms)
	c.handle(heard(bfd.Up))
	c.want("10ms send down; 10ms up>down neighbor_signaled_down; 20ms send init; 20ms down>init; " +
		"30ms send up; 30ms init>up")
}

//rfc:5880/6.6-1 positive
//rfc:5880/6.6-3 positive negative
//rfc:5880/6.8.6-18 positive negative
//rfc:5880/6.8.6-19 positive negative
//rfc:5880/6.8.7-7 positive negative
//rfc:5880/6.8.7-10 positive
//rfc:5880/6.8.14-1 positive negative
func TestDemandOfThePeer(t *testing.T) {
	demand := func(p *bfd.Packet) { p.Demand = true }
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	c.hears(heard(bfd.Up, demand), 100*ms, time.Second)
	c.want("")
	// The peer may still ask, and gets an answer.
	c.handle(heard(bfd.Up, demand, poll))
	c.want("1s send up F")
	// What the peer must know is polled until it says so: here the multiplier.
	c.handle(reconfigure(func(c *bfd.Config) { c.Multiplier = 4 }))
	c.hears(heard(bfd.Up, demand), 100*ms, 300*ms)
	list := c.packets()
	if len(list) != 4 || !all(list, func(p bfd.Packet) bool { return p.Poll && !p.Demand && p.Multiplier == 4 }) {
		t.Errorf("%+v", list)
	}
	c.handle(heard(bfd.Up, demand, final))
	c.hears(heard(bfd.Up, demand), 100*ms, time.Second)
	c.want("")
	// The same again is no other contents.
	c.handle(reconfigure(func(c *bfd.Config) { c.Multiplier = 4 }))
	c.hears(heard(bfd.Up, demand), 100*ms, time.Second)
	c.want("")
	// Demand mode is active only while both are up.
	c.handle(heard(bfd.Init, demand))
	c.run(ms)
	if list := c.packets(); len(list) != 1 {
		t.Errorf("peer in init: %+v", list)
	}
	c.hears(heard(bfd.Up), 100*ms, time.Second)
	if list := c.packets(); len(list) != 10 {
		t.Errorf("without demand: %d packets", len(list))
	}
	// It frees nobody from being heard.
	c.handle(heard(bfd.Up, demand))
	c.run(300 * ms)
	c.want("4.601s send down; 4.601s up>down detection_time_expired")
}

// Echo is refused by what every packet says, whatever the peer offers.
//
//rfc:5880/6.8.6-14 positive
//rfc:5883/3-1 positive
func TestEchoIsRefused(t *testing.T) {
	for _, echo := range []time.Duration{0, 50 * ms} {
		c := newClock(t, in(t, bfd.Up, baseConfig()))
		c.hears(heard(bfd.Up, func(p *bfd.Packet) { p.RequiredMinEchoRx = echo }), 100*ms, time.Second)
		list := c.packets()
		if len(list) != 10 || !all(list, func(p bfd.Packet) bool { return p.RequiredMinEchoRx == 0 && p.State == bfd.Up }) {
			t.Errorf("%+v", list)
		}
	}
}
