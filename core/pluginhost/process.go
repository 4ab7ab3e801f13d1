package pluginhost

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/halo-ha/halo/sdk/host"
	"github.com/halo-ha/halo/sdk/schema"
)

// lookAgain is how often a plugin that cannot be started is looked at for a
// change, a new file or new permissions, that is worth another attempt.
const lookAgain = time.Second

// launcher starts processes. The real one is launch; tests have their own.
type launcher interface {
	// launch starts spec and returns when its session is open. It gives up, and
	// leaves nothing behind, when ctx ends. A *permanentError says that another
	// attempt is pointless while fingerprint stays the same.
	launch(ctx context.Context, spec Spec, incarnation uint64) (*launched, error)
	// fingerprint sums up what a launch of spec depends on.
	fingerprint(spec Spec) string
}

// launched is a process with an open session.
type launched struct {
	description   schema.Plugin
	protocol, pid int
	path, runsAs  string
	warnings      []string
	session       sender
	running       running
	// validate asks the process about probes' settings.
	validate func(context.Context, []host.Probe) ([]host.Diagnostic, error)
}

// running is the receiving half, and the life, of a process.
type running interface {
	// Recv returns the next message, or why there will be none.
	Recv() (host.Message, error)
	// Dead is closed when the process has ended.
	Dead() <-chan struct{}
	// End ends the process, kindly if graceful, and returns when it is gone or
	// ctx has ended. Recv fails from then on. It says how the process ended.
	End(ctx context.Context, graceful bool) ending
}

// ending is the last of a process.
type ending struct {
	how   string   // "exited with status 2", "killed by SIGSEGV"
	cause string   // its last words in one line; empty when it had none
	words []string // its last lines on stderr
}

// launchError is an error of a launch, with what the process said before it
// was ended.
type launchError struct {
	error
	words []string
}

func (e *launchError) Unwrap() error { return e.error }

// permanentError wraps what makes every further attempt pointless until
// something outside changes.
type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

// process supervises one Identity: it starts it, listens to it, notices its
// end and starts it again. supervise is its only goroutine besides a receiver
// for each running process.
type process struct {
	id          Identity
	launcher    launcher
	listener    Listener
	logger      *slog.Logger
	incarnation func() uint64
	backoff     backoff
	changed     func(id Identity, from, to State, cause string) // nil: nobody wants to know

	// again asks for a new process, whatever state this one is in; capacity 1.
	again chan struct{}
	// quit is closed when the process is to stop for good, and gone when it has.
	quit, gone chan struct{}

	guard    sync.Mutex
	spec     Spec
	quitting bool
	stopBy   time.Time
	shown    Snapshot
	session  *Session // of the running process; nil when none runs
	validate func(context.Context, []host.Probe) ([]host.Diagnostic, error)
}

func newProcess(spec Spec, l launcher, listener Listener, logger *slog.Logger, incarnation func() uint64, random *rand.Rand) *process {
	return &process{
		id: spec.Identity, launcher: l, listener: listener, incarnation: incarnation,
		logger:  logger.With(slog.String("plugin", spec.Plugin), slog.String("user", spec.User)),
		backoff: backoff{random: random},
		again:   make(chan struct{}, 1), quit: make(chan struct{}), gone: make(chan struct{}),
		spec:  spec,
		shown: Snapshot{Identity: spec.Identity, State: StateStarting, Since: time.Now()},
	}
}

// restart asks for a new process. It does not wait.
func (p *process) restart() {
	select {
	case p.again <- struct{}{}:
	default:
	}
}

// update changes how the process is to be run, and restarts it.
func (p *process) update(spec Spec) {
	p.guard.Lock()
	p.spec = spec
	p.guard.Unlock()
	p.restart()
}

// stop asks the process to be gone by the given time. It does not wait: gone
// is closed then. A later call can only make it earlier.
func (p *process) stop(by time.Time) {
	p.guard.Lock()
	defer p.guard.Unlock()
	if !p.quitting {
		p.quitting, p.stopBy = true, by
		close(p.quit)
	} else if by.Before(p.stopBy) {
		p.stopBy = by
	}
}

// verdict is how one attempt to run the process went.
type verdict struct {
	// err is nil when the process was asked to stop or to restart.
	err error
	// healthy is how long the session was open.
	healthy time.Duration
	// restart is set when a new process was asked for.
	restart bool
	// fingerprint is that of before the attempt.
	fingerprint string
}

