package daemon

import (
	"maps"
	"slices"

	"github.com/halo-ha/halo/core/balance"
	"github.com/halo-ha/halo/core/checks"
	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/pluginhost"
	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/core/track"
	"github.com/halo-ha/halo/sdk/host"
)

// probes lists what a generation has plugins check and observe, and the processes
// that do it. The pools are those of poolConfig, whose definitions the probes
// share.
func probes(g *config.Generation, pools map[string]pool.Config) ([]checks.Probe, []pluginhost.Spec) {
	var list []checks.Probe
	byProcess := make(map[pluginhost.Identity][]*config.Check)
	for _, name := range slices.Sorted(maps.Keys(g.VirtualServers)) {
		service := g.VirtualServers[name]
		for s, server := range service.Servers {
			for i, c := range server.Checks {
				id := pluginhost.Identity{Plugin: c.Plugin, User: c.User}
				byProcess[id] = append(byProcess[id], c)
				list = append(list, checks.Probe{
					Service: name, Server: server.Address, Check: c.Name, Definition: pools[name].Servers[s].Checks[i].Definition,
					Process: checks.Process(id), Wire: wireProbe(service, server, c),
				})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.Trackers)) {
		k := g.Trackers[name]
		if k.Probe == nil {
			continue
		}
		id := pluginhost.Identity{Plugin: k.Probe.Plugin, User: k.Probe.User}
		byProcess[id] = append(byProcess[id], k.Probe)
		list = append(list, checks.Probe{Tracker: name, Definition: k.Definition(), Process: checks.Process(id), Wire: wireObservation(k.Probe)})
	}
	specs := make([]pluginhost.Spec, 0, len(byProcess))
	for id, made := range byProcess {
		specs = append(specs, spec(g, id, made))
	}
	return list, specs
}

// wireProbe is a check of a server as its plugin is told it.
func wireProbe(service *config.VirtualServer, server *config.RealServer, c *config.Check) host.Probe {
	return host.Probe{
		Type: c.Type, Target: target(service, server, c), Settings: c.Settings,
		Schedule: host.Schedule{Interval: c.Interval, RetryInterval: c.RetryInterval, Timeout: c.Timeout, Rise: c.Rise, Fall: c.Fall},
	}
}

// wireObservation is what a tracker observes, as its plugin is told it: always at
// the same pace, as Keepalived does.
func wireObservation(c *config.Check) host.Probe {
	return host.Probe{
		Type: c.Type, Tracker: c.Name, Settings: c.Settings,
		Schedule: host.Schedule{Interval: c.Interval, RetryInterval: c.Interval, Timeout: c.Timeout, Rise: c.Rise, Fall: c.Fall},
	}
}

// verdicts hands what plugins find to who judges it: of servers the balancer's
// pools, of trackers the tally. It implements checks.Sink.
type verdicts struct {
	*balance.Balancer

	tracking *tracking
}

// PostTrack implements checks.Sink.
func (v verdicts) PostTrack(e track.Event) { v.tracking.told(e) }

// listener connects the plugin host with the checks. It implements
// pluginhost.Listener.
type listener struct{ checks *checks.Checks }

func (l listener) SessionOpened(id pluginhost.Identity, incarnation uint64, s *pluginhost.Session) {
	l.checks.Opened(checks.Process(id), incarnation, s)
}

func (l listener) MessageReceived(id pluginhost.Identity, incarnation uint64, m host.Message) {
	l.checks.Received(checks.Process(id), incarnation, m)
}

func (l listener) SessionLost(id pluginhost.Identity, incarnation uint64, _ string) {
	l.checks.Lost(checks.Process(id), incarnation)
}
