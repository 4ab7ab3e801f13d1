package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/halo-ha/halo/core/checks"
	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
	"github.com/halo-ha/halo/core/kernel/vmac"
	"github.com/halo-ha/halo/core/pluginhost"
	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/track"
	"github.com/halo-ha/halo/core/vip"
	"github.com/halo-ha/halo/core/vrrp/wire"
	"github.com/halo-ha/halo/sdk/check"
)

// statusTimeout bounds the questions to the loops. A loop that does not answer
// is reported as degraded rather than by what it said last.
const statusTimeout = 2 * time.Second

// Status implements control.Backend.
func (d *Daemon) Status() control.Status {
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	s := control.Status{
		Schema: control.Schema, Version: d.options.Version, PID: os.Getpid(), Started: d.started, Degraded: []string{},
		VRRPInstances: map[string]control.VRRPInstance{}, VRRPSyncGroups: map[string]control.VRRPSyncGroup{},
		Trackers: map[string]control.Tracker{}, VRRPForeign: []control.ForeignRouter{}, VirtualServers: map[string]control.VirtualServer{},
		Plugins: map[string]control.Plugin{},
	}
	g := d.running.Load()
	if g == nil {
		s.Degraded = append(s.Degraded, "still starting")
		s.Time = time.Now()
		return s
	}
	s.RouterID, s.Generation = g.Global.RouterID, g.number
	if g.number == 0 {
		s.Degraded = append(s.Degraded, "still starting: the plugins are being asked about the checks")
	}
	s.Config = control.ConfigStatus{
		File: g.File, Loaded: g.loaded, LastReload: g.lastReload, LastReloadOK: g.reloadOK, LastReloadNote: g.reloadReason,
	}
	s.Degraded = append(s.Degraded, degradedPrivileges(g.Generation)...)
	if d.unhurried != nil {
		s.Degraded = append(s.Degraded, d.unhurried.Error())
	}
	if err := d.election.routing.failure(); err != nil {
		s.Degraded = append(s.Degraded, "changes of routes and rules are not noticed: "+err.Error())
	}
	probes := d.checks.Snapshot().Probes
	d.describeElection(ctx, g.Generation, probes, &s)
	d.describeServices(ctx, g.Generation, probes, &s)
	d.describePlugins(&s)
	s.Events.Kept, s.Events.Last = d.journal.Kept()
	s.Time = time.Now()
	return s
}

// degradedPrivileges names what this process could do with more privileges.
func degradedPrivileges(g *config.Generation) []string {
	effective, err := effectiveCapabilities()
	if err != nil {
		return []string{err.Error()}
	}
	var sentences []string
	for _, c := range missing(needed(g), effective) {
		sentences = append(sentences, fmt.Sprintf("missing %s (%s); %s", c.name, c.purpose, remedy([]capability{c})))
	}
	return sentences
}

func (d *Daemon) describeElection(ctx context.Context, g *config.Generation, probes []checks.ProbeSnapshot, s *control.Status) {
	speakers, err := d.election.snapshots(ctx)
	if err != nil {
		s.Degraded = append(s.Degraded, err.Error())
	}
	held := d.election.addresses.Snapshot()
	tracked := d.election.tracking.snapshot()
	if fixed, ok := held[staticName]; ok {
		entries := entriesStatus(fixed)
		s.Static = &entries
	}
	describeTrackers(tracked, g, observations(g, probes), s)
	d.describeGroups(s)
	for _, line := range speakers {
		s.Events.Dropped += line.Counters.EventsDropped
	}
	s.VRRPForeign = foreignRouters(speakers)
	s.Degraded = append(s.Degraded, d.election.virtual.problems()...)
	for name, i := range g.Instances {
		for _, own := range []string{name, ipv6Name(name)} {
			if v, ok := d.describeRouter(own, i, speakers, held[own], s); ok {
				s.VRRPInstances[own] = v
			}
		}
	}
	d.describeAdvertisements(ctx, s)
}

