package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/halo-ha/halo/sdk/host"
)

// Config is what a Host needs to know. It is not changed after Open.
type Config struct {
	// Dirs are searched for plugins, first wins.
	Dirs []string
	// RuntimeDir holds the plugins' sockets, under plugins/. The plugins' users
	// must be able to pass through it. Empty means a directory of this Host's
	// own, which Close removes: for a command that asks plugins something while
	// a daemon may be running.
	RuntimeDir string
	// User is who "NAME describe" runs as.
	User string
	// Listener is told about sessions; nil for a Host that is never given
	// processes by Apply.
	Listener Listener
	// Changed is told of every change of a process's state, with the cause where
	// there is one; it must not block. May be nil.
	Changed func(id Identity, from, to State, cause string)
	Logger  *slog.Logger
}

// Host runs plugins. Create one with Open and end it with Close. All other
// methods may be called from any goroutine and, but for Discover and Validate,
// return at once.
type Host struct {
	config     Config
	owners     owners
	privileged bool
	spawner    *spawner
	describer  *describer
	sockets    sockets
	temporary  string
	last       atomic.Uint64 // incarnation

	// pending counts what later runs.
	pending sync.WaitGroup

	guard     sync.Mutex
	closed    bool
	processes map[Identity]*process
	// leaving holds processes that are not wanted any more but not gone yet.
	leaving   map[*process]struct{}
	installed []Installed
}

// Open prepares a Host. It starts no plugin and touches no file, except that
// it makes the directory of its own when the configuration names none.
func Open(config Config) (*Host, error) {
	h := &Host{
		config: config, owners: currentOwners(), privileged: privileged(),
		processes: make(map[Identity]*process), leaving: make(map[*process]struct{}),
	}
	runtimeDir := config.RuntimeDir
	if runtimeDir == "" {
		dir, err := os.MkdirTemp("", "halo-")
		if err != nil {
			return nil, fmt.Errorf("create directory for plugin sockets: %w", err)
		}
		h.temporary, runtimeDir = dir, dir
		if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the plugins' users must pass through it.
			return nil, errors.Join(fmt.Errorf("open directory for plugin sockets: %w", err), os.Remove(dir))
		}
	}
	h.sockets.root = filepath.Join(runtimeDir, "plugins")
	err := h.sockets.check()
	if err == nil {
		h.spawner, err = newSpawner()
	}
	if err != nil {
		return nil, errors.Join(err, h.removeTemporary())
	}
	h.describer = &describer{spawner: h.spawner, owners: h.owners, protocols: host.Protocols(), known: make(map[string]described)}
	if !h.privileged && config.RuntimeDir != "" {
		config.Logger.Warn("plugins run as the daemon's own user, since it may not change users (CAP_SETUID and CAP_SETGID are missing)")
	}
	return h, nil
}

// Sweep removes the sockets that an earlier daemon with the same runtime
// directory left behind. Only who holds that directory's lock may call it, and
// before the first Apply.
func (h *Host) Sweep() error { return h.sockets.sweep() }

// Discover finds every plugin and asks each what it is, in parallel and within
// seconds. Unchanged files are not asked again. pins maps plugin names to
// SHA-256 sums and may be nil. The error names plugin directories that could
// not be read; a plugin that cannot be used is no error, but has a Problem.
func (h *Host) Discover(ctx context.Context, pins map[string]string) ([]Installed, error) {
	account, err := h.account(h.config.User)
	if err != nil {
		return nil, fmt.Errorf("describe plugins: %w", err)
	}
	installed, err := h.describer.all(ctx, h.config.Dirs, account, pins)
	h.guard.Lock()
	h.installed = installed
	h.guard.Unlock()
	return installed, err
}

// Apply makes the processes of specs the ones that run: the missing are
// started, those not named are stopped, those to be run differently are
// restarted. It returns at once. A second spec of the same Identity is ignored.
func (h *Host) Apply(specs []Spec) {
	h.guard.Lock()
	defer h.guard.Unlock()
	if h.closed {
		return
	}
	wanted := make(map[Identity]struct{}, len(specs))
	for _, spec := range specs {
		if _, twice := wanted[spec.Identity]; twice {
			continue
		}
		wanted[spec.Identity] = struct{}{}
		spec = spec.clone()
		p, runs := h.processes[spec.Identity]
		switch {
		case !runs:
			h.processes[spec.Identity] = h.run(spec)
		case !reflect.DeepEqual(p.wanted(), spec):
			p.update(spec)
		}
	}
	for id, p := range h.processes {
		if _, ok := wanted[id]; ok {
			continue
		}
		delete(h.processes, id)
		h.leaving[p] = struct{}{}
		p.stop(time.Now().Add(stopTimeout))
	}
}

// clone makes a copy that shares nothing, and in which equal specs are equal.
func (s Spec) clone() Spec {
	s.Capabilities, s.Env = slices.Clone(s.Capabilities), maps.Clone(s.Env)
	slices.Sort(s.Capabilities)
	if len(s.Capabilities) == 0 {
		s.Capabilities = nil
	}
	if len(s.Env) == 0 {
		s.Env = nil
	}
	return s
}

