package config

import (
	"maps"
	"slices"

	"github.com/halo-ha/halo/core/track"
)

// TrackerTypes are the types of trackers, sorted.
func TrackerTypes() []string { return []string{"address", "interface", "service"} }

// tracking is what a file says of trackers, for the rules that are about all of
// it.
type tracking struct {
	reader *reader
	tables map[string]*table // of trackers, by name
	// users are the tables of instances and groups, by name.
	instances, groups map[string]*table
}

// trackers reads every [tracker.NAME].
func (r *reader) trackers(t *table, g *Generation) *tracking {
	all := &tracking{reader: r, tables: map[string]*table{}, instances: map[string]*table{}, groups: map[string]*table{}}
	r.tracked = g.Trackers
	for _, named := range t.named("tracker", trackerHints()) {
		all.tables[named.name] = named
		g.Trackers[named.name] = r.tracker(named)
	}
	return all
}

// tracker reads one [tracker.NAME].
func (r *reader) tracker(t *table) *Tracker {
	k := &Tracker{
		Name:    t.name,
		Type:    ask(t, "type", words{allowed: TrackerTypes(), planned: []string{"script", "file", "process", "bfd"}}).required(),
		Weight:  ask(t, "weight", integers[int]{-track.MaxWeight, track.MaxWeight}).or(0),
		Reverse: ask(t, "reverse", booleans{}).or(false),
	}
	every := r.record != nil
	if every || k.Type == "interface" {
		k.Interface = ask(t, "interface", interfaceNames()).required()
	}
	if every || k.Type == "address" {
		k.Address = ask(t, "address", addresses{"192.0.2.1"}).required()
		if !every {
			k.Interface = ask(t, "interface", interfaceNames()).optional()
		}
	}
	if every || k.Type == "service" {
		k.VirtualServer = ask(t, "virtual_server", names()).required()
	}
	switch {
	case !t.fine("type"):
		t.ignoreRest()
	default:
		t.elsewhere(k.Type)
	}
	t.done()
	return k
}

// elsewhere reports keys that trackers of other types take.
func (t *table) elsewhere(own string) {
	for name, types := range map[string]string{"interface": "interface or address", "address": "address", "virtual_server": "service"} {
		if t.written(name) && !slices.Contains(t.asked, name) {
			t.asked = append(t.asked, name)
			t.wrong(name, "is not a key of a tracker of type "+quoted(own), "type = "+types, "")
		}
	}
}

// uses is the form of track.
func (r *reader) uses() lists[TrackUse] { return lists[TrackUse]{useForm{}, 1, 64, "trackers"} }

// useForm takes the name of a tracker, or a table that says what it weighs here.
type useForm struct{}

func (useForm) expected() string {
	return `the name of a [tracker.NAME], or a table such as { tracker = "NAME", weight = -20 }`
}

func (f useForm) read(v value) (TrackUse, bool) {
	r := v.reader
	if v.node.shape != dictionary {
		name, ok := v.node.value.(string)
		if !ok {
			v.wrongType(f.expected(), "")
			return TrackUse{}, false
		}
		tracker := r.tracked[name]
		if tracker == nil {
			v.wrong("there is no "+headerOf(join("tracker", name)), f.expected(), suggest(name, slices.Sorted(maps.Keys(r.tracked))))
			return TrackUse{}, false
		}
		return TrackUse{name, tracker.Weight, tracker.Reverse}, true
	}
	t := r.table(v.path, v.node, nil)
	defer t.done()
	use := TrackUse{Tracker: ask(t, "tracker", names()).required()}
	tracker := r.tracked[use.Tracker]
	if tracker == nil {
		if t.fine("tracker") {
			t.wrong("tracker", "there is no "+headerOf(join("tracker", use.Tracker)), "the name of a [tracker.NAME]",
				suggest(use.Tracker, slices.Sorted(maps.Keys(r.tracked))))
		}
		tracker = &Tracker{}
	}
	use.Weight = ask(t, "weight", integers[int]{-track.MaxWeight, track.MaxWeight}).or(tracker.Weight)
	use.Reverse = ask(t, "reverse", booleans{}).or(tracker.Reverse)
	return use, len(t.bad) == 0
}

