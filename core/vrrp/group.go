package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// obeyPatience is how long a member may take to carry out an order: by far longer
// than it takes to hand an event from one goroutine to another.
const obeyPatience = time.Second

// Group is one sync group: virtual routers that are active together or not at
// all. It decides for them; they keep their timers, hear their peers and say
// where they stand. Make it with NewGroup; it must not be copied. It is not safe
// for concurrent use.
type Group struct {
	name    string
	members []*member

	state State
	since time.Time
	cause Cause
	// active is what was decided, next the cause of that, and orders the number
	// of the last order.
	active bool
	next   Cause
	orders uint64
	// priority is what all members are to advertise.
	priority uint8
	detail   string
}

// Cause is what brought a group into its state.
type Cause struct {
	Reason Reason
	// Member is whose doing it is, empty if it is nobody's.
	Member string
	// Faults are the member's, and Detail names what raised the gravest.
	Faults Faults
	Detail string
	// Peer is the router whose advertisement, or silence, the member acted on.
	Peer netip.Addr
}

// NewGroup makes the sync group of these members. They should be without
// Contradictions; their routers get the configurations that Enroll returns.
func NewGroup(name string, members []Member) *Group {
	g := &Group{name: name}
	g.enroll(members)
	return g
}

// enroll takes over a list of members and keeps what is known of those that were
// there before.
func (g *Group) enroll(members []Member) {
	list := make([]*member, len(members))
	for i := range members {
		m := g.member(members[i].Name)
		if m == nil {
			m = &member{name: members[i].Name}
		}
		m.configure(members[i].Config.Priority)
		list[i] = m
	}
	g.members = list
}

func (g *Group) member(name string) *member {
	i := slices.IndexFunc(g.members, func(m *member) bool { return m.name == name })
	if i < 0 {
		return nil
	}
	return g.members[i]
}

// Handle takes one event that happened at now and appends to actions what has to
// be done about it, in order.
func (g *Group) Handle(now time.Time, event GroupEvent, actions []GroupAction) []GroupAction {
	var speaker *member
	switch e := event.(type) {
	case MemberStanding:
		speaker = g.member(e.Member)
		if speaker == nil || e.Standing.Group != g.name || e.Standing.Born.Before(speaker.standing.Born) {
			return actions
		}
		if speaker.stands(e.Standing) {
			actions = g.announce(speaker, actions)
		}
	case MemberPriority:
		if m := g.member(e.Member); m != nil {
			m.asked, m.detail = clampPriority(e.Priority), e.Detail
		}
	case GroupReconfigured:
		g.enroll(e.Members)
	case GroupDeadlineReached:
		for _, m := range g.members {
			m.lateObedience(now)
		}
	}
	g.decide(speaker)
	actions = g.give(now, actions)
	actions = g.spreadFaults(actions)
	actions = g.spreadPriority(actions)
	return g.review(now, speaker, actions)
}

// Deadline is when Handle wants to see GroupDeadlineReached next, if ever.
func (g *Group) Deadline() (time.Time, bool) {
	var first time.Time
	for _, m := range g.members {
		first = earliest(first, m.obedience())
	}
	return first, !first.IsZero()
}

// to is an event on its way to a member.
func (g *Group) to(m *member, event Event) Order {
	return Order{Member: m.name, Event: GroupOrdered{Group: g.name, Event: event}}
}

// State is the present state.
func (g *Group) State() State { return g.state }

// announce lets the others win their neighbours back too: what the speaker has
// found out about its network is likely to be true of theirs.
func (g *Group) announce(speaker *member, actions []GroupAction) []GroupAction {
	for _, m := range g.members {
		if m != speaker && m.standing.State == Active {
			actions = append(actions, g.to(m, GroupAnnounced{Reason: speaker.standing.Reclaim}))
		}
	}
	return actions
}

