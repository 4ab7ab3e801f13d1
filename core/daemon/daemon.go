package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sdnotify "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/balance"
	"github.com/halo-ha/halo/core/checks"
	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/kernel/ipvsnl"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/tenant"
	"github.com/halo-ha/halo/core/pluginhost"
)

// Options are what the command line decides.
type Options struct {
	ConfigFile string
	Version    string
	// Logger must not block: a log that nobody reads may not hold up the core.
	Logger *slog.Logger
	// Level is set from [global] log_level, also by a reload.
	Level *slog.LevelVar
}

// Daemon is a running halo.
type Daemon struct {
	options Options
	logger  *slog.Logger
	started time.Time
	journal *journal.Journal

	lock    *lock
	tenant  *tenant.Tenant
	rtnl    *rtnl.Handle
	monitor *rtnl.Monitor
	arp     *rawsock.Announcer
	ipvs    *ipvsnl.Handle

	election *election
	balancer *balance.Balancer
	checks   *checks.Checks
	plugins  *pluginhost.Host
	metrics  metricsServer

	// reloading makes reloads queue; what it guards is only changed by apply.
	reloading sync.Mutex
	// stopping is closed when the stop begins: a reload under way gives up, and
	// none begins.
	stopping chan struct{}
	running  atomic.Pointer[generation]
	ready    atomic.Bool
	// unhurried is why the daemon is not in real time although it should be.
	unhurried error
}

// stopTimeout bounds the whole stop; the unit's TimeoutStopSec is longer.
const stopTimeout = 2 * time.Second

// Run starts halo and works until ctx ends, then stops it: virtual routers
// resign, addresses go, halo's own services go, plugins are stopped. The error
// says why it could not start or what was left behind.
func Run(ctx context.Context, o Options) error {
	frugal()
	d := &Daemon{options: o, logger: o.Logger, started: time.Now(), stopping: make(chan struct{})}
	d.journal = journal.New(d.started, journal.Limit)
	d.journal.Record(haloEvent("", haloStarting))
	// From the first moment: a reload asked for while halo starts waits for its
	// turn, and whoever read the log may end without ending halo. (Ignoring
	// SIGPIPE instead would be inherited by plugins and their scripts.)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	defer signal.Stop(hangups)
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)

	// The plugins are asked about the file once the election runs, which must
	// not wait for them. A file that is wrong without them is judged whole.
	g, problems := config.Load(o.ConfigFile, config.Unseen{})
	if problems.HasErrors() {
		_, problems = load(ctx, o.ConfigFile, discoverAlone(ctx, o.Logger))
		return invalid(problems)
	}
	var err error
	if d.lock, err = takeLock(g.Global.RuntimeDir); err != nil {
		return err
	}
	defer d.lock.release()
	if err := privileges(g); err != nil {
		return err
	}
	if d.unhurried = hasten(g, d.logger); d.unhurried != nil {
		d.logger.Warn("not as [global] realtime asks for", "reason", d.unhurried)
	}
	if err := d.open(g); err != nil {
		return errors.Join(err, d.closeEdges())
	}
	defer func() { _ = d.closeEdges() }()
	return d.live(ctx, g, hangups)
}

