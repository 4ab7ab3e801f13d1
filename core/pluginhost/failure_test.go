package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/host"
)

// R36 and R38: each way to fail at the start has its own words, is told from
// others, and touches no other plugin.
func TestStartFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		stub  string
		state State
		want  []string // in the last error
		words string   // in the last words
	}{
		{stub: stubDies, state: StateBackoff, want: []string{"exited with status 2 before it was ready: panic: the settings are nil"}, words: "panic: the settings are nil"},
		{stub: stubGarbage, state: StateBackoff, want: []string{`the first line on its stdout is "Hello from init!" instead of the handshake`, "prints before it serves"}},
		{stub: stubMute, state: StateBackoff, want: []string{"no handshake within 5s"}},
		{stub: stubSilent, state: StateBackoff, want: []string{"no answer within 5s"}},
		{stub: stubElsewhere, state: StateBackoff, want: []string{"it listens on unix", "not on a unix socket in"}},
		{stub: stubNewer, state: StateRefused, want: []string{"speaks protocols 3 to 4, this halo speaks protocol 1: upgrade halo"}},
		{stub: stubLiar, state: StateRefused, want: []string{"speaks protocol 3, this halo speaks protocol 1: upgrade halo"}},
	}
	names := []string{stubGood}
	for _, tt := range tests {
		names = append(names, tt.stub)
	}
	o := open(t, names...)
	o.apply(names...)
	o.session(t)
	well := o.snapshot(t, stubGood, StateRunning)
	for _, tt := range tests {
		t.Run(tt.stub, func(t *testing.T) {
			shown := o.snapshot(t, tt.stub, StateBackoff, StateFailed, StateRefused)
			if tt.state == StateRefused && shown.State != StateRefused || tt.state != StateRefused && shown.State == StateRefused {
				t.Errorf("the state is %s, want %s", shown.State, tt.state)
			}
			for _, want := range append(tt.want, tt.stub+" ("+filepath.Join(o.dir, tt.stub)+")") {
				if !strings.Contains(shown.LastError, want) {
					t.Errorf("the last error lacks %q: %s", want, shown.LastError)
				}
			}
			if words := strings.Join(shown.LastWords, "\n"); !strings.Contains(words, tt.words) {
				t.Errorf("the last words lack %q: %s", tt.words, words)
			}
			if shown.PID != 0 {
				t.Errorf("process %d is shown", shown.PID)
			}
		})
	}
	if still := o.snapshot(t, stubGood, StateRunning); still.PID != well.PID || still.Restarts != 0 {
		t.Errorf("the good plugin was touched: %+v", still)
	}
	if socket, _ := filepath.Glob(filepath.Join(os.TempDir(), "halo-elsewhere-*")); len(socket) > 0 {
		for _, path := range socket {
			_ = os.Remove(path)
		}
	}
}

// R35: a process that is stopped is noticed, killed and replaced.
func TestStoppedPluginIsReplaced(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood)
	o.apply(stubGood)
	o.session(t)
	before := o.snapshot(t, stubGood, StateRunning)
	mustDo(t, unix.Kill(before.PID, unix.SIGSTOP))
	o.snapshot(t, stubGood, StateUnresponsive)
	if cause := o.lost(t); cause != "unresponsive: no heartbeat for 3.5s" {
		t.Errorf("lost because of %q", cause)
	}
	gone(t, before.PID)
	o.session(t)
	after := o.snapshot(t, stubGood, StateRunning)
	if after.PID == before.PID || after.Restarts != 1 || after.LastError != "unresponsive: no heartbeat for 3.5s (killed by SIGKILL)" {
		t.Errorf("afterwards: %+v", after)
	}
}