// decide settles whether the group is active: as soon as every member would be,
// and until one of them objects. While it is, a member that is new, or was
// started again, joins in when it would be active by itself.
func (g *Group) decide(speaker *member) {
	var objection, holder *member
	ready := len(g.members) > 0
	for _, m := range g.members {
		ready = ready && m.ready()
		if m.holds() {
			holder = m
		}
		if m.objects() && (objection == nil || m == speaker) {
			objection = m
		}
	}
	was := g.active
	g.active = objection == nil && (ready || holder != nil)
	switch {
	case g.active == was:
	case g.active && speaker != nil:
		g.next = speaker.cause()
	case g.active:
		g.next = g.members[len(g.members)-1].cause()
	case objection != nil:
		g.next = objection.cause()
	default:
		g.next = Cause{Reason: ReasonGroup}
	}
}

// give orders what follows from the decision. Members beside one with a fault
// are not told to yield: they share the fault.
func (g *Group) give(now time.Time, actions []GroupAction) []GroupAction {
	faulty := g.faulty(nil) != nil
	for _, m := range g.members {
		s := &m.standing
		switch {
		case g.active && s.State == Backup && s.Wants && !m.inTransit():
			g.orders++
			m.order(now, g.orders, true)
			actions = append(actions, g.to(m, GroupActivated{Order: g.orders}))
		case !g.active && !faulty && m.holds():
			g.orders++
			m.order(now, g.orders, false)
			actions = append(actions, g.to(m, GroupYielded{Order: g.orders, Detail: g.next.String()}))
		}
	}
	return actions
}

// faulty is the first member with a fault of its own, other than the one given.
func (g *Group) faulty(but *member) *member {
	for _, m := range g.members {
		if m != but && m.faults() != 0 {
			return m
		}
	}
	return nil
}

// spreadFaults gives every member the fault of another, and takes it away again.
func (g *Group) spreadFaults(actions []GroupAction) []GroupAction {
	for _, m := range g.members {
		if m.standing.State == Initialize {
			continue // It hears of it when it has started.
		}
		fault := ""
		if f := g.faulty(m); f != nil {
			c := f.cause()
			fault = c.String()
		}
		if fault == m.fault {
			continue
		}
		m.fault = fault
		if fault == "" {
			actions = append(actions, g.to(m, FaultCleared{Cause: FaultGroup}))
			continue
		}
		actions = append(actions, g.to(m, FaultRaised{Cause: FaultGroup, Detail: fault}))
	}
	return actions
}

// spreadPriority makes all members advertise the lowest of their priorities.
// With different ones, one machine could be the better on one network and worse
// on the other, and the group would never settle.
func (g *Group) spreadPriority(actions []GroupAction) []GroupAction {
	g.priority, g.detail = 0, ""
	for _, m := range g.members {
		if p := m.asks(); g.priority == 0 || p < g.priority {
			g.priority, g.detail = p, m.detail
		}
	}
	for _, m := range g.members {
		if m.mustBeTold(g.priority) {
			m.told = g.priority
			actions = append(actions, g.to(m, PriorityChanged{Priority: int(g.priority), Detail: g.detail}))
		}
	}
	return actions
}

// review reports the state of the group, once its members have arrived in it.
func (g *Group) review(now time.Time, speaker *member, actions []GroupAction) []GroupAction {
	known, gone, moving, holder := true, true, false, false
	for _, m := range g.members {
		known = known && m.standing.State != Initialize
		gone = gone && m.standing.State == Initialize
		moving = moving || m.inTransit() && !m.stuck
		holder = holder || m.standing.State == Active && !m.stuck
	}
	to, cause := Backup, g.next
	switch faulty := g.faulty(nil); {
	case gone:
		to, cause = Initialize, Cause{Reason: ReasonStopped}
	case faulty != nil && !holder:
		to, cause = Fault, faulty.cause()
	case faulty != nil || moving || g.active != holder:
		return actions // On its way.
	case g.active:
		to = Active
	case !known && g.state == Initialize:
		return actions
	case g.state == Fault:
		cause = Cause{Reason: ReasonHealed}
		if speaker != nil {
			cause.Member = speaker.name
		}
	case g.state != Active:
		cause = Cause{Reason: ReasonStartup}
	}
	if to == g.state {
		if to == Fault && g.cause != cause {
			g.cause = cause
			actions = append(actions, GroupFaultChanged{Cause: cause})
		}
		return actions
	}
	from := g.state
	g.state, g.cause, g.since = to, cause, now
	return append(actions, GroupStateChanged{From: from, To: to, Cause: cause, Priority: g.priority})
}