// judge applies what is about trackers and their users together.
func (k *tracking) judge(g *Generation) {
	if k.reader.record != nil {
		return
	}
	for name, t := range k.tables {
		tracker := g.Trackers[name]
		if tracker.Type == "service" && t.fine("virtual_server") && g.VirtualServers[tracker.VirtualServer] == nil {
			t.wrong("virtual_server", "there is no "+headerOf(join("virtual_server", tracker.VirtualServer)), "the name of a [virtual_server.NAME]",
				suggest(tracker.VirtualServer, slices.Sorted(maps.Keys(g.VirtualServers))))
		}
	}
	if k.reader.problems.HasErrors() {
		return // What is left out because of an error would lead to others.
	}
	for _, finding := range track.Analyze(g.Tracking(), nil).Findings {
		t, key := k.tables[finding.Tracker], ""
		if user := k.instances[finding.Instance]; user != nil {
			t, key = user, "track"
		} else if group := k.groups[finding.Group]; group != nil {
			t, key = group, "track"
		}
		if t == nil {
			continue // It is about track_interfaces, which have no weight.
		}
		p := Problem{Key: t.path, Message: finding.String()}
		at := t.node.key
		if t.written(key) {
			p.Key, at = join(t.path, key), t.at(key)
		}
		severity := SeverityWarning
		if finding.Kind.IsError() {
			severity = SeverityError
		}
		k.reader.report(severity, at, p)
	}
}

// TrackedInterface is the name of the tracker that an element of
// track_interfaces makes. No tracker of the file can have it.
func TrackedInterface(iface string) string { return "interface " + iface }

// Tracking is what is tracked, and for whom, sorted by name.
func (g Generation) Tracking() track.Config {
	var c track.Config
	for _, name := range slices.Sorted(maps.Keys(g.Trackers)) {
		k := g.Trackers[name]
		c.Trackers = append(c.Trackers, track.Tracker{
			Name: name, Definition: k.definition(),
		})
	}
	interfaces := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(g.Instances)) {
		i := g.Instances[name]
		instance := track.Instance{Name: name, Priority: i.Priority, Uses: trackUses(i.Track)}
		for _, iface := range i.TrackInterfaces {
			instance.Uses = append(instance.Uses, track.Use{Tracker: TrackedInterface(iface)})
			interfaces[iface] = true
		}
		c.Instances = append(c.Instances, instance)
	}
	for _, iface := range slices.Sorted(maps.Keys(interfaces)) {
		c.Trackers = append(c.Trackers, track.Tracker{Name: TrackedInterface(iface), Definition: definitionOfInterface(iface)})
	}
	for _, name := range slices.Sorted(maps.Keys(g.SyncGroups)) {
		group := g.SyncGroups[name]
		c.Groups = append(c.Groups, track.Group{Name: name, Members: group.Members, Uses: trackUses(group.Track)})
	}
	return c
}

func trackUses(uses []TrackUse) []track.Use {
	list := make([]track.Use, 0, len(uses))
	for _, u := range uses {
		list = append(list, track.Use(u))
	}
	return list
}

// definition stands for what is observed: while it stays, so does what is known.
func (k Tracker) definition() string {
	switch k.Type {
	case "interface":
		return definitionOfInterface(k.Interface)
	case "address":
		return "address " + k.Address.String() + " " + k.Interface
	}
	return k.Type + " " + k.VirtualServer
}

func definitionOfInterface(iface string) string { return "interface " + iface }

func trackerHints() map[string]hint {
	return map[string]hint{
		"rise":      {why: "what the kernel or halo itself tells counts at once"},
		"fall":      {why: "what the kernel or halo itself tells counts at once"},
		"init_fail": {why: "a tracker is unknown until something was observed, and unknown moves nothing"},
	}
}