// frugal keeps the memory near what is in use. What the daemon holds is its
// configuration and the state of its objects, which stay; what it throws away
// between two changes is little, so that collecting four times as often costs
// next to nothing. GOGC in the environment has precedence.
func frugal() {
	const percent = 25
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// giveBackAfter is when the memory that a change has needed is given back: the
// text of the configuration and the first results of its probes are garbage by
// then, as large as what stays. The collection itself goes on beside the rest.
const giveBackAfter = 10 * time.Second

// privileges refuses a generation whose privileges this process lacks.
func privileges(g *config.Generation) error {
	effective, err := effectiveCapabilities()
	if err != nil {
		return err
	}
	return privilegeError(missing(needed(g), effective))
}

// open makes the edges and the drivers. Nothing runs yet.
func (d *Daemon) open(g *config.Generation) error {
	var err error
	if d.tenant, err = tenant.Enter(); err != nil {
		return err
	}
	if d.rtnl, err = rtnl.Open(); err != nil {
		return err
	}
	if d.monitor, err = rtnl.Watch(); err != nil {
		return err
	}
	d.arp = rawsock.NewAnnouncer()
	if d.ipvs, err = ipvsnl.Open(); err != nil {
		return err
	}
	d.election = newElection(d.rtnl, d.arp, realSockets(), d.journal, d.logger)
	epoch, err := d.ipvs.Epoch()
	if err != nil {
		return err
	}
	d.balancer = balance.New(balance.Config{
		Kernel: d.ipvs, Observer: narrator{d.journal, d.logger, d.election.tracking.serviceChanged}, Log: d.logger,
		Record: filepath.Join(g.Global.RuntimeDir, "ipvs.owned"), Epoch: epoch,
	})
	d.checks = checks.New(verdicts{d.balancer, d.election.tracking}, d.logger)
	d.plugins, err = pluginhost.Open(pluginhost.Config{
		Dirs: g.Global.PluginDirs, RuntimeDir: g.Global.RuntimeDir, User: g.Global.PluginUser,
		Listener: listener{d.checks}, Logger: d.logger,
		Changed: func(id pluginhost.Identity, from, to pluginhost.State, cause string) {
			d.journal.Record(pluginEvent(id, from, to, cause))
		},
	})
	if err != nil {
		return err
	}
	if err := d.plugins.Sweep(); err != nil {
		d.logger.Warn("sockets of an earlier run are left", "error", err)
	}
	d.metrics = metricsServer{handler: control.MetricsHandler(d.Status, d.ready.Load), logger: d.logger}
	return nil
}

func (d *Daemon) closeEdges() error {
	var failures []error
	if d.ipvs != nil {
		failures = append(failures, d.ipvs.Close())
	}
	if d.arp != nil {
		failures = append(failures, d.arp.Close())
	}
	if d.rtnl != nil {
		failures = append(failures, d.rtnl.Close())
	}
	if d.tenant != nil {
		failures = append(failures, d.tenant.Close())
	}
	return errors.Join(failures...)
}

// live runs everything until ctx ends or something essential breaks.
func (d *Daemon) live(ctx context.Context, g *config.Generation, hangups <-chan os.Signal) error {
	listener, err := control.Listen(g.Control.Socket)
	if err != nil {
		return errors.Join(err, d.plugins.Close(ctx))
	}
	broken := make(chan error, 16) // more than there are essentials, so that none waits to tell
	essential := func(what string, run func(context.Context) error) (stop func() error) {
		// What is essential ends when it is told to, in the order of the stop,
		// and not when ctx does.
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan error, 1)
		go func() {
			err := run(own)
			if own.Err() == nil {
				broken <- fmt.Errorf("%s ended: %w", what, err)
			}
			ended <- err
		}()
		return func() error { cancel(); return <-ended }
	}
	changes := d.monitor.Subscribe()
	defer changes.Close()
	stopMonitor := essential("watch of the kernel's links", d.monitor.Run)
	stopWatch := essential("watch of links", func(ctx context.Context) error { d.election.watch(ctx, changes); return nil })
	stopTracking := essential("tracking", d.election.tracking.run)
	stopConflicts := essential("watch for address conflicts", d.election.conflicts.run)
	stopVirtual := essential("virtual links", d.election.virtual.run)
	stopAdvertising := essential("router advertisements", d.election.advertising.Run)
	stopRouting := essential("watch of routes and rules", d.election.routing.run)
	stopAddresses := essential("owner of addresses", d.election.addresses.Run)
	stopBalancer := essential("balancer", d.balancer.Run)

	stopControl := essential("control socket", func(ctx context.Context) error {
		return control.Serve(ctx, listener, control.Handler(d), d.logger)
	})

	switch err = d.begin(ctx, g); {
	case err == nil:
		err = d.wait(ctx, hangups, broken)
	case ctx.Err() != nil:
		err = nil // told to stop while starting
	}
	was := haloStarting
	if d.ready.Swap(false) {
		was = haloRunning
	}
	tell(sdnotify.SdNotifyStopping)
	d.logger.Info("stopping")
	d.journal.Record(haloEvent(was, haloStopping))
	close(d.stopping)
	d.reloading.Lock() // for good: what is applied from here on would never be taken back

	// First the election, so that nobody is left waiting for an advertisement
	// that will not come; then what it announced, beside the services.
	d.election.close()
	var stopping sync.WaitGroup
	failures := make([]error, 7)
	stopping.Go(func() { failures[0] = errors.Join(stopAddresses(), stopVirtual()) })
	stopping.Go(func() { failures[1] = stopBalancer() })
	stopping.Go(func() { failures[4] = stopTracking() })
	stopping.Go(func() { failures[5] = stopConflicts() })
	stopping.Go(func() { failures[6] = stopAdvertising() })
	stopping.Go(func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		failures[2] = d.plugins.Close(limit)
		d.checks.Close()
	})
	stopping.Go(func() { d.metrics.close() })
	stopping.Wait()
	// Whoever follows the events gets the last one.
	d.journal.Record(haloEvent(haloStopping, haloStopped))
	d.journal.Close()
	failures[3] = stopControl()
	return errors.Join(err, errors.Join(failures...), stopRouting(), stopWatch(), stopMonitor())
}

