package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/halo-ha/halo/sdk/host"
)

// startTimeout is how long a plugin may take from fork to handshake, and
// openTimeout from there to its open session.
const (
	startTimeout = 5 * time.Second
	openTimeout  = 5 * time.Second
)

// logLevelVariable tells a plugin what need not be written at all.
const logLevelVariable = "HALO_PLUGIN_LOG_LEVEL"

// launch starts spec and opens a session with it.
func (h *Host) launch(ctx context.Context, spec Spec, incarnation uint64) (*launched, error) {
	i, err := h.start(ctx, spec)
	if err != nil {
		return nil, err
	}
	opening, cancel := context.WithTimeoutCause(ctx, openTimeout, fmt.Errorf("no session within %s", openTimeout))
	defer cancel()
	if err := i.open(opening, incarnation); err != nil {
		return nil, h.abandon(ctx, i.runner, i.client, &startError{name: spec.Plugin, path: i.runner.Name(), err: err})
	}
	return &launched{
		description: i.description, protocol: i.client.NegotiatedVersion(), pid: i.runner.child.pid,
		path: i.runner.Name(), runsAs: i.runner.command.account.name,
		warnings: h.warnings(spec, i.runner.command.account),
		session:  i.stream, running: i, validate: i.remote.Validate,
	}, nil
}

// startError says which plugin could not be started, and why.
type startError struct {
	name, path string
	err        error
}

func (e *startError) Error() string {
	return fmt.Sprintf("start plugin %s (%s): %v", e.name, e.path, e.err)
}

func (e *startError) Unwrap() error { return e.err }

// start runs the plugin of spec up to the point where it answers calls.
func (h *Host) start(ctx context.Context, spec Spec) (*instance, error) {
	r, err := h.prepare(spec)
	if err != nil {
		return nil, err
	}
	defer r.command.program.close()
	client := plugin.NewClient(h.clientConfig(spec, r))
	// go-plugin cannot be interrupted, but the process it waits for can be ended.
	defer context.AfterFunc(ctx, func() { _ = r.Kill(ctx) })()

	opening := ctx
	fail := func(err error) error {
		if opening.Err() != nil {
			err = context.Cause(opening)
		}
		return h.abandon(ctx, r, client, &startError{name: spec.Plugin, path: r.Name(), err: err})
	}
	if _, err := client.Start(); err != nil {
		return nil, fail(h.explainStart(ctx, r, err))
	}
	opening, cancel := context.WithTimeoutCause(ctx, openTimeout, fmt.Errorf("no answer within %s", openTimeout))
	defer cancel()
	// A plugin that accepts the connection and then says nothing is ended like
	// one that does not start.
	stop := context.AfterFunc(opening, func() { _ = r.Kill(opening) })
	defer stop()
	rpc, err := client.Client()
	if err != nil {
		return nil, fail(fmt.Errorf("connect: %w", err))
	}
	dispensed, err := rpc.Dispense(host.Name)
	if err != nil {
		return nil, fail(err)
	}
	i := &instance{runner: r, client: client, later: h.later}
	if i.remote, err = host.NewClient(dispensed); err != nil {
		return nil, fail(err)
	}
	if i.description, err = i.remote.Describe(opening); err != nil {
		return nil, fail(err)
	}
	if i.description.Name != spec.Plugin {
		return nil, fail(fmt.Errorf("describe: it calls itself %q", i.description.Name))
	}
	return i, nil
}

// prepare checks and opens the file, and everything else that can be wrong
// before anything runs. What it reports stays wrong until somebody changes it,
// except a lack of resources.
func (h *Host) prepare(spec Spec) (*childRunner, error) {
	found, err := locate(h.config.Dirs, spec.Plugin)
	if err != nil {
		return nil, &permanentError{err}
	}
	account, err := h.account(spec.User)
	if err != nil {
		return nil, &permanentError{fmt.Errorf("start plugin %s: %w", spec.Plugin, err)}
	}
	ambient := make([]uintptr, 0, len(spec.Capabilities))
	for _, name := range spec.Capabilities {
		number, err := capabilityNumber(name)
		if err == nil && !effectiveCapability(int(number)) {
			err = fmt.Errorf("capability %q: halo does not have it itself; add it to halo's own (AmbientCapabilities= in its unit)", name)
		}
		if err != nil {
			return nil, &permanentError{fmt.Errorf("start plugin %s: %w", spec.Plugin, err)}
		}
		ambient = append(ambient, number)
	}
	program, err := openProgram(found.path, spec.SHA256, h.owners)
	if err != nil {
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			return nil, err
		}
		return nil, &permanentError{err}
	}
	dir, err := h.sockets.make(account)
	if err == nil {
		err = h.sockets.reachable(account)
	}
	if err != nil {
		program.close()
		if dir != "" {
			_ = os.Remove(dir)
		}
		return nil, fmt.Errorf("start plugin %s: %w", spec.Plugin, err)
	}
	return &childRunner{
		spawner:   h.spawner,
		command:   command{program: program, account: account, ambient: ambient, lifeline: true},
		socketDir: dir, words: &lastWords{},
		log: &pluginLog{logger: h.config.Logger.With(slog.String("plugin", spec.Plugin))},
	}, nil
}

