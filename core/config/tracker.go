package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/track"
	"github.com/halo-ha/halo/sdk/schema"
)

// TrackerTypes are the types of trackers that are halo's own, sorted. Plugins
// provide others.
func TrackerTypes() []string {
	return []string{"address", "bfd", "file", "interface", "process", "service"}
}

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
		g.Trackers[named.name] = r.tracker(named, g)
	}
	return all
}

// tracker reads one [tracker.NAME].
func (r *reader) tracker(t *table, g *Generation) *Tracker {
	k := &Tracker{
		Name:    t.name,
		Type:    ask(t, "type", text{what: r.typesExpected(schema.KindTrack), test: nothingWrong}).required(),
		Weight:  ask(t, "weight", integers[int]{-track.MaxWeight, track.MaxWeight}).or(0),
		Reverse: ask(t, "reverse", booleans{}).or(false),
	}
	if !t.written("weight") && k.Type == "file" {
		k.Weight = 1 // The number itself.
	}
	for _, typ := range TrackerTypes() {
		if k.Type == typ || r.record != nil {
			r.trackerKeys(t, k, typ)
		}
	}
	if !slices.Contains(TrackerTypes(), k.Type) {
		r.observation(t, k, g)
	}
	if t.fine("type") {
		t.elsewhere(k.Type)
	} else {
		t.ignoreRest()
	}
	t.done()
	return k
}

// trackerKeys reads the keys that trackers of one type take.
func (r *reader) trackerKeys(t *table, k *Tracker, typ string) {
	switch typ {
	case "address":
		k.Address = ask(t, "address", addresses{"192.0.2.1"}).required()
		if r.record == nil {
			k.Interface = ask(t, "interface", interfaceNames()).optional()
		}
	case "bfd":
		if r.record == nil {
			k.Interface = ask(t, "interface", interfaceNames()).optional()
		}
		k.BFD = r.bfd(t, k)
	case "file":
		k.Path = ask(t, "path", absolutePaths(`an absolute path such as "/run/halo-weight"`)).required()
	case "interface":
		k.Interface = ask(t, "interface", interfaceNames()).required()
	case "process":
		r.process(t, k)
	case "service":
		k.VirtualServer = ask(t, "virtual_server", names()).required()
	}
}

// process reads the keys of a tracker of processes.
func (r *reader) process(t *table, k *Tracker) {
	const most = 65535 // Keepalived's, and more than a machine has.
	delay := durations{high: time.Hour}
	k.Process = ask(t, "process", processNames()).required()
	k.Arguments = ask(t, "arguments", lists[string]{argumentTexts(), 0, 64, "arguments"}).optional()
	k.ArgumentMatch = ask(t, "argument_match", words{allowed: []string{"exact", "first", "initial"}}).or("exact")
	k.FullCommand = ask(t, "full_command", booleans{}).or(false)
	k.Quorum = ask(t, "quorum", integers[int]{0, most}).or(1)
	k.QuorumMax = -1
	if limit := ask(t, "quorum_max", integers[int]{0, most}); limit.readable {
		k.QuorumMax = limit.optional()
	} else {
		limit.optional()
	}
	k.Delay = ask(t, "delay", delay).or(0)
	k.TerminateDelay = ask(t, "terminate_delay", delay).or(0)
	if t.fine("quorum", "quorum_max") && k.QuorumMax >= 0 && k.QuorumMax < k.Quorum {
		t.wrong("quorum_max", strconv.Itoa(k.QuorumMax)+" is less than the quorum "+strconv.Itoa(k.Quorum), "at least the quorum", "")
	}
}

// bfd reads the keys of a tracker of a BFD session.
func (r *reader) bfd(t *table, k *Tracker) *BFD {
	def := bfd.Defaults()
	interval := durations{low: time.Millisecond, high: time.Hour, step: time.Microsecond}
	b := &BFD{
		Neighbor:      ask(t, "neighbor", hosts{"192.0.2.254"}).required(),
		SourceAddress: ask(t, "source_address", hosts{"192.0.2.2"}).optional(),
		Multihop:      ask(t, "multihop", booleans{}).or(false),
		Passive:       ask(t, "passive", booleans{}).or(false),
		MinTx:         ask(t, "min_tx", interval).or(def.MinTx),
		MinRx:         ask(t, "min_rx", interval).or(def.MinRx),
		IdleTx:        ask(t, "idle_tx", durations{low: time.Second, high: time.Hour, step: time.Microsecond}).or(def.IdleTx),
		Multiplier:    ask(t, "multiplier", integers[uint8]{1, 255}).or(def.Multiplier),
		TTL:           ask(t, "ttl", integers[uint8]{1, 255}).or(def.TTL),
		MaxHops:       ask(t, "max_hops", integers[uint8]{0, 255}).or(0),
	}
	if t.fine("neighbor", "source_address", "interface") && r.record == nil {
		if err := (bfd.Path{Peer: b.Neighbor, Source: b.SourceAddress, Interface: k.Interface, Multihop: b.Multihop, Routed: !b.Multihop && b.MaxHops > 0}).Validate(); err != nil {
			t.wrong("neighbor", err.Error(), "", "")
		}
	}
	if b.Multihop && !t.written("max_hops") && t.written("multihop") {
		t.odd("max_hops", "0 accepts no packet that a router has forwarded", "how many hops the neighbor is away")
	}
	return b
}

