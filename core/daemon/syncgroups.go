package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/vrrp"
)

// syncGroups drives the sync groups. What it is told of, it is told by the
// speakers' own goroutines, so nothing here waits: a machine computes, and what
// follows is posted.
type syncGroups struct {
	post    func(instance string, event vrrp.Event)
	journal *journal.Journal
	logger  *slog.Logger

	mu     sync.Mutex
	groups map[string]*syncGroup
	// of is the group of each member.
	of map[string]*syncGroup
}

type syncGroup struct {
	name    string
	machine *vrrp.Group
	// alarm is set to the machine's deadline while it has one.
	alarm *time.Timer
}

func newSyncGroups(post func(string, vrrp.Event), j *journal.Journal, logger *slog.Logger) *syncGroups {
	return &syncGroups{post: post, journal: j, logger: logger, groups: map[string]*syncGroup{}, of: map[string]*syncGroup{}}
}

// apply makes members, by the names of their groups, the ones there are. It comes
// before their routers are told.
func (s *syncGroups) apply(members map[string][]vrrp.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.of = map[string]*syncGroup{}
	for name, list := range members {
		g := s.groups[name]
		if g == nil {
			g = &syncGroup{name: name, machine: vrrp.NewGroup(name, list)}
			s.groups[name] = g
		}
		for _, m := range list {
			s.of[m.Name] = g
		}
		s.handle(g, now, vrrp.GroupReconfigured{Members: list})
	}
	for name, g := range s.groups {
		if _, stays := members[name]; !stays {
			g.stop()
			delete(s.groups, name)
			s.journal.Record(journal.Event{Time: now, Kind: journal.Removed, Object: object(journal.SyncGroup, name)})
		}
	}
}

// Stands implements speaker.Groups.
func (s *syncGroups) Stands(instance string, at time.Time, standing vrrp.Standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.groups[standing.Group]; g != nil {
		s.handle(g, at, vrrp.MemberStanding{Member: instance, Standing: standing})
	}
}

// prioritize hands what trackers make of a member's priority to its group. It
// is false for an instance that is in none.
func (s *syncGroups) prioritize(instance string, priority uint8, detail string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.of[instance]
	if g == nil {
		return false
	}
	s.handle(g, time.Now(), vrrp.MemberPriority{Member: instance, Priority: int(priority), Detail: detail})
	return true
}

// groupOf is the name of the group that a router is in, or empty.
func (s *syncGroups) groupOf(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.of[name]; g != nil {
		return g.name
	}
	return ""
}

// expired is called when a group's alarm goes off.
func (s *syncGroups) expired(g *syncGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups[g.name] == g {
		s.handle(g, time.Now(), vrrp.GroupDeadlineReached{})
	}
}

// handle gives a group one event and does what it says. mu is held, so that the
// orders to a member arrive in order.
func (s *syncGroups) handle(g *syncGroup, now time.Time, event vrrp.GroupEvent) {
	for _, action := range g.machine.Handle(now, event, nil) {
		switch a := action.(type) {
		case vrrp.Order:
			s.post(a.Member, a.Event)
		case vrrp.GroupFaultChanged:
			s.journal.Record(groupFaultEvent(g.name, now, a))
			s.logger.Warn("sync group has another fault", "group", g.name, "reason", a.Cause.String())
		case vrrp.GroupStateChanged:
			s.journal.Record(groupEvent(g.name, now, a))
			level := slog.LevelInfo
			if a.To == vrrp.Fault {
				level = slog.LevelWarn
			}
			// The log does not wait for whoever reads it.
			s.logger.Log(context.Background(), level, "sync group changed state",
				"group", g.name, "from", a.From.String(), "to", a.To.String(), "reason", a.Cause.String(), "priority", a.Priority)
		}
	}
	at, ok := g.machine.Deadline()
	switch {
	case !ok:
		g.stop()
	case g.alarm == nil:
		g.alarm = time.AfterFunc(time.Until(at), func() { s.expired(g) })
	default:
		g.alarm.Reset(time.Until(at))
	}
}

func (g *syncGroup) stop() {
	if g.alarm != nil {
		g.alarm.Stop()
	}
}

// snapshots are the states of all groups.
func (s *syncGroups) snapshots() map[string]vrrp.GroupSnapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]vrrp.GroupSnapshot, len(s.groups))
	for name, g := range s.groups {
		all[name] = g.machine.Snapshot()
	}
	return all
}

// close ends the alarms.
func (s *syncGroups) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.groups {
		g.stop()
	}
}
