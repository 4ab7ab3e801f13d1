package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/watch"
	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/core/track"
	"github.com/halo-ha/halo/core/vrrp"
)

// tracking observes what virtual routers depend on, and tells them what follows.
// Everybody who observes calls it from a goroutine of his own; nothing here
// waits.
type tracking struct {
	routers trackedRouters
	journal *journal.Journal
	logger  *slog.Logger

	mu       sync.Mutex
	tally    *track.Tally
	trackers map[string]*config.Tracker
	view     *rtnl.View // nil before the kernel was first looked at
	services map[string]pool.State
	alarm    *time.Timer
	closed   bool

	// What has to be looked at by somebody of its own.
	files     *watch.Files
	processes *watch.Processes
	sessions  *sessions
}

// trackedRouters are told what trackers make of them. They do not wait.
type trackedRouters interface {
	prioritize(instance string, priority uint8, detail string)
	post(instance string, event vrrp.Event)
}

func newTracking(routers trackedRouters, j *journal.Journal, logger *slog.Logger) *tracking {
	t := &tracking{
		routers: routers, journal: j, logger: logger, tally: track.New(time.Now(), track.Config{}), services: map[string]pool.State{},
		files: watch.NewFiles(), processes: watch.NewProcesses(),
	}
	t.sessions = newSessions(t.observed, logger)
	return t
}

// run observes until ctx ends.
func (t *tracking) run(ctx context.Context) error {
	var observers sync.WaitGroup
	defer observers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	broken := make(chan error, 3)
	for what, run := range map[string]func(context.Context) error{
		"watch of files": t.files.Run, "watch of processes": t.processes.Run, "BFD": t.sessions.run,
	} {
		observers.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				broken <- fmt.Errorf("%s ended: %w", what, err)
			}
		})
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return err
		case <-t.files.Changed():
			t.observed(t.files.Next()...)
		case <-t.processes.Changed():
			t.observed(t.processes.Next()...)
		}
	}
}

// observed takes what somebody has seen.
func (t *tracking) observed(all ...track.Observed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range all {
		t.handle(o)
	}
}

// told takes what a plugin has seen, or that it is gone. At the end plugins go
// after the election, and nothing follows from that any more.
func (t *tracking) told(e track.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.handle(e)
	}
}

// apply makes the trackers of a generation the ones that count. It comes behind
// the routers: one that is new, or has another priority, is told what its
// trackers make of it; to the others that is nothing new.
func (t *tracking) apply(g *config.Generation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trackers = maps.Clone(g.Trackers)
	if t.trackers == nil {
		t.trackers = map[string]*config.Tracker{}
	}
	for _, i := range g.Instances {
		for _, iface := range i.NeededInterfaces() {
			name := config.TrackedInterface(iface)
			t.trackers[name] = &config.Tracker{Name: name, Type: "interface", Interface: iface}
		}
	}
	maps.DeleteFunc(t.services, func(name string, _ pool.State) bool { return g.VirtualServers[name] == nil })
	t.handle(track.Reconfigured{Config: g.Tracking()})
	for _, name := range slices.Sorted(maps.Keys(t.trackers)) {
		t.observe(t.trackers[name])
	}
	t.files.Set(filesOf(g))
	t.processes.Set(processesOf(g))
	t.sessions.set(g.Trackers)
	for _, i := range t.tally.Snapshot().Instances {
		if len(i.Uses) > 0 || i.Effective != i.Priority {
			t.routers.prioritize(i.Instance, i.Effective, i.Why.String())
		}
		t.fault(i.Instance, i.Faults)
	}
}

// filesOf lists the files of the trackers.
func filesOf(g *config.Generation) []watch.File {
	var list []watch.File
	for _, k := range g.Trackers {
		if k.Type == "file" {
			list = append(list, watch.File{Tracker: k.Name, Definition: k.Definition(), Path: k.Path})
		}
	}
	return list
}

// processesOf lists the processes of the trackers.
func processesOf(g *config.Generation) []watch.Process {
	var list []watch.Process
	for _, k := range g.Trackers {
		if k.Type != "process" {
			continue
		}
		p := watch.Process{
			Tracker: k.Name, Definition: k.Definition(), Name: k.Process, FullCommand: k.FullCommand, Wanted: k.Arguments,
			Quorum: k.Quorum, Most: k.QuorumMax, Limited: k.QuorumMax >= 0, Delay: k.Delay, TerminateDelay: k.TerminateDelay,
		}
		switch {
		case k.Arguments == nil:
		case k.ArgumentMatch == "first":
			p.Arguments = watch.FirstArguments
		case k.ArgumentMatch == "initial":
			p.Arguments = watch.InitialArguments
		default:
			p.Arguments = watch.ExactArguments
		}
		list = append(list, p)
	}
	return list
}

