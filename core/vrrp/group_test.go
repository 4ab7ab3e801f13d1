package vrrp_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// desk is a group whose members are played by the test.
type desk struct {
	t     *testing.T
	group *vrrp.Group
	now   time.Time
	said  map[string]vrrp.Standing
}

func newDesk(t *testing.T, priority uint8, names ...string) *desk {
	t.Helper()
	return &desk{t: t, group: vrrp.NewGroup("G", members(priority, names...)), now: t0, said: map[string]vrrp.Standing{}}
}

func members(priority uint8, names ...string) []vrrp.Member {
	list := make([]vrrp.Member, len(names))
	for i, name := range names {
		list[i] = vrrp.Member{Name: name, Config: with(func(c *vrrp.Config) { c.Priority = priority })}
	}
	return list
}

// hand gives the group an event and returns what it does, in short words.
func (d *desk) hand(event vrrp.GroupEvent) string {
	d.t.Helper()
	var words []string
	for _, action := range d.group.Handle(d.now, event, nil) {
		switch a := action.(type) {
		case vrrp.Order:
			ordered, ok := a.Event.(vrrp.GroupOrdered)
			if !ok || ordered.Group != "G" {
				d.t.Fatalf("orders %T from %q", a.Event, ordered.Group)
			}
			switch e := ordered.Event.(type) {
			case vrrp.GroupActivated:
				words = append(words, fmt.Sprintf("%s active %d", a.Member, e.Order))
			case vrrp.GroupYielded:
				words = append(words, fmt.Sprintf("%s yield %d (%s)", a.Member, e.Order, e.Detail))
			case vrrp.GroupAnnounced:
				words = append(words, fmt.Sprintf("%s announce %v", a.Member, e.Reason))
			case vrrp.FaultRaised:
				words = append(words, fmt.Sprintf("%s fault %v (%s)", a.Member, e.Cause, e.Detail))
			case vrrp.FaultCleared:
				words = append(words, fmt.Sprintf("%s clear %v", a.Member, e.Cause))
			case vrrp.PriorityChanged:
				words = append(words, fmt.Sprintf("%s priority %d (%s)", a.Member, e.Priority, e.Detail))
			case *vrrp.AdvertReceived, *vrrp.AdvertRejected, vrrp.DeadlineReached, vrrp.InterfaceChanged,
				vrrp.Reconfigured, vrrp.Stopped, vrrp.GroupOrdered, vrrp.AddressClaimed:
				d.t.Errorf("orders %T", e)
			}
		case vrrp.GroupStateChanged:
			words = append(words, fmt.Sprintf("%v>%v %v", a.From, a.To, a.Cause))
		case vrrp.GroupFaultChanged:
			words = append(words, fmt.Sprintf("fault %v", a.Cause))
		}
	}
	return strings.Join(words, "; ")
}

// says has a member speak: in a state, and changed by the words.
func (d *desk) says(name string, state vrrp.State, obeyed uint64, words ...string) string {
	d.t.Helper()
	s := vrrp.Standing{Group: "G", Base: 100, Priority: 100, State: state, Obeyed: obeyed, Reclaims: d.said[name].Reclaims}
	for _, w := range words {
		switch w {
		case "wants":
			s.Wants, s.Reason = true, vrrp.ReasonActiveDown
		case "defers":
			s.Defers, s.Reason, s.Peer = true, vrrp.ReasonHigherPriority, high
		case "link":
			s.Faults, s.Reason = 1<<vrrp.FaultLinkDown, vrrp.ReasonLinkDown
		case "tracker":
			s.Faults, s.Reason, s.Detail = 1<<vrrp.FaultTracker, vrrp.ReasonTracker, "nginx"
		case "group":
			s.Faults, s.Reason = s.Faults|1<<vrrp.FaultGroup, vrrp.ReasonGroup
		case "reclaims":
			s.Reclaims, s.Reclaim = s.Reclaims+1, vrrp.AnnounceStalled
		case "90":
			s.Priority = 90
		case "base 90":
			s.Base, s.Priority = 90, 90
		default:
			d.t.Fatalf("word %q", w)
		}
	}
	d.said[name] = s
	return d.hand(vrrp.MemberStanding{Member: name, Standing: s})
}

