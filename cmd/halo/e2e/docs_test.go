package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// root is the checkout, seen from this package.
const root = "../../.."

// tomlBlock is a configuration in a README.
var tomlBlock = regexp.MustCompile("(?s)```toml\n(.*?)```")

// TestDocumentedConfigurations holds every configuration in a README against
// the program: each is a file that `halo check` accepts, without a warning.
func TestDocumentedConfigurations(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(root + "/plugins/*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, root+"/README.md", root+"/contrib/example-plugin/README.md")
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := tomlBlock.FindAllStringSubmatch(string(text), -1)
		if len(blocks) == 0 {
			t.Errorf("%s has no configuration", page)
		}
		for n, block := range blocks {
			config := block[1]
			if !strings.Contains(config, "[global]") {
				config = "[global]\n" + pluginDirs(t) + "\n" + config
			}
			file := filepath.Join(t.TempDir(), fmt.Sprintf("block%d.toml", n))
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := command(t, filepath.Join(lab.Bin(t), "halo"), "check", "--strict", file); err != nil {
				t.Errorf("configuration %d of %s: %v\n%s", n, page, err, out)
			}
		}
	}
}

// command runs a program of the host and returns what it said.
func command(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	return string(out), err
}

// pluginDirs is the setting with which halo finds its own plugins and the
// example's.
func pluginDirs(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("plugin_dirs = [%q, %q]", filepath.Join(lab.Bin(t), "plugins"), buildExample(t))
}

// buildExample returns the directory of the example plugin.
func buildExample(t *testing.T) string {
	t.Helper()
	dir, err := example()
	if err != nil {
		t.Fatalf("build the example plugin: %v", err)
	}
	return dir
}

// example builds the example plugin from its own module, as somebody who has
// never seen this repository would. The tests that want it run at once, and
// one build serves them all.
var example = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs(root + "/.cache/example-plugin")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// Beside the old one and renamed over it: another test process may be
	// running that.
	fresh := filepath.Join(dir, fmt.Sprintf("fresh.%d", os.Getpid()))
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", fresh, ".")
	cmd.Dir = root + "/contrib/example-plugin"
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, os.Rename(fresh, filepath.Join(dir, "halo-check-redis"))
})

// TestThirdPartyPlugin runs a checker that is a module of its own, and imports
// the SDK alone, in the real daemon against a real Redis.
func TestThirdPartyPlugin(t *testing.T) {
	t.Parallel()
	kerneltest.RequireTool(t, "redis-server")
	n := lab.New(t)
	a, server := n.Host("a", aSource+"/24"), n.Host("redis", "192.0.2.30/24")
	start := func() *lab.Process {
		return server.Start(kerneltest.ToolPath("redis-server"), "--port", "6379", "--bind", "192.0.2.30", "--protected-mode", "no",
			"--save", "", "--appendonly", "no", "--requirepass", "secret", "--dir", t.TempDir())
	}
	redis := start()
	halo := a.Halo(`[virtual_server.cache]
address = "192.0.2.10:6379"
check   = [{ type = "redis", password = "secret", interval = "300ms", timeout = "5s", retry_interval = "100ms", rise = 2, fall = 2 }]

[[virtual_server.cache.real_server]]
address = "192.0.2.30:6379"
`, lab.Global(pluginDirs(t)))
	state := func() string {
		return halo.Status(t).VirtualServers["cache"].RealServers["192.0.2.30:6379"].State
	}
	lab.Eventually(t, "Redis is up", func() bool { return state() == "up" })
	if p := halo.Status(t).Plugins["halo-check-redis"]; p.State != "running" || p.Probes != 1 {
		t.Errorf("the plugin: %+v", p)
	}
	redis.Kill()
	lab.Eventually(t, "Redis is down", func() bool { return state() == "down" })
	start()
	lab.Eventually(t, "Redis is up again", func() bool { return state() == "up" })
}
