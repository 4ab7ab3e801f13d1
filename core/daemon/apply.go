package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	sdnotify "github.com/coreos/go-systemd/v22/daemon"

	"github.com/halo-ha/halo/core/balance"
	"github.com/halo-ha/halo/core/checks"
	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/pluginhost"
	"github.com/halo-ha/halo/core/pool"
)

// generation is a configuration that runs, with how the last attempt to
// replace it went. It is replaced as a whole.
type generation struct {
	*config.Generation
	number uint64 // 0 while the plugins have not been asked about the first one
	loaded time.Time

	lastReload   time.Time
	reloadOK     bool
	reloadReason string
}

// plan is a generation translated for the drivers. Nothing of it is applied.
type plan struct {
	next       *config.Generation
	change     config.Difference
	electorate electorate
	services   balance.Wanted
	probes     []checks.Probe
	specs      []pluginhost.Spec
	metrics    net.Listener
	level      slog.Level
}

// plan prepares next as the successor of running, which is nil at the start.
func (d *Daemon) plan(running, next *config.Generation) (p plan, problems config.Problems) {
	refuse := func(key, message string) {
		problems = append(problems, config.Problem{Position: config.Position{File: next.File}, Key: key, Message: message})
	}
	p = plan{next: next, change: config.Diff(running, next)}
	if running != nil {
		for _, f := range fixed(running, next) {
			refuse(f, "cannot be changed by a reload; restart halo for it")
		}
		if err := privileges(next); err != nil {
			refuse("", err.Error())
		}
	}
	var err error
	if p.electorate, err = prepare(next, d.hold(next)); err != nil {
		refuse("", err.Error())
	}
	if err := p.level.UnmarshalText([]byte(next.Global.LogLevel)); err != nil {
		refuse("global.log_level", err.Error())
	}
	if problems.HasErrors() {
		return p, problems
	}
	p.services = balance.Wanted{Interval: next.IPVS.ResyncInterval, Services: make(map[string]pool.Config, len(next.VirtualServers))}
	for name, v := range next.VirtualServers {
		p.services.Services[name] = poolConfig(next, v)
	}
	p.probes, p.specs = probes(next, p.services.Services)
	return p, problems
}

// settle asks what takes time: the plugins about their settings, and the
// kernel for the metrics' port. A plugin that does not answer is a warning:
// its checks will be unknown until it does, which hurts nobody, whereas a
// refusal would let one plugin keep everything else from changing.
func (d *Daemon) settle(ctx context.Context, p *plan) config.Problems {
	problems := validate(ctx, p.next, d.plugins, config.SeverityWarning)
	if problems.HasErrors() {
		return problems
	}
	// Last, since the answer is a socket that would have to be closed again if
	// another question were answered with no.
	var err error
	if p.metrics, err = d.metrics.listen(ctx, p.next.Control.Metrics); err != nil {
		problems = append(problems, config.Problem{
			Position: config.Position{File: p.next.File}, Key: "control.metrics", Message: err.Error(),
		})
	}
	return problems
}

// fixed lists the keys that differ and that only a restart can change.
func fixed(running, next *config.Generation) []string {
	var keys []string
	if running.Global.RuntimeDir != next.Global.RuntimeDir {
		keys = append(keys, "global.runtime_dir")
	}
	if !slices.Equal(running.Global.PluginDirs, next.Global.PluginDirs) {
		keys = append(keys, "global.plugin_dirs")
	}
	if truthOf(running.Global.Realtime) != truthOf(next.Global.Realtime) {
		keys = append(keys, "global.realtime")
	}
	if running.Control.Socket != next.Control.Socket {
		keys = append(keys, "control.socket")
	}
	return keys
}

// truthOf compares truths of which one may be absent.
func truthOf(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

// apply makes a plan true. Each driver compares for itself and leaves alone
// what has not changed. Pools come before probes, so that no result arrives
// for a check that its pool does not know; the election needs neither.
func (d *Daemon) apply(p plan) error {
	d.options.Level.Set(p.level)
	err := d.election.apply(p.electorate)
	d.balancer.Apply(p.services)
	d.plugins.Apply(p.specs)
	d.checks.Apply(p.probes)
	d.metrics.serve(p.next.Control.Metrics, p.metrics)

	now := time.Now()
	number := d.running.Load().number
	if number == 0 || !p.change.Empty() {
		number++
	}
	d.running.Store(&generation{Generation: p.next.Settled(), number: number, loaded: now, lastReload: now, reloadOK: true})
	time.AfterFunc(giveBackAfter, debug.FreeOSMemory)
	return err
}

// Reload implements control.Backend. Reloads that come while one is under way
// wait for their turn, and each reads the file as it is when that comes.
func (d *Daemon) Reload(ctx context.Context) control.ReloadReport {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-d.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	d.reloading.Lock()
	defer d.reloading.Unlock()
	tellReloading()
	defer tell(sdnotify.SdNotifyReady)

	running := d.running.Load()
	next, problems := load(ctx, running.File, d.discover(ctx, running.Generation))
	var p plan
	if next != nil {
		var more config.Problems
		if p, more = d.plan(running.Generation, next); !more.HasErrors() {
			more = append(more, d.settle(ctx, &p)...)
		}
		problems = append(problems, more...).Sorted()
	}
	report := control.ReloadReport{Schema: control.Schema, Generation: running.number, Changes: []string{}, Problems: []string{}, Warnings: []string{}}
	for _, w := range problems.Warnings() {
		report.Warnings = append(report.Warnings, w.String())
	}
	if problems.HasErrors() {
		for _, e := range problems.Errors() {
			report.Problems = append(report.Problems, e.String())
		}
		d.refused(running, report.Problems)
		return report
	}
	if err := d.apply(p); err != nil {
		// Only what validation should have found can fail here.
		report.Problems = append(report.Problems, err.Error())
		d.refused(d.running.Load(), report.Problems)
		return report
	}
	report.Applied, report.Generation = true, d.running.Load().number
	if text := strings.TrimSuffix(p.change.String(), "\n"); text != "" {
		report.Changes = strings.Split(text, "\n")
	}
	d.journal.Record(reloadEvent(report.Generation, len(report.Changes), ""))
	d.logger.Info("configuration applied", "generation", report.Generation, "changes", len(report.Changes))
	for _, change := range report.Changes {
		d.logger.Info("configuration changed", "change", change)
	}
	return report
}

// refused remembers why a file was not applied; what runs goes on.
func (d *Daemon) refused(running *generation, problems []string) {
	next := *running
	next.lastReload, next.reloadOK, next.reloadReason = time.Now(), false, problems[0]
	if more := len(problems) - 1; more > 0 {
		next.reloadReason += fmt.Sprintf(" (and %d more)", more)
	}
	d.running.Store(&next)
	d.journal.Record(reloadEvent(running.number, 0, next.reloadReason))
	d.logger.Error("configuration refused; the running one goes on", "generation", running.number, "problems", len(problems), "first", problems[0])
}

// discover asks the plugins with the daemon's own host. Its directories are
// those of the start; fixed refuses a file that names others.
func (d *Daemon) discover(ctx context.Context, g *config.Generation) func([]string) ([]pluginhost.Installed, error) {
	return func([]string) ([]pluginhost.Installed, error) { return d.plugins.Discover(ctx, pins(g)) }
}

// pins are the checksums that the configuration demands, by plugin.
func pins(g *config.Generation) map[string]string {
	sums := make(map[string]string)
	for name, p := range g.Plugins {
		if p.SHA256 != "" {
			sums[name] = p.SHA256
		}
	}
	return sums
}
