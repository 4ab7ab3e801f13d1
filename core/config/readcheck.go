package config

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/halo-ha/halo/sdk/schema"
)

// checks reads the checks of a virtual server or of a real server.
func (r *reader) checks(t *table, g *Generation) []*Check {
	elements := t.tables("check", checkHints())
	found := make([]*Check, 0, len(elements))
	taken := map[string]bool{}
	for _, element := range elements {
		check := r.check(element, g)
		found = append(found, check)
		if check.Name == "" {
			continue
		}
		if taken[check.Name] {
			element.wrong("name", "another check of this server is called "+quoted(check.Name), "each name once for a server", "")
		}
		taken[check.Name] = true
	}
	for _, check := range found {
		for number := 1; check.Name == ""; number++ {
			name := check.Type
			if number > 1 {
				name += "#" + strconv.Itoa(number)
			}
			if !taken[name] {
				check.Name = name
				taken[name] = true
			}
		}
	}
	return found
}

// check reads one element of check.
func (r *reader) check(t *table, g *Generation) *Check {
	defer t.done()
	c := &Check{
		Type:     ask(t, "type", text{what: r.typesExpected(schema.KindCheck), test: nothingWrong}).required(),
		Name:     ask(t, "name", names()).optional(),
		Interval: ask(t, "interval", durations{low: 10 * time.Millisecond, high: day}).or(5 * time.Second),
		Rise:     ask(t, "rise", integers[int]{1, 1000}).or(2),
		Fall:     ask(t, "fall", integers[int]{1, 1000}).or(3),
		// A probe may go elsewhere than the traffic.
		ConnectAddress: ask(t, "connect_address", addresses{"192.0.2.30"}).optional(),
		ConnectPort:    ask(t, "connect_port", integers[uint16]{1, 65535}).optional(),
		Bind:           ask(t, "bind", addresses{"192.0.2.2"}).optional(),
		User:           r.user(t, "user", g.Global.PluginUser),
	}
	c.Timeout = ask(t, "timeout", durations{low: 10 * time.Millisecond, high: time.Hour}).or(min(3*time.Second, c.Interval))
	c.RetryInterval = ask(t, "retry_interval", durations{low: 10 * time.Millisecond, high: day}).or(min(time.Second, c.Interval))
	if t.fine("interval", "timeout") && c.Timeout > c.Interval {
		t.odd("timeout", quoted(spell(c.Timeout))+" is longer than the interval "+quoted(spell(c.Interval))+": a slow answer delays the next probe", "at most the interval")
	}
	if t.fine("interval", "retry_interval") && c.RetryInterval > c.Interval {
		t.odd("retry_interval", quoted(spell(c.RetryInterval))+" is longer than the interval "+quoted(spell(c.Interval))+": doubtful servers are probed more seldom than others", "at most the interval")
	}
	r.settings(t, c, g, schema.KindCheck)
	r.origins[c] = origin{source: r.source, node: t.node, path: t.path}
	return c
}

func nothingWrong(string) string { return "" }

// nounOf is what people call what types of a kind are for.
func nounOf(kind schema.Kind) string {
	if kind == schema.KindTrack {
		return "tracker"
	}
	return "check"
}

// typesExpected says which words a type of a kind can be.
func (r *reader) typesExpected(kind schema.Kind) string {
	known := r.types(kind)
	switch {
	case len(known) == 0 && kind == schema.KindTrack:
		return listed(TrackerTypes()) + ", or a tracker type that an installed plugin provides"
	case len(known) == 0:
		return "a check type that an installed plugin provides"
	}
	return listed(r.allTypes(kind))
}

// allTypes lists the types of a kind, with those of halo's own.
func (r *reader) allTypes(kind schema.Kind) []string {
	known := r.types(kind)
	if kind == schema.KindTrack {
		known = slices.Sorted(slices.Values(append(known, TrackerTypes()...)))
	}
	return known
}

// settings reads the keys that belong to the type of a check or a tracker. The
// plugin's own schema judges them, with the code that the plugin decodes them
// with.
func (r *reader) settings(t *table, c *Check, g *Generation, kind schema.Kind) {
	c.Settings = json.RawMessage("{}")
	if r.record != nil || !t.fine("type") || r.unseen() {
		t.ignoreRest()
		return
	}
	plugin, typ, ok := "", schema.Type{}, false
	if r.catalogue != nil {
		plugin, typ, ok = r.catalogue.Type(kind, c.Type)
	}
	if !ok {
		t.wrong("type", "no plugin in "+strings.Join(g.Global.PluginDirs, " or ")+" provides the "+nounOf(kind)+" type "+quoted(c.Type),
			r.typesExpected(kind), suggest(c.Type, r.allTypes(kind)))
		t.ignoreRest()
		return
	}
	c.Plugin = plugin
	own := t.asked
	t.asked = append(slices.Clone(own), typ.Names()...)
	values := map[string]any{}
	for _, name := range t.node.names {
		setting, known := typ.Setting(name)
		if !known || slices.Contains(own, name) {
			continue
		}
		v := value{reader: r, path: join(t.path, name), node: t.node.entries[name]}
		if v.foreign(setting.Expectation()) {
			t.bad = append(t.bad, name)
			continue
		}
		values[name] = v.node.plain()
	}
	encoded, err := json.Marshal(values)
	if err != nil { // Everything that JSON lacks has been taken out.
		t.wrong("type", "the settings cannot be passed to a plugin", "", "")
		return
	}
	c.Settings = encoded
	for _, s := range typ.Settings {
		if s.Sensitive {
			c.Sensitive = append(c.Sensitive, s.Name)
		}
	}
	slices.Sort(c.Sensitive)
	for _, found := range schema.Validate(encoded, typ) {
		if t.fine(found.Attribute) {
			r.settingProblem(t, typ, found)
		}
	}
	c.Capabilities = typ.Capabilities(encoded)
	r.granted(t, c, typ, g)
	r.patient(t, c, g, kind)
}

