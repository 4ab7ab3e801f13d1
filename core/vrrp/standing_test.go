package vrrp_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

func memberConfig() vrrp.Config {
	return with(func(c *vrrp.Config) { c.Group = vrrp.Membership{Name: "G", Settle: 2 * time.Second} })
}

// silent brings a member to where its timer has ended, at t0.
func silent(t *testing.T) *vrrp.Router {
	t.Helper()
	r := vrrp.New(memberConfig())
	r.Handle(t0.Add(-3609375*time.Microsecond), vrrp.InterfaceChanged{Exists: true, Up: true, Source: own}, nil)
	if got := lines(r.Handle(t0, vrrp.DeadlineReached{}, nil)); got != "stands backup wants 0" {
		t.Fatalf("did %q", got)
	}
	if at, ok := r.Deadline(); ok {
		t.Fatalf("waits for %v, not for its group", at)
	}
	return r
}

// A member says where it stands, once per change.
func TestStanding(t *testing.T) {
	r := vrrp.New(memberConfig())
	now := t0
	for _, step := range []struct {
		after time.Duration
		event vrrp.Event
		want  string
	}{
		{0, vrrp.InterfaceChanged{Exists: true}, "release; initialize>fault link_down; stands fault 0"},
		{time.Second, vrrp.FaultRaised{Cause: vrrp.FaultTracker, Detail: "nginx"}, "stands fault 0"},
		{time.Second, vrrp.FaultRaised{Cause: vrrp.FaultTracker, Detail: "nginx"}, ""},
		{time.Second, vrrp.FaultCleared{Cause: vrrp.FaultTracker}, "stands fault 0"},
		{time.Second, vrrp.InterfaceChanged{Exists: true, Up: true, Source: own}, "release; fault>backup healed; stands backup 0"},
		{time.Second, heard(200, low), "stands backup defers 0"},
		{time.Second, heard(200, low), ""},
		{0, vrrp.GroupActivated{Order: 3}, "stands backup defers 3"},
		{3414062500, vrrp.DeadlineReached{}, ""},
		{time.Second, vrrp.DeadlineReached{}, "stands backup wants 3"},
		{time.Second, heard(50, low), ""},
		{time.Second, heard(0, low), ""},
		{time.Second, heard(200, low), "stands backup defers 3"},
		{0, heard(0, low), ""},
		{time.Second, vrrp.DeadlineReached{}, "stands backup wants 3"},
		{time.Second, vrrp.GroupActivated{Order: 4}, "send 100; acquire; announce 5 active; backup>active active_resigned; stands active 4"},
		{time.Second, vrrp.PriorityChanged{Priority: 90}, "send 90; effective 100>90; stands active 4"},
		{time.Second, heard(50, low), "send 90; mismatch other_active; announce 5 lower_priority; stands active 4"},
		{time.Second, vrrp.GroupYielded{Order: 5}, "send 0; release; active>backup sync_group; stands backup 5"},
		{time.Second, vrrp.Stopped{}, "release; backup>initialize stopped; stands initialize 5"},
	} {
		now = now.Add(step.after)
		if got := lines(r.Handle(now, step.event, nil)); got != step.want {
			t.Errorf("%T: did\n%q, want\n%q", step.event, got, step.want)
		}
	}
}

// A router without a group tells nobody, and takes over by itself.
func TestNoStandingWithoutGroup(t *testing.T) {
	r := in(t, vrrp.Backup, baseConfig())
	at, _ := r.Deadline()
	for _, action := range r.Handle(at, vrrp.DeadlineReached{}, nil) {
		if s, ok := action.(vrrp.Standing); ok {
			t.Errorf("tells %+v", s)
		}
	}
	if r.State() != vrrp.Active {
		t.Errorf("is %v", r.State())
	}
}

