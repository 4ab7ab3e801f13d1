package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ChangeKind says what happened to an object from one generation to the next.
type ChangeKind uint8

// The kinds of change. An object that is in both and equal has none.
const (
	Added ChangeKind = iota
	Removed
	Changed
)

// String returns "added", "removed" or "changed".
func (k ChangeKind) String() string {
	switch k {
	case Added:
		return "added"
	case Removed:
		return "removed"
	case Changed:
	}
	return "changed"
}

// MarshalText encodes what String returns.
func (k ChangeKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Field is one difference within an object. Secrets show as "[redacted]" on
// both sides.
type Field struct {
	// Name is the key within the object: "priority", "real_server[192.0.2.30:80].weight".
	Name string `json:"name"`
	// Old and New are the values as text; empty means absent.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}

// String returns "priority 100 -> 150", "real_server[192.0.2.31:80] added" or
// "source_address 192.0.2.2 removed".
func (f Field) String() string {
	switch {
	case f.Old == "" && f.New == present:
		return f.Name + " added"
	case f.Old == "":
		return f.Name + " " + f.New + " added"
	case f.New == "" && f.Old == present:
		return f.Name + " removed"
	case f.New == "":
		return f.Name + " " + f.Old + " removed"
	case f.Old == redacted && f.New == redacted:
		return f.Name + " changed"
	}
	return f.Name + " " + f.Old + " -> " + f.New
}

// Change is what happened to one object.
type Change struct {
	// Name is the object's; empty for [global], [ipvs], [control] and [static].
	Name string     `json:"name,omitempty"`
	Kind ChangeKind `json:"change"`
	// Fields lists what differs, sorted as in the file's documentation; empty
	// unless Kind is Changed.
	Fields []Field `json:"fields,omitempty"`
}

// String returns "VI_1 changed: priority 100 -> 150, preempt true -> false".
func (c Change) String() string {
	fields := make([]string, 0, len(c.Fields))
	for _, f := range c.Fields {
		fields = append(fields, f.String())
	}
	line := strings.TrimSpace(c.Name + " " + c.Kind.String())
	if len(fields) > 0 {
		line += ": " + strings.Join(fields, ", ")
	}
	return line
}

// Difference is what separates two generations, object by object. Objects that
// are equal are not in it.
type Difference struct {
	Global         []Field  `json:"global,omitempty"`
	IPVS           []Field  `json:"ipvs,omitempty"`
	Control        []Field  `json:"control,omitempty"`
	Static         []Field  `json:"static,omitempty"`
	Instances      []Change `json:"vrrp_instances,omitempty"`
	SyncGroups     []Change `json:"vrrp_sync_groups,omitempty"`
	Trackers       []Change `json:"trackers,omitempty"`
	VirtualServers []Change `json:"virtual_servers,omitempty"`
	Plugins        []Change `json:"plugins,omitempty"`
}

// Empty reports whether the generations are equal. The file they came from and
// the order of tables in it do not count.
func (d Difference) Empty() bool {
	return len(d.Global)+len(d.IPVS)+len(d.Control)+len(d.Static)+len(d.Instances)+len(d.SyncGroups)+len(d.Trackers)+len(d.VirtualServers)+len(d.Plugins) == 0
}

// String returns a line for each changed object, every line ended.
func (d Difference) String() string {
	var b strings.Builder
	for _, section := range []struct {
		name   string
		fields []Field
	}{{"global", d.Global}, {"ipvs", d.IPVS}, {"control", d.Control}, {"static", d.Static}} {
		if len(section.fields) > 0 {
			fmt.Fprintf(&b, "%s %s\n", section.name, Change{Kind: Changed, Fields: section.fields})
		}
	}
	for _, section := range []struct {
		name    string
		changes []Change
	}{{"vrrp_instance", d.Instances}, {"vrrp_sync_group", d.SyncGroups}, {"tracker", d.Trackers}, {"virtual_server", d.VirtualServers}, {"plugin", d.Plugins}} {
		for _, change := range section.changes {
			fmt.Fprintf(&b, "%s %s\n", section.name, change)
		}
	}
	return b.String()
}

// Diff compares two generations. A nil generation is one without objects, so
// that the first start reads as everything added.
func Diff(old, next *Generation) Difference {
	old, next = orEmpty(old), orEmpty(next)
	d := Difference{
		Global:         fields(old.Global, next.Global),
		IPVS:           fields(old.IPVS, next.IPVS),
		Control:        fields(old.Control, next.Control),
		Static:         fields(old.Static, next.Static),
		Instances:      changes(old.Instances, next.Instances),
		SyncGroups:     changes(old.SyncGroups, next.SyncGroups),
		Trackers:       changes(old.Trackers, next.Trackers),
		VirtualServers: changes(old.VirtualServers, next.VirtualServers),
		Plugins:        changes(old.plugins(next), next.plugins(old)),
	}
	return d
}

// plugins returns the settings of every plugin that one of the two generations
// has a table for. A plugin without a table has the defaults, so a table that
// says what is the default anyway is no difference.
func (g Generation) plugins(other *Generation) map[string]*Plugin {
	all := make(map[string]*Plugin, len(g.Plugins))
	for name := range merged(g.Plugins, other.Plugins) {
		all[name] = g.Plugin(name)
	}
	return all
}

func orEmpty(g *Generation) *Generation {
	if g == nil {
		return &Generation{}
	}
	return g
}

// changes compares the objects of one kind by name, in the order of names.
func changes[T any](old, next map[string]*T) []Change {
	var found []Change
	for name, object := range next {
		before, ok := old[name]
		if !ok {
			found = append(found, Change{Name: name, Kind: Added})
		} else if differing := fields(*before, *object); len(differing) > 0 {
			found = append(found, Change{Name: name, Kind: Changed, Fields: differing})
		}
	}
	for _, name := range slices.Collect(maps.Keys(old)) {
		if _, ok := next[name]; !ok {
			found = append(found, Change{Name: name, Kind: Removed})
		}
	}
	slices.SortFunc(found, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	return found
}
