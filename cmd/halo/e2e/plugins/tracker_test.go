package plugins

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// script is the plugin that runs scripts for trackers.
const script = "halo-track-script"

// tracked is what makes the router depend on a shell line: it is in fault while
// that is bad.
func tracked(line, keys string) string {
	return fmt.Sprintf("track = [\"line\"]\n\n[tracker.line]\ntype = \"script\"\ncommand = [\"/bin/sh\", \"-c\", %q]\n%s\n\n", line, keys)
}

// TestTrackerPluginKilled kills the plugin of a tracker again and again: the
// router that depends on it stays what it is, and no advertisement is missed.
func TestTrackerPluginKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, script)
	s.start(tracked("exit 0", "interval = \"200ms\"\ntimeout = \"2s\""))
	for range 4 {
		var pid int
		lab.Eventually(t, "the plugin observes", func() bool {
			status := s.halo.Status(t)
			pid = status.Plugins[script].PID
			return pid != 0 && status.Trackers["line"].State == "up" && status.Trackers["line"].Last.Outcome == "pass"
		})
		signal(t, pid, unix.SIGKILL)
		lab.Eventually(t, "halo has seen its end", func() bool { return s.halo.Status(t).Plugins[script].PID != pid })
		s.undisturbed()
	}
	contains(t, "halo plugin list", s.list(), script, "track script")
}

// TestCoreKilledWhileTracking: when the core is killed while a track script runs,
// no child of the script is left, and the next start works.
func TestCoreKilledWhileTracking(t *testing.T) {
	t.Parallel()
	m := newMark(t)
	s := newSite(t, script)
	s.start(tracked(family, "interval = \"1h\"") + m.tables(script))
	lab.Eventually(t, "a plugin, and a script with three children", func() bool { return len(m.living(t)) >= 1+1+3 })
	s.halo.KillAlone()
	m.waitGone(t)
	s.halo.Start(t)
	s.network.WaitOwner(vip, s.host)
	lab.Eventually(t, "the script runs again", func() bool { return len(m.living(t)) >= 1+1+3 })
}

// TestTrackerPluginGone takes the plugin's file away: a file that needs it is
// refused with what is missing, and what runs goes on.
func TestTrackerPluginGone(t *testing.T) {
	t.Parallel()
	s := newSite(t, tcp)
	s.start("")
	report := s.halo.Reload(t, instance(150)+tracked("exit 0", ""))
	if report.Applied || len(report.Problems) != 1 {
		t.Fatalf("the reload gives %+v", report)
	}
	contains(t, "the problem", report.Problems[0], "tracker.line.type", s.dir, `provides the tracker type "script"`, `"process"`)
	s.undisturbed()
}