func TestCrashesAreToldApart(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood)
	o.apply(stubGood)
	tests := []struct {
		name  string
		crash func(t *testing.T, s *Session, pid int)
		want  string
	}{
		{"killed", func(t *testing.T, _ *Session, pid int) { t.Helper(); mustDo(t, unix.Kill(pid, unix.SIGKILL)) }, "killed by SIGKILL"},
		{"aborted", func(t *testing.T, _ *Session, pid int) { t.Helper(); mustDo(t, unix.Kill(pid, unix.SIGBUS)) }, "exited with status 2: "},
		{"exits", func(t *testing.T, s *Session, _ int) { t.Helper(); probe(t, s, "exit") }, "exited with status 7"},
		{"stops itself", func(t *testing.T, s *Session, _ int) { t.Helper(); probe(t, s, "stop") }, "unresponsive: no heartbeat for 3.5s (killed by SIGKILL"},
	}
	for _, tt := range tests {
		s := o.session(t)
		pid := o.snapshot(t, stubGood, StateRunning).PID
		tt.crash(t, s, pid)
		o.lost(t)
		gone(t, pid)
		var last string
		eventually(t, func() bool {
			last = o.Snapshots()[0].LastError
			return strings.HasPrefix(last, tt.want)
		}, func() string { return fmt.Sprintf("%s: the last error is %q, want %q", tt.name, last, tt.want) })
	}
}