func (d *desk) want(got, want string) {
	d.t.Helper()
	if got != want {
		d.t.Errorf("did\n%q, want\n%q", got, want)
	}
}

// up brings two members a and b to active, with orders 1 and 2.
func (d *desk) up() {
	d.t.Helper()
	d.want(d.says("a", vrrp.Backup, 0), "")
	d.want(d.says("b", vrrp.Backup, 0), "initialize>backup startup")
	d.want(d.says("a", vrrp.Backup, 0, "wants"), "")
	d.want(d.says("b", vrrp.Backup, 0, "wants"), "a active 1; b active 2")
	d.want(d.says("a", vrrp.Active, 1), "")
	d.want(d.says("b", vrrp.Active, 2), "backup>active b: active_down")
}

func TestGroupMovesTogether(t *testing.T) {
	t.Run("down", func(t *testing.T) {
		d := newDesk(t, 100, "a", "b")
		d.up()
		d.want(d.says("a", vrrp.Backup, 1, "defers"), "b yield 3 (a: higher_priority)")
		d.want(d.says("b", vrrp.Backup, 3), "active>backup a: higher_priority")
	})
	t.Run("both at once", func(t *testing.T) {
		d := newDesk(t, 100, "a", "b")
		d.up()
		d.want(d.says("b", vrrp.Backup, 2, "defers"), "a yield 3 (b: higher_priority)")
		d.want(d.says("a", vrrp.Backup, 1, "defers"), "")
		d.want(d.says("a", vrrp.Backup, 3, "defers"), "active>backup b: higher_priority")
	})
	// What a member said before it got the order is no answer to it.
	t.Run("order under way", func(t *testing.T) {
		d := newDesk(t, 100, "a", "b")
		d.up()
		d.want(d.says("a", vrrp.Backup, 1, "defers"), "b yield 3 (a: higher_priority)")
		d.want(d.says("a", vrrp.Backup, 1, "wants"), "")
		d.want(d.says("b", vrrp.Active, 2, "reclaims"), "")
		d.want(d.says("b", vrrp.Backup, 3), "active>backup a: higher_priority")
		d.want(d.says("b", vrrp.Backup, 3, "wants"), "a active 4; b active 5")
	})
	// One hears a better router before the order arrives: it does not obey, and
	// the other comes back.
	t.Run("refused", func(t *testing.T) {
		d := newDesk(t, 100, "a", "b")
		d.says("a", vrrp.Backup, 0, "wants")
		d.want(d.says("b", vrrp.Backup, 0, "wants"), "a active 1; b active 2")
		d.want(d.says("a", vrrp.Backup, 0, "defers"), "")
		d.want(d.says("b", vrrp.Active, 2), "")
		d.want(d.says("a", vrrp.Backup, 1, "defers"), "b yield 3 (a: higher_priority)")
		d.want(d.says("b", vrrp.Backup, 3), "initialize>backup startup")
	})
	t.Run("alone", func(t *testing.T) {
		d := newDesk(t, 100, "a")
		d.want(d.says("a", vrrp.Backup, 0, "wants"), "a active 1")
		d.want(d.says("a", vrrp.Active, 1), "initialize>active a: active_down")
	})
}

func TestGroupFaults(t *testing.T) {
	d := newDesk(t, 100, "a", "b", "c")
	d.want(d.says("a", vrrp.Backup, 0, "wants"), "")
	d.want(d.says("b", vrrp.Backup, 0, "wants"), "")
	// One of which nothing is known keeps the others from it, and one with a
	// fault makes it theirs.
	d.want(d.says("c", vrrp.Fault, 0, "link"), "a fault sync_group (c: link_down); b fault sync_group (c: link_down); initialize>fault c: link_down")
	d.want(d.says("a", vrrp.Fault, 0, "group"), "")
	// A second fault changes what is told to those who had only the first.
	d.want(d.says("a", vrrp.Fault, 0, "tracker", "group"), "b fault sync_group (a: tracker (nginx)); c fault sync_group (a: tracker (nginx)); fault a: tracker (nginx)")
	if got := d.group.Snapshot(); got.Cause.Member != "a" || got.Cause.Detail != "nginx" || got.State != vrrp.Fault {
		t.Errorf("%+v", got)
	}
	d.want(d.says("b", vrrp.Fault, 0, "group"), "")
	d.want(d.says("c", vrrp.Fault, 0, "group"), "a clear sync_group")
	d.want(d.says("a", vrrp.Backup, 0), "b clear sync_group; c clear sync_group; fault>backup a: healed")
	d.want(d.says("b", vrrp.Backup, 0), "")
	d.want(d.says("c", vrrp.Backup, 0, "wants"), "")
}

