package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/go-plugin/runner"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/host"
)

// childRunner is go-plugin's view of a child. It stands between the two so
// that go-plugin sees exactly what it can digest: one handshake line, an
// address inside the plugin's own directory, and an end of output that comes
// with the end of the process.
type childRunner struct {
	spawner *spawner
	command command
	// socketDir is the only directory a plugin may have its socket in.
	socketDir string
	log       *pluginLog
	words     *lastWords

	// child is nil until Start succeeded; said is closed when its stderr has
	// been read to the end. Written under guard, and only by Start.
	child  *child
	said   chan struct{}
	stdout *io.PipeReader

	guard   sync.Mutex
	refusal error
	aborted bool
}

var errAborted = errors.New("start aborted")

var _ runner.Runner = (*childRunner)(nil)

// Start forks the child and starts reading what it prints.
func (r *childRunner) Start(context.Context) error {
	// Under the guard, so that a Kill that comes meanwhile finds the child.
	r.guard.Lock()
	defer r.guard.Unlock()
	if r.aborted {
		return errAborted
	}
	k, err := r.spawner.start(r.command)
	if err != nil {
		return err
	}
	r.child, r.said = k, make(chan struct{})
	read, write := io.Pipe()
	r.stdout = read
	go r.readStdout(k, write)
	go r.readStderr(k)
	return nil
}

// readStdout gives the first line to go-plugin and the others to the log.
func (r *childRunner) readStdout(k *child, write *io.PipeWriter) {
	defer closeAll(k.stdout)
	first := true
	readLines(k.stdout, func(text []byte, cut bool) {
		if !first {
			r.log.write(context.Background(), parseEntry(text), "stdout", cut)
			return
		}
		first = false
		if err := checkHandshake(string(text)); err != nil {
			r.guard.Lock()
			r.refusal = err
			r.guard.Unlock()
		}
		_, _ = fmt.Fprintf(write, "%s\n", text)
	})
	_ = write.Close()
}

func (r *childRunner) readStderr(k *child) {
	defer close(r.said)
	defer closeAll(k.stderr)
	readLines(k.stderr, func(text []byte, cut bool) {
		e := parseEntry(text)
		if r.words.add(e) {
			// The first line of it says enough, and the last ones are kept.
			e.level = slog.LevelDebug
		}
		r.log.write(context.Background(), e, "stderr", cut)
	})
}

// handshakeFields is how many fields the handshake line has at least:
// go-plugin's own version, the protocol version, network, address, protocol.
const handshakeFields = 5

// versionError says which protocol version a plugin offered that this halo
// does not speak.
type versionError struct{ offered int }

func (e *versionError) Error() string {
	return "protocol " + strconv.Itoa(e.offered) + " is not spoken here"
}

// checkHandshake judges the line before go-plugin does, whose own words name
// neither the plugin nor a remedy.
func checkHandshake(line string) error {
	fields := strings.Split(strings.TrimSpace(line), "|")
	if len(fields) < handshakeFields {
		return fmt.Errorf("the first line on its stdout is %q instead of the handshake: it prints before it serves, or is not a halo plugin", shorten(printable(line), longestName))
	}
	version, err := strconv.Atoi(fields[1])
	if err != nil {
		return fmt.Errorf("its handshake has %q where the protocol version should be", shorten(printable(fields[1]), longestName))
	}
	if !slices.Contains(host.Protocols(), version) {
		return &versionError{offered: version}
	}
	return nil
}

// refused returns what is wrong with the handshake; nil if nothing is.
func (r *childRunner) refused() error {
	r.guard.Lock()
	defer r.guard.Unlock()
	return r.refusal
}

// Wait returns when the child is dead.
func (r *childRunner) Wait(context.Context) error {
	<-r.child.dead
	return nil
}

// Kill ends the child's whole group, or keeps it from being started.
func (r *childRunner) Kill(context.Context) error {
	r.guard.Lock()
	defer r.guard.Unlock()
	r.aborted = true
	if r.child != nil {
		r.child.signal(unix.SIGKILL)
	}
	return nil
}

// Diagnose has nothing to add: the error is made here.
func (r *childRunner) Diagnose(context.Context) string { return "" }

// Stdout carries the handshake line alone.
func (r *childRunner) Stdout() io.ReadCloser { return r.stdout }

// Stderr is empty for go-plugin: it is read here. It ends with the child.
func (r *childRunner) Stderr() io.ReadCloser { return untilDead{r.child.dead} }

// Name is the path the plugin was found as.
func (r *childRunner) Name() string { return r.command.program.path }

// ID is the process id; empty before Start.
func (r *childRunner) ID() string {
	if r.child == nil {
		return ""
	}
	return strconv.Itoa(r.child.pid)
}

// PluginToHost checks the address of the handshake: a plugin cannot make the
// daemon, which has more rights, connect to somebody else's socket.
func (r *childRunner) PluginToHost(network, address string) (hostNetwork, hostAddress string, err error) {
	if network != "unix" || filepath.Dir(address) != r.socketDir {
		return "", "", fmt.Errorf("it listens on %s %q, not on a unix socket in %s", network, shorten(printable(address), longestSocket), r.socketDir)
	}
	// The directory first: from then on nobody else can change what is in it.
	if err := r.seize(r.socketDir); err != nil {
		return "", "", err
	}
	info, err := os.Lstat(address)
	if err != nil {
		return "", "", fmt.Errorf("check its socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return "", "", fmt.Errorf("check its socket: %s is %s, not a socket", address, info.Mode())
	}
	if err := r.seize(address); err != nil {
		return "", "", err
	}
	return network, address, nil
}

// seize takes path from the plugin's user, if that is not the daemon's own.
func (r *childRunner) seize(path string) error {
	if r.command.account.same {
		return nil
	}
	if err := seize(path); err != nil {
		return fmt.Errorf("take its socket over: %w", err)
	}
	return nil
}

// HostToPlugin is for connections the other way, which halo does not use.
func (r *childRunner) HostToPlugin(string, string) (pluginNetwork, pluginAddress string, err error) {
	return "", "", errors.ErrUnsupported
}

// untilDead is a stream without content that ends with a process.
type untilDead struct{ dead <-chan struct{} }

func (u untilDead) Read([]byte) (int, error) {
	<-u.dead
	return 0, io.EOF
}

func (untilDead) Close() error { return nil }
