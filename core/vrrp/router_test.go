package vrrp_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

var (
	t0   = time.Unix(1_000_000, 0)
	own  = netip.MustParseAddr("192.0.2.5")
	low  = netip.MustParseAddr("192.0.2.1")
	high = netip.MustParseAddr("192.0.2.9")
)

// in brings a router into a state at t0. Its priority is 100, its address own.
func in(t testing.TB, state vrrp.State, config vrrp.Config) *vrrp.Router {
	t.Helper()
	r := vrrp.New(config)
	up := vrrp.InterfaceChanged{Exists: true, Up: true, Source: own}
	switch state {
	case vrrp.Initialize:
	case vrrp.Backup:
		r.Handle(t0, up, nil)
	case vrrp.Active:
		// Two seconds before, so that the handover is over.
		start := t0.Add(-2 * time.Second)
		down := vrrp.ActiveDownInterval(config.Version, config.Priority, config.Interval)
		r.Handle(start.Add(-down), up, nil)
		r.Handle(start, vrrp.DeadlineReached{}, nil)
		r.Handle(start.Add(time.Second), vrrp.DeadlineReached{}, nil)
		r.Handle(t0, vrrp.DeadlineReached{}, nil)
	case vrrp.Fault:
		r.Handle(t0, vrrp.InterfaceChanged{}, nil)
	}
	if r.State() != state {
		t.Fatalf("is %v, want %v", r.State(), state)
	}
	return r
}

func heard(priority uint8, source netip.Addr) *vrrp.AdvertReceived {
	c := baseConfig()
	return &vrrp.AdvertReceived{
		Source: source,
		Advertisement: wire.Advertisement{
			Version: c.Version, VRID: c.VRID, Priority: priority, Interval: c.Interval, Addresses: c.Addresses,
		},
	}
}