func TestGroupAnnouncesTogether(t *testing.T) {
	d := newDesk(t, 100, "a", "b")
	d.up()
	d.want(d.says("a", vrrp.Active, 1, "reclaims"), "b announce stalled")
	d.want(d.says("a", vrrp.Active, 1), "")
	d.want(d.says("b", vrrp.Active, 2, "reclaims"), "a announce stalled")
}

func TestGroupPriority(t *testing.T) {
	d := newDesk(t, 100, "a", "b")
	d.up()
	d.want(d.hand(vrrp.MemberPriority{Member: "a", Priority: 90, Detail: "nginx"}), "a priority 90 (nginx); b priority 90 (nginx)")
	d.want(d.says("a", vrrp.Active, 1, "90"), "")
	d.want(d.says("b", vrrp.Active, 2, "90"), "")
	// The other asks for less, then for the configured one again.
	d.want(d.hand(vrrp.MemberPriority{Member: "b", Priority: -7, Detail: "disk"}), "a priority 1 (disk); b priority 1 (disk)")
	d.want(d.hand(vrrp.MemberPriority{Member: "b", Priority: 100}), "a priority 90 (nginx); b priority 90 (nginx)")
	d.want(d.hand(vrrp.MemberPriority{Member: "stranger", Priority: 3}), "")
	// Another configured priority makes what was asked void, and a router that
	// has not got it yet is not told anything.
	d.want(d.hand(vrrp.GroupReconfigured{Members: members(90, "a", "b")}), "")
	d.want(d.hand(vrrp.MemberPriority{Member: "a", Priority: 80, Detail: "nginx"}), "")
	d.want(d.says("a", vrrp.Active, 1, "base 90"), "a priority 80 (nginx)")
	d.want(d.says("b", vrrp.Active, 2, "base 90"), "b priority 80 (nginx)")

	// A router that comes with a priority keeps it until its trackers speak.
	d = newDesk(t, 100, "a", "b")
	d.want(d.says("a", vrrp.Active, 0, "90"), "initialize>active a: none")
	d.want(d.says("b", vrrp.Active, 0), "b priority 90 ()")
	d.want(d.hand(vrrp.MemberPriority{Member: "a", Priority: 100}), "a priority 100 (); b priority 100 ()")

	o := newDesk(t, wire.PriorityOwner, "a")
	o.group.Handle(t0, vrrp.MemberStanding{Member: "a", Standing: vrrp.Standing{Group: "G", Base: 255, Priority: 254, State: vrrp.Backup}}, nil)
	o.want(o.hand(vrrp.MemberPriority{Member: "a", Priority: 3}), "")
}

// A member whose goroutine does not run any more must not leave the addresses of
// the others here and its own nowhere.
func TestGroupGivesUpOnStuckMember(t *testing.T) {
	d := newDesk(t, 100, "a", "b")
	d.says("a", vrrp.Backup, 0, "wants")
	d.says("b", vrrp.Backup, 0, "wants")
	d.want(d.says("a", vrrp.Active, 1), "")
	at, ok := d.group.Deadline()
	if !ok || at.Sub(d.now) != time.Second {
		t.Fatalf("deadline %v %v", at.Sub(d.now), ok)
	}
	d.now = at.Add(-1)
	d.want(d.hand(vrrp.GroupDeadlineReached{}), "")
	d.now = at
	d.want(d.hand(vrrp.GroupDeadlineReached{}), "a yield 3 (b: stuck); b yield 4 (b: stuck)")
	// The wait for a has begun.
	if next, _ := d.group.Deadline(); next.Sub(at) != time.Second {
		t.Errorf("next in %v", next.Sub(at))
	}
	d.want(d.says("a", vrrp.Backup, 3), "initialize>backup startup")
	if s := d.group.Snapshot(); !s.Members[1].Stuck || !s.Members[1].Awaited || s.Members[0].Stuck {
		t.Errorf("%+v", s)
	}
	if at, ok := d.group.Deadline(); ok {
		t.Errorf("still waits until %v", at)
	}
	// It moves again, and does what it was told, all of it.
	d.want(d.says("b", vrrp.Active, 2), "")
	d.want(d.says("b", vrrp.Backup, 4), "")
	d.want(d.says("a", vrrp.Backup, 3, "wants"), "")
	d.want(d.says("b", vrrp.Backup, 4, "wants"), "a active 5; b active 6")
}

