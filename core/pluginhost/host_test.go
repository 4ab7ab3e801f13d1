package pluginhost

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/host"
)

// The same plugin as two users is two processes, and what happens to one does
// not touch the other.
func TestUsersHaveTheirOwnProcess(t *testing.T) {
	t.Parallel()
	needRoot(t)
	o := open(t, stubGood)
	o.Apply([]Spec{{Identity: Identity{stubGood, "nobody"}}, {Identity: Identity{stubGood, "daemon"}}, {Identity: Identity{stubGood, "root"}}})
	for range 3 {
		o.session(t)
	}
	byUser := make(map[string]Snapshot)
	for _, s := range o.Snapshots() {
		byUser[s.User] = s
	}
	for user, uid := range map[string]string{"nobody": "65534", "daemon": "1", "root": "0"} {
		s := byUser[user]
		if got := procStatus(t, s.PID)["Uid"]; s.RunsAs != user || got != strings.Join([]string{uid, uid, uid, uid}, " ") {
			t.Errorf("the process of %s runs as %s, uid %s", user, s.RunsAs, got)
		}
		if warned := strings.Contains(strings.Join(s.Warnings, " "), "runs as root"); warned != (user == "root") {
			t.Errorf("warnings of %s: %q", user, s.Warnings)
		}
	}
	mustDo(t, unix.Kill(byUser["nobody"].PID, unix.SIGKILL))
	o.lost(t)
	o.session(t)
	for _, s := range o.Snapshots() {
		if s.User != "nobody" && (s.PID != byUser[s.User].PID || s.Restarts != 0) {
			t.Errorf("the process of %s was touched: %+v", s.User, s)
		}
	}
	if got := (Identity{"halo-check-x", "nobody"}).String(); got != "halo-check-x as nobody" {
		t.Errorf("an identity reads %q", got)
	}
}

func TestSnapshotsShowWhatIsInstalledAndWhatRuns(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood, stubDies, stubFails)
	later := install(t, stubGood)
	h, err := Open(Config{Dirs: []string{o.dir, later}, RuntimeDir: runtimeDir(t), User: testUser(), Listener: o.heard, Logger: quiet()})
	mustDo(t, err)
	defer h.Close(context.WithoutCancel(t.Context()))
	_, err = h.Discover(t.Context(), nil)
	mustDo(t, err)
	h.Apply([]Spec{{Identity: Identity{stubGood, testUser()}}})
	o.session(t)
	all := h.Snapshots()
	if len(all) != 3 {
		t.Fatalf("%d plugins are shown: %+v", len(all), all)
	}
	for i, want := range []struct {
		name  string
		state State
	}{{stubFails, StateRefused}, {stubDies, StateInstalled}, {stubGood, StateRunning}} {
		s := all[i]
		if s.Plugin != want.name || s.State != want.state || s.Path != filepath.Join(o.dir, want.name) {
			t.Errorf("shown as %d: %+v, want %s %s", i, s, want.name, want.state)
		}
	}
	if s := all[2]; len(s.Shadows) != 1 || s.Shadows[0] != filepath.Join(later, stubGood) || s.Protocol != 1 {
		t.Errorf("%+v", s)
	}
}

// What a plugin that cannot be started says of itself is shown all the same.
func TestSnapshotOfAPluginThatDiesKnowsItsVersion(t *testing.T) {
	t.Parallel()
	o := open(t, stubDies)
	_, err := o.Discover(t.Context(), nil)
	mustDo(t, err)
	o.apply(stubDies)
	if s := o.snapshot(t, stubDies, StateBackoff, StateFailed); s.Version != "1.0" || s.Protocol != 1 || len(s.Types) != 1 || s.Path == "" {
		t.Errorf("%+v", s)
	}
}

// A deadline that is too short for kindness is kept, and what does not end is killed.
func TestCloseKeepsAShortDeadline(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood)
	o.apply(stubGood)
	o.session(t)
	pid := o.snapshot(t, stubGood, StateRunning).PID
	mustDo(t, unix.Kill(pid, unix.SIGSTOP))
	ctx, cancel := context.WithTimeout(t.Context(), killReserve)
	defer cancel()
	_ = o.Close(ctx) // what is late is named; the kill has been sent in any case
	gone(t, pid)
}

func TestClosedHostRefuses(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood)
	mustDo(t, o.Close(t.Context()))
	mustDo(t, o.Close(t.Context()))
	if _, err := o.Validate(t.Context(), Spec{Identity: Identity{stubGood, testUser()}}, nil); err == nil {
		t.Error("a closed host asks a plugin")
	}
	if installed, err := o.Discover(t.Context(), nil); err != nil || len(installed) != 1 || installed[0].Problem == nil {
		t.Errorf("a closed host asks a plugin to describe itself: %+v, %v", installed, err)
	}
}

func TestOpenRefusesALongRuntimeDirectory(t *testing.T) {
	_, err := Open(Config{RuntimeDir: "/" + strings.Repeat("x", 100), Logger: quiet()})
	if err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("open: %v", err)
	}
}

// A listener that takes its time over one plugin holds up no other.
func TestSlowListenerHoldsNobodyElseUp(t *testing.T) {
	t.Parallel()
	slow := &slowListener{listener: newListener(), release: make(chan struct{})}
	h, err := Open(Config{Dirs: []string{install(t, stubGood, stubParent)}, RuntimeDir: runtimeDir(t), User: testUser(), Listener: slow, Logger: slog.New(slog.DiscardHandler)})
	mustDo(t, err)
	defer h.Close(context.WithoutCancel(t.Context()))
	h.Apply([]Spec{{Identity: Identity{stubGood, testUser()}}, {Identity: Identity{stubParent, testUser()}}})
	for range 2 {
		select {
		case s := <-slow.opened:
			probe(t, s, "pass")
		case <-time.After(patience):
			t.Fatal("no session")
		}
	}
	eventually(t, func() bool { return slow.results() > 5 }, func() string { return "the other plugin's results do not come" })
	close(slow.release)
	for _, s := range h.Snapshots() {
		if s.Restarts != 0 {
			t.Errorf("%s was restarted: %s", s.Plugin, s.LastError)
		}
	}
}

// slowListener holds up the messages of one plugin.
type slowListener struct {
	*listener
	release chan struct{}
}

func (s *slowListener) MessageReceived(id Identity, incarnation uint64, m host.Message) {
	if id.Plugin == stubGood {
		<-s.release
		return
	}
	s.listener.MessageReceived(id, incarnation, m)
}

// A file that is replaced while its plugin runs is taken by the restart.
func TestRestartTakesTheNewFile(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood)
	o.apply(stubGood)
	o.session(t)
	before := o.snapshot(t, stubGood, StateRunning)
	content, err := os.ReadFile(os.Args[0])
	mustDo(t, err)
	path := filepath.Join(o.dir, stubGood)
	mustDo(t, os.WriteFile(path+".new", content, 0o755)) //nolint:gosec // a program.
	mustDo(t, os.Rename(path+".new", path))
	mustDo(t, o.Restart(stubGood))
	o.session(t)
	after := o.snapshot(t, stubGood, StateRunning)
	old, _ := os.Readlink("/proc/self/exe")
	now, err := os.Readlink(filepath.Join("/proc", procStatus(t, after.PID)["Pid"], "exe"))
	if err != nil || now != path || now == old || after.PID == before.PID {
		t.Errorf("it runs %s, %v; want %s", now, err, path)
	}
}
