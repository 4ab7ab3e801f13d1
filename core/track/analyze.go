package track

import (
	"cmp"
	"slices"
)

// UsualPriority is what a router has that nobody has given another, and what a
// peer is taken to have about whom nothing is known.
const UsualPriority = 100

// Reach is the effective priorities that an instance can have.
type Reach struct {
	Instance string
	Priority uint8 // the configured one
	// Healthy is while every tracker is as it should be: up, or down with
	// Reverse, and numbers are 0.
	Healthy uint8
	// Low and High are the least and the most that any combination leads to.
	Low, High uint8
	// Weighted says that trackers move the priority at all, Faulty that
	// trackers can also put the instance in fault.
	Weighted, Faulty bool

	group string
}

// Rival is another router for the same addresses.
type Rival struct {
	Instance string // ours, which it is a rival of
	// Name is who it is, for people: "the instance of b.toml".
	Name string
	// Priority is what it has while it is healthy.
	Priority uint8
}

// Analysis is what Analyze found out.
type Analysis struct {
	Reaches  []Reach   // by instance
	Findings []Finding // errors before warnings, then by object
}

// Analyze judges a configuration. Rivals may be none: then one with the usual
// priority is assumed where the instance is to be preferred to such, and the
// finding says so.
func Analyze(c Config, rivals []Rival) Analysis {
	a := analyst{config: c, shared: make(map[string]*Group)}
	c.Trackers = unique(c.Trackers, func(k Tracker) string { return k.Name })
	for _, k := range c.Trackers {
		a.valued = append(a.valued, k.Valued)
		a.names = append(a.names, k.Name)
	}
	a.groups()
	instances := unique(c.Instances, func(i Instance) string { return i.Name })
	reaches := make([]Reach, 0, len(instances))
	for _, i := range instances {
		a.uses("", i.Name, i.Uses)
		r := a.reach(i)
		reaches = append(reaches, r)
		a.compare(r, rivals)
	}
	a.contradictions(reaches, rivals)
	a.idle()
	slices.SortStableFunc(a.findings, func(x, y Finding) int {
		return cmp.Or(
			-cmp.Compare(x.Kind.severity(), y.Kind.severity()),
			cmp.Compare(x.Group+x.Instance, y.Group+y.Instance),
			cmp.Compare(x.Kind, y.Kind),
		)
	})
	return Analysis{Reaches: reaches, Findings: a.findings}
}

// analyst collects findings.
type analyst struct {
	config   Config
	names    []string // of trackers, sorted
	valued   []bool   // beside names
	shared   map[string]*Group
	findings []Finding
}

func (a *analyst) find(f Finding) { a.findings = append(a.findings, f) }

// numeric reports whether a tracker is valued, and whether there is one.
func (a *analyst) numeric(tracker string) (valued, known bool) {
	n, known := slices.BinarySearch(a.names, tracker)
	return known && a.valued[n], known
}

func (a *analyst) groups() {
	for n := range a.config.Groups {
		g := &a.config.Groups[n]
		a.uses(g.Name, "", g.Uses)
		for _, member := range g.Members {
			if other := a.shared[member]; other != nil && other != g {
				a.find(Finding{Kind: TwoGroups, Group: g.Name, Instance: member, Rival: other.Name})
				continue
			}
			a.shared[member] = g
		}
	}
}

// uses judges a list of uses by itself.
func (a *analyst) uses(group, instance string, list []Use) {
	for n, u := range list {
		f := Finding{Group: group, Instance: instance, Tracker: u.Tracker, Weight: u.Weight}
		valued, known := a.numeric(u.Tracker)
		limit := MaxWeight
		if valued {
			limit = MaxFactor
		}
		if !known {
			f.Kind = UnknownTracker
			a.find(f)
		}
		if u.Weight < -limit || u.Weight > limit {
			f.Kind, f.Limit = WeightOutOfRange, limit
			a.find(f)
		}
		if slices.ContainsFunc(list[:n], func(o Use) bool { return o.Tracker == u.Tracker }) {
			f.Kind = UsedTwice
			a.find(f)
		}
	}
}

