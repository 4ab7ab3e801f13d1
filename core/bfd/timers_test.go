package bfd_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/bfd"
)

// The interval of packets while Up is the greater of what this side desires and
// what the peer requires.
//
//rfc:5880/6.8.3-5 positive negative
//rfc:5880/6.8.3-7 positive negative
//rfc:5880/6.8.7-1 positive negative
//rfc:5880/6.8.7-4 positive negative
func TestInterval(t *testing.T) {
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	requires := func(d time.Duration) *bfd.PacketReceived {
		return heard(bfd.Up, func(p *bfd.Packet) { p.RequiredMinRx, p.DesiredMinTx = d, 10*time.Second })
	}
	step := func(d, want time.Duration) {
		t.Helper()
		c.handle(requires(d))
		// The first gap is from the packet before; the rest is as it should be.
		c.run(want)
		c.packets()
		start := c.now.Sub(t0)
		c.run(10 * want)
		list := c.packets()
		last := start
		for i, s := range list {
			if gap := s.after - last; i > 0 && gap != want {
				t.Errorf("required %v: gap %v, want %v", d, gap, want)
			}
			last = s.after
		}
		if len(list) < 9 || len(list) > 10 || c.Snapshot().TransmitInterval != want {
			t.Errorf("required %v: %d packets, interval %v", d, len(list), c.Snapshot().TransmitInterval)
		}
	}
	step(100*ms, 100*ms)
	step(500*ms, 500*ms)
	step(120*ms, 120*ms)
	step(10*ms, 100*ms) // No more often than this side wants.
	step(2*time.Second, 2*time.Second)

	// At once means: counted from the last packet, not from the end of the old
	// interval.
	c.run(2 * time.Second)
	for len(c.packets()) == 0 {
		c.run(100 * ms)
	}
	c.run(300 * ms)
	c.packets()
	c.handle(requires(100 * ms))
	before := c.now
	c.run(0)
	if list := c.packets(); len(list) != 1 || t0.Add(list[0].after) != before {
		t.Errorf("%+v", list)
	}
}

//rfc:5880/6.8.7-6 positive negative
func TestPeerThatWantsNoPackets(t *testing.T) {
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	none := func(p *bfd.Packet) { p.RequiredMinRx = 0 }
	c.hears(heard(bfd.Up, none), 100*ms, 10*time.Second)
	c.want("")
	if c.Snapshot().TransmitInterval != 0 {
		t.Errorf("%+v", c.Snapshot())
	}
	// An answer and a change of state are not periodic.
	c.handle(heard(bfd.Up, none, poll))
	c.handle(heard(bfd.Down, none))
	c.want("10s send up F; 10s send down; 10s up>down neighbor_signaled_down")
	c.hears(heard(bfd.Down), 100*ms, 1100*ms)
	if list := c.packets(); len(list) != 2 || list[0].State != bfd.Init || list[1].after-list[0].after != time.Second {
		t.Errorf("%+v", list)
	}
}

// While not Up at most one packet a second, whatever is configured.
//
//rfc:5880/6.8.3-4 positive negative
//rfc:5880/7-2 positive
func TestSlowWhileNotUp(t *testing.T) {
	for want, change := range map[time.Duration]func(c *bfd.Config){
		time.Second:     func(*bfd.Config) {},
		3 * time.Second: func(c *bfd.Config) { c.IdleTx = 3 * time.Second },
		5 * time.Second: func(c *bfd.Config) { c.MinTx = 5 * time.Second },
	} {
		c := newClock(t, bfd.New(with(change), local, steady))
		c.handle(bfd.Started{})
		c.run(10 * want)
		list := c.packets()
		for _, gap := range gaps(list)[1:] {
			if gap != want {
				t.Errorf("gap %v, want %v", gap, want)
			}
		}
		if len(list) != 11 || !all(list, func(p bfd.Packet) bool { return p.DesiredMinTx == want }) {
			t.Errorf("%v: %+v", want, list)
		}
	}
	// Up lifts it, and the way down brings it back.
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	c.run(100 * ms)
	c.handle(heard(bfd.Down))
	c.run(time.Second)
	list := c.packets()
	if len(list) != 3 || list[0].DesiredMinTx != 100*ms || list[1].DesiredMinTx != time.Second || list[2].after-list[1].after != time.Second {
		t.Errorf("%+v", list)
	}
}

// A path that loses packets, as one that is congested does, is relieved: once a
// Detection Time is lost there is a packet a second, whatever is configured.
//
//rfc:5880/7-1 positive negative
func TestLossReducesWhatIsSent(t *testing.T) {
	fast := func(c *bfd.Config) { c.MinTx, c.MinRx, c.MaxHops = 10*ms, 10*ms, bfd.AnyHops }
	often := heard(bfd.Up, func(p *bfd.Packet) { p.RequiredMinRx, p.DesiredMinTx = 10*ms, 10*ms })
	c := newClock(t, in(t, bfd.Up, with(fast)))
	c.hears(often, 10*ms, 10*time.Second)
	if n := len(c.packets()); n < 900 {
		t.Errorf("%d packets while all is well", n)
	}
	c.run(30 * ms)
	c.packets()
	c.run(10 * time.Second)
	if n := len(c.packets()); n > 10 || c.State() != bfd.Down {
		t.Errorf("%d packets after a loss, is %v", n, c.State())
	}
}

