package bfd_test

import (
	"testing"
	"time"

	"github.com/halo-ha/halo/core/bfd"
)

// A session that knows nothing: what it says, and what it makes of it.
//
//rfc:5880/6.1-1 positive
//rfc:5880/6.8.1-2 positive
//rfc:5880/6.8.1-5 positive
//rfc:5880/6.8.1-7 positive
//rfc:5880/6.8.1-8 positive
//rfc:5880/6.8.1-9 positive
//rfc:5880/6.8.1-10 positive
//rfc:5880/6.8.7-12 positive
func TestFirstPacket(t *testing.T) {
	c := newClock(t, bfd.New(baseConfig(), local, steady))
	if s := c.Snapshot(); s.State != bfd.Down || s.RemoteState != bfd.Down || s.Diagnostic != bfd.DiagNone || s.RemoteDiscriminator != 0 || s.RemoteDemand {
		t.Errorf("%+v", s)
	}
	c.handle(bfd.Started{})
	c.run(3 * time.Second)
	want := bfd.Packet{
		State: bfd.Down, Multiplier: 3, MyDiscriminator: local,
		DesiredMinTx: time.Second, RequiredMinRx: 100 * ms,
	}
	list := c.packets()
	for i, s := range list {
		if s.after != time.Duration(i)*time.Second || s.Packet != want {
			t.Errorf("packet %d after %v: %+v", i, s.after, s.Packet)
		}
	}
	if len(list) != 4 {
		t.Errorf("%d packets", len(list))
	}
}

// What was not zero does not go back to it: the values of the start are those of
// the start only.
//
//rfc:5880/6.8.1-2 negative
//rfc:5880/6.8.1-5 negative
//rfc:5880/6.8.1-7 negative
//rfc:5880/6.8.1-8 negative
//rfc:5880/6.8.1-9 negative
//rfc:5880/6.8.1-10 negative
func TestWhatIsLearnt(t *testing.T) {
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	c.handle(heard(bfd.Up, func(p *bfd.Packet) {
		p.MyDiscriminator, p.RequiredMinRx, p.Demand, p.Diagnostic = 0x33, 700*ms, true, bfd.DiagPathDown
	}))
	s := c.Snapshot()
	if s.State != bfd.Up || s.RemoteState != bfd.Up || s.RemoteDiscriminator != 0x33 || s.RemoteMinRx != 700*ms ||
		!s.RemoteDemand || s.RemoteDiagnostic != bfd.DiagPathDown || s.RemoteMinTx != 100*ms || s.RemoteMultiplier != 3 {
		t.Errorf("%+v", s)
	}
	c.handle(heard(bfd.Down))
	if s := c.Snapshot(); s.Diagnostic != bfd.DiagNeighborSignaledDown || s.Since != c.now {
		t.Errorf("%+v", s)
	}
}

// Nothing happens before the start, and what happens then does not count later.
func TestBeforeTheStart(t *testing.T) {
	c := newClock(t, bfd.New(baseConfig(), local, steady))
	for _, e := range []bfd.Event{heard(bfd.Down), heard(bfd.Init), bfd.DeadlineReached{}} {
		c.handle(e)
	}
	if _, ok := c.Deadline(); ok || c.State() != bfd.Down {
		t.Errorf("is %v and waits for something: %v", c.State(), ok)
	}
	// The intervals it starts with need no confirmation.
	c.handle(bfd.Reconfigured{Config: with(func(c *bfd.Config) { c.MinRx, c.IdleTx = 20*ms, 2*time.Second })})
	c.handle(bfd.Started{})
	c.run(2 * time.Second)
	c.want("0s send down; 2s send down")
	if c.Snapshot().Polling {
		t.Error("is polling")
	}
	early := bfd.New(baseConfig(), local, steady)
	if got := lines(early.Handle(t0, bfd.Stopped{}, nil)); got != "" || !early.Ended() {
		t.Errorf("stopped before the start it does %q", got)
	}
}

//rfc:5880/6.1-2 positive negative
//rfc:5880/6.8.7-5 positive negative
func TestPassive(t *testing.T) {
	c := newClock(t, bfd.New(with(func(c *bfd.Config) { c.Passive = true }), local, steady))
	c.handle(bfd.Started{})
	c.run(time.Hour)
	c.want("")
	c.handle(heard(bfd.Down, func(p *bfd.Packet) { p.YourDiscriminator = 0 }))
	c.want("1h0m0s send init; 1h0m0s down>init")
	c.handle(heard(bfd.Init))
	c.run(100 * ms)
	c.want("1h0m0s send up; 1h0m0s init>up; 1h0m0.1s send up P")
	// The peer, of which a packet a second was expected, is lost. It is not
	// known any more, so nothing is sent to it.
	c.run(2900*ms - time.Nanosecond)
	if list := c.packets(); len(list) != 28 || !all(list, func(p bfd.Packet) bool { return p.State == bfd.Up }) {
		t.Errorf("sent %+v", list)
	}
	c.run(time.Hour)
	c.want("1h0m3s up>down detection_time_expired")
}