// elsewhere reports keys that trackers of other types take.
func (t *table) elsewhere(own string) {
	for _, name := range t.node.names {
		if slices.Contains(t.asked, name) {
			continue
		}
		for _, typ := range TrackerTypes() {
			if slices.Contains(trackerTypeKeys(typ), name) {
				t.asked = append(t.asked, name)
				t.wrong(name, "is not a key of a tracker of type "+quoted(own), "type = "+quoted(typ), "")
				break
			}
		}
	}
}

// trackerTypeKeys are the keys that only some types take, found by reading.
func trackerTypeKeys(typ string) []string {
	r := &reader{source: newSource("", ""), record: func(Key) {}}
	t := r.table("", newTable(0), nil)
	r.trackerKeys(t, &Tracker{}, typ)
	return t.asked
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
	paths := map[string]*table{}
	for _, name := range slices.Sorted(maps.Keys(k.tables)) {
		t, tracker := k.tables[name], g.Trackers[name]
		if tracker.BFD == nil || !t.fine("neighbor", "source_address", "interface") {
			continue
		}
		if first := paths[tracker.Definition()]; first != nil {
			t.wrong("neighbor", "the session is that of "+first.path, "each session once; several may track it", "")
		}
		paths[tracker.Definition()] = t
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

// NeededInterfaces are those that must be up beside the instance's own: those of
// track_interfaces, and those of addresses and routes that it cannot do without.
func (i *Instance) NeededInterfaces() []string {
	list := slices.Clone(i.TrackInterfaces)
	need := func(iface string) {
		if iface != i.Interface && !slices.Contains(list, iface) {
			list = append(list, iface)
		}
	}
	for _, a := range slices.Concat(i.Addresses, i.Excluded) {
		if !a.Optional {
			need(a.On(i.Interface))
		}
	}
	for _, r := range i.Routes {
		for _, hop := range r.NextHops {
			if r.Required && hop.Link != "" {
				need(hop.Link)
			}
		}
	}
	return list
}

// Tracking is what is tracked, and for whom, sorted by name.
func (g Generation) Tracking() track.Config {
	var c track.Config
	for _, name := range slices.Sorted(maps.Keys(g.Trackers)) {
		c.Trackers = append(c.Trackers, g.tracking(g.Trackers[name]))
	}
	interfaces := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(g.Instances)) {
		i := g.Instances[name]
		instance := track.Instance{Name: name, Priority: i.Priority, Uses: trackUses(i.Track)}
		for _, iface := range i.NeededInterfaces() {
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

// Definition stands for what is observed: while it stays, so does what is known.
func (k Tracker) Definition() string {
	switch k.Type {
	case "interface":
		return definitionOfInterface(k.Interface)
	case "address":
		return "address " + k.Address.String() + " " + k.Interface
	case "bfd":
		return fmt.Sprintf("bfd %s %s %s %t", k.BFD.Neighbor, k.BFD.SourceAddress, k.Interface, k.BFD.Multihop)
	case "file":
		return "file " + k.Path
	case "process":
		return fmt.Sprintf("process %s %q %t %s %t", k.Process, k.Arguments, k.Arguments == nil, k.ArgumentMatch, k.FullCommand)
	case "service":
		return "service " + k.VirtualServer
	}
	return fmt.Sprintf("%s %s %s", k.Type, k.Probe.User, k.Probe.Settings)
}

func definitionOfInterface(iface string) string { return "interface " + iface }

const whyTold = "what the kernel or halo itself tells counts at once"

func trackerHints() map[string]hint {
	return map[string]hint{
		"interval":  {why: whyTold},
		"timeout":   {why: whyTold},
		"rise":      {why: whyTold},
		"fall":      {why: whyTold},
		"init_fail": {why: "a tracker is unknown until something was observed, and unknown moves nothing"},
		"script":    {write: `type = "script" with command = ["/path/to/program", "argument"]`},
	}
}
