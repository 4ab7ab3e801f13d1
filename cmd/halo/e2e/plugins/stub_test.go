package plugins

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// stubPrefix begins the names of the broken plugins.
const stubPrefix = "halo-check-stub-"

// buildStub compiles testdata/plugins/stub once per test binary. It goes into
// the checkout, not into /tmp, because halo refuses plugins from places that
// others can write.
var buildStub = sync.OnceValues(func() (string, error) {
	_, self, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(self), "..", "..", "..", "..")
	dir := filepath.Join(root, ".cache", "lab")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// Built beside the old one and renamed over it: another test process may be
	// running that.
	path := filepath.Join(dir, "halo-stub")
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-o", fresh, "./testdata/plugins/stub")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, os.Rename(fresh, path)
})

// runDir makes a directory for a test below /run: what others can write is
// refused, as the test's own directory is.
func runDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "halo-plugins-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// pluginDir makes a plugin directory with links to the plugins of these names.
func pluginDir(t *testing.T, names ...string) string {
	t.Helper()
	dir := runDir(t)
	for _, name := range names {
		link(t, dir, name)
	}
	return dir
}

// link puts a plugin into a plugin directory.
func link(t *testing.T, dir, name string) {
	t.Helper()
	program := filepath.Join(lab.Bin(t), "halo-plugins")
	if strings.HasPrefix(name, stubPrefix) {
		var err error
		if program, err = buildStub(); err != nil {
			t.Fatalf("build the broken plugins: %v", err)
		}
	}
	if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// stubCheck is the type of a broken plugin's check, as a configuration has it.
func stubCheck(mode string) string { return fmt.Sprintf("%q", "stub_"+mode) }
