package daemon

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/pluginhost"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
)

// validateTimeout bounds the questions to one plugin. It is generous: a file
// with tens of thousands of probes is judged in one go.
const validateTimeout = 20 * time.Second

// Check judges the configuration at path as a reload would, without a daemon
// and without privileges: the file, the plugins' schemas, and what only the
// plugins themselves know.
func Check(ctx context.Context, path string, logger *slog.Logger) config.Problems {
	g, problems := load(ctx, path, discoverAlone(ctx, logger))
	if g == nil || !usesPlugins(g) {
		return problems
	}
	h, err := temporary(g.Global.PluginDirs, g.Global.PluginUser, logger)
	if err != nil {
		return append(problems, config.Problem{Position: config.Position{File: path}, Message: err.Error()})
	}
	defer func() { _ = h.Close(ctx) }()
	return append(problems, validate(ctx, g, h, config.SeverityError)...).Sorted()
}

// load reads the file with a catalogue of its own. Plugins that cannot be used
// are told as warnings.
func load(ctx context.Context, path string, discover func([]string) ([]pluginhost.Installed, error)) (*config.Generation, config.Problems) {
	if err := ctx.Err(); err != nil {
		return nil, config.Problems{{Position: config.Position{File: path}, Message: err.Error()}}
	}
	c := &catalogue{discover: discover}
	g, problems := config.Load(path, c)
	if g != nil && !usesPlugins(g) {
		return g, problems
	}
	return g, append(problems, c.problems(path)...).Sorted()
}

// validator is the part of a plugin host that validation needs.
type validator interface {
	Validate(ctx context.Context, spec pluginhost.Spec, probes []host.Probe) ([]host.Diagnostic, error)
}

// validate asks each plugin about the settings of its checks and trackers.
// Servers that share a check ask once. silence is how grave a plugin is that cannot answer.
func validate(ctx context.Context, g *config.Generation, v validator, silence config.Severity) config.Problems {
	type question struct {
		probes []host.Probe
		checks []*config.Check // by probe id
	}
	questions := make(map[pluginhost.Identity]*question)
	asked := make(map[*config.Check]struct{})
	put := func(c *config.Check, probe host.Probe) {
		id := pluginhost.Identity{Plugin: c.Plugin, User: c.User}
		q := questions[id]
		if q == nil {
			q = &question{}
			questions[id] = q
		}
		probe.ID = uint64(len(q.checks))
		q.probes = append(q.probes, probe)
		q.checks = append(q.checks, c)
	}
	for _, name := range slices.Sorted(maps.Keys(g.Trackers)) {
		if c := g.Trackers[name].Probe; c != nil {
			put(c, wireObservation(c))
		}
	}
	for _, service := range g.VirtualServers {
		for _, server := range service.Servers {
			for _, c := range server.Checks {
				if _, done := asked[c]; done {
					continue
				}
				asked[c] = struct{}{}
				put(c, wireProbe(service, server, c))
			}
		}
	}
	// All at the same time: the waits for those that hang must not add up, since
	// at the start no check runs before.
	var problems config.Problems
	var guard sync.Mutex
	var asking sync.WaitGroup
	for id, q := range questions {
		asking.Go(func() {
			found := ask(ctx, g, v, spec(g, id, q.checks), silence, q.probes, q.checks)
			guard.Lock()
			defer guard.Unlock()
			problems = append(problems, found...)
		})
	}
	asking.Wait()
	return problems.Sorted()
}

// ask puts the questions to one plugin.
func ask(ctx context.Context, g *config.Generation, v validator, s pluginhost.Spec, silence config.Severity, probes []host.Probe, checks []*config.Check) config.Problems {
	ctx, cancel := context.WithTimeout(ctx, validateTimeout)
	defer cancel()
	diagnostics, err := v.Validate(ctx, s, probes)
	if err != nil {
		p := g.Problem(checks[0], "type", fmt.Sprintf("plugin %s cannot judge its settings: %v", s.Plugin, err))
		p.Severity = silence
		return config.Problems{p}
	}
	var problems config.Problems
	for _, d := range diagnostics {
		if d.ProbeID >= uint64(len(checks)) {
			continue // a plugin that names what it was not asked about
		}
		p := g.Problem(checks[d.ProbeID], d.Attribute, d.Message)
		if d.Warning {
			p.Severity = config.SeverityWarning
		}
		problems = append(problems, p)
	}
	return problems
}

// target is whom a check of a server probes.
func target(service *config.VirtualServer, server *config.RealServer, c *config.Check) check.Target {
	t := check.Target{
		Address: server.Address.Addr(), Port: cmp.Or(c.ConnectPort, server.Address.Port()),
		RealServer: server.Address, VirtualServer: service.Name, VirtualAddress: service.Address,
		Protocol: service.Protocol, Bind: c.Bind,
	}
	if c.ConnectAddress != (netip.Addr{}) {
		t.Address = c.ConnectAddress
	}
	return t
}

// spec is how the process that makes checks is to run. It gets the capabilities
// that the settings of these checks need; config has seen to it that all of
// them are granted.
func spec(g *config.Generation, id pluginhost.Identity, checks []*config.Check) pluginhost.Spec {
	p := g.Plugin(id.Plugin)
	var capabilities []string
	for _, c := range checks {
		capabilities = append(capabilities, c.Capabilities...)
	}
	slices.Sort(capabilities)
	return pluginhost.Spec{Identity: id, SHA256: p.SHA256, Capabilities: slices.Compact(capabilities), Env: p.Env}
}