// What a router wanted in its group it decides alone once it has left it, and in
// another group it starts to ask anew.
func TestLeavingGroup(t *testing.T) {
	r := silent(t)
	now := t0.Add(time.Second)
	if got := lines(r.Handle(now, vrrp.Reconfigured{Config: baseConfig()}, nil)); got != "" {
		t.Errorf("did %q", got)
	}
	if at, ok := r.Deadline(); !ok || !at.Equal(t0) {
		t.Errorf("the next look is at %v, %v", at.Sub(now), ok)
	}
	if r.Handle(now, vrrp.DeadlineReached{}, nil); r.State() != vrrp.Active {
		t.Errorf("is %v", r.State())
	}

	r = silent(t)
	other := with(func(c *vrrp.Config) { c.Group = vrrp.Membership{Name: "H"} })
	if got := lines(r.Handle(now, vrrp.Reconfigured{Config: other}, nil)); got != "stands backup 0" {
		t.Errorf("did %q", got)
	}
	if got := lines(r.Handle(now, vrrp.DeadlineReached{}, nil)); got != "stands backup wants 0" {
		t.Errorf("did %q", got)
	}

	// What the old group has still under way comes too late.
	for _, order := range [][2]string{{"G", ""}, {"H", "send 100; acquire; announce 5 active; backup>active active_down; stands active 7"}} {
		name, want := order[0], order[1]
		if got := lines(r.Handle(now, vrrp.GroupOrdered{Group: name, Event: vrrp.GroupActivated{Order: 7}}, nil)); got != want {
			t.Errorf("order of %s: did %q, want %q", name, got, want)
		}
	}

	// The group's fault ends with the membership, a fault of its own does not.
	r = silent(t)
	r.Handle(now, vrrp.FaultRaised{Cause: vrrp.FaultGroup, Detail: "b: link_down"}, nil)
	r.Handle(now, vrrp.FaultRaised{Cause: vrrp.FaultTracker, Detail: "nginx"}, nil)
	if s := r.Snapshot(); s.State != vrrp.Fault || s.Faults.String() != "tracker,sync_group" || s.FaultDetail != "nginx" {
		t.Errorf("%+v", s)
	}
	r.Handle(now, vrrp.Reconfigured{Config: baseConfig()}, nil)
	if s := r.Snapshot(); s.State != vrrp.Fault || s.Faults.String() != "tracker" {
		t.Errorf("%v %v", s.State, s.Faults)
	}
}

// Between equals the first member decides at once, the others only when it goes
// on for longer than the first one needs.
func TestTiesInGroup(t *testing.T) {
	active := func(first bool) *vrrp.Router {
		c := memberConfig()
		c.Group.First = first
		r := vrrp.New(c)
		r.Handle(t0.Add(-5*time.Second), vrrp.InterfaceChanged{Exists: true, Up: true, Source: own}, nil)
		r.Handle(t0.Add(-time.Second), vrrp.DeadlineReached{}, nil)
		r.Handle(t0.Add(-time.Second), vrrp.GroupActivated{Order: 1}, nil)
		r.Handle(t0, vrrp.DeadlineReached{}, nil)
		return r
	}
	yields := "send 100; release; active>backup higher_address; stands backup defers 1"
	if got := lines(active(true).Handle(t0, heard(100, high), nil)); got != yields {
		t.Errorf("the first member did %q", got)
	}
	r := active(false)
	for i, want := range []string{"mismatch other_active", "", yields} {
		now := t0.Add(time.Duration(i) * time.Second)
		if got := lines(r.Handle(now, heard(100, high), nil)); got != want {
			t.Errorf("the %d. time did %q, want %q", i+1, got, want)
		}
		r.Handle(now.Add(time.Second/2), vrrp.DeadlineReached{}, nil)
	}
	// An interruption starts the wait anew.
	r = active(false)
	for _, after := range []time.Duration{0, time.Second, 5 * time.Second, 6 * time.Second} {
		now := t0.Add(after)
		r.Handle(now, vrrp.DeadlineReached{}, nil)
		r.Handle(now, heard(100, high), nil)
		if r.State() != vrrp.Active {
			t.Fatalf("yields after %v", after)
		}
	}
	// A higher priority is no tie.
	if r.Handle(t0.Add(7*time.Second), heard(101, low), nil); r.State() != vrrp.Backup {
		t.Error("stays in spite of a higher priority")
	}
}

// Behind a stall everything that waits on the socket is read before anything is
// said: a better router may have spoken. What has changed meanwhile is said by
// the overdue advertisement, and the announcements that belong to it are made.
func TestStalledRouterReadsBeforeItSpeaks(t *testing.T) {
	for name, tt := range map[string]struct {
		event vrrp.Event
		did   string
		sends uint8
	}{
		"tracked":      {vrrp.PriorityChanged{Priority: 90}, "effective 100>90", 90},
		"reconfigured": {vrrp.Reconfigured{Config: with(func(c *vrrp.Config) { c.Priority = 110 })}, "effective 100>110", 110},
	} {
		t.Run(name, func(t *testing.T) {
			now := t0.Add(10 * time.Second)
			r := in(t, vrrp.Active, baseConfig())
			if got := lines(r.Handle(now, tt.event, nil)); got != tt.did {
				t.Errorf("did %q", got)
			}
			// The second burst of becoming active is overdue as well: it is one.
			want := fmt.Sprintf("send %d; announce 5 stalled", tt.sends)
			if got := lines(r.Handle(now, vrrp.DeadlineReached{}, nil)); got != want {
				t.Errorf("did %q, want %q", got, want)
			}
			r = in(t, vrrp.Active, baseConfig())
			r.Handle(now, tt.event, nil)
			if r.Handle(now, heard(200, low), nil); r.State() != vrrp.Backup {
				t.Errorf("is %v", r.State())
			}
		})
	}
	// A longer interval before, a shorter one now: that is no stall.
	r := in(t, vrrp.Active, baseConfig())
	changed := with(func(c *vrrp.Config) { c.Interval = 100 * time.Millisecond })
	if got := lines(r.Handle(t0.Add(900*time.Millisecond), vrrp.Reconfigured{Config: changed}, nil)); got != "send 100" {
		t.Errorf("did %q", got)
	}
}

