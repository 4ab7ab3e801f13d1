package vrrp

import "time"

// GroupEvent is something that happened to a sync group.
//
//sumtype:decl
type GroupEvent interface{ groupEvent() }

// MemberStanding is what a member's router has told. Every Standing of a router
// is to be handed over, in order.
type MemberStanding struct {
	Member   string
	Standing Standing
}

// MemberPriority is the effective priority that a member's trackers ask for. It
// takes the place of PriorityChanged, which in a sync group comes from the
// Group: all members advertise the lowest.
type MemberPriority struct {
	Member   string
	Priority int
	// Detail says which trackers, for people to read.
	Detail string
}

// GroupReconfigured carries the members, with their configurations. Those that
// were there before keep their state.
type GroupReconfigured struct{ Members []Member }

// GroupDeadlineReached is sent when the time that the Group's Deadline told has
// come.
type GroupDeadlineReached struct{}

func (MemberStanding) groupEvent()       {}
func (MemberPriority) groupEvent()       {}
func (GroupReconfigured) groupEvent()    {}
func (GroupDeadlineReached) groupEvent() {}

// GroupAction is something the caller of a Group has to do.
//
//sumtype:decl
type GroupAction interface{ groupAction() }

// Order is an event to be posted to the router of a member. The orders to one
// member must arrive in order.
type Order struct {
	Member string
	Event  Event
}

// GroupStateChanged tells of a transition of the group, when its members have
// made it.
type GroupStateChanged struct {
	From, To State
	Cause    Cause
	// Priority is what all members advertise.
	Priority uint8
}

// GroupFaultChanged tells that a group in Fault is there because of another member,
// or another fault of it.
type GroupFaultChanged struct{ Cause Cause }

func (Order) groupAction()             {}
func (GroupStateChanged) groupAction() {}
func (GroupFaultChanged) groupAction() {}

// String names the member and what is the matter with it.
func (c Cause) String() string {
	s := c.Reason.String()
	if c.Member != "" {
		s = c.Member + ": " + s
	}
	if c.Detail != "" {
		s += " (" + c.Detail + ")"
	}
	return s
}

// GroupSnapshot is what an operator may know about a sync group. It shares
// nothing with the Group.
type GroupSnapshot struct {
	State State
	Cause Cause
	// Since is when the state was entered; zero before the first transition.
	Since time.Time
	// Priority is what all members are to advertise.
	Priority uint8
	Members  []MemberSnapshot
}

// MemberSnapshot is one member as the group sees it.
type MemberSnapshot struct {
	Name string
	// Known says that it has told where it stands.
	Known    bool
	Standing Standing
	// Awaited says that it has an order to carry out, Stuck that it did not.
	Awaited, Stuck bool
}

// Snapshot describes the group.
func (g *Group) Snapshot() GroupSnapshot {
	s := GroupSnapshot{
		State: g.state, Cause: g.cause, Since: g.since, Priority: g.priority,
		Members: make([]MemberSnapshot, len(g.members)),
	}
	for i, m := range g.members {
		s.Members[i] = MemberSnapshot{
			Name: m.name, Known: m.standing.State != Initialize, Standing: m.standing,
			Awaited: m.inTransit(), Stuck: m.stuck,
		}
	}
	return s
}