// describeRouter is one router of an instance, if it is there.
func (d *Daemon) describeRouter(
	name string, i *config.Instance, speakers map[place]speaker.Snapshot, held vip.Status, s *control.Status,
) (v control.VRRPInstance, ok bool) {
	running := d.election.places.of(name)
	if running == nil {
		return v, false
	}
	line := speakers[running.place]
	if line.SocketError != "" {
		s.Degraded = append(s.Degraded, fmt.Sprintf("vrrp_instance %s: %s", name, line.SocketError))
	}
	r, answered := line.Routers[name]
	if !answered {
		return v, false // said above, or not taken up yet
	}
	v = instanceStatus(i, r, held)
	v.Authentication = authStatus(&r)
	v.Family, v.SyncGroup = running.family.String(), d.election.groups.groupOf(name)
	if link := running.virtual; link.Name != "" {
		v.VirtualMAC, v.VirtualInterface = vmac.MAC(link.VRID, link.IPv6), link.Name
	}
	claims, total := d.election.conflicts.snapshot(name)
	for _, k := range claims {
		v.Conflicts = append(v.Conflicts, control.Conflict{Address: k.address.String(), MAC: k.mac.String(), Last: k.at, Packets: k.packets})
	}
	v.Counters["address_conflicts"] = total
	for _, p := range r.Peers {
		v.UnicastPeers = append(v.UnicastPeers, control.UnicastPeer{
			Address: p.Address.String(), Received: p.Received, Sent: p.Sent, SendErrors: p.SendErrors, SendError: p.SendError,
		})
	}
	return v, true
}

// describeTrackers tells of what is tracked, and of what it does to whom.
func describeTrackers(tracked track.Snapshot, g *config.Generation, found map[string]*control.Observation, s *control.Status) {
	for _, k := range tracked.Trackers {
		tracker := control.Tracker{Type: "interface", State: k.State.String(), Since: k.Since, Reason: k.Why.String(), Instances: map[string]int{}}
		if configured := g.Trackers[k.Tracker]; configured != nil {
			tracker.Type, tracker.Last = configured.Type, found[k.Tracker]
		}
		for _, i := range tracked.Instances {
			for _, use := range i.Uses {
				if use.Tracker == k.Tracker && (use.Fault || use.Adjustment != 0) {
					tracker.Instances[i.Instance] = use.Adjustment
				}
			}
		}
		s.Trackers[k.Tracker] = tracker
	}
}

// observations are the last results of plugins for trackers, if any observe.
func observations(g *config.Generation, probes []checks.ProbeSnapshot) map[string]*control.Observation {
	last := map[string]*control.Observation{}
	for name, k := range g.Trackers {
		if k.Probe != nil {
			last[name] = &control.Observation{Plugin: k.Probe.Plugin, Outcome: check.Unknown.String(), Age: -1}
		}
	}
	now := time.Now()
	for _, p := range probes {
		o := last[p.Tracker]
		switch {
		case o == nil:
		case p.Away:
			o.Reason = check.ReasonPluginLost.String()
		case !p.At.IsZero():
			o.Outcome, o.Reason, o.Detail = p.Last.Outcome.String(), p.Last.Reason.String(), p.Last.Detail
			o.Took, o.Age, o.Metrics = p.Last.Took.Seconds(), now.Sub(p.At).Seconds(), p.Last.Metrics
		}
	}
	return last
}

func (d *Daemon) describeGroups(s *control.Status) {
	for name, g := range d.election.groups.snapshots() {
		group := control.VRRPSyncGroup{
			State: g.State.String(), Since: g.Since, Reason: g.Cause.String(), Priority: g.Priority, Members: make([]string, 0, len(g.Members)),
		}
		for _, m := range g.Members {
			group.Members = append(group.Members, m.Name)
		}
		s.VRRPSyncGroups[name] = group
	}
}

func instanceStatus(i *config.Instance, r speaker.RouterSnapshot, held vip.Status) control.VRRPInstance {
	v := control.VRRPInstance{
		State: r.State.String(), Since: r.Since, Reason: r.Reason.String(), Faults: []string{},
		Interface: i.Interface, VirtualRouterID: r.VRID, Version: uint8(r.Version), Accept: i.Accept || i.Priority == ownerPriority,
		Priority: r.Priority, EffectivePriority: r.EffectivePriority,
		AdvertInterval: r.Interval.Seconds(), ActiveAdvertInterval: r.ActiveAdverInterval.Seconds(),
		Mismatches: []string{}, Conflicts: []control.Conflict{},
		Counters: counters(r.Counters), AdvertLateness: map[string]float64{"max": r.Lateness.Max.Seconds()},
		AdvertGap:               map[string]float64{"max": r.Gap.Max.Seconds()},
		AdvertLatenessHistogram: histogram(&r.Lateness), AdvertGapHistogram: histogram(&r.Gap),
	}
	if r.Source.IsValid() {
		v.SourceAddress = r.Source.String()
	}
	for _, cause := range r.Faults.Causes() {
		word := cause.String()
		if r.FaultDetail != "" && len(v.Faults) == 0 {
			word += " (" + r.FaultDetail + ")" // of the gravest
		}
		v.Faults = append(v.Faults, word)
	}
	if held.Lost && held.Error != "" {
		v.Faults = append(v.Faults, held.Error)
	}
	v.Entries = entriesStatus(held)
	if r.Peer.Address.IsValid() {
		v.Peer = &control.Peer{Address: r.Peer.Address.String(), Priority: r.Peer.Priority, Heard: r.Peer.Heard}
	}
	for _, m := range r.Mismatches {
		v.Mismatches = append(v.Mismatches, fmt.Sprintf("%s with %s: here %s, there %s", m.Kind, m.Peer, m.Ours, m.Theirs))
	}
	return v
}