// linksChanged takes another view of the kernel's links and addresses.
func (t *tracking) linksChanged(view *rtnl.View) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.view = view
	for _, k := range t.trackers {
		if k.Type == "interface" || k.Type == "address" {
			t.observe(k)
		}
	}
}

// serviceChanged takes what has become of a virtual server.
func (t *tracking) serviceChanged(service string, to pool.State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.services[service] = to
	for _, k := range t.trackers {
		if k.Type == "service" && k.VirtualServer == service {
			t.observe(k)
		}
	}
}

// observe looks at one tracker and tells what it sees.
func (t *tracking) observe(k *config.Tracker) {
	if k.Probe != nil {
		return // The plugin tells.
	}
	seen := track.Observed{Tracker: k.Name}
	switch k.Type {
	case "interface":
		seen.State, seen.Reason = t.interfaceState(k.Interface)
	case "address":
		seen.State, seen.Reason = t.addressState(k)
	case "file", "process", "bfd":
		return // by whom has seen it
	case "service":
		switch t.services[k.VirtualServer] {
		case pool.Up:
			seen.State, seen.Reason = track.Up, pool.ReasonQuorumGained.String()
		case pool.Down:
			seen.State, seen.Reason = track.Down, pool.ReasonQuorumLost.String()
		case pool.Unknown:
		}
	}
	t.handle(seen)
}

func (t *tracking) interfaceState(iface string) (track.State, string) {
	if t.view == nil {
		return track.Unknown, ""
	}
	switch l, ok := t.view.Link(iface); {
	case !ok:
		return track.Down, vrrp.ReasonInterfaceMissing.String()
	case !l.Up:
		return track.Down, vrrp.ReasonLinkDown.String()
	}
	return track.Up, ""
}

func (t *tracking) addressState(k *config.Tracker) (track.State, string) {
	if t.view == nil {
		return track.Unknown, ""
	}
	for _, l := range t.view.Links {
		if k.Interface != "" && l.Name != k.Interface {
			continue
		}
		for _, a := range l.Addresses {
			if a.Addr() == k.Address {
				return track.Up, ""
			}
		}
	}
	return track.Down, "address_missing"
}

// handle gives the tally one event and does what it says.
func (t *tracking) handle(event track.Event) {
	for _, action := range t.tally.Handle(time.Now(), event, nil) {
		switch a := action.(type) {
		case track.TrackerChanged:
			t.journal.Record(trackerEvent(a))
			level := slog.LevelInfo
			if a.To == track.Down {
				level = slog.LevelWarn
			}
			t.logger.Log(context.Background(), level, "tracker changed", "tracker", a.Tracker, "from", a.From.String(), "to", a.To.String(), "reason", a.Why.String())
		case track.PriorityChanged:
			t.routers.prioritize(a.Instance, a.To, a.Why.String())
		case track.FaultChanged:
			t.fault(a.Instance, a.Faults)
		}
	}
	at, ok := t.tally.Deadline()
	switch {
	case !ok && t.alarm != nil:
		t.alarm.Stop()
	case ok && t.alarm == nil:
		t.alarm = time.AfterFunc(time.Until(at), t.expired)
	case ok:
		t.alarm.Reset(time.Until(at))
	}
}

func (t *tracking) expired() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handle(track.DeadlineReached{})
}

// fault tells a router which trackers keep it from taking part, if any.
func (t *tracking) fault(instance string, trackers []string) {
	if len(trackers) == 0 {
		t.routers.post(instance, vrrp.FaultCleared{Cause: vrrp.FaultTracker})
		return
	}
	t.routers.post(instance, vrrp.FaultRaised{Cause: vrrp.FaultTracker, Detail: strings.Join(trackers, ", ")})
}

// snapshot is the state of all trackers and of what they are for.
func (t *tracking) snapshot() track.Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tally.Snapshot()
}

// close ends the alarm.
func (t *tracking) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.alarm != nil {
		t.alarm.Stop()
	}
	t.sessions.close()
}
