package plugins

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// unitCapabilities are those that the systemd unit leaves to halo, as setpriv
// writes them: "net_admin".
func unitCapabilities(t *testing.T) []string {
	t.Helper()
	_, self, _, _ := runtime.Caller(0)
	unit, err := os.Open(filepath.Join(filepath.Dir(self), "..", "..", "..", "..", "contrib", "systemd", "halo.service"))
	if err != nil {
		t.Fatal(err)
	}
	defer unit.Close()
	for lines := bufio.NewScanner(unit); lines.Scan(); {
		if list, ok := strings.CutPrefix(lines.Text(), "CapabilityBoundingSet="); ok {
			names := strings.Fields(strings.ToLower(strings.ReplaceAll(list, "CAP_", "")))
			if len(names) == 0 {
				break
			}
			return names
		}
	}
	t.Fatal("the unit has no CapabilityBoundingSet")
	return nil
}

// limited starts halo as systemd would: as root, but with these capabilities
// and no way to more, through another program where one is given.
func limited(t *testing.T, capabilities []string, through ...string) lab.Option {
	t.Helper()
	kerneltest.RequireTool(t, "setpriv")
	set := "-all,+" + strings.Join(capabilities, ",+")
	return lab.Through(kerneltest.ToolPath("setpriv"), append([]string{"--bounding-set", set, "--inh-caps=-all", "--no-new-privs"}, through...)...)
}

// TestUnitCapabilities proves that halo has all it needs from what its systemd
// unit leaves it: the address, plugins as other users, their end and their
// restart, a reload, and a stop that leaves nothing behind.
func TestUnitCapabilities(t *testing.T) {
	t.Parallel()
	m := newMark(t)
	s := newSite(t, tcp, misc)
	s.serveWeb()
	text := web() + scripted("scripts", 81, "exit 0", "127.0.0.1:9001") +
		service("others", 82, fmt.Sprintf(`"misc", command = ["/bin/true"], user = %q`, secondUser), "127.0.0.1:9001") + m.tables(tcp, misc)
	s.start(text, limited(t, unitCapabilities(t)))
	if own := procStatus(t, s.halo.PID()); own["CapEff"] != own["CapBnd"] || own["NoNewPrivs"] != "1" || strings.HasSuffix(own["CapEff"], "ffffffff") {
		t.Fatalf("halo runs with %s of %s", own["CapEff"], own["CapBnd"])
	}
	s.judged()
	up := func() bool {
		return s.server("scripts", "127.0.0.1:9001").State == "up" && s.server("others", "127.0.0.1:9001").State == "up"
	}
	lab.Eventually(t, "both scripts pass", up)
	for _, sentence := range s.halo.Status(t).Degraded {
		if strings.Contains(sentence, "CAP_") {
			t.Errorf("halo misses something: %s", sentence)
		}
	}
	for _, p := range s.halo.Plugins(t) {
		status := procStatus(t, p.PID)
		if strings.HasPrefix(status["Uid"], "0 ") || status["CapEff"] != "0000000000000000" || status["CapAmb"] != "0000000000000000" {
			t.Errorf("%s runs as %s with the capabilities %s", p.Name, status["Uid"], status["CapEff"])
		}
		if score := strings.TrimSpace(proc(t, p.PID, "oom_score_adj")); score != "500" {
			t.Errorf("oom_score_adj of %s is %s, want 500", p.Name, score)
		}
	}

	t.Log("a plugin is killed, one is dropped by a reload and taken up again")
	first := s.plugin(tcp)
	signal(t, first.PID, unix.SIGKILL)
	lab.Eventually(t, "results come from a new process", func() bool {
		p := s.plugin(tcp)
		return p.State == "running" && p.PID != first.PID
	})
	s.judged()
	s.halo.MustReload(t, instance(150)+web()+m.tables(tcp))
	lab.Eventually(t, "one plugin is left", func() bool { return len(m.living(t)) == 1 })
	s.halo.MustReload(t, instance(150)+text)
	lab.Eventually(t, "both scripts pass", up)
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

// TestUnitCapabilitiesAreNeeded proves that the unit leaves nothing to halo
// that it can do without: each one that is missing is named, with what it is
// for and how to grant it.
func TestUnitCapabilitiesAreNeeded(t *testing.T) {
	t.Parallel()
	all := unitCapabilities(t)
	for _, name := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tcp)
			s.serveWeb()
			rest := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == name })
			s.halo = s.host.NewHalo(instance(150)+web(), append(s.options, limited(t, rest))...)
			word := "CAP_" + strings.ToUpper(name)
			if name != "net_admin" && name != "net_raw" {
				// halo works without it, less well.
				s.halo.Start(t)
				contains(t, "what is degraded", strings.Join(s.halo.Status(t).Degraded, "\n"), "missing "+word+" (to ", "AmbientCapabilities="+word)
				s.network.WaitOwner(vip, s.host)
				return
			}
			s.halo.Launch(t)
			if err := s.halo.Wait(); err == nil || err.Error() != "exit status 1" {
				t.Errorf("halo without %s ended with %v, want exit status 1", word, err)
			}
			contains(t, "halo", s.halo.Output(), "missing "+word+" (to ", "AmbientCapabilities="+word, "contrib/systemd/halo.service", "or run halo as root")
			if s.host.HasAddress("eth0", vip) {
				t.Error("it has the address all the same")
			}
		})
	}
}