// Each interval is shortened by its own part, of up to a quarter; where no
// packet may be missed, by at least a tenth.
//
//rfc:5880/6.8.7-2 positive negative
//rfc:5880/6.8.7-3 positive negative
func TestJitter(t *testing.T) {
	for _, tt := range []struct {
		multiplier    uint8
		least, most   time.Duration
		earliest, mid time.Duration
	}{
		{3, 75 * ms, 100 * ms, 76 * ms, 87500 * time.Microsecond},
		{1, 75 * ms, 90 * ms, 76 * ms, 82500 * time.Microsecond},
	} {
		random := rand.New(rand.NewPCG(1, 2))
		s := bfd.New(with(func(c *bfd.Config) { c.Multiplier = tt.multiplier }), local, random.Uint32N)
		c := newClock(t, s)
		c.handle(bfd.Started{})
		c.handle(heard(bfd.Down, func(p *bfd.Packet) { p.Multiplier = 255 }))
		c.handle(heard(bfd.Up, func(p *bfd.Packet) { p.Multiplier, p.DesiredMinTx = 255, time.Second }))
		c.packets()
		c.run(200 * time.Second)
		list := c.packets()
		low, high, sum := time.Hour, time.Duration(0), time.Duration(0)
		for _, gap := range gaps(list) {
			low, high, sum = min(low, gap), max(high, gap), sum+gap
		}
		mean := sum / time.Duration(len(list))
		if low < tt.least || high > tt.most || low > tt.least+ms || high < tt.most-ms {
			t.Errorf("multiplier %d: gaps of %v to %v", tt.multiplier, low, high)
		}
		if d := mean - tt.mid; d.Abs() > ms {
			t.Errorf("multiplier %d: mean gap %v", tt.multiplier, mean)
		}
	}
}

// The largest numbers overflow nothing.
func TestLongestIntervals(t *testing.T) {
	c := newClock(t, bfd.New(with(func(c *bfd.Config) { c.MinTx, c.MinRx = bfd.MaxInterval, bfd.MaxInterval }), local,
		func(n uint32) uint32 { return n - 1 }))
	c.handle(bfd.Started{})
	longest := heard(bfd.Down, func(p *bfd.Packet) {
		p.Multiplier, p.DesiredMinTx, p.RequiredMinRx = 255, bfd.MaxInterval, bfd.MaxInterval
	})
	c.handle(longest)
	c.packets()
	c.run(bfd.MaxInterval)
	if list := c.packets(); len(list) != 1 || list[0].after != bfd.MaxInterval*3/4 {
		t.Errorf("%+v", list)
	}
	if s := c.Snapshot(); s.DetectionTime != 255*bfd.MaxInterval || s.State != bfd.Init {
		t.Errorf("%+v", s)
	}
}

// The Detection Time is the peer's multiplier times the slower of what it sends
// and what is required of it.
//
//rfc:5880/6.8.4-1 positive negative
func TestDetectionTime(t *testing.T) {
	tests := []struct {
		multiplier     uint8
		minRx, minTx   time.Duration
		want           time.Duration
		from, afterAll bfd.State
	}{
		{3, 100 * ms, 100 * ms, 300 * ms, bfd.Up, bfd.Down},
		{3, 100 * ms, 20 * ms, 300 * ms, bfd.Up, bfd.Down},
		{3, 100 * ms, 250 * ms, 750 * ms, bfd.Up, bfd.Down},
		{1, 100 * ms, 100 * ms, 100 * ms, bfd.Up, bfd.Down},
		{255, 100 * ms, 100 * ms, 25500 * ms, bfd.Up, bfd.Down},
		{3, 10 * ms, 10 * ms, 30 * ms, bfd.Up, bfd.Down},
		{3, 100 * ms, time.Second, 3 * time.Second, bfd.Init, bfd.Down},
		{3, 100 * ms, time.Second, 3 * time.Second, bfd.Down, bfd.Down},
		{3, 100 * ms, time.Second, 3 * time.Second, bfd.AdminDown, bfd.AdminDown},
	}
	for i, tt := range tests {
		c := newClock(t, in(t, tt.from, with(func(c *bfd.Config) { c.MinRx = tt.minRx })))
		remote := map[bfd.State]bfd.State{bfd.AdminDown: bfd.Up, bfd.Down: bfd.Up, bfd.Init: bfd.Down, bfd.Up: bfd.Up}[tt.from]
		// The own multiplier has no part in it.
		c.handle(heard(remote, func(p *bfd.Packet) { p.Multiplier, p.DesiredMinTx = tt.multiplier, tt.minTx }))
		if got := c.Snapshot().DetectionTime; got != tt.want {
			t.Errorf("%d: Detection Time %v, want %v", i, got, tt.want)
		}
		c.run(tt.want - 1)
		if c.State() != tt.from {
			t.Errorf("%d: is %v early", i, c.State())
		}
		c.packets()
		c.run(1)
		s := c.Snapshot()
		if s.State != tt.afterAll || (s.State != tt.from) != (s.Diagnostic == bfd.DiagDetectionTimeExpired) {
			t.Errorf("%d: %+v", i, s)
		}
	}
}

// A deadline that is served late is served once, and what came meanwhile counts.
func TestLateness(t *testing.T) {
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	c.now = c.now.Add(time.Minute)
	// The process was stopped; a packet of the peer waited for it.
	c.handle(heard(bfd.Up))
	c.run(0)
	c.want("1m0s send up")
	c.run(100 * ms)
	c.want("1m0.1s send up")
}

// Nothing is allocated while nothing changes.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	s := in(t, bfd.Up, baseConfig())
	packet, now := heard(bfd.Up, poll), t0
	actions := make([]bfd.Action, 0, 4)
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(100 * ms)
		actions = s.Handle(now, packet, actions[:0])
		actions = s.Handle(now, bfd.DeadlineReached{}, actions)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if len(actions) != 2 {
		t.Errorf("did %s", lines(actions))
	}
}
