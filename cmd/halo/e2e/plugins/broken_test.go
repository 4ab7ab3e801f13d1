package plugins

import (
	"strings"
	"testing"
	"unicode"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// broken is every kind of broken plugin, and how to see that it has shown what
// is wrong with it.
func broken() map[string]func(p control.Plugin, r control.RealServer) bool {
	failed := func(words string) func(control.Plugin, control.RealServer) bool {
		return func(p control.Plugin, r control.RealServer) bool {
			return strings.Contains(p.LastError, words) && !r.InService
		}
	}
	return map[string]func(p control.Plugin, r control.RealServer) bool{
		"prints": failed(`the first line on its stdout is "Hello from a plugin that greets!" instead of the handshake`),
		"mute":   failed("no handshake within"),
		"stuck":  failed("no heartbeat for"),
		"hangs":  failed("no heartbeat for"),
		"panics": func(p control.Plugin, _ control.RealServer) bool {
			return p.Restarts >= 2 && strings.Contains(p.LastError, "panic: the stub's settings are nil")
		},
		"dies": func(p control.Plugin, _ control.RealServer) bool {
			return p.Restarts >= 2 && strings.Contains(p.LastError, "exited with status 7: the stub has lived its second")
		},
		// Whether what it says of its own server makes that one go up or down is
		// its own affair, and which of its lies the status shows is chance. That
		// it is ended for their number is not.
		"lies": func(p control.Plugin, _ control.RealServer) bool {
			return strings.Contains(p.LastError, "more than 10 times the results")
		},
		"garbles": failed("session lost"),
		"deaf": func(p control.Plugin, r control.RealServer) bool {
			return p.State == "running" && outcome(r) == "unknown"
		},
		"floods": func(p control.Plugin, r control.RealServer) bool { return p.Restarts == 0 && r.State == "up" },
		"parent": func(p control.Plugin, r control.RealServer) bool { return p.Restarts == 0 && r.State == "up" },
	}
}

// TestBrokenPluginsTogether runs every broken plugin in one halo. The election
// and the verdicts of the one plugin that is in order do not notice, a stop is
// clean, and nothing is left of the broken ones.
func TestBrokenPluginsTogether(t *testing.T) {
	t.Parallel()
	kinds := broken()
	names, port := []string{tcp}, 8000
	text := new(strings.Builder)
	text.WriteString(web())
	for mode := range kinds {
		port++
		names = append(names, stubPrefix+mode)
		text.WriteString(service(mode, port, stubCheck(mode), "127.0.0.1:9000"))
	}
	m := newMark(t)
	s := newSite(t, names...)
	s.serveWeb()
	s.start(text.String() + m.tables(names...))
	before := s.judged()
	first := s.plugin(tcp)

	for mode, shown := range kinds {
		lab.Eventually(t, mode+" has shown what it does", func() bool {
			status := s.halo.Status(t)
			return shown(status.Plugins[stubPrefix+mode], status.VirtualServers[mode].RealServers["127.0.0.1:9000"])
		})
	}
	status := s.halo.Status(t)
	sameVerdicts(t, before, status)
	if p := status.Plugins[tcp]; p.PID != first.PID || p.Restarts != 0 {
		t.Errorf("the plugin in order has pid %d after %d restarts, want %d after none", p.PID, p.Restarts, first.PID)
	}
	for mode := range kinds {
		for _, c := range status.VirtualServers[mode].RealServers["127.0.0.1:9000"].Checks {
			if len(c.Detail) > 256 || strings.ContainsFunc(c.Detail, unicode.IsControl) {
				t.Errorf("the detail of %s is %d bytes: %q", mode, len(c.Detail), c.Detail)
			}
		}
	}
	s.undisturbed()

	if err := s.halo.Terminate(); err != nil {
		t.Errorf("halo ended with %v after SIGTERM, want success", err)
	}
	if s.host.HasAddress("eth0", vip) {
		t.Error("the address is still there")
	}
	m.waitGone(t)
	if left := socketDirs(t, s.halo.RuntimeDir()); len(left) != 0 {
		t.Errorf("sockets are left: %q", left)
	}
}

// TestCrashLoop is R36: a plugin that panics whenever it gets work is started
// more and more rarely, its last words are there to be read, and halo starts,
// elects and checks as if it were not there.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	s := newSite(t, tcp, stubPrefix+"panics")
	s.serveWeb()
	s.start(web() + service("broken", 81, stubCheck("panics"), "127.0.0.1:9000"))
	before := s.judged()
	first := s.plugin(tcp)
	lab.Eventually(t, "it was started again and again", func() bool {
		p := s.plugin(stubPrefix + "panics")
		return p.Restarts >= 3 && p.State == "backoff"
	})
	contains(t, "halo plugin list", s.list(), stubPrefix+"panics", "backoff", "panic: the stub's settings are nil")
	status := s.halo.Status(t)
	if !tellsOf(status, stubPrefix+"panics") {
		t.Errorf("what is degraded does not name the plugin: %q", status.Degraded)
	}
	if r := status.VirtualServers["broken"].RealServers["127.0.0.1:9000"]; r.State != "unknown" || r.InService {
		t.Errorf("the server of the broken plugin is %s, in service %t; want unknown and not", r.State, r.InService)
	}
	sameVerdicts(t, before, status)
	if p := s.plugin(tcp); p.PID != first.PID || p.Restarts != 0 {
		t.Errorf("the other plugin has pid %d after %d restarts, want %d after none", p.PID, p.Restarts, first.PID)
	}
	s.undisturbed()
}

// TestElectionBeforePlugins proves that no plugin stands before the election:
// halo is active while a plugin that never shakes hands has not even been given
// up for the first time.
func TestElectionBeforePlugins(t *testing.T) {
	t.Parallel()
	s := newSite(t, stubPrefix+"mute")
	s.halo = s.host.NewHalo(instance(150)+service("web", 80, stubCheck("mute"), good), s.options...)
	s.halo.Launch(t)
	s.network.WaitOwner(vip, s.host)
	status, err := s.halo.TryStatus(t)
	if err != nil {
		t.Fatalf("halo is active but does not answer: %v", err)
	}
	active := status.VRRPInstances["VI_1"]
	if active.State != "active" {
		t.Fatalf("halo is %s, want active", active.State)
	}
	var after control.Status
	lab.Eventually(t, "the plugin is given up and the rest goes on", func() bool {
		after = s.halo.Status(t)
		return after.Generation > 0
	})
	// The start limit of a plugin is several times what an election takes.
	if i := after.VRRPInstances["VI_1"]; !i.Since.Equal(active.Since) || i.State != "active" {
		t.Errorf("halo is %s since %s, want active since %s as before", i.State, i.Since, active.Since)
	}
	if lead := after.Config.Loaded.Sub(active.Since); lead <= 0 {
		t.Errorf("halo was active %s after it had waited for the plugin, want before", -lead)
	}
}