// supervise runs the process until stop.
func (p *process) supervise() {
	defer close(p.gone)
	for first := true; !p.stopped(); first = false {
		v := p.attempt(first)
		switch {
		case p.stopped():
		case v.restart:
			p.backoff.reset()
		default:
			p.pause(v)
		}
	}
	p.show(StateStopping, "")
}

// pause waits until the next start is due: after the back-off, at once when
// somebody asks for it, and for a plugin that cannot work, when something
// changes that may let it work.
func (p *process) pause(v verdict) {
	var due <-chan time.Time
	var look *time.Ticker
	var changed <-chan time.Time
	state := StateRefused
	if _, ok := errors.AsType[*permanentError](v.err); !ok {
		wait, open := p.backoff.failed(time.Now(), v.healthy)
		state = StateBackoff
		if open {
			state = StateFailed
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	p.show(state, v.err.Error())
	if state != StateBackoff {
		look = time.NewTicker(lookAgain)
		defer look.Stop()
		changed = look.C
	}
	for {
		select {
		case <-p.quit:
			return
		case <-p.again:
			p.backoff.reset()
			return
		case <-due:
			return
		case <-changed:
			if p.launcher.fingerprint(p.wanted()) != v.fingerprint {
				p.logger.Info("plugin changed, starting it again")
				p.backoff.reset()
				return
			}
		}
	}
}

// attempt starts the process and stays with it until it ends.
func (p *process) attempt(first bool) verdict {
	// A wish from before this start is fulfilled by it.
	select {
	case <-p.again:
	default:
	}
	spec := p.wanted()
	v := verdict{fingerprint: p.launcher.fingerprint(spec)}
	incarnation := p.incarnation()
	p.guard.Lock()
	if !first {
		p.shown.Restarts++
	}
	p.shown.Incarnation = incarnation
	p.guard.Unlock()
	p.show(StateStarting, "")

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-p.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	l, err := p.launcher.launch(ctx, spec, incarnation)
	if err != nil {
		v.err = err
		if failed, ok := errors.AsType[*launchError](err); ok {
			p.guard.Lock()
			p.shown.LastWords = failed.words
			p.guard.Unlock()
		}
		return v
	}
	return p.serve(l, incarnation, v)
}

func (p *process) wanted() Spec {
	p.guard.Lock()
	defer p.guard.Unlock()
	return p.spec
}

func (p *process) stopped() bool {
	return isClosed(p.quit)
}

// show enters a state and logs it, once per change.
func (p *process) show(state State, cause string) {
	p.guard.Lock()
	from := p.shown.State
	repeated := from == state && (cause == "" || p.shown.LastError == cause)
	if from != state {
		p.shown.State, p.shown.Since = state, time.Now()
	}
	if cause != "" {
		p.shown.LastError = cause
	}
	pid, restarts := p.shown.PID, p.shown.Restarts
	p.guard.Unlock()
	if repeated {
		return
	}
	if from != state && p.changed != nil {
		p.changed(p.id, from, state, cause)
	}
	level := slog.LevelInfo
	switch state {
	case StateInstalled, StateStarting, StateStopping:
		level = slog.LevelDebug
	case StateRunning:
	case StateUnresponsive, StateBackoff:
		level = slog.LevelWarn
	case StateFailed, StateRefused:
		level = slog.LevelError
	}
	attributes := []slog.Attr{slog.String("from", string(from)), slog.String("to", string(state)), slog.Int("restarts", restarts)}
	if pid != 0 {
		attributes = append(attributes, slog.Int("pid", pid))
	}
	if cause != "" {
		attributes = append(attributes, slog.String("reason", cause))
	}
	p.logger.LogAttrs(context.Background(), level, "plugin state", attributes...)
}

// validator returns how to ask the running process; nil when none runs.
func (p *process) validator() func(context.Context, []host.Probe) ([]host.Diagnostic, error) {
	p.guard.Lock()
	defer p.guard.Unlock()
	return p.validate
}

// snapshot returns what there is to tell.
func (p *process) snapshot() Snapshot {
	p.guard.Lock()
	defer p.guard.Unlock()
	s := p.shown
	if p.session != nil {
		s.Probes, _ = p.session.load()
	}
	return s
}
