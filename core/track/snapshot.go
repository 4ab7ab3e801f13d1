package track

import (
	"slices"
	"time"
)

// Snapshot is a copy of a Tally's state for people. All lists are sorted by name.
type Snapshot struct {
	Trackers  []TrackerSnapshot
	Instances []InstanceSnapshot
	Groups    []GroupSnapshot
}

// TrackerSnapshot is one tracker.
type TrackerSnapshot struct {
	Tracker string
	// State is the verdict after rise and fall, and Unknown while it cannot be
	// confirmed; Verdict is what holds all the same.
	State, Verdict State
	// Value is the last number of a valued tracker.
	Valued bool
	Value  int
	// Since is when the verdict or the number last changed.
	Since time.Time
	Why
}

// InstanceSnapshot is one virtual router.
type InstanceSnapshot struct {
	Instance, Group string
	// Priority is the configured one, Effective what the trackers make of it.
	Priority, Effective uint8
	// Faults are the trackers, sorted, that keep the instance from taking part.
	Faults []string
	// Since is when either last changed, and Why the reason, which is none
	// before the first change.
	Since time.Time
	Why
	Uses []UseSnapshot // each tracker once, the group's first
}

// UseSnapshot is what one tracker does to an instance.
type UseSnapshot struct {
	Use
	// Via is the group, or the other member of the group, whose use this is;
	// empty for the instance's own.
	Via string
	// State and Verdict are the tracker's.
	State, Verdict State
	// Adjustment is what is added to the priority, before its limits.
	Adjustment int
	Fault      bool
}

// GroupSnapshot is one sync group.
type GroupSnapshot struct {
	Group string
	// Adjustment is what is added to the priority of every member that is no
	// owner, before the limits.
	Adjustment int
	// Faults are the trackers, sorted, that keep any of the members from
	// taking part, and so all of them.
	Faults []string
}

// Snapshot returns the state as it is now.
func (t *Tally) Snapshot() Snapshot {
	s := Snapshot{
		Trackers:  make([]TrackerSnapshot, 0, len(t.trackers)),
		Instances: make([]InstanceSnapshot, 0, len(t.instances)),
		Groups:    make([]GroupSnapshot, 0, len(t.groups)),
	}
	for _, k := range t.trackers {
		s.Trackers = append(s.Trackers, k.snapshot())
	}
	for _, i := range t.instances {
		s.Instances = append(s.Instances, i.snapshot())
	}
	for _, g := range t.groups {
		v := GroupSnapshot{Group: g.Name}
		for _, i := range s.Instances {
			if i.Group != g.Name {
				continue
			}
			v.Faults = append(v.Faults, i.Faults...)
			v.Adjustment = 0 // The same for every member.
			for _, u := range i.Uses {
				v.Adjustment += u.Adjustment
			}
		}
		slices.Sort(v.Faults)
		v.Faults = slices.Compact(v.Faults)
		s.Groups = append(s.Groups, v)
	}
	return s
}

// Instance returns the state of one instance: what a router that has just been
// made has to be told. It is false for one that is not configured.
func (t *Tally) Instance(name string) (InstanceSnapshot, bool) {
	i := t.instance(name)
	if i == nil {
		return InstanceSnapshot{}, false
	}
	return i.snapshot(), true
}

func (k *tracker) snapshot() TrackerSnapshot {
	s := TrackerSnapshot{
		Tracker: k.config.Name, State: k.state(), Verdict: k.verdict,
		Valued: k.config.Valued, Since: k.since, Why: k.why,
	}
	if s.Valued {
		s.Value = k.value
	}
	if doubt := k.doubt(); doubt != ReasonNone {
		s.Why = Why{Reason: doubt, Tracker: k.config.Name}
		if doubt != ReasonLost {
			s.Why.TrackerReason, s.Why.TrackerDetail = k.reason, k.detail
		}
	}
	return s
}

func (i *instance) snapshot() InstanceSnapshot {
	s := InstanceSnapshot{
		Instance: i.config.Name, Group: i.group,
		Priority: i.config.Priority, Effective: i.total(), Faults: append([]string(nil), i.scratch...),
		Since: i.since, Why: i.why, Uses: make([]UseSnapshot, 0, len(i.uses)),
	}
	for n := range i.uses {
		u := &i.uses[n]
		e := u.effect()
		s.Uses = append(s.Uses, UseSnapshot{
			Use: u.Use, Via: u.via, State: u.tracker.state(), Verdict: u.tracker.verdict,
			Adjustment: e.adjustment, Fault: e.fault,
		})
	}
	return s
}
