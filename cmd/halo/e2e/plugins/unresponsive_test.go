package plugins

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// TestStoppedPlugin is R35: a plugin that hangs is noticed, killed and started
// again; meanwhile its checks are unknown, nothing moves because of it, and
// advertisements go on.
func TestStoppedPlugin(t *testing.T) {
	t.Parallel()
	s := newSite(t, tcp, stubPrefix+"good")
	s.serveWeb()
	s.start(web() + service("other", 81, stubCheck("good"), "127.0.0.1:9000"))
	before := s.judged()
	lab.Eventually(t, "the other plugin's server is up", func() bool { return s.server("other", "127.0.0.1:9000").State == "up" })
	other := s.plugin(stubPrefix + "good")

	t.Log("it is stopped, and its successor works")
	first := s.plugin(tcp)
	signal(t, first.PID, unix.SIGSTOP)
	s.waitPlugin(tcp, "unresponsive")
	status := s.halo.Status(t)
	sameVerdicts(t, before, status)
	if got := status.Plugins[tcp]; got.State == "unresponsive" && got.PID != first.PID {
		t.Errorf("pid %d is unresponsive, want %d", got.PID, first.PID)
	}
	lab.Eventually(t, "results come from a new process", func() bool {
		status = s.halo.Status(t)
		nothingMoved(t, before, status)
		p := status.Plugins[tcp]
		servers := status.VirtualServers["web"].RealServers
		return p.PID != first.PID && p.State == "running" && p.Restarts == 1 &&
			outcome(servers[good]) == "pass" && outcome(servers[bad]) == "fail"
	})
	contains(t, "halo plugin list", s.list(), "no heartbeat")

	t.Log("it is stopped, and there is no successor for a while")
	moved := filepath.Join(s.dir, "moved")
	if err := os.Rename(filepath.Join(s.dir, tcp), moved); err != nil {
		t.Fatal(err)
	}
	signal(t, s.plugin(tcp).PID, unix.SIGSTOP)
	s.waitPlugin(tcp, "refused")
	status = s.halo.Status(t)
	nothingMoved(t, before, status)
	for address, r := range status.VirtualServers["web"].RealServers {
		if outcome(r) != "unknown" || r.State != "unknown" {
			t.Errorf("%s is %s and its check %s while there is no plugin, want unknown", address, r.State, outcome(r))
		}
	}
	if !tellsOf(status, tcp) {
		t.Errorf("what is degraded does not name the plugin: %q", status.Degraded)
	}
	if err := os.Rename(moved, filepath.Join(s.dir, tcp)); err != nil {
		t.Fatal(err)
	}
	sameVerdicts(t, before, s.judged())

	if p := s.plugin(stubPrefix + "good"); p.PID != other.PID || p.Restarts != 0 {
		t.Errorf("the other plugin has pid %d after %d restarts, want %d after none", p.PID, p.Restarts, other.PID)
	}
	s.undisturbed()
}

// tellsOf reports whether what is degraded names the plugin.
func tellsOf(s control.Status, plugin string) bool {
	for _, sentence := range s.Degraded {
		if strings.Contains(sentence, plugin) {
			return true
		}
	}
	return false
}
