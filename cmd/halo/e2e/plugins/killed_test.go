package plugins

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// scripted is a service whose servers are checked by running a shell line.
func scripted(name string, port int, line string, servers ...string) string {
	return service(name, port, fmt.Sprintf(`"misc", command = ["/bin/sh", "-c", %q]`, line), servers...)
}

// family is a shell line that never ends, with children that do not obey TERM.
const family = "trap '' TERM; sleep 3600 & (sleep 3600; :) & wait"

// TestCoreKilled is R37: when the core is killed while scripts run, no plugin,
// no script and no child of a script is left; what is left of the sockets is
// swept by the next start, which works as if nothing had been.
func TestCoreKilled(t *testing.T) {
	t.Parallel()
	m := newMark(t)
	s := newSite(t, tcp, misc)
	s.serveWeb()
	s.start(web() + scripted("scripts", 81, family, "127.0.0.1:9001", "127.0.0.1:9002") + m.tables(tcp, misc))
	s.judged()
	lab.Eventually(t, "two plugins, and two scripts with three children each", func() bool { return len(m.living(t)) >= 2+2*(1+3) })
	sockets := socketDirs(t, s.halo.RuntimeDir())
	if len(sockets) < 2 {
		t.Errorf("two plugins have the sockets %q", sockets)
	}
	s.halo.KillAlone()
	m.waitGone(t)

	s.halo.Start(t)
	s.network.WaitOwner(vip, s.host)
	s.judged()
	for _, left := range socketDirs(t, s.halo.RuntimeDir()) {
		if slices.Contains(sockets, left) {
			t.Errorf("the next start has not swept %s", left)
		}
	}
}

// TestKilledAgainAndAgain is R41: halo is killed and started twenty times on
// the same runtime directory, now and then before it was ready. Every start
// works, and nothing piles up.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	m := newMark(t)
	s := newSite(t, tcp, misc)
	s.serveWeb()
	text := web() + scripted("scripts", 81, "exit 0", "127.0.0.1:9001") + m.tables(tcp, misc)
	s.halo = s.host.Halo(instance(150)+text, s.options...)
	for i := range 20 {
		s.halo.KillAlone()
		if i%2 == 0 {
			// Killed at some point of its start.
			s.halo.Launch(t)
			time.Sleep(time.Duration(i) * 10 * time.Millisecond)
			s.halo.KillAlone()
		}
		s.halo.Start(t)
	}
	s.network.WaitOwner(vip, s.host)
	s.judged()
	lab.Eventually(t, "two plugins are left", func() bool {
		return len(m.living(t)) == 2 && len(socketDirs(t, s.halo.RuntimeDir())) == 2
	})
	if err := s.halo.Terminate(); err != nil {
		t.Errorf("halo ended with %v after SIGTERM, want success", err)
	}
	m.waitGone(t)
	if s.host.HasAddress("eth0", vip) {
		t.Error("the address is still there")
	}
}

// pluginCrashes is how often TestPluginCrashes kills its plugin.
const pluginCrashes = 30

// TestPluginCrashes kills the plugin over and over: no weight moves, nobody
// takes over, and no descriptor, process or socket is left behind.
func TestPluginCrashes(t *testing.T) {
	t.Parallel()
	m := newMark(t)
	s := newSite(t, tcp)
	s.serveWeb()
	text := instance(150) + web()
	s.start(web() + m.tables(tcp))
	before := s.judged()
	held := len(descriptors(t, s.halo.PID()))
	last := 0
	for i := range pluginCrashes {
		lab.Eventually(t, "the plugin runs again", func() bool {
			status := s.halo.Status(t)
			nothingMoved(t, before, status)
			p := status.Plugins[tcp]
			return p.State == "running" && p.PID != last
		})
		last = s.plugin(tcp).PID
		signal(t, last, unix.SIGKILL)
		if i%3 == 2 {
			// A plugin that is to run differently is started at once. Else it
			// would be started more and more rarely.
			lab.Eventually(t, "the crash is noticed", func() bool { return s.plugin(tcp).PID != last })
			s.halo.MustReload(t, text+strings.Replace(m.tables(tcp), "env = {", fmt.Sprintf("env = { CRASHES = \"%d\",", i), 1))
		}
	}
	lab.Eventually(t, "results come from the last one", func() bool {
		p := s.plugin(tcp)
		return p.State == "running" && p.PID != last
	})
	sameVerdicts(t, before, s.judged())
	if p := s.plugin(tcp); p.Restarts < pluginCrashes {
		t.Errorf("the plugin was started %d times again, want %d at least", p.Restarts, pluginCrashes)
	}
	// The status is asked for over a descriptor of its own.
	lab.Eventually(t, "no more descriptors than before", func() bool { return len(descriptors(t, s.halo.PID())) <= held+1 })
	if n, sockets := len(m.living(t)), socketDirs(t, s.halo.RuntimeDir()); n != 1 || len(sockets) != 1 {
		t.Errorf("%d processes and the sockets %q, want one of each", n, sockets)
	}
	s.undisturbed()
}

// TestScriptOutlived is R39: a script that has run into its timeout is gone
// with its children, one run follows the other, and never are there two.
func TestScriptOutlived(t *testing.T) {
	t.Parallel()
	dir := runDir(t)
	// The scripts run as an account without privileges and must leave a mark.
	runs := filepath.Join(dir, "runs")
	if err := os.Mkdir(runs, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(runs, 0o777); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	m := newMark(t)
	s := newSite(t, tcp, misc)
	s.serveWeb()
	// A run that finds the children of another says so.
	line := fmt.Sprintf("[ -e %[1]s/running ] && : > %[1]s/twice; : > %[1]s/running; : > %[1]s/$$; sleep 3600 & (sleep 1; rm %[1]s/running) & wait", runs)
	check := fmt.Sprintf(`"misc", command = ["/bin/sh", "-c", %q], interval = "300ms", timeout = "1500ms", rise = 1, fall = 2 }] # `, line)
	s.start(web() + service("scripts", 81, check, "127.0.0.1:9001") + m.tables(misc))
	before := s.judged()
	lab.Eventually(t, "three runs have timed out", func() bool {
		r := s.server("scripts", "127.0.0.1:9001")
		done, err := filepath.Glob(filepath.Join(runs, "[0-9]*"))
		return err == nil && len(done) >= 4 && r.State == "down" && r.Checks[0].Reason == "timeout"
	})
	if _, err := os.Stat(filepath.Join(runs, "twice")); err == nil {
		t.Error("a run began while another was not over")
	}
	// The plugin, a shell, its subshell, and a sleep of each.
	if n := len(m.living(t)); n > 5 {
		t.Errorf("there are %d processes, want at most those of one run", n)
	}
	sameVerdicts(t, before, s.judged())
	s.undisturbed()
	if err := s.halo.Terminate(); err != nil {
		t.Errorf("halo ended with %v after SIGTERM, want success", err)
	}
	m.waitGone(t)
}