// A process that stood still for seconds does not take its members for stuck.
func TestGroupIsPatientWhenLateItself(t *testing.T) {
	d := newDesk(t, 100, "a", "b")
	d.says("a", vrrp.Backup, 0, "wants")
	d.says("b", vrrp.Backup, 0, "wants")
	at, _ := d.group.Deadline()
	d.now = at.Add(time.Minute)
	d.want(d.hand(vrrp.GroupDeadlineReached{}), "")
	next, ok := d.group.Deadline()
	if !ok || next.Sub(d.now) != time.Second {
		t.Fatalf("deadline %v %v", next.Sub(d.now), ok)
	}
	d.want(d.says("a", vrrp.Active, 1), "")
	d.now = next.Add(time.Minute)
	d.want(d.hand(vrrp.GroupDeadlineReached{}), "a yield 3 (b: stuck); b yield 4 (b: stuck)")
}

// Routers that were active alone are a group without a move, and one that was not
// joins, or has the others follow it.
func TestGroupOfActiveRouters(t *testing.T) {
	d := newDesk(t, 100, "a", "b", "c")
	d.want(d.says("a", vrrp.Active, 0), "initialize>active a: none")
	d.want(d.says("b", vrrp.Active, 0), "")
	d.want(d.says("c", vrrp.Backup, 0), "")
	d.want(d.says("c", vrrp.Backup, 0, "wants"), "c active 1")
	d.want(d.says("c", vrrp.Active, 1), "")

	d = newDesk(t, 100, "a", "b")
	d.says("a", vrrp.Active, 0)
	d.want(d.says("b", vrrp.Backup, 0, "defers"), "a yield 1 (b: higher_priority)")
	d.want(d.says("a", vrrp.Backup, 1), "active>backup b: higher_priority")
}

// A router that is made anew knows of no orders and no faults.
func TestGroupMemberComesBack(t *testing.T) {
	d := newDesk(t, 100, "a", "b")
	d.up()
	d.want(d.says("b", vrrp.Initialize, 2), "")
	d.want(d.says("b", vrrp.Backup, 0), "")
	d.want(d.says("b", vrrp.Backup, 0, "wants"), "b active 3")
	d.want(d.says("b", vrrp.Active, 3), "")
	// The last words of a router that was replaced come too late, and so does
	// what was ordered then.
	d.want(d.says("a", vrrp.Backup, 1, "defers"), "b yield 4 (a: higher_priority)")
	renewed := vrrp.Standing{Group: "G", Born: t0.Add(time.Hour), Base: 100, Priority: 100, State: vrrp.Backup}
	d.want(d.hand(vrrp.MemberStanding{Member: "b", Standing: renewed}), "active>backup a: higher_priority")
	d.want(d.says("b", vrrp.Initialize, 3), "")
	if s := d.group.Snapshot().Members[1]; !s.Known || s.Awaited {
		t.Errorf("%+v", s)
	}
	d.want(d.says("a", vrrp.Active, 1), "backup>active a: none")
	renewed.State, renewed.Born = vrrp.Initialize, t0.Add(2*time.Hour)
	d.want(d.hand(vrrp.MemberStanding{Member: "b", Standing: renewed}), "")
	// All stop.
	d.want(d.says("a", vrrp.Initialize, 1), "active>initialize stopped")
	if s := d.group.Snapshot(); s.State != vrrp.Initialize || s.Cause.Reason != vrrp.ReasonStopped {
		t.Errorf("%+v", s)
	}
}

