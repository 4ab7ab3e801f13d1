package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/halo-ha/halo/core/control"
)

// Halo is a running `halo run` on a host.
type Halo struct {
	*Process
	host       *Host
	client     *control.Client
	config     string
	runtimeDir string
	global     string          // further lines of [global]
	through    []string        // the program that starts it, with arguments; none = directly
	prepare    func(*exec.Cmd) // nil = nothing
}

// Bin is the directory with halo, halo-plugins and plugins/. It is HALO_BIN
// where that is set, as in the test kernel, which has no compiler; elsewhere
// the programs are built once from this tree.
func Bin(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("HALO_BIN"); dir != "" {
		return dir
	}
	dir, err := build()
	if err != nil {
		t.Fatalf("build the programs under test: %v", err)
	}
	return dir
}

// build compiles the programs once per test binary. They go into the
// checkout, not into /tmp, because halo refuses plugins from places that
// others can write.
//
//nolint:gochecknoglobals // one build per test process is the point
var build = sync.OnceValues(func() (string, error) {
	_, self, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(self), "..", "..", "..", "..")
	dir := filepath.Join(root, ".cache", "lab")
	if err := os.MkdirAll(filepath.Join(dir, "plugins"), 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"halo", "halo-plugins"} {
		// Built beside the old one and renamed over it: another test process
		// may be running that.
		fresh := filepath.Join(dir, fmt.Sprintf("%s.%d", name, os.Getpid()))
		cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-o", fresh, "./cmd/"+name)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build %s: %w\n%s", name, err, out)
		}
		if err := os.Rename(fresh, filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	for _, name := range []string{"halo-check-tcp", "halo-check-misc", "halo-track-script"} {
		err := os.Symlink("../halo-plugins", filepath.Join(dir, "plugins", name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	return dir, nil
})

// Halo starts halo on h with the configuration text and waits until it
// answers. The text may not have a [global] or [control] table of its own:
// those are the lab's.
func (h *Host) Halo(text string, options ...Option) *Halo {
	h.network.t.Helper()
	halo := h.NewHalo(text, options...)
	halo.Start(h.network.t)
	return halo
}

// NewHalo is Halo without the start.
func (h *Host) NewHalo(text string, options ...Option) *Halo {
	t := h.network.t
	t.Helper()
	dir, err := os.MkdirTemp("/run", "halo-lab-")
	if err != nil {
		t.Fatal(err)
	}
	// Plugins run as another user and must be able to reach their sockets.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	halo := &Halo{host: h, config: filepath.Join(dir, "halo.toml"), runtimeDir: filepath.Join(dir, "run")}
	halo.client = control.NewClient(halo.Socket())
	for _, o := range options {
		o(halo)
	}
	halo.Write(t, text)
	return halo
}

// Write replaces the configuration file without telling the daemon. A reload
// that is under way reads the old one or the new one, never half of it.
func (h *Halo) Write(t testing.TB, text string) {
	t.Helper()
	head := fmt.Sprintf("[global]\nrouter_id = %q\nruntime_dir = %q\n%s", h.host.label, h.runtimeDir, h.global)
	if !strings.Contains(h.global, "realtime") {
		// A lab is many machines on one, none of which may take the processor
		// from all the others.
		head += "realtime = false"
	}
	head += "\n"
	fresh := h.config + ".new"
	if err := os.WriteFile(fresh, []byte(head+text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, h.config); err != nil {
		t.Fatal(err)
	}
}

// Start starts the daemon, again after an end, and waits until it answers.
func (h *Halo) Start(t testing.TB) {
	t.Helper()
	h.Launch(t)
	Eventually(t, "halo on "+h.host.label+" answers", func() bool {
		if !h.Alive() {
			t.Fatalf("halo on %s ended: %v\n%s", h.host.label, h.err, h.Output())
		}
		s, err := h.client.Status(t.Context())
		return err == nil && s.Generation > 0
	})
}

// Launch starts the daemon and does not wait for anything.
func (h *Halo) Launch(t testing.TB) {
	t.Helper()
	args := append(slices.Clone(h.through), filepath.Join(Bin(t), "halo"), "run", "--config", h.config)
	cmd := h.host.Command(args[0], args[1:]...)
	if h.prepare != nil {
		h.prepare(cmd)
	}
	h.Process = h.host.start(cmd)
}

// Status asks the daemon.
func (h *Halo) Status(t testing.TB) control.Status {
	t.Helper()
	s, err := h.client.Status(t.Context())
	if err != nil {
		t.Fatalf("status of %s: %v", h.host.label, err)
	}
	return s
}

// TryStatus is Status of a daemon that may not answer yet, or any more.
func (h *Halo) TryStatus(t testing.TB) (control.Status, error) {
	t.Helper()
	return h.client.Status(t.Context())
}

// Plugins asks the daemon for its plugins, those that do not run included.
func (h *Halo) Plugins(t testing.TB) []control.Plugin {
	t.Helper()
	l, err := h.client.Plugins(t.Context())
	if err != nil {
		t.Fatalf("plugins of %s: %v", h.host.label, err)
	}
	return l.Plugins
}

// Reload writes text and makes the daemon apply it; the report tells how that
// went.
func (h *Halo) Reload(t testing.TB, text string) control.ReloadReport {
	t.Helper()
	h.Write(t, text)
	r, err := h.client.Reload(t.Context())
	if err != nil {
		t.Fatalf("reload of %s: %v", h.host.label, err)
	}
	return r
}

// MustReload is Reload of a text that must be accepted.
func (h *Halo) MustReload(t testing.TB, text string) control.ReloadReport {
	t.Helper()
	r := h.Reload(t, text)
	if !r.Applied {
		t.Fatalf("reload of %s was refused: %q", h.host.label, r.Problems)
	}
	return r
}

// WaitState waits until the instance is in state.
func (h *Halo) WaitState(t testing.TB, instance, state string) {
	t.Helper()
	Eventually(t, instance+" on "+h.host.label+" is "+state, func() bool {
		return h.Status(t).VRRPInstances[instance].State == state
	})
}

// Socket is the path of the daemon's control socket.
func (h *Halo) Socket() string { return filepath.Join(h.runtimeDir, "halo.sock") }

// RuntimeDir is the daemon's runtime directory.
func (h *Halo) RuntimeDir() string { return h.runtimeDir }

// ConfigFile is the path of the daemon's configuration.
func (h *Halo) ConfigFile() string { return h.config }