// entriesStatus is what is held, or to be held, with where an address is when that
// is not the interface of the others.
func entriesStatus(held vip.Status) control.Entries {
	all := control.Entries{Addresses: make([]control.VirtualAddress, 0, len(held.Addresses)), EntryError: held.Error}
	for _, a := range held.Addresses {
		address := control.VirtualAddress{
			Address: a.Address.Prefix.String(), Present: a.Present, Restores: uint64(a.Restores), Excluded: a.Excluded, //nolint:gosec // Not negative.
		}
		if a.Address.Interface != held.Interface {
			address.Interface = a.Address.Interface
		}
		all.Addresses = append(all.Addresses, address)
	}
	entry := func(text string, s vip.EntryStatus) control.VirtualEntry {
		return control.VirtualEntry{Entry: text, Present: s.Present, Restores: uint64(s.Restores)} //nolint:gosec // Not negative.
	}
	for _, r := range held.Routes {
		if r.Route.Protocol == inet.ProtocolHalo {
			r.Route.Protocol = inet.ProtocolNone // It says nothing.
		}
		all.Routes = append(all.Routes, entry(r.Route.String(), r.EntryStatus))
	}
	for _, r := range held.Rules {
		if r.Rule.Protocol == inet.ProtocolHalo {
			r.Rule.Protocol = inet.ProtocolNone
		}
		all.Rules = append(all.Rules, entry(r.Rule.String(), r.EntryStatus))
	}
	return all
}

// histogram adds buckets up, as those who read them expect it.
func histogram(h *speaker.Histogram) control.Histogram {
	out := control.Histogram{Count: h.Count(), Sum: h.Sum.Seconds(), Buckets: make([]control.Bucket, 0, len(h.Bounds))}
	var below uint64
	for i, bound := range h.Bounds {
		below += h.Counts[i]
		out.Buckets = append(out.Buckets, control.Bucket{AtMost: bound.Seconds(), Count: below})
	}
	return out
}

// counters are the counters of a router by their public names. Those of
// dropped advertisements exist from the start, at 0, so that an alert on their
// rate works.
func counters(c speaker.RouterCounters) map[string]uint64 {
	all := map[string]uint64{
		"adverts_received": c.Received, "priority_zero_received": c.ReceivedRelease, "received_while_active": c.ReceivedWhileActive,
		"address_list_mismatches": c.AddressMismatches, "interval_mismatches": c.IntervalMismatches, "checksum_form_mismatches": c.ChecksumMismatches,
		"adverts_sent": c.Sent, "priority_zero_sent": c.SentRelease, "send_errors": c.SendErrors,
		"not_from_peers": c.NotPeer, "adverts_unsigned": c.Unsigned, "clock_mismatches": c.ClockApart, "transitions": c.Transitions, "became_active": c.BecameActive,
	}
	for reason, n := range c.Dropped {
		if reason != 0 {
			all["dropped_"+wire.DropReason(reason).String()] = n
		}
	}
	return all
}

func (d *Daemon) describeServices(ctx context.Context, g *config.Generation, probes []checks.ProbeSnapshot, s *control.Status) {
	snapshot, err := d.balancer.Snapshot(ctx)
	if err != nil {
		s.Degraded = append(s.Degraded, "balancer: "+err.Error())
		return
	}
	s.IPVS = control.IPVS{
		InUse: snapshot.InUse, Synced: snapshot.Synced, LastSync: snapshot.LastSync, Drifts: snapshot.Drifts, Error: snapshot.Error,
	}
	found := make(map[string]lastResults, len(g.VirtualServers))
	for _, p := range probes {
		if p.Tracker != "" {
			continue
		}
		if found[p.Service] == nil {
			found[p.Service] = lastResults{}
		}
		found[p.Service][checkOf{p.Server, p.Check}] = p
	}
	for name, v := range g.VirtualServers {
		if p, ok := snapshot.Services[name]; ok {
			s.VirtualServers[name] = serviceStatus(v, p, found[name])
		}
	}
}

