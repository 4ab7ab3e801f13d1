package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// moods is a track script, and what it finds at the moment.
type moods struct{ program, file string }

// moodScript reads what it is to do from the file that is its argument.
const moodScript = `#!/bin/sh
case $(cat "$1") in
good) exit 0 ;;
bad) echo 'no backend answers'; exit 1 ;;
hang) exec sleep 3600 ;;
fork) sleep 3600 & (sleep 3600; :) & wait ;;
signal) kill -SEGV $$ ;;
esac
exit 3
`

// newMoods writes the script below /run: what others can write is refused, as the
// test's own directory is.
func newMoods(t *testing.T, mood string) moods {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "halo-script-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m := moods{filepath.Join(dir, "check-backend"), filepath.Join(dir, "mood")}
	if err := os.WriteFile(m.program, []byte(moodScript), 0o755); err != nil {
		t.Fatal(err)
	}
	m.set(t, mood)
	return m
}

func (m moods) set(t *testing.T, mood string) {
	t.Helper()
	if err := os.WriteFile(m.file+".new", []byte(mood+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(m.file+".new", m.file); err != nil {
		t.Fatal(err)
	}
}

// config is a router that runs the script, with more keys of the tracker.
func (m moods) config(priority int, more string) string {
	return trackedConfig(priority, fmt.Sprintf("track = [\"backend\"]\n\n[tracker.backend]\ntype = \"script\"\ncommand = [%q, %q]\n%s\n", m.program, m.file, more))
}

// hasty is often, with all the time that a busy machine may need.
const hasty = "interval = \"200ms\"\ntimeout = \"2s\"\n"

// priorities counts the events that say that the priority has changed.
func priorities(t *testing.T, s *twoSided, h *lab.Halo) int {
	t.Helper()
	out, err := s.a.Output(filepath.Join(lab.Bin(t), "halo"), "events", "--socket", h.Socket())
	if err != nil {
		t.Fatalf("halo events: %v\n%s", err, out)
	}
	return strings.Count(out, " priority ")
}

// A script moves the priority, and with that the addresses, and is shown.
func TestTrackedScript(t *testing.T) {
	t.Parallel()
	s := newTwoSided(t)
	m := newMoods(t, "good")
	a := s.a.Halo(m.config(130, hasty+"weight = -60\nfall = 2\n"))
	s.b.Halo(trackedConfig(100, ""))
	waitTracker(t, a, "backend", "up", nil)
	s.outside.WaitOwner(vip, s.a)
	effect := -60
	for range 2 {
		m.set(t, "bad")
		waitTracker(t, a, "backend", "down", &effect)
		s.outside.WaitOwner(vip, s.b)
		k := a.Status(t).Trackers["backend"]
		if k.Type != "script" || !strings.Contains(k.Reason, "exit code 1: no backend answers") ||
			k.Last == nil || k.Last.Plugin != "halo-track-script" || k.Last.Outcome != "fail" || k.Last.Reason != "exit" {
			t.Errorf("the tracker is shown as %+v, %+v", k, k.Last)
		}
		m.set(t, "good")
		waitTracker(t, a, "backend", "up", nil)
		s.outside.WaitOwner(vip, s.a)
	}
	halo := filepath.Join(lab.Bin(t), "halo")
	for _, call := range []struct {
		want string
		args []string
	}{
		{"backend  script  up", []string{"status", "--socket", a.Socket()}},
		{"track script", []string{"plugin", "list", "--socket", a.Socket()}},
		{"command  strings  required", []string{"plugin", "info", "script", "--config", a.ConfigFile()}},
	} {
		if out, err := s.a.Output(halo, call.args...); err != nil || !strings.Contains(out, call.want) {
			t.Errorf("halo %s does not say %q: %v\n%s", strings.Join(call.args, " "), call.want, err, out)
		}
	}
}

// Without a weight a script that is not good is a fault, however it is not good;
// and a script that hangs, or leaves children, holds nothing up.
func TestTrackedScriptIsAFault(t *testing.T) {
	t.Parallel()
	s := newTwoSided(t)
	m := newMoods(t, "good")
	a := s.a.Halo(m.config(130, hasty))
	s.b.Halo(trackedConfig(100, ""))
	s.outside.WaitOwner(vip, s.a)
	for mood, reason := range map[string]string{
		"bad": "exit", "hang": "timeout", "fork": "timeout", "signal": "signal", "nothing it knows": "exit",
	} {
		m.set(t, mood)
		waitTracker(t, a, "backend", "down", new(int))
		a.WaitState(t, "VI_1", "fault")
		s.outside.WaitOwner(vip, s.b)
		lab.Eventually(t, mood+" has the reason "+reason, func() bool { return a.Status(t).Trackers["backend"].Last.Reason == reason })
		m.set(t, "good")
		waitTracker(t, a, "backend", "up", nil)
		s.outside.WaitOwner(vip, s.a)
	}
}

// A script that cannot be executed is refused, and one that could be and cannot
// any more is not known: neither up nor down, and nothing moves.
func TestTrackedScriptNotExecutable(t *testing.T) {
	t.Parallel()
	s := newTwoSided(t)
	m := newMoods(t, "good")
	if err := os.Chmod(m.program, 0o644); err != nil {
		t.Fatal(err)
	}
	a := s.a.Halo(trackedConfig(130, ""))
	s.outside.WaitOwner(vip, s.a)
	report := a.Reload(t, m.config(130, hasty))
	if report.Applied || len(report.Problems) != 1 || !strings.Contains(report.Problems[0], "tracker.backend.command[0]") ||
		!strings.Contains(report.Problems[0], "is not executable") {
		t.Errorf("a reload says %+v", report)
	}
	if out, err := s.a.Output(filepath.Join(lab.Bin(t), "halo"), "check", a.ConfigFile()); err == nil || !strings.Contains(out, "chmod a+x") {
		t.Errorf("halo check says %v\n%s", err, out)
	}
	if err := os.Chmod(m.program, 0o755); err != nil {
		t.Fatal(err)
	}
	a.MustReload(t, m.config(130, hasty))
	waitTracker(t, a, "backend", "up", nil)
	before := a.Status(t).VRRPInstances["VI_1"]
	if err := os.Chmod(m.program, 0o644); err != nil {
		t.Fatal(err)
	}
	waitTracker(t, a, "backend", "unknown", nil)
	k := a.Status(t).Trackers["backend"]
	if k.Last.Reason != "local_error" || !strings.Contains(k.Reason, "is not executable") {
		t.Errorf("the tracker is %+v, %+v", k, k.Last)
	}
	if after := a.Status(t).VRRPInstances["VI_1"]; after.State != "active" || !after.Since.Equal(before.Since) {
		t.Errorf("the router is %s since %v, want active since %v as before", after.State, after.Since, before.Since)
	}
}

// A plugin that is killed takes no verdict along, good or bad; and a reload that
// changes how often to ask keeps what is known, too.
func TestTrackedScriptKeepsItsVerdict(t *testing.T) {
	t.Parallel()
	s := newTwoSided(t)
	m := newMoods(t, "bad")
	a := s.a.Halo(m.config(130, hasty+"weight = -60\n"))
	s.b.Halo(trackedConfig(100, ""))
	effect := -60
	waitTracker(t, a, "backend", "down", &effect)
	s.outside.WaitOwner(vip, s.b)
	before, changes := a.Status(t).VRRPInstances["VI_1"], priorities(t, s, a)
	same := func(what string) {
		t.Helper()
		after := a.Status(t).VRRPInstances["VI_1"]
		if after.State != "backup" || !after.Since.Equal(before.Since) || after.EffectivePriority != 70 {
			t.Errorf("%s: %s since %v with priority %d, want backup since %v with 70", what, after.State, after.Since, after.EffectivePriority, before.Since)
		}
		if n := priorities(t, s, a); n != changes {
			t.Errorf("%s: the priority has changed %d times, want %d as before", what, n, changes)
		}
	}
	plugin := a.Status(t).Plugins["halo-track-script"].PID
	if err := unix.Kill(plugin, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, "another process of the plugin observes", func() bool {
		status := a.Status(t)
		p, last := status.Plugins["halo-track-script"], status.Trackers["backend"].Last
		return p.PID != 0 && p.PID != plugin && p.State == "running" && last.Outcome == "fail"
	})
	waitTracker(t, a, "backend", "down", &effect)
	same("after the plugin was killed")

	report := a.MustReload(t, m.config(130, "interval = \"300ms\"\nweight = -60\n"))
	if len(report.Changes) != 1 || report.Changes[0] != "tracker backend changed: interval 200ms -> 300ms, timeout 2s -> 300ms" {
		t.Errorf("the reload has changed %q", report.Changes)
	}
	if k := a.Status(t).Trackers["backend"]; k.State != "down" || k.Instances["VI_1"] != -60 {
		t.Errorf("after the reload the tracker is %+v", k)
	}
	same("after the reload")
	m.set(t, "good")
	waitTracker(t, a, "backend", "up", nil)
	s.outside.WaitOwner(vip, s.a)
}

// What nobody has found out yet keeps no router from its addresses, unless the
// file says that it must be proven first.
func TestTrackedScriptAtTheStart(t *testing.T) {
	t.Parallel()
	s := newTwoSided(t)
	m := newMoods(t, "hang")
	const never = "interval = \"1h\"\n"
	a := s.a.Halo(m.config(130, never))
	s.outside.WaitOwner(vip, s.a)
	waitTracker(t, a, "backend", "unknown", nil)
	b := s.b.Halo(m.config(200, never+"init_fail = true\n"))
	b.WaitState(t, "VI_1", "fault")
	waitTracker(t, b, "backend", "unknown", new(int))
	m.set(t, "good")
	b.MustReload(t, m.config(200, hasty+"init_fail = true\n"))
	waitTracker(t, b, "backend", "up", nil)
	s.outside.WaitOwner(vip, s.b)
}

// A script runs as whom the file says, and is told whom for.
func TestTrackedScriptUser(t *testing.T) {
	t.Parallel()
	s := newTwoSided(t)
	a := s.a.Halo(trackedConfig(130, `track = ["whoami"]

[tracker.whoami]
type     = "script"
command  = ["/bin/sh", "-c", "echo $(id -un) for $HALO_TRACKER"]
interval = "100ms"
user     = "daemon"
`))
	waitTracker(t, a, "whoami", "up", nil)
	if last := a.Status(t).Trackers["whoami"].Last; last.Detail != "daemon for whoami" {
		t.Errorf("the script has run as %+v", last)
	}
}

// One script for both: what Keepalived makes of its vrrp_script halo makes of the
// same file, so that a pair of them moves the addresses the same way.
func TestTrackedScriptOfKeepalived(t *testing.T) {
	t.Parallel()
	s := newTwoSided(t)
	m := newMoods(t, "good")
	other := moods{m.program, m.file + "-b"}
	other.set(t, "good")
	a := s.a.Halo(m.config(130, hasty+"weight = -60\n"))
	s.b.Keepalived(fmt.Sprintf(`global_defs {
	script_user nobody
	enable_script_security
}
vrrp_script backend {
	script "%s %s"
	interval 1
	weight -60
}
vrrp_instance VI_1 {
	interface eth0
	state BACKUP
	version 3
	virtual_router_id 51
	priority 100
	advert_int 0.5
	virtual_ipaddress {
		%s/24
	}
	track_script {
		backend
	}
}
`, other.program, other.file, vip))
	s.outside.WaitOwner(vip, s.a)
	waitTracker(t, a, "backend", "up", nil)
	m.set(t, "bad") // 70 and 100
	s.outside.WaitOwner(vip, s.b)
	other.set(t, "bad") // 70 and 40
	s.outside.WaitOwner(vip, s.a)
	other.set(t, "good")
	s.outside.WaitOwner(vip, s.b)
	m.set(t, "good")
	s.outside.WaitOwner(vip, s.a)
}