// Every state with every event: what is done, the state after it and the next
// deadline, counted from the event half a second after the state was entered.
func TestEveryStateWithEveryEvent(t *testing.T) {
	const (
		none   = time.Duration(0)
		down   = 3609375 * time.Microsecond
		rest   = down - 500*time.Millisecond
		second = time.Second
	)
	up := vrrp.InterfaceChanged{Exists: true, Up: true, Source: own}
	rejected := &vrrp.AdvertRejected{Drop: wire.DropVersion, Source: high, Advertisement: wire.Advertisement{Version: wire.V2}}
	damaged := &vrrp.AdvertRejected{Drop: wire.DropChecksum, Source: high}
	changed := vrrp.Reconfigured{Config: with(func(c *vrrp.Config) { c.Priority = 110 })}
	tracked := vrrp.PriorityChanged{Priority: 110}
	tracker := vrrp.FaultRaised{Cause: vrrp.FaultTracker}
	activated, yielded := vrrp.GroupActivated{Order: 1}, vrrp.GroupYielded{Order: 2}
	announced := vrrp.GroupAnnounced{Reason: vrrp.AnnounceLowerPriority}
	claimed := vrrp.AddressClaimed{}
	tests := []struct {
		from  vrrp.State
		name  string
		event vrrp.Event
		want  string
		to    vrrp.State
		next  time.Duration
	}{
		{vrrp.Initialize, "interface up", up, "release; initialize>backup startup", vrrp.Backup, down},
		{vrrp.Initialize, "interface down", vrrp.InterfaceChanged{Exists: true}, "release; initialize>fault link_down", vrrp.Fault, none},
		{vrrp.Initialize, "advert", heard(200, high), "", vrrp.Initialize, none},
		{vrrp.Initialize, "advert priority 0", heard(0, high), "", vrrp.Initialize, none},
		{vrrp.Initialize, "rejected", rejected, "mismatch version", vrrp.Initialize, none},
		{vrrp.Initialize, "deadline", vrrp.DeadlineReached{}, "", vrrp.Initialize, none},
		{vrrp.Initialize, "reconfigured", changed, "effective 100>110", vrrp.Initialize, none},
		{vrrp.Initialize, "fault", vrrp.FaultRaised{Cause: vrrp.FaultNoSocket}, "", vrrp.Initialize, none},
		{vrrp.Initialize, "fault cleared", vrrp.FaultCleared{Cause: vrrp.FaultNoSocket}, "", vrrp.Initialize, none},
		{vrrp.Initialize, "tracked", tracked, "effective 100>110", vrrp.Initialize, none},
		{vrrp.Initialize, "tracker fault", tracker, "", vrrp.Initialize, none},
		{vrrp.Initialize, "address claimed", claimed, "", vrrp.Initialize, none},
		{vrrp.Initialize, "group active", activated, "", vrrp.Initialize, none},
		{vrrp.Initialize, "group yields", yielded, "", vrrp.Initialize, none},
		{vrrp.Initialize, "group announces", announced, "", vrrp.Initialize, none},
		{vrrp.Initialize, "stopped", vrrp.Stopped{}, "release; initialize>initialize stopped", vrrp.Initialize, none},

		{vrrp.Backup, "interface still up", up, "", vrrp.Backup, rest},
		{vrrp.Backup, "interface down", vrrp.InterfaceChanged{Exists: true, Source: own}, "release; backup>fault link_down", vrrp.Fault, none},
		{vrrp.Backup, "higher advert", heard(200, low), "", vrrp.Backup, down},
		{vrrp.Backup, "equal advert", heard(100, low), "", vrrp.Backup, down},
		{vrrp.Backup, "lower advert", heard(99, high), "", vrrp.Backup, rest},
		{vrrp.Backup, "advert priority 0", heard(0, high), "", vrrp.Backup, 609375 * time.Microsecond},
		{vrrp.Backup, "own advert", heard(100, own), "", vrrp.Backup, down},
		{vrrp.Backup, "rejected", rejected, "mismatch version", vrrp.Backup, rest},
		{vrrp.Backup, "damaged", damaged, "", vrrp.Backup, rest},
		{vrrp.Backup, "early deadline", vrrp.DeadlineReached{}, "", vrrp.Backup, rest},
		{vrrp.Backup, "reconfigured", changed, "effective 100>110", vrrp.Backup, rest - 39062500*time.Nanosecond},
		{vrrp.Backup, "fault", vrrp.FaultRaised{Cause: vrrp.FaultNoSocket}, "release; backup>fault no_socket", vrrp.Fault, none},
		{vrrp.Backup, "fault cleared", vrrp.FaultCleared{Cause: vrrp.FaultNoSocket}, "", vrrp.Backup, rest},
		{vrrp.Backup, "tracked", tracked, "effective 100>110", vrrp.Backup, rest - 39062500*time.Nanosecond},
		{vrrp.Backup, "tracker fault", tracker, "release; backup>fault tracker", vrrp.Fault, none},
		{vrrp.Backup, "address claimed", claimed, "", vrrp.Backup, rest},
		{vrrp.Backup, "group active, unasked", activated, "", vrrp.Backup, rest},
		{vrrp.Backup, "group yields", yielded, "", vrrp.Backup, rest},
		{vrrp.Backup, "group announces", announced, "", vrrp.Backup, rest},
		{vrrp.Backup, "stopped", vrrp.Stopped{}, "release; backup>initialize stopped", vrrp.Initialize, none},

		{vrrp.Active, "interface still up", up, "", vrrp.Active, second / 2},
		{vrrp.Active, "interface gone", vrrp.InterfaceChanged{}, "send 0; release; active>fault interface_missing", vrrp.Fault, none},
		{vrrp.Active, "source gone", vrrp.InterfaceChanged{Exists: true, Up: true}, "send 0; release; active>fault no_source_address", vrrp.Fault, none},
		{vrrp.Active, "higher advert", heard(101, low), "send 100; release; active>backup higher_priority", vrrp.Backup, down},
		{vrrp.Active, "equal advert, higher address", heard(100, high), "send 100; release; active>backup higher_address", vrrp.Backup, down},
		{vrrp.Active, "equal advert, lower address", heard(100, low), "send 100; mismatch other_active; announce 5 lower_priority", vrrp.Active, second},
		//rfc:9568/2.5-1 positive
		{vrrp.Active, "lower advert", heard(99, high), "send 100; mismatch other_active; announce 5 lower_priority", vrrp.Active, second},
		{vrrp.Active, "advert priority 0", heard(0, high), "send 100", vrrp.Active, second},
		{vrrp.Active, "own advert", heard(100, own), "mismatch own_address", vrrp.Active, second / 2},
		{vrrp.Active, "rejected", rejected, "mismatch version", vrrp.Active, second / 2},
		{vrrp.Active, "damaged", damaged, "", vrrp.Active, second / 2},
		{vrrp.Active, "early deadline", vrrp.DeadlineReached{}, "", vrrp.Active, second / 2},
		{vrrp.Active, "reconfigured", changed, "send 110; effective 100>110", vrrp.Active, second},
		{vrrp.Active, "fault", vrrp.FaultRaised{Cause: vrrp.FaultAddressesLost}, "send 0; release; active>fault addresses_lost", vrrp.Fault, none},
		{vrrp.Active, "fault cleared", vrrp.FaultCleared{Cause: vrrp.FaultAddressesLost}, "", vrrp.Active, second / 2},
		{vrrp.Active, "tracked", tracked, "send 110; effective 100>110", vrrp.Active, second},
		{vrrp.Active, "tracker fault", tracker, "send 0; release; active>fault tracker", vrrp.Fault, none},
		{vrrp.Active, "address claimed", claimed, "announce 5 claimed", vrrp.Active, second / 2},
		{vrrp.Active, "group active", activated, "", vrrp.Active, second / 2},
		{vrrp.Active, "group yields", yielded, "send 0; release; active>backup sync_group", vrrp.Backup, down},
		{vrrp.Active, "group announces", announced, "announce 5 lower_priority", vrrp.Active, second / 2},
		{vrrp.Active, "stopped", vrrp.Stopped{}, "send 0; release; active>initialize stopped", vrrp.Initialize, none},

		{vrrp.Fault, "interface up", up, "release; fault>backup healed", vrrp.Backup, down},
		{vrrp.Fault, "address claimed", claimed, "", vrrp.Fault, none},
		{vrrp.Fault, "another cause", vrrp.InterfaceChanged{Exists: true}, "fault link_down", vrrp.Fault, none},
		{vrrp.Fault, "advert", heard(200, high), "", vrrp.Fault, none},
		{vrrp.Fault, "rejected", rejected, "mismatch version", vrrp.Fault, none},
		{vrrp.Fault, "deadline", vrrp.DeadlineReached{}, "", vrrp.Fault, none},
		{vrrp.Fault, "reconfigured", changed, "effective 100>110", vrrp.Fault, none},
		{vrrp.Fault, "second cause", vrrp.FaultRaised{Cause: vrrp.FaultNoSocket}, "", vrrp.Fault, none},
		{vrrp.Fault, "cause with an end", vrrp.FaultRaised{Cause: vrrp.FaultAddressesLost, For: second}, "", vrrp.Fault, second},
		{vrrp.Fault, "fault cleared that is not there", vrrp.FaultCleared{Cause: vrrp.FaultNoSocket}, "", vrrp.Fault, none},
		{vrrp.Fault, "tracked", tracked, "effective 100>110", vrrp.Fault, none},
		{vrrp.Fault, "tracker fault", tracker, "", vrrp.Fault, none},
		{vrrp.Fault, "group active", activated, "", vrrp.Fault, none},
		{vrrp.Fault, "group yields", yielded, "", vrrp.Fault, none},
		{vrrp.Fault, "group announces", announced, "", vrrp.Fault, none},
		{vrrp.Fault, "stopped", vrrp.Stopped{}, "release; fault>initialize stopped", vrrp.Initialize, none},
	}
	for _, tt := range tests {
		t.Run(tt.from.String()+"/"+tt.name, func(t *testing.T) {
			r := in(t, tt.from, baseConfig())
			now := t0.Add(500 * time.Millisecond)
			if got := lines(r.Handle(now, tt.event, nil)); got != tt.want {
				t.Errorf("did\n%q, want\n%q", got, tt.want)
			}
			if r.State() != tt.to {
				t.Errorf("is %v, want %v", r.State(), tt.to)
			}
			at, ok := r.Deadline()
			if ok != (tt.next != none) || ok && at.Sub(now) != tt.next {
				t.Errorf("next deadline in %v (%v), want %v", at.Sub(now), ok, tt.next)
			}
		})
	}
}