// reach computes what an instance's priority can be, and finds the weights that
// are lost at its limits.
func (a *analyst) reach(i Instance) Reach {
	r := Reach{Instance: i.Name, Priority: i.Priority}
	g := a.shared[i.Name]
	if g != nil {
		r.group = g.Name
	}
	healthy, low, high, unbounded := 0, 0, 0, false
	list := uses(&a.config, i, g)
	for _, u := range list {
		valued, known := a.numeric(u.Tracker)
		switch {
		case !known:
		case u.Weight == 0:
			r.Faulty = true
		case valued:
			// Any number may be in the file, also one that is a fault.
			r.Weighted, r.Faulty, unbounded = true, true, true
			factor := max(u.Weight, -u.Weight)
			low, high = low-MaxWeight/factor*factor, high+MaxWeight
		default:
			r.Weighted = true
			healthy += max(u.Weight, 0)
			low, high = low+min(u.Weight, 0), high+max(u.Weight, 0)
		}
	}
	r.Healthy = effective(i.Priority, healthy)
	r.Low, r.High = effective(i.Priority, low), effective(i.Priority, high)
	if i.Priority == Owner {
		if r.Weighted {
			a.find(Finding{Kind: OwnerWeighted, Instance: i.Name})
		}
		return r
	}
	if sum := int(i.Priority) + high; sum > MaxPriority && !unbounded {
		a.find(Finding{Kind: Saturated, Instance: i.Name, Priority: MaxPriority, Sum: sum})
	}
	for _, u := range list {
		valued, known := a.numeric(u.Tracker)
		if !known || valued || u.Weight == 0 {
			continue
		}
		// From healthy, this one alone goes the other way.
		if effective(i.Priority, healthy-max(u.Weight, -u.Weight)) == r.Healthy {
			a.find(Finding{
				Kind: WithoutEffect, Instance: i.Name, Tracker: u.Tracker, Weight: u.Weight, Priority: r.Healthy,
			})
		}
	}
	return r
}

// compare asks whether failing trackers can hand over to the best of the rivals
// that the instance is preferred to.
func (a *analyst) compare(r Reach, rivals []Rival) {
	if !r.Weighted || r.Priority == Owner {
		return
	}
	best, known := Rival{Priority: 0}, false
	for _, o := range rivals {
		if o.Instance != r.Instance {
			continue
		}
		known = true
		if o.Priority < r.Healthy && o.Priority > best.Priority {
			best = o
		}
	}
	if !known && r.Healthy > UsualPriority {
		best = Rival{Name: "a peer", Priority: UsualPriority}
	}
	if best.Priority == 0 || r.Low < best.Priority {
		return
	}
	f := Finding{
		Kind: CannotYield, Instance: r.Instance, Rival: best.Name, RivalPriority: best.Priority,
		Priority: r.Healthy, Low: r.Low, Assumed: !known,
	}
	if r.Low == best.Priority {
		f.Kind = YieldsByAddress
	}
	a.find(f)
}

// contradictions finds what members of a group cannot agree about.
func (a *analyst) contradictions(reaches []Reach, rivals []Rival) {
	for n := range a.config.Groups {
		g := &a.config.Groups[n]
		members := slices.DeleteFunc(slices.Clone(reaches), func(r Reach) bool { return r.group != g.Name })
		a.differentUses(g)
		owners, preferred, behind := 0, 0, 0
		for _, r := range members {
			if r.Priority == Owner {
				owners++
			}
			for _, o := range rivals {
				switch {
				case o.Instance != r.Instance:
				case o.Priority < r.Healthy:
					preferred++
				case o.Priority > r.Healthy:
					behind++
				}
			}
		}
		if owners > 0 && owners < len(members) {
			a.find(Finding{Kind: OwnersMixed, Group: g.Name})
		}
		// With one rival per member the two routers have to agree about who is
		// the better one. With more, nothing follows from counting.
		if preferred > 0 && behind > 0 && preferred+behind <= len(members) {
			a.find(Finding{Kind: OrderContradicts, Group: g.Name})
		}
	}
}

// differentUses finds trackers that two members use in different ways, of which
// the group can follow one only, or a member and the group.
func (a *analyst) differentUses(g *Group) {
	first := make(map[string]use)
	for _, u := range g.Uses {
		if _, found := first[u.Tracker]; !found {
			first[u.Tracker] = use{u, g.Name}
		}
	}
	for _, member := range g.Members {
		for _, u := range usesOf(&a.config, member) {
			o, found := first[u.Tracker]
			switch {
			case !found:
				first[u.Tracker] = use{u, member}
			case o.via != member && o.Use != u:
				f := Finding{Kind: UsesContradict, Group: g.Name, Instance: member, Tracker: u.Tracker, Rival: o.via}
				if slices.ContainsFunc(g.Uses, func(o Use) bool { return o.Tracker == u.Tracker }) {
					f.Kind = GroupCounts
				}
				a.find(f)
			}
		}
	}
}

// idle finds the trackers that nobody uses.
func (a *analyst) idle() {
	used := make(map[string]bool)
	for _, i := range a.config.Instances {
		for _, u := range i.Uses {
			used[u.Tracker] = true
		}
	}
	for _, g := range a.config.Groups {
		for _, u := range g.Uses {
			used[u.Tracker] = true
		}
	}
	for _, name := range a.names {
		if !used[name] {
			a.find(Finding{Kind: Unused, Tracker: name})
		}
	}
}