// lastResults is what the checks of one virtual server have found last. A pool
// has the verdicts, and of results only those that could change them.
type lastResults map[checkOf]checks.ProbeSnapshot

type checkOf struct {
	server netip.AddrPort
	check  string
}

func serviceStatus(v *config.VirtualServer, p pool.Snapshot, found lastResults) control.VirtualServer {
	out := control.VirtualServer{
		State: p.State.String(), Since: p.Since, Reason: p.Reason.String(),
		Address: v.Address.String(), Protocol: v.Protocol, Scheduler: v.Scheduler, Forward: v.Forward,
		Quorum: p.Quorum, Weight: p.Weight, SorryActive: p.SorryActive,
		RealServers: make(map[string]control.RealServer, len(p.Servers)),
	}
	if p.SorryServer.IsValid() {
		out.SorryServer = p.SorryServer.String()
	}
	types := make(map[string]map[string]string, len(v.Servers))
	for _, server := range v.Servers {
		types[server.Address.String()] = checkTypes(server)
	}
	now := time.Now()
	for _, r := range p.Servers {
		address := r.Address.String()
		server := control.RealServer{
			State: r.State.String(), Weight: r.Weight, InService: r.InService, Since: r.Since, Reason: r.Why.String(),
			Checks: make([]control.Check, 0, len(r.Checks)),
		}
		for _, c := range r.Checks {
			server.Checks = append(server.Checks, checkStatus(c, types[address][c.Name], found[checkOf{r.Address, c.Name}], now))
		}
		out.RealServers[address] = server
	}
	return out
}

func checkTypes(server *config.RealServer) map[string]string {
	types := make(map[string]string, len(server.Checks))
	for _, c := range server.Checks {
		types[c.Name] = c.Type
	}
	return types
}

// checkStatus is a check with what it has found last, if anything.
func checkStatus(c pool.CheckSnapshot, typeName string, found checks.ProbeSnapshot, now time.Time) control.Check {
	out := control.Check{
		Name: c.Name, Type: typeName, State: c.State.String(), Outcome: found.Last.Outcome.String(), Detail: found.Last.Detail,
		Took: found.Last.Took.Seconds(), Age: -1, Metrics: found.Last.Metrics,
	}
	if !found.At.IsZero() {
		out.Reason, out.Age = found.Last.Reason.String(), now.Sub(found.At).Seconds()
	}
	if c.PluginLost {
		out.Outcome, out.Reason, out.Detail = pool.OutcomeUnknown.String(), pool.ReasonPluginLost.String(), ""
	}
	if c.Weighted {
		out.Weight = &c.Weight
	}
	return out
}

func (d *Daemon) describePlugins(s *control.Status) {
	for _, p := range d.plugins.Snapshots() {
		if p.State == pluginhost.StateInstalled {
			continue // not needed: `halo plugin list` shows it
		}
		name := p.Plugin
		if _, twice := s.Plugins[name]; twice {
			name += " as " + p.User
		}
		s.Plugins[name] = pluginStatus(p)
		for _, w := range p.Warnings {
			s.Degraded = append(s.Degraded, "plugin "+name+" "+w)
		}
		if p.State != pluginhost.StateRunning && p.State != pluginhost.StateStarting && p.LastError != "" {
			s.Degraded = append(s.Degraded, fmt.Sprintf("plugin %s is %s: %s", name, p.State, p.LastError))
		}
	}
}

// Journal implements control.Backend.
func (d *Daemon) Journal() *journal.Journal { return d.journal }

// Plugins implements control.Backend.
func (d *Daemon) Plugins() control.PluginList {
	list := control.PluginList{Schema: control.Schema, Plugins: []control.Plugin{}}
	for _, p := range d.plugins.Snapshots() {
		list.Plugins = append(list.Plugins, pluginStatus(p))
	}
	return list
}

func pluginStatus(p pluginhost.Snapshot) control.Plugin {
	out := control.Plugin{
		Name: p.Plugin, Version: p.Version, Protocol: p.Protocol, Types: []string{}, Path: p.Path, State: string(p.State),
		PID: p.PID, User: p.RunsAs, Restarts: p.Restarts, Probes: p.Probes, LastError: p.LastError,
	}
	for _, t := range p.Types {
		out.Types = append(out.Types, string(t.Kind)+" "+t.Name)
	}
	return out
}
