package config

import (
	"time"

	"github.com/halo-ha/halo/core/track"
	"github.com/halo-ha/halo/sdk/schema"
)

// observation reads what a plugin is to observe for a tracker: the keys that all
// types of plugins take, and those of the type. The defaults are Keepalived's.
func (r *reader) observation(t *table, k *Tracker, g *Generation) {
	c := &Check{
		Name: k.Name, Type: k.Type,
		Interval: ask(t, "interval", durations{low: 10 * time.Millisecond, high: day}).or(time.Second),
		Rise:     ask(t, "rise", integers[int]{1, 1000}).or(1),
		Fall:     ask(t, "fall", integers[int]{1, 1000}).or(1),
		User:     r.user(t, "user", g.Global.PluginUser),
	}
	c.Timeout = ask(t, "timeout", durations{low: 10 * time.Millisecond, high: time.Hour}).or(min(c.Interval, time.Hour))
	k.InitFail = ask(t, "init_fail", booleans{}).or(false)
	if t.fine("interval", "timeout") && c.Timeout > c.Interval {
		t.odd("timeout", quoted(spell(c.Timeout))+" is longer than the interval "+quoted(spell(c.Interval))+": a slow answer delays the next observation", "at most the interval")
	}
	r.settings(t, c, g, schema.KindTrack)
	r.origins[c] = origin{source: r.source, node: t.node, path: t.path}
	k.Probe = c
}

// tracking is a tracker as the tally takes it. What the kernel or halo itself
// tells counts at once; a plugin's results are counted, and the plugin may go.
func (g Generation) tracking(k *Tracker) track.Tracker {
	c := track.Tracker{Name: k.Name, Definition: k.Definition(), Valued: k.Type == "file"}
	if k.Probe != nil {
		p := g.Plugin(k.Probe.Plugin)
		c.Rise, c.Fall, c.AssumeDown = k.Probe.Rise, k.Probe.Fall, k.InitFail
		c.FailOnLoss, c.Grace = p.OnPluginLoss == "fail", p.PluginGrace
	}
	return c
}