// clientConfig is what go-plugin is told.
func (h *Host) clientConfig(spec Spec, r *childRunner) *plugin.ClientConfig {
	level := "info"
	if h.config.Logger.Enabled(context.Background(), slog.LevelDebug) {
		level = "debug"
	}
	return &plugin.ClientConfig{
		HandshakeConfig:  host.Handshake(),
		VersionedPlugins: host.PluginSet(),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     startTimeout,
		GRPCDialOptions:  dialOptions(),
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       &lineWriter{log: r.log, stream: "stdout"},
		SyncStderr:       &lineWriter{log: r.log, stream: "stderr"},
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: h.sockets.root},
		RunnerFunc: func(_ hclog.Logger, want *exec.Cmd, unused string) (runner.Runner, error) {
			// go-plugin's own directory would belong to the daemon's user.
			_ = os.Remove(unused)
			handshake := make([]string, 0, len(want.Env)+2)
			for _, variable := range want.Env {
				if !strings.HasPrefix(variable, plugin.EnvUnixSocketDir+"=") {
					handshake = append(handshake, variable)
				}
			}
			handshake = append(handshake, plugin.EnvUnixSocketDir+"="+r.socketDir, logLevelVariable+"="+level)
			r.command.environment = environment(spec.Env, handshake)
			return r, nil
		},
	}
}

// abandon ends what a failed start left behind, and completes the error with
// how the process ended and what it said.
func (h *Host) abandon(ctx context.Context, r *childRunner, client *plugin.Client, failure *startError) error {
	if r.child == nil {
		_ = removeSockets(r.socketDir)
		return failure
	}
	// A process that is about to end by itself has a better story to tell
	// than one that was killed.
	await(ctx, r.child.dead, streamGrace)
	i := &instance{runner: r, client: client, later: h.later}
	end := i.End(context.Background(), false)
	byItself := isClosed(r.child.dead) && r.child.byItself()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if incompatible, ok := errors.AsType[*IncompatibleError](failure.err); ok {
		return &permanentError{incompatible}
	}
	switch {
	case byItself && end.cause != "":
		failure.err = fmt.Errorf("%s before it was ready: %s", end.how, end.cause)
	case byItself:
		failure.err = fmt.Errorf("%s before it was ready, without a word", end.how)
	case end.cause != "":
		failure.err = fmt.Errorf("%w; it said last: %s", failure.err, end.cause)
	}
	return &launchError{error: failure, words: end.words}
}

// explainStart puts go-plugin's error into words that help.
func (h *Host) explainStart(ctx context.Context, r *childRunner, err error) error {
	if r.child == nil {
		if permanentExec(err) {
			return &permanentError{err}
		}
		return err
	}
	refusal := r.refused()
	if version, ok := errors.AsType[*versionError](refusal); ok {
		// The handshake names one version only; the description has them all.
		name := r.command.program.name()
		in := h.describer.one(ctx, found{name: name, path: r.Name()}, r.command.account, "")
		if incompatible, ok := errors.AsType[*IncompatibleError](in.Problem); ok {
			return incompatible
		}
		return &IncompatibleError{Name: name, Path: r.Name(), Plugin: []int{version.offered}, Host: host.Protocols()}
	}
	switch {
	case refusal != nil:
		return refusal
	case strings.HasPrefix(err.Error(), "timeout while waiting"):
		return fmt.Errorf("no handshake within %s", startTimeout)
	case strings.HasPrefix(err.Error(), "Unrecognized remote plugin message"), strings.HasPrefix(err.Error(), "plugin exited before"):
		return errors.New("its stdout ended without a handshake")
	}
	return err
}

// permanentExec reports errors of exec that will not go away by themselves.
func permanentExec(err error) bool {
	for _, errno := range []syscall.Errno{syscall.ENOEXEC, syscall.ENOENT, syscall.EACCES, syscall.EPERM, syscall.ELIBBAD} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// fingerprint sums up what a start of spec depends on outside this process.
func (h *Host) fingerprint(spec Spec) string {
	found, err := locate(h.config.Dirs, spec.Plugin)
	if err != nil {
		return err.Error()
	}
	target, stamp, err := h.owners.verify(found.path)
	account, accountErr := h.account(spec.User)
	return fmt.Sprint(found.path, target, stamp, err, account, accountErr)
}
