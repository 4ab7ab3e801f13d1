package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	defaultOnPluginLoss = "hold"
	defaultPluginGrace  = 30 * time.Second
	day                 = 24 * time.Hour
)

// generation reads the whole file.
func (r *reader) generation(root *node) *Generation {
	g := &Generation{File: r.source.name, Instances: map[string]*Instance{}, SyncGroups: map[string]*SyncGroup{}, Trackers: map[string]*Tracker{}, VirtualServers: map[string]*VirtualServer{}, Plugins: map[string]*Plugin{}, origins: r.origins}
	t := r.table("", root, rootHints())
	g.Global = r.global(t.child("global", globalHints()))
	g.IPVS = r.ipvs(t.child("ipvs", nil))
	g.Control = r.control(t.child("control", nil), g.Global.RuntimeDir)
	if searcher, ok := r.catalogue.(Searcher); ok {
		searcher.Search(g.Global.PluginDirs)
	}
	for _, named := range t.named("plugin", nil) {
		g.Plugins[named.name] = r.plugin(named, g)
	}
	tracking := r.trackers(t, g)
	routers := newRouterSet()
	g.Static = r.static(t.table("static", nil), routers)
	for _, named := range t.named("vrrp_instance", instanceHints()) {
		instance := r.instance(named)
		routers.add(named, instance)
		tracking.instances[named.name] = named
		g.Instances[named.name] = instance
	}
	r.syncGroups(t, g, tracking)
	services := serviceSet{}
	for _, named := range t.named("virtual_server", virtualServerHints()) {
		server := r.virtualServer(named, g)
		services.add(named, server)
		g.VirtualServers[named.name] = server
	}
	tracking.judge(g)
	t.done()
	if len(g.Instances)+len(g.VirtualServers) == 0 && g.Static.Empty() && !r.problems.HasErrors() {
		r.problems = append(r.problems, Problem{
			Severity: SeverityWarning, Position: Position{File: r.source.name},
			Message: "there is nothing to do", Expected: "a [vrrp_instance.NAME] or a [virtual_server.NAME]",
		})
	}
	return g
}

// global reads [global].
func (r *reader) global(t *table) Global {
	defer t.done()
	return Global{
		RouterID:   ask(t, "router_id", labels()).orMachine(r.machine.hostName),
		RuntimeDir: ask(t, "runtime_dir", absolutePaths(`an absolute path such as "/run/halo"`)).or("/run/halo"),
		PluginDirs: ask(t, "plugin_dirs", lists[string]{absolutePaths(`an absolute path such as "/usr/lib/halo/plugins"`), 1, 16, "directories"}).orMachine(r.machine.pluginDirs()),
		PluginUser: r.user(t, "plugin_user", r.machine.pluginUser()),
		LogLevel:   ask(t, "log_level", words{allowed: []string{"debug", "info", "warn", "error"}}).or("info"),

		Realtime:       optionalBool(ask(t, "realtime", booleans{})),
		StartupDelay:   ask(t, "startup_delay", durations{high: time.Hour}).or(0),
		DelayAfterBoot: ask(t, "delay_after_boot", durations{high: time.Hour}).or(0),
	}
}

// optionalBool is a truth whose absence has a meaning of its own.
func optionalBool(a answer[bool]) *bool {
	truth := a.optional()
	if !a.readable {
		return nil
	}
	return &truth
}

// user reads an account that plugins run as.
func (r *reader) user(t *table, key, def string) string {
	name := ask(t, key, accounts()).orMachine(def)
	if t.written(key) && t.fine(key) && (name == "root" || name == "0") {
		t.odd(key, "plugins that run as root can do everything that root can", "an account without privileges")
	}
	return name
}

// ipvs reads [ipvs].
func (r *reader) ipvs(t *table) IPVS {
	defer t.done()
	return IPVS{ResyncInterval: ask(t, "resync_interval", durations{low: time.Second, high: time.Hour}).or(5 * time.Second)}
}

// control reads [control].
func (r *reader) control(t *table, runtimeDir string) Control {
	defer t.done()
	def := strings.TrimSuffix(runtimeDir, "/") + "/halo.sock"
	c := Control{Socket: ask(t, "socket", socketPaths()).or(def)}
	if c.Socket == def && len(def) > maxSocketPath {
		t.wrong("socket", fmt.Sprintf("%s has %d bytes, and the path of a socket has at most %d", quoted(def), len(def), maxSocketPath),
			"a shorter runtime_dir in [global], or a socket here", "")
	}
	metrics := ask(t, "metrics", endpoints{example: "127.0.0.1:9650", listen: true}).optional()
	if metrics.IsValid() {
		c.Metrics = metrics.String()
	}
	return c
}

// plugin reads one [plugin.NAME].
func (r *reader) plugin(t *table, g *Generation) *Plugin {
	defer t.done()
	p := &Plugin{
		Name:         t.name,
		OnPluginLoss: ask(t, "on_plugin_loss", words{allowed: []string{"hold", "fail"}}).or(defaultOnPluginLoss),
		PluginGrace:  ask(t, "plugin_grace", durations{high: day}).or(defaultPluginGrace),
		SHA256:       strings.ToLower(ask(t, "sha256", digests()).optional()),
		Capabilities: ask(t, "capabilities", lists[string]{words{allowed: capabilities(), what: `the name of a capability such as "net_raw"`}, 0, 64, "capabilities"}).or(nil),
		Env: askSecret(t, "env", wordMaps{
			what: `a table of environment variables such as { LANG = "C.UTF-8" }`, name: variables,
		}).or(nil),
	}
	slices.Sort(p.Capabilities)
	if known := r.plugins(); r.record == nil && !r.unseen() && !slices.Contains(known, t.name) {
		expected := "a plugin that is installed"
		if len(known) > 0 {
			expected = listed(known)
		}
		r.report(SeverityError, t.node.key, Problem{
			Key:        t.path,
			Message:    "there is no plugin " + quoted(t.name) + " in " + strings.Join(g.Global.PluginDirs, " or "),
			Expected:   expected,
			Suggestion: suggest(t.name, known),
		})
	}
	return p
}