// patient refuses a grace so short that a mere restart of the plugin would
// fail the check or tracker: until the next result is in, nobody knows better.
func (r *reader) patient(t *table, c *Check, g *Generation, kind schema.Kind) {
	p, wait := g.Plugin(c.Plugin), c.Interval+c.Timeout
	if p.OnPluginLoss != "fail" || p.PluginGrace > wait {
		return
	}
	t.wrong("type",
		"a restart of "+c.Plugin+" would fail this "+nounOf(kind)+": its plugin_grace is "+quoted(spell(p.PluginGrace))+
			" and the next result may take "+quoted(spell(wait)),
		"a longer plugin_grace in ["+join("plugin", c.Plugin)+"], or on_plugin_loss = \"hold\" there", "")
}

// settingProblem gives a problem of the schema its place in the file.
func (r *reader) settingProblem(t *table, typ schema.Type, found schema.Problem) {
	p := Problem{Key: attributePath(t.path, found.Attribute), Message: found.Message, Expected: found.Expected}
	if found.Suggestion != "" {
		p.Suggestion = strconv.Quote(found.Suggestion)
	}
	if setting, ok := typ.Setting(found.Attribute); ok && p.Suggestion == "" && t.written(setting.Name) {
		p.Suggestion = meant(setting, t.node.entries[setting.Name].value)
	}
	if at, ok := t.node.attribute(found.Attribute); ok {
		r.report(SeverityError, at, p)
		return
	}
	t.absent = append(t.absent, p)
}

// meant guesses the value that was meant by a wrong one, or returns "".
func meant(setting schema.Setting, wrong any) string {
	if setting.Sensitive || wrong == nil {
		return ""
	}
	switch setting.Kind {
	case schema.Bool:
		return booleans{}.suggestion(wrong)
	case schema.Int:
		low, high := int64(math.MinInt64), int64(math.MaxInt64)
		if bound, err := strconv.ParseInt(setting.Min, 10, 64); err == nil {
			low = bound
		}
		if bound, err := strconv.ParseInt(setting.Max, 10, 64); err == nil {
			high = bound
		}
		return integers[int64]{low, high}.suggestion(wrong)
	case schema.Duration:
		low, high := time.Duration(math.MinInt64), time.Duration(math.MaxInt64)
		if bound, err := time.ParseDuration(setting.Min); err == nil {
			low = bound
		}
		if bound, err := time.ParseDuration(setting.Max); err == nil {
			high = bound
		}
		return durations{low: low, high: high}.suggestion(fmt.Sprint(wrong))
	case schema.String:
		return suggest(fmt.Sprint(wrong), setting.Enum)
	case schema.Float, schema.Strings, schema.Ints, schema.Map:
	}
	return ""
}

// granted reports settings that need a privilege which the plugin's table does
// not grant.
func (r *reader) granted(t *table, c *Check, typ schema.Type, g *Generation) {
	for _, s := range typ.Settings {
		if s.Capability == "" || !t.written(s.Name) || slices.Contains(g.Plugin(c.Plugin).Capabilities, s.Capability) {
			continue
		}
		t.wrong(s.Name,
			"needs the capability "+s.Capability+", which "+c.Plugin+" is not granted",
			"capabilities = ["+strconv.Quote(s.Capability)+"] in ["+join("plugin", c.Plugin)+"]", "")
	}
}

// ignoreRest lets done pass over keys whose meaning is not known, except for a
// slip in the key that would tell.
func (t *table) ignoreRest() {
	for _, name := range t.node.names {
		if t.written("type") || closest(name, t.asked) != "type" {
			t.asked = append(t.asked, name)
		}
	}
}

// foreign reports a value that JSON, in which plugins get their settings, does
// not have: a date, or a number that is none.
func (v value) foreign(expected string) bool {
	switch v.node.shape {
	case list:
		for i, item := range v.node.items {
			if (value{reader: v.reader, path: index(v.path, i), node: item}).foreign(expected) {
				return true
			}
		}
		return false
	case dictionary:
		for _, name := range v.node.names {
			if (value{reader: v.reader, path: join(v.path, name), node: v.node.entries[name]}).foreign(expected) {
				return true
			}
		}
		return false
	case scalar:
	}
	switch scalar := v.node.value.(type) {
	case time.Time:
		v.wrongType(expected, "")
		return true
	case float64:
		if math.IsNaN(scalar) || math.IsInf(scalar, 0) {
			v.wrong("is not a finite number", expected, "")
			return true
		}
	}
	return false
}

// plain returns the value as encoding/json takes it.
func (n *node) plain() any {
	switch n.shape {
	case list:
		items := make([]any, 0, len(n.items))
		for _, item := range n.items {
			items = append(items, item.plain())
		}
		return items
	case dictionary:
		entries := make(map[string]any, len(n.entries))
		for name, entry := range n.entries {
			entries[name] = entry.plain()
		}
		return entries
	case scalar:
	}
	return n.value
}