// invalid is why a start ends.
func invalid(problems config.Problems) error {
	return fmt.Errorf("the configuration is not valid:\n%s", strings.TrimSuffix(problems.String(), "\n"))
}

// begin applies the first generation and reports readiness. The election
// begins at once, by what unseen says of it; then the plugins are asked about
// the rest of the file.
func (d *Daemon) begin(ctx context.Context, unseen *config.Generation) error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	electorate, err := prepare(unseen, d.hold(unseen))
	if err != nil {
		return err
	}
	d.running.Store(&generation{Generation: unseen, loaded: time.Now(), reloadOK: true})
	if err := d.election.apply(electorate); err != nil {
		return err
	}
	d.election.sweep(d.tenant.Alone)
	g, problems := load(ctx, unseen.File, d.discover(ctx, unseen))
	if g == nil {
		return invalid(problems)
	}
	plan, more := d.plan(nil, g)
	for _, key := range fixed(unseen, g) {
		more = append(more, config.Problem{Position: config.Position{File: g.File}, Key: key, Message: "changed while halo was starting"})
	}
	if !more.HasErrors() {
		more = append(more, d.settle(ctx, &plan)...)
	}
	if problems = append(problems, more...).Sorted(); problems.HasErrors() {
		return invalid(problems)
	}
	for _, p := range problems {
		d.logger.Warn("configuration", "problem", p.String())
	}
	if err := d.apply(plan); err != nil {
		return err
	}
	d.ready.Store(true)
	tell(sdnotify.SdNotifyReady)
	d.journal.Record(haloEvent(haloStarting, haloRunning))
	d.logger.Info("running", "version", d.options.Version, "config", g.File, "instances", len(g.Instances), "services", len(g.VirtualServers))
	return nil
}

// wait returns when ctx ends (nil) or something essential has broken. SIGHUP
// meanwhile reloads.
func (d *Daemon) wait(ctx context.Context, hangups <-chan os.Signal, broken <-chan error) error {
	watchdog, stop := context.WithCancel(ctx)
	defer stop()
	go feedWatchdog(watchdog, d.alive)
	var reloads sync.WaitGroup
	defer reloads.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return err
		case <-hangups:
			reloads.Go(func() { d.Reload(ctx) })
		}
	}
}

// alive tells whether the loops that matter answer.
func (d *Daemon) alive() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := d.election.snapshots(ctx)
	return err == nil
}
