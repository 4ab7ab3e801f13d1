package track

import (
	"cmp"
	"slices"
	"time"
)

// reconfigure puts another configuration in place. Trackers keep what is known
// of them, instances what was given out; what a verdict means is computed anew.
func (t *Tally) reconfigure(now time.Time, c *Config) {
	t.trackers = t.matchTrackers(now, c.Trackers)
	shared := make(map[string]*Group, len(c.Instances)) // by member
	for n := range c.Groups {
		for _, member := range c.Groups[n].Members {
			if shared[member] == nil {
				shared[member] = &c.Groups[n]
			}
		}
	}
	instances := make([]*instance, 0, len(c.Instances))
	for _, wanted := range unique(c.Instances, func(i Instance) string { return i.Name }) {
		i := t.instance(wanted.Name)
		switch {
		case i == nil:
			i = &instance{priority: wanted.Priority, since: now}
		case i.config.Priority != wanted.Priority:
			i.unapplied = true
		}
		i.config, i.group = wanted, ""
		if g := shared[wanted.Name]; g != nil {
			i.group = g.Name
		}
		i.uses = t.bind(c, wanted, shared[wanted.Name])
		instances = append(instances, i)
	}
	t.instances = instances
	t.groups = unique(c.Groups, func(g Group) string { return g.Name })
	t.losses = true // Deadline finds out.
}

// bind lists what counts for an instance: each tracker once. In a group, first
// what counts for all of its members, in the same order for each of them.
func (t *Tally) bind(c *Config, i Instance, g *Group) []bound {
	var list []bound
	for _, u := range uses(c, i, g) {
		if k := t.tracker(u.Tracker); k != nil {
			list = append(list, bound{Use: u.Use, tracker: k, via: u.via})
		}
	}
	return list
}

// use is a use with the group or member that it comes from, empty for one's own.
type use struct {
	Use
	via string
}

func uses(c *Config, i Instance, g *Group) []use {
	var list []use
	add := func(u Use, via string) {
		if !slices.ContainsFunc(list, func(o use) bool { return o.Tracker == u.Tracker }) {
			list = append(list, use{u, via})
		}
	}
	if g != nil {
		for _, u := range g.Uses {
			add(u, g.Name)
		}
		for _, member := range g.Members {
			for _, u := range usesOf(c, member) {
				switch {
				case u.Weight == 0: // A fault is the member's own.
				case member == i.Name:
					add(u, "")
				default:
					add(u, member)
				}
			}
		}
	}
	for _, u := range i.Uses {
		add(u, "")
	}
	return list
}

func usesOf(c *Config, instance string) []Use {
	for n := range c.Instances {
		if c.Instances[n].Name == instance {
			return c.Instances[n].Uses
		}
	}
	return nil
}

// matchTrackers gives every wanted tracker its state. A tracker is the same one
// if its definition is: under the same name if there is one, under another if
// that went. One that keeps only its name has decided nothing, but what held
// goes on holding until it has: a reload alone moves no priority.
func (t *Tally) matchTrackers(now time.Time, wanted []Tracker) []*tracker {
	wanted = unique(wanted, func(k Tracker) string { return k.Name })
	kept := make(map[string]bool, len(wanted))
	for _, c := range wanted {
		kept[c.Name] = true
	}
	trackers := make([]*tracker, 0, len(wanted))
	for _, c := range wanted {
		k := t.tracker(c.Name)
		switch {
		case k == nil:
			if k = t.renamed(c.Definition, kept); k != nil {
				kept[k.config.Name] = true // It is nobody else's.
			} else {
				k = newTracker(now, c)
			}
		case k.config.Definition != c.Definition || k.config.Valued != c.Valued:
			k.redefine(now)
		}
		trackers = append(trackers, k)
	}
	// Only now: while the old list was being searched, it had to keep its names.
	for n, k := range trackers {
		k.config = wanted[n]
		k.why.Tracker = k.config.Name
		if k.unproven == ReasonNotProven || k.unproven == ReasonAssumed {
			k.presume()
		}
	}
	return trackers
}

// renamed finds a tracker of that definition whose name is not wanted any more.
func (t *Tally) renamed(definition string, kept map[string]bool) *tracker {
	for _, k := range t.trackers {
		if definition != "" && k.config.Definition == definition && !kept[k.config.Name] {
			return k
		}
	}
	return nil
}

// redefine forgets what was counted, and not what holds.
func (k *tracker) redefine(now time.Time) {
	if k.unproven == ReasonNone {
		k.unproven, k.since = ReasonRedefined, now
	}
	k.run, k.streak, k.unknowns = Unknown, 0, 0
	k.lost, k.expired = time.Time{}, false
	k.reason, k.detail = "", ""
}

// unique sorts by name and drops all but the first of a name.
func unique[T any](list []T, name func(T) string) []T {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	return slices.CompactFunc(list, func(a, b T) bool { return name(a) == name(b) })
}