// The deadline events themselves, exactly on time.
func TestDeadlines(t *testing.T) {
	t.Run("active down", func(t *testing.T) {
		r := in(t, vrrp.Backup, baseConfig())
		at, _ := r.Deadline()
		if got := lines(r.Handle(at.Add(-1), vrrp.DeadlineReached{}, nil)); got != "" {
			t.Errorf("a nanosecond early it did %q", got)
		}
		want := "send 100; acquire; announce 5 active; backup>active active_down"
		if got := lines(r.Handle(at, vrrp.DeadlineReached{}, nil)); got != want {
			t.Errorf("did %q, want %q", got, want)
		}
	})
	t.Run("adver timer", func(t *testing.T) {
		r := in(t, vrrp.Active, baseConfig())
		at, _ := r.Deadline()
		if got := lines(r.Handle(at.Add(3*time.Millisecond), vrrp.DeadlineReached{}, nil)); got != "send 100" {
			t.Errorf("did %q", got)
		}
		if next, _ := r.Deadline(); next.Sub(at) != time.Second+3*time.Millisecond {
			t.Errorf("the next one comes %v after this one was due", next.Sub(at))
		}
	})
}

func TestStoppedAnswersNothing(t *testing.T) {
	r := in(t, vrrp.Active, baseConfig())
	r.Handle(t0, vrrp.Stopped{}, nil)
	for _, e := range []vrrp.Event{
		vrrp.InterfaceChanged{Exists: true, Up: true, Source: own},
		heard(1, low),
		vrrp.DeadlineReached{},
		vrrp.Reconfigured{Config: with(func(c *vrrp.Config) { c.Priority = 255 })},
		vrrp.Stopped{},
	} {
		if got := lines(r.Handle(t0.Add(time.Hour), e, nil)); got != "" {
			t.Errorf("%T: did %q", e, got)
		}
	}
	if at, ok := r.Deadline(); ok {
		t.Errorf("still has a deadline, %v", at)
	}
}

