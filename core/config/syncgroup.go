package config

import (
	"maps"
	"slices"

	"github.com/halo-ha/halo/core/vrrp"
)

// syncGroups reads every [vrrp_sync_group.NAME].
func (r *reader) syncGroups(t *table, g *Generation, users *tracking) {
	owners := map[string]*table{}
	for _, named := range t.named("vrrp_sync_group", groupHints()) {
		users.groups[named.name] = named
		g.SyncGroups[named.name] = r.syncGroup(named, g, owners)
	}
}

// syncGroup reads one. owners holds the groups of the instances that have been
// seen in one.
func (r *reader) syncGroup(t *table, g *Generation, owners map[string]*table) *SyncGroup {
	defer t.done()
	group := &SyncGroup{
		Name:    t.name,
		Members: ask(t, "members", lists[string]{instanceNames{g}, 2, 255, "instances"}).required(),
		Track:   ask(t, "track", r.uses()).optional(),
	}
	if !t.fine("members") {
		return group
	}
	members := make([]vrrp.Member, 0, len(group.Members))
	for i, name := range group.Members {
		if first := owners[name]; first != nil {
			n := t.node.entries["members"].items[i]
			r.report(SeverityError, n.start, Problem{
				Key:      index(join(t.path, "members"), i),
				Message:  quoted(name) + " is a member of " + first.path + " already",
				Expected: "each instance in one sync group",
			})
			t.bad = append(t.bad, "members")
			continue
		}
		owners[name] = t
		if in := g.Instances[name]; in != nil {
			members = append(members, vrrp.Member{Name: name, Config: vrrp.Config{
				Priority: in.Priority, Preempt: in.Preempt, PreemptDelay: in.PreemptDelay,
			}})
		}
	}
	if !t.fine("members") {
		return group
	}
	for _, contradiction := range vrrp.Contradictions(members) {
		t.wrong("members", contradiction.String(), "the same "+contradiction.Key+" in all members", "")
	}
	return group
}

// instanceNames takes the name of an instance.
type instanceNames struct{ g *Generation }

func (instanceNames) expected() string { return "the name of a [vrrp_instance.NAME]" }

func (f instanceNames) read(v value) (string, bool) {
	name, ok := names().read(v)
	if ok && f.g.Instances[name] == nil {
		v.wrong("there is no "+headerOf(join("vrrp_instance", name)), f.expected(), suggest(name, slices.Sorted(maps.Keys(f.g.Instances))))
		return "", false
	}
	return name, ok
}

func groupHints() map[string]hint {
	return map[string]hint{
		"group":                      {key: "members"},
		"track_script":               {key: "track"},
		"track_interface":            {key: "track"},
		"track_file":                 {key: "track"},
		"track_process":              {key: "track"},
		"track_bfd":                  {key: "track"},
		"global_tracking":            {why: "every member is told what its group tracks"},
		"sync_group_tracking_weight": {why: "weights count for every member"},
		"notify":                     {planned: true},
		"notify_master":              {why: whyNotified},
		"notify_backup":              {why: whyNotified},
		"notify_fault":               {why: whyNotified},
		"smtp_alert":                 {why: whyNotified},
	}
}