// run starts supervising spec. The guard is held.
func (h *Host) run(spec Spec) *process {
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // for jitter.
	p := newProcess(spec, h, h.config.Listener, h.config.Logger, func() uint64 { return h.last.Add(1) }, random)
	p.changed = h.config.Changed
	go func() {
		p.supervise()
		h.guard.Lock()
		delete(h.leaving, p)
		h.guard.Unlock()
	}()
	return p
}

// Restart replaces the processes of a plugin by new ones: after its file was
// replaced, or to end a back-off. It returns at once.
func (h *Host) Restart(name string) error {
	h.guard.Lock()
	defer h.guard.Unlock()
	known := false
	for id, p := range h.processes {
		if id.Plugin == name {
			known = true
			p.restart()
		}
	}
	if !known {
		return fmt.Errorf("restart plugin %s: the configuration needs no such plugin", name)
	}
	return nil
}

// Validate asks a plugin about the settings of probes: the running process if
// there is one, else one that is started for it and ended again. It is for
// reloads and for "halo check", never for the path of an advertisement.
func (h *Host) Validate(ctx context.Context, spec Spec, probes []host.Probe) ([]host.Diagnostic, error) {
	h.guard.Lock()
	if h.closed {
		h.guard.Unlock()
		return nil, errClosed
	}
	// Close waits for what is under way.
	h.pending.Add(1)
	defer h.pending.Done()
	p := h.processes[spec.Identity]
	h.guard.Unlock()
	if p != nil {
		if validate := p.validator(); validate != nil {
			return validate(ctx, probes)
		}
	}
	i, err := h.start(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer i.End(context.WithoutCancel(ctx), true)
	return i.remote.Validate(ctx, probes)
}

// Snapshots tells about every wanted process and about every plugin that was
// discovered and has none, sorted by name and user.
func (h *Host) Snapshots() []Snapshot {
	h.guard.Lock()
	defer h.guard.Unlock()
	all := make([]Snapshot, 0, len(h.processes)+len(h.installed))
	for _, p := range h.processes {
		all = append(all, p.snapshot())
	}
	for p := range h.leaving {
		if _, again := h.processes[p.id]; !again {
			all = append(all, p.snapshot())
		}
	}
	for _, in := range h.installed {
		used := false
		for i := range all {
			if all[i].Plugin == in.Name {
				used = true
				all[i].Shadows = in.Shadows
				if all[i].Path == "" {
					all[i].fill(in)
				}
			}
		}
		if !used {
			s := Snapshot{Identity: Identity{Plugin: in.Name}, State: StateInstalled, Shadows: in.Shadows}
			s.fill(in)
			if in.Problem != nil {
				s.State, s.LastError = StateRefused, in.Problem.Error()
			}
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b Snapshot) int {
		return strings.Compare(a.Plugin+" "+a.User, b.Plugin+" "+b.User)
	})
	return all
}

// fill adds what the file says to what no process has said yet.
func (s *Snapshot) fill(in Installed) {
	s.Path, s.Version, s.Types = in.Path, in.Description.Version, in.Description.Types
	s.Protocol, _ = common(in.Description.Protocols, host.Protocols())
}

// Close stops every process, all at the same time, and returns when they are
// gone or ctx has ended; then the rest is killed. The Host cannot be used
// afterwards.
func (h *Host) Close(ctx context.Context) error {
	h.guard.Lock()
	h.closed = true
	by := time.Now().Add(stopTimeout)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(by) {
		// What is not gone by itself has to be killed in time.
		by = deadline.Add(-killReserve)
	}
	going := slices.Collect(maps.Keys(h.leaving))
	going = slices.AppendSeq(going, maps.Values(h.processes))
	clear(h.processes)
	h.guard.Unlock()

	var group errgroup.Group
	for _, p := range going {
		p.stop(by)
		group.Go(func() error {
			select {
			case <-p.gone:
				return nil
			case <-ctx.Done():
				return fmt.Errorf("stop plugin %s: %w", p.id, context.Cause(ctx))
			}
		})
	}
	err := group.Wait()
	if err == nil {
		// Nothing forks any more, so the thread that the children's lives hang
		// on can go. After a failure it stays until the daemon ends.
		settled := make(chan struct{})
		go func() { h.pending.Wait(); close(settled) }()
		if await(ctx, settled, endTimeout) {
			h.spawner.close()
		}
	}
	return errors.Join(err, h.removeTemporary())
}

func (h *Host) removeTemporary() error {
	if h.temporary == "" {
		return nil
	}
	return os.RemoveAll(h.temporary)
}

// later runs f in a goroutine that nobody waits for but Close.
func (h *Host) later(f func()) { h.pending.Go(f) }

// account finds the user a process of spec is to run as.
func (h *Host) account(name string) (account, error) { return lookupAccount(name, h.privileged) }

// warnings names what is limited about a running process.
func (h *Host) warnings(spec Spec, a account) []string {
	switch {
	case a.same && a.name != spec.User:
		return []string{fmt.Sprintf("runs as %s instead of %s: the daemon may not change users", a.name, spec.User)}
	case a.uid == 0:
		return []string{"runs as root: what a plugin can do to this machine is not limited"}
	}
	return nil
}