func TestGroupHearsItsMembersOnly(t *testing.T) {
	d := newDesk(t, 100, "a")
	d.want(d.says("x", vrrp.Backup, 0, "wants"), "")
	d.want(d.hand(vrrp.MemberStanding{Member: "a", Standing: vrrp.Standing{Group: "H", State: vrrp.Backup, Wants: true}}), "")
	if s := d.group.Snapshot(); s.Members[0].Known || s.State != vrrp.Initialize {
		t.Errorf("%+v", s)
	}
	// A member that has left holds nothing up.
	d = newDesk(t, 100, "a", "b")
	d.says("a", vrrp.Backup, 0, "wants")
	d.says("b", vrrp.Backup, 0, "defers")
	d.want(d.hand(vrrp.GroupReconfigured{Members: members(100, "a")}), "a active 1")
	d.want(d.says("b", vrrp.Fault, 0, "link"), "")
	d.want(d.hand(vrrp.GroupReconfigured{}), "backup>initialize stopped")
}

func TestEnroll(t *testing.T) {
	addresses := func(c *vrrp.Config, list ...string) {
		c.Addresses = nil
		for _, a := range list {
			c.Addresses = append(c.Addresses, netip.MustParseAddr(a))
		}
	}
	list := members(100, "six", "high", "low", "twin")
	addresses(&list[0].Config, "fe80::1")
	addresses(&list[1].Config, "192.0.2.9", "192.0.2.7")
	addresses(&list[2].Config, "192.0.2.8", "192.0.2.6")
	addresses(&list[3].Config, "192.0.2.6")
	list[1].Config.Interval = 3 * time.Second
	list[3].Config.VRID = 50
	for turn := range list {
		turned := append(append([]vrrp.Member{}, list[turn:]...), list[:turn]...)
		for _, m := range vrrp.Enroll("G", turned) {
			want := vrrp.Membership{Name: "G", First: m.Name == "twin", Settle: 6 * time.Second}
			if m.Config.Group != want {
				t.Errorf("%s: %+v, want %+v", m.Name, m.Config.Group, want)
			}
		}
		if turned[0].Config.Group != (vrrp.Membership{}) {
			t.Error("the list that was given has changed")
		}
	}
}

func TestContradictions(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*vrrp.Config)
		want   string
	}{
		"none":            {func(*vrrp.Config) {}, ""},
		"interval":        {func(c *vrrp.Config) { c.Interval, c.Version = 5*time.Second, wire.V2 }, ""},
		"announcements":   {func(c *vrrp.Config) { c.Announcement.Refresh = time.Minute }, ""},
		"priority":        {func(c *vrrp.Config) { c.Priority = 90 }, "priority of a is 100, that of c is 90: another machine could be"},
		"owner":           {func(c *vrrp.Config) { c.Priority = 255 }, "priority of a is 100, that of c is 255: an owner does not make way"},
		"preempt":         {func(c *vrrp.Config) { c.Preempt = false }, "preempt of a is true, that of c is false: one would take over"},
		"preempt_delay":   {func(c *vrrp.Config) { c.PreemptDelay = time.Minute }, "preempt_delay of a is 0s, that of c is 1m0s: one would take over"},
		"startup_delay":   {func(c *vrrp.Config) { c.Hold = time.Minute }, "startup_delay of a is 0s, that of c is 1m0s: one would take part"},
		"owner, no rules": {func(c *vrrp.Config) { c.Priority, c.Preempt = 255, false }, "priority of a is 100, that of c is 255: an owner"},
	} {
		list := members(100, "a", "b", "c")
		tt.change(&list[2].Config)
		got := vrrp.Contradictions(list)
		if tt.want == "" && len(got) == 0 {
			continue
		}
		if len(got) != 1 || tt.want == "" || !strings.HasPrefix(got[0].String(), tt.want) {
			t.Errorf("%s: %v, want %q", name, got, tt.want)
		}
	}
	if got := vrrp.Contradictions(nil); got != nil {
		t.Errorf("an empty group: %v", got)
	}
}