// A late backup that listens once more goes on doing so, whatever its priority
// becomes in the meantime.
func TestPatienceOutlivesChanges(t *testing.T) {
	for name, event := range map[string]vrrp.Event{
		"tracked":      vrrp.PriorityChanged{Priority: 110},
		"reconfigured": vrrp.Reconfigured{Config: with(func(c *vrrp.Config) { c.Priority = 110 })},
	} {
		r := in(t, vrrp.Backup, baseConfig())
		at, _ := r.Deadline()
		late := at.Add(5 * time.Second)
		r.Handle(late, vrrp.DeadlineReached{}, nil)
		r.Handle(late.Add(time.Second), event, nil)
		next, _ := r.Deadline()
		if want := time.Second + vrrp.SkewTime(wire.V3, 110, time.Second); next.Sub(late) != want {
			t.Errorf("%s: listens for %v, want %v", name, next.Sub(late), want)
		}
	}
}

func TestMembersChangeNothingWithoutAllocation(t *testing.T) {
	r := vrrp.New(with(func(c *vrrp.Config) { c.Group.Name, c.AlsoV2 = "G", true }))
	r.Handle(t0, vrrp.InterfaceChanged{Exists: true, Up: true, Source: own}, nil)
	advert, now := heard(200, high), t0
	actions := r.Handle(now, advert, nil)
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(time.Second)
		actions = r.Handle(now, advert, actions[:0])
	}); n != 0 || len(actions) != 0 {
		t.Errorf("%v allocations, %d actions", n, len(actions))
	}
}

// A group is pure as well: told the same, two do the same; and a deadline that
// was reported is over.
func TestGroupsDoTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x, y := vrrp.NewGroup("G", members(100, "a", "b", "c")), vrrp.NewGroup("G", members(100, "a", "b", "c"))
		now := t0
		for range rapid.IntRange(1, 40).Draw(rt, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 2e9).Draw(rt, "ns")))
			event := drawGroupEvent(rt)
			p, q := fmt.Sprintf("%+v", x.Handle(now, event, nil)), fmt.Sprintf("%+v", y.Handle(now, event, nil))
			if p != q {
				rt.Fatalf("%T: %s and %s", event, p, q)
			}
			if at, ok := x.Deadline(); ok && !at.After(now) {
				x.Handle(now, vrrp.GroupDeadlineReached{}, nil)
				y.Handle(now, vrrp.GroupDeadlineReached{}, nil)
				if at, ok := x.Deadline(); ok && !at.After(now) {
					rt.Fatalf("still due %v after it was reported", now.Sub(at))
				}
			}
		}
		if p, q := fmt.Sprintf("%+v", x.Snapshot()), fmt.Sprintf("%+v", y.Snapshot()); p != q {
			rt.Fatalf("%s and %s", p, q)
		}
	})
}

func drawGroupEvent(t *rapid.T) vrrp.GroupEvent {
	name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "member")
	switch rapid.IntRange(0, 7).Draw(t, "event") {
	case 0:
		return vrrp.GroupDeadlineReached{}
	case 1:
		return vrrp.MemberPriority{Member: name, Priority: rapid.IntRange(-300, 300).Draw(t, "priority")}
	case 2:
		list := members(rapid.SampledFrom([]uint8{90, 100, 255}).Draw(t, "base"), "a", "b", "c", "d")
		return vrrp.GroupReconfigured{Members: list[:rapid.IntRange(0, 4).Draw(t, "members")]}
	default:
		return vrrp.MemberStanding{Member: name, Standing: vrrp.Standing{
			Group: "G", Base: 100, Priority: rapid.SampledFrom([]uint8{90, 100}).Draw(t, "effective"),
			State: vrrp.State(rapid.IntRange(0, 3).Draw(t, "state")), Wants: rapid.Bool().Draw(t, "wants"),
			Defers: rapid.Bool().Draw(t, "defers"), Faults: vrrp.Faults(rapid.Uint8Range(0, 127).Draw(t, "faults")),
			Obeyed: rapid.Uint64Range(0, 20).Draw(t, "obeyed"), Reclaims: rapid.Uint32Range(0, 2).Draw(t, "reclaims"),
		}}
	}
}