// probe makes the plugin do what the word says.
func probe(t testing.TB, s *Session, word string) {
	t.Helper()
	if err := s.Upsert([]host.Probe{{ID: 1, Type: "stub", Settings: []byte(`{"do":"` + word + `"}`), Schedule: host.Schedule{
		Interval: 100 * time.Millisecond, RetryInterval: 100 * time.Millisecond, Timeout: time.Second, Rise: 1, Fall: 1,
	}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(1); err != nil {
		t.Fatal(err)
	}
}

// A child that holds the plugin's stderr neither hides its death nor survives it.
func TestChildrenDieWithThePlugin(t *testing.T) {
	t.Parallel()
	o := open(t, stubParent)
	o.apply(stubParent)
	o.session(t)
	child := childOf(t, o)
	if !alive(child) {
		t.Fatal("the child is not there")
	}
	plugin := o.snapshot(t, stubParent, StateRunning).PID
	mustDo(t, unix.Kill(plugin, unix.SIGKILL))
	if cause := o.lost(t); cause != errDied.Error() {
		t.Errorf("lost because of %q", cause)
	}
	gone(t, child, plugin)
}

// A plugin that writes without end costs a bounded share of the log, goes on
// working, and does not make the daemon wait.
func TestNoisyPluginKeepsWorking(t *testing.T) {
	t.Parallel()
	o := open(t, stubNoisy)
	o.apply(stubNoisy)
	s := o.session(t)
	probe(t, s, "pass")
	eventually(t, func() bool { return o.heard.results() > 10 }, func() string { return "no results" })
	if lines := strings.Count(o.log.String(), "\n"); lines > 200 {
		t.Errorf("it fills %d lines of the log", lines)
	}
	if !strings.Contains(o.log.String(), "cut=true") {
		t.Error("its line of a megabyte was not cut")
	}
	if shown := o.snapshot(t, stubNoisy, StateRunning); shown.Restarts != 0 {
		t.Errorf("it was restarted: %s", shown.LastError)
	}
}

func TestRefusedFileIsStartedOnceItIsInOrder(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood)
	mustDo(t, os.Chmod(o.dir, 0o777)) //nolint:gosec // that is the point.
	o.apply(stubGood)
	shown := o.snapshot(t, stubGood, StateRefused)
	if want := o.dir + " is writable by its group and by others"; !strings.Contains(shown.LastError, want) {
		t.Errorf("the last error lacks %q: %s", want, shown.LastError)
	}
	mustDo(t, os.Chmod(o.dir, 0o755)) //nolint:gosec // as installed.
	o.session(t)
	if shown = o.snapshot(t, stubGood, StateRunning); shown.Restarts != 1 {
		t.Errorf("%d restarts", shown.Restarts)
	}
}

func TestMissingPluginIsStartedOnceItIsThere(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.apply(stubGood)
	shown := o.snapshot(t, stubGood, StateRefused)
	if want := "plugin halo-check-good: not found in " + o.dir; shown.LastError != want {
		t.Errorf("the last error is %q, want %q", shown.LastError, want)
	}
	binary, err := os.Executable()
	mustDo(t, err)
	mustDo(t, os.Symlink(binary, filepath.Join(o.dir, stubGood)))
	o.session(t)
}

func TestUnknownUserAndCapabilityAreRefused(t *testing.T) {
	needRoot(t)
	o := open(t, stubGood)
	o.Apply([]Spec{
		{Identity: Identity{stubGood, "no-such-user"}},
		{Identity: Identity{stubGood, "nobody"}, Capabilities: []string{"sys_admin"}},
	})
	for user, want := range map[string]string{"no-such-user": "useradd", "nobody": `capability "sys_admin"`} {
		eventually(t, func() bool {
			for _, s := range o.Snapshots() {
				if s.User == user && s.State == StateRefused && strings.Contains(s.LastError, want) {
					return true
				}
			}
			return false
		}, func() string { return fmt.Sprintf("%s: %+v", user, o.Snapshots()) })
	}
}

func TestPinnedFileIsExecutedAndAnotherIsRefused(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood)
	p, err := openProgram(filepath.Join(o.dir, stubGood), "", o.owners)
	mustDo(t, err)
	wrong := strings.Repeat("ab", 32)
	sum := sumOf(t, p.target)
	p.close()
	spec := Spec{Identity: Identity{stubGood, testUser()}, SHA256: wrong}
	o.Apply([]Spec{spec})
	shown := o.snapshot(t, stubGood, StateRefused)
	if !strings.Contains(shown.LastError, "but "+wrong+" is configured") {
		t.Errorf("the last error is %s", shown.LastError)
	}
	spec.SHA256 = sum
	o.Apply([]Spec{spec})
	o.session(t)
	o.snapshot(t, stubGood, StateRunning)
}

func TestSameSpecsRestartNothing(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood)
	spec := Spec{Identity: Identity{stubGood, testUser()}, Env: map[string]string{}, Capabilities: []string{}}
	o.Apply([]Spec{spec, spec})
	o.session(t)
	before := o.snapshot(t, stubGood, StateRunning)
	spec.Env, spec.Capabilities = nil, nil
	o.Apply([]Spec{spec})
	spec.Env = map[string]string{"A": "1"}
	o.Apply([]Spec{spec})
	if cause := o.lost(t); cause != "stopped on request" {
		t.Errorf("lost because of %q", cause)
	}
	o.session(t)
	if after := o.snapshot(t, stubGood, StateRunning); after.Restarts != 1 || after.PID == before.PID {
		t.Errorf("%d restarts, want one, for the last change", after.Restarts)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood)
	if err := o.Restart(stubGood); err == nil || !strings.Contains(err.Error(), stubGood) {
		t.Errorf("restart of what does not run: %v", err)
	}
	o.apply(stubGood)
	o.session(t)
	before := o.snapshot(t, stubGood, StateRunning)
	mustDo(t, o.Restart(stubGood))
	o.session(t)
	after := o.snapshot(t, stubGood, StateRunning)
	if after.PID == before.PID || after.Incarnation <= before.Incarnation || after.LastError != "" {
		t.Errorf("before %+v, after %+v", before, after)
	}
	gone(t, before.PID)
}

// Close ends also what does not want to end, at the same time as the rest, and
// within its deadline.
func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood, stubMute, stubParent)
	o.apply(stubGood, stubMute, stubParent)
	o.session(t)
	o.session(t)
	child := childOf(t, o)
	pids := []int{child}
	for _, s := range o.Snapshots() {
		if s.PID != 0 {
			pids = append(pids, s.PID)
		}
	}
	stopped := o.snapshot(t, stubGood, StateRunning).PID
	mustDo(t, unix.Kill(stopped, unix.SIGSTOP))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := o.Close(ctx); err != nil {
		t.Fatalf("close: %v", err)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	o.apply(stubGood)
	if len(o.Snapshots()) != 0 {
		t.Error("a closed host starts plugins")
	}
	if _, err := o.spawner.start(command{program: &program{path: "/x", file: os.Stdin}}); !errors.Is(err, errClosed) {
		t.Errorf("the thread is still there: %v", err)
	}
}