//rfc:3768/7.2-1 positive
//rfc:3768/7.2-6 positive
func TestSentAdvertisement(t *testing.T) {
	password, err := wire.NewPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	config := with(func(c *vrrp.Config) {
		c.Version, c.Auth = wire.V2, wire.Auth{Type: wire.AuthPassword, Password: password}
		c.Addresses = []netip.Addr{high, low}
		c.Checksum = wire.Plain
	})
	r := in(t, vrrp.Active, config)
	at, _ := r.Deadline()
	actions := r.Handle(at, vrrp.DeadlineReached{}, nil)
	send, ok := actions[0].(*vrrp.SendAdvert)
	if !ok {
		t.Fatalf("first action is %T", actions[0])
	}
	a := send.Advertisement
	if a.Version != wire.V2 || a.VRID != 51 || a.Priority != 100 || a.Interval != time.Second || a.Auth != config.Auth ||
		len(a.Addresses) != 2 || a.Addresses[0] != high || a.Addresses[1] != low {
		t.Errorf("sends %v", a)
	}
	if send.Source != own || send.Destination != wire.GroupIPv4() || send.Checksum != wire.Plain {
		t.Errorf("from %v to %v, %v", send.Source, send.Destination, send.Checksum)
	}
}

// A new source address is used from the next advertisement on, and decides
// between equals from then on.
func TestSourceAddressChanges(t *testing.T) {
	r := in(t, vrrp.Active, baseConfig())
	r.Handle(t0, vrrp.InterfaceChanged{Exists: true, Up: true, Source: low}, nil)
	if got := lines(r.Handle(t0, heard(100, own), nil)); got != "send 100; release; active>backup higher_address" {
		t.Errorf("did %q", got)
	}
}

// The caller's list may change after New and Reconfigured.
func TestConfigIsCopied(t *testing.T) {
	config := baseConfig()
	r := vrrp.New(config)
	config.Addresses[0] = high
	if got := r.Expect().Addresses[0]; got == high {
		t.Error("New shares the list of addresses")
	}
	changed := with(func(c *vrrp.Config) { c.Addresses = []netip.Addr{low, own} })
	r.Handle(t0, vrrp.Reconfigured{Config: changed}, nil)
	changed.Addresses[1] = high
	if got := r.Expect().Addresses[1]; got == high {
		t.Error("Reconfigured shares the list of addresses")
	}
}

func TestNothingChangesWithoutAllocation(t *testing.T) {
	var actions []vrrp.Action
	backup := in(t, vrrp.Backup, baseConfig())
	advert := heard(200, high)
	now := t0
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(time.Second)
		actions = backup.Handle(now, advert, actions[:0])
	}); n != 0 || len(actions) != 0 {
		t.Errorf("an ordinary advertisement as a backup: %v allocations, %d actions", n, len(actions))
	}
	active := in(t, vrrp.Active, with(func(c *vrrp.Config) { c.Announcement = vrrp.Announcement{} }))
	actions = make([]vrrp.Action, 0, 8)
	if n := testing.AllocsPerRun(100, func() {
		now, _ = active.Deadline()
		actions = active.Handle(now, vrrp.DeadlineReached{}, actions[:0])
	}); n != 0 || len(actions) != 1 {
		t.Errorf("an ordinary advertisement as the active router: %v allocations, %d actions", n, len(actions))
	}
}

func TestSnapshot(t *testing.T) {
	r := in(t, vrrp.Backup, with(func(c *vrrp.Config) { c.Interval = 2 * time.Second }))
	e := heard(200, high)
	e.Findings = wire.Findings{Addresses: true, Interval: true}
	r.Handle(t0.Add(time.Second), e, nil)
	s := r.Snapshot()
	if s.State != vrrp.Backup || s.Reason != vrrp.ReasonStartup || !s.Since.Equal(t0) || s.Source != own ||
		s.Priority != 100 || s.EffectivePriority != 100 {
		t.Errorf("%+v", s)
	}
	if want := (vrrp.Peer{Address: high, Priority: 200, Interval: time.Second, Heard: t0.Add(time.Second)}); s.Peer != want {
		t.Errorf("peer %+v, want %+v", s.Peer, want)
	}
	if s.ActiveAdverInterval != time.Second || s.SkewTime != 609375*time.Microsecond || s.ActiveDownInterval != 3609375*time.Microsecond {
		t.Errorf("timers %v %v %v", s.ActiveAdverInterval, s.SkewTime, s.ActiveDownInterval)
	}
	if len(s.Mismatches) != 2 || s.Mismatches[0].Kind != vrrp.MismatchAddresses || s.Mismatches[1].Theirs != "1s" {
		t.Errorf("mismatches %+v", s.Mismatches)
	}
}