// Without passive the loss is told to a peer that may hear although it is not
// heard.
//
//rfc:5880/6.1-1 negative
func TestActiveTellsAPeerThatIsLost(t *testing.T) {
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	c.run(299 * ms)
	c.packets()
	c.run(ms)
	if list := c.packets(); len(list) != 1 || list[0].State != bfd.Down || list[0].YourDiscriminator != 0 ||
		list[0].Diagnostic != bfd.DiagDetectionTimeExpired || list[0].DesiredMinTx != time.Second {
		t.Errorf("%+v", list)
	}
}

//rfc:5880/6.8.6-16 positive negative
//rfc:5880/6.8.16-1 positive negative
func TestDisabled(t *testing.T) {
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	disabled := with(func(c *bfd.Config) { c.Disabled = true })
	c.handle(bfd.Reconfigured{Config: disabled})
	// Again changes nothing.
	c.handle(bfd.Reconfigured{Config: disabled})
	c.want("0s send admin_down; 0s up>admin_down administratively_down")
	// The peer goes down, wants to come up, and is not let; but it is known.
	c.hears(heard(bfd.Down, func(p *bfd.Packet) { p.MyDiscriminator = 0x99 }), time.Second, 10*time.Second)
	list := c.packets()
	if !all(list, func(p bfd.Packet) bool {
		return p.State == bfd.AdminDown && p.Diagnostic == bfd.DiagAdministrativelyDown && p.YourDiscriminator == 0x99 && p.DesiredMinTx == time.Second
	}) || len(list) != 10 {
		t.Errorf("sent %+v", list)
	}
	c.handle(bfd.Reconfigured{Config: baseConfig()})
	c.handle(heard(bfd.Down))
	c.handle(heard(bfd.Init))
	c.want("10s send down; 10s admin_down>down; 10s send init; 10s down>init; 10s send up; 10s init>up")

	// One that starts disabled says so, too.
	c = newClock(t, bfd.New(disabled, local, steady))
	c.handle(bfd.Started{})
	c.want("0s send admin_down")
	if s := c.Snapshot(); s.State != bfd.AdminDown || s.Diagnostic != bfd.DiagAdministrativelyDown {
		t.Errorf("%+v", s)
	}
	c.handle(bfd.Reconfigured{Config: baseConfig()})
	c.want("0s send down; 0s admin_down>down")
}

//rfc:5880/6.8.16-2 positive negative
func TestStopped(t *testing.T) {
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	c.handle(bfd.Stopped{})
	c.want("0s send admin_down; 0s up>admin_down administratively_down")
	c.handle(bfd.Stopped{})
	c.handle(bfd.Reconfigured{Config: baseConfig()})
	c.run(time.Minute)
	// Three times the second that the peer now reckons with.
	c.want("1s send admin_down P; 2s send admin_down P; 3s send admin_down P")
	if !c.Ended() {
		t.Error("has not ended")
	}
	c.handle(heard(bfd.Down, poll))
	c.handle(bfd.Started{})
	c.want("")

	// Somebody who was never heard is told once.
	c = newClock(t, bfd.New(baseConfig(), local, steady))
	c.handle(bfd.Started{})
	c.handle(bfd.Stopped{})
	c.run(time.Minute)
	c.want("0s send down; 0s send admin_down; 0s down>admin_down administratively_down")
	if !c.Ended() {
		t.Error("has not ended")
	}
}

// A peer that is restarted has another discriminator; it is taken over without
// ado, as long as it speaks of this session.
func TestThePeersDiscriminatorChanges(t *testing.T) {
	c := newClock(t, in(t, bfd.Up, baseConfig()))
	c.handle(heard(bfd.Up, func(p *bfd.Packet) { p.MyDiscriminator = 0x77 }))
	c.run(100 * ms)
	if list := c.packets(); len(list) != 1 || list[0].YourDiscriminator != 0x77 || list[0].State != bfd.Up {
		t.Errorf("%+v", list)
	}
}
