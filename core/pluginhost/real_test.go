package pluginhost

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/host"
)

// patience is how long something that must happen may take on a machine that
// has more important things to do.
const patience = 30 * time.Second

func testUser() string {
	if privileged() {
		return "nobody"
	}
	return strconv.Itoa(os.Geteuid())
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// listener passes on what a host tells.
type listener struct {
	opened chan *Session
	lost   chan string

	guard    sync.Mutex
	received int
}

func newListener() *listener {
	return &listener{opened: make(chan *Session, 100), lost: make(chan string, 100)}
}

func (l *listener) SessionOpened(_ Identity, _ uint64, s *Session) { l.opened <- s }

func (l *listener) MessageReceived(_ Identity, _ uint64, m host.Message) {
	if r, ok := m.(*host.Results); ok {
		l.guard.Lock()
		l.received += len(r.Results)
		l.guard.Unlock()
	}
}

func (l *listener) SessionLost(_ Identity, _ uint64, cause string) {
	if l.lost != nil {
		l.lost <- cause
	}
}

func (l *listener) results() int {
	l.guard.Lock()
	defer l.guard.Unlock()
	return l.received
}

// install makes a plugin directory with links to the test binary.
func install(t testing.TB, names ...string) string {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range names {
		if err := os.Symlink(binary, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runtimeDir is a directory that a plugin's user can pass through.
func runtimeDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	guard sync.Mutex
	buf   bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.guard.Lock()
	defer b.guard.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.guard.Lock()
	defer b.guard.Unlock()
	return b.buf.String()
}

// opened is a Host with everything that a test looks at.
type opened struct {
	*Host
	heard *listener
	log   *safeBuffer
	dir   string
}

func open(t testing.TB, names ...string) *opened {
	t.Helper()
	o := &opened{heard: newListener(), log: &safeBuffer{}, dir: install(t, names...)}
	h, err := Open(Config{
		Dirs: []string{o.dir}, RuntimeDir: runtimeDir(t), User: testUser(), Listener: o.heard,
		Logger: slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Host = h
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", o.log)
		}
	})
	return o
}

func (o *opened) apply(names ...string) {
	specs := make([]Spec, len(names))
	for i, name := range names {
		specs[i] = Spec{Identity: Identity{name, testUser()}}
	}
	o.Apply(specs)
}

func (o *opened) session(t testing.TB) *Session {
	t.Helper()
	select {
	case s := <-o.heard.opened:
		return s
	case <-time.After(patience):
		t.Fatal("no session was opened")
		return nil
	}
}

func (o *opened) lost(t testing.TB) string {
	t.Helper()
	select {
	case cause := <-o.heard.lost:
		return cause
	case <-time.After(patience):
		t.Fatal("no session was lost")
		return ""
	}
}

// snapshot waits until the plugin's only process is in one of the states.
func (o *opened) snapshot(t testing.TB, name string, states ...State) Snapshot {
	t.Helper()
	var last Snapshot
	eventually(t, func() bool {
		for _, s := range o.Snapshots() {
			if s.Plugin != name {
				continue
			}
			last = s
			if slices.Contains(states, s.State) {
				return true
			}
		}
		return false
	}, func() string {
		return fmt.Sprintf("%s is %s (%s), want %v", name, last.State, last.LastError, states)
	})
	return last
}

func eventually(t testing.TB, ok func() bool, complaint func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(complaint())
		}
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[0] != 'Z' && rest[0] != 'X'
}

func gone(t testing.TB, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		eventually(t, func() bool { return !alive(pid) }, func() string { return fmt.Sprintf("process %d is still there", pid) })
	}
}

// childOf reads "child N" from a plugin's last words.
func childOf(t testing.TB, o *opened) int {
	t.Helper()
	var pid int
	eventually(t, func() bool {
		_, rest, ok := strings.Cut(o.log.String(), `line="child `)
		if ok {
			text, _, _ := strings.Cut(rest, `"`)
			pid, _ = strconv.Atoi(text)
		}
		return pid > 0
	}, func() string { return "the stub does not name its child:\n" + o.log.String() })
	return pid
}

func TestHostRunsAPlugin(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood)
	o.apply(stubGood)
	s := o.session(t)
	if err := s.Upsert([]host.Probe{{ID: 7, Type: "stub", Settings: []byte(`{}`), Schedule: host.Schedule{
		Interval: 10 * time.Millisecond, RetryInterval: 10 * time.Millisecond, Timeout: time.Second, Rise: 1, Fall: 1,
	}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(1); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return o.heard.results() > 3 }, func() string { return "no results" })
	shown := o.snapshot(t, stubGood, StateRunning)
	if shown.Version != "1.0" || shown.Protocol != 1 || shown.Probes != 1 || shown.PID == 0 || len(shown.Types) != 1 ||
		shown.Path != filepath.Join(o.dir, stubGood) || shown.Started.IsZero() || shown.Incarnation == 0 {
		t.Errorf("snapshot: %+v", shown)
	}
	o.apply()
	if cause := o.lost(t); cause != "stopped on request" {
		t.Errorf("the session was lost: %s", cause)
	}
	gone(t, shown.PID)
	eventually(t, func() bool { return len(o.Snapshots()) == 0 }, func() string { return "it is still shown" })
	if left, err := os.ReadDir(o.sockets.root); err != nil || len(left) != 0 {
		t.Errorf("left in the socket directory: %v, %v", left, err)
	}
}

// procStatus reads /proc/PID/status.
func procStatus(t testing.TB, pid int) map[string]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.Join(strings.Fields(value), " ")
	}
	return fields
}

func TestPluginIsContained(t *testing.T) {
	needRoot(t)
	t.Setenv("HALO_SECRET", "hunter2")
	o := open(t, stubGood)
	o.Apply([]Spec{{Identity: Identity{stubGood, "nobody"}, Env: map[string]string{"EXTRA": "1"}}})
	o.session(t)
	shown := o.snapshot(t, stubGood, StateRunning)
	pid := shown.PID
	if shown.RunsAs != "nobody" || len(shown.Warnings) != 0 {
		t.Errorf("runs as %s, warnings %q", shown.RunsAs, shown.Warnings)
	}
	const none = "0000000000000000"
	for key, want := range map[string]string{
		"Uid": "65534 65534 65534 65534", "Gid": "65534 65534 65534 65534", "Groups": "",
		"CapInh": none, "CapPrm": none, "CapEff": none, "CapAmb": none, "NoNewPrivs": "1",
		"Name": "halo-check-good", "PPid": strconv.Itoa(os.Getpid()),
	} {
		if got := procStatus(t, pid)[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	// Every thread, not the first alone, since privileges belong to threads.
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	mustDo(t, err)
	for _, thread := range threads {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", pid, thread.Name()))
		mustDo(t, err)
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if nice := fields[16]; nice != strconv.Itoa(ownNice(t)) {
			t.Errorf("thread %s has nice %s", thread.Name(), nice)
		}
		if group, session := fields[2], fields[3]; group != strconv.Itoa(pid) || session != strconv.Itoa(pid) {
			t.Errorf("it is in group %s and session %s, want its own", group, session)
		}
	}
	if score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid)); err != nil || strings.TrimSpace(string(score)) != "500" {
		t.Errorf("oom_score_adj is %q, %v", score, err)
	}
	if input, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", pid)); err != nil || input != "/dev/null" {
		t.Errorf("its stdin is %q, %v", input, err)
	}
	if dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err != nil || dir != "/" {
		t.Errorf("its directory is %q, %v", dir, err)
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	mustDo(t, err)
	if bytes.Contains(env, []byte("hunter2")) || bytes.Contains(env, []byte("HOME=")) || !bytes.Contains(env, []byte("EXTRA=1\x00")) {
		t.Errorf("its environment is %q", env)
	}
	entries, err := os.ReadDir(o.sockets.root)
	if err != nil || len(entries) != 1 {
		t.Fatalf("socket directories: %v, %v", entries, err)
	}
	info, err := entries[0].Info()
	mustDo(t, err)
	if s := stampOf(info); info.Mode().Perm() != 0o700 || s.inode == 0 {
		t.Errorf("its socket directory has mode %v", info.Mode())
	}
	// The descriptors of the daemon are not the plugin's.
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	mustDo(t, err)
	for _, link := range links {
		to, _ := os.Readlink(link)
		if strings.HasPrefix(to, o.dir) || strings.Contains(to, "pluginhost.test") || strings.Contains(to, "pidfd") {
			t.Errorf("it holds %s", to)
		}
	}
}

func ownNice(t testing.TB) int {
	t.Helper()
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return 20 - raw
}

// The spawning thread's privations must not spread to the daemon.
func TestContainmentStaysOnItsThread(t *testing.T) {
	o := open(t, stubGood)
	o.apply(stubGood)
	o.session(t)
	bound := 0
	threads, err := filepath.Glob("/proc/self/task/*/status")
	mustDo(t, err)
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			continue // the thread has ended
		}
		if bytes.Contains(text, []byte("NoNewPrivs:\t1")) {
			bound++
		}
	}
	if own := procStatus(t, os.Getpid())["NoNewPrivs"]; own == "0" && bound != 1 {
		t.Errorf("%d threads have no_new_privs, want the spawner's alone", bound)
	}
}

func TestGrantedCapabilityIsTheOnlyOne(t *testing.T) {
	needRoot(t)
	o := open(t, stubGood)
	o.Apply([]Spec{{Identity: Identity{stubGood, "nobody"}, Capabilities: []string{"net_raw"}}})
	o.session(t)
	fields := procStatus(t, o.snapshot(t, stubGood, StateRunning).PID)
	want := fmt.Sprintf("%016x", 1<<unix.CAP_NET_RAW)
	for _, key := range []string{"CapPrm", "CapEff", "CapAmb"} {
		if fields[key] != want {
			t.Errorf("%s is %s, want %s", key, fields[key], want)
		}
	}
	if fields["Uid"] != "65534 65534 65534 65534" || fields["NoNewPrivs"] != "1" {
		t.Errorf("uid %s, no_new_privs %s", fields["Uid"], fields["NoNewPrivs"])
	}
}

// Pdeathsig is tied to the thread that forked: goroutines that end while they
// are locked to a thread must not take a plugin with them.
func TestPluginSurvivesTheEndOfThreads(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood)
	o.apply(stubGood)
	o.session(t)
	pid := o.snapshot(t, stubGood, StateRunning).PID
	for range 20 {
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { runtime.LockOSThread() })
		}
		all.Wait()
	}
	select {
	case cause := <-o.heard.lost:
		t.Errorf("the session was lost: %s", cause)
	case <-time.After(time.Second):
	}
	if !alive(pid) {
		t.Error("the plugin is dead")
	}
}

// R37: a host that is killed leaves nothing behind.
func TestHostKilledLeavesNoProcess(t *testing.T) {
	t.Parallel()
	runtimeDir := runtimeDir(t)
	doomed := exec.CommandContext(t.Context(), os.Args[0])
	doomed.Env = append(os.Environ(), "HALO_TEST_DOOMED_HOST="+install(t, stubGood, stubMute), "HALO_TEST_RUNTIME_DIR="+runtimeDir)
	output, err := doomed.StdoutPipe()
	mustDo(t, err)
	input, err := doomed.StdinPipe()
	mustDo(t, err)
	defer input.Close()
	mustDo(t, doomed.Start())
	var line string
	if _, err := fmt.Fscanln(output, &line); err != nil || line != "ready" {
		t.Fatalf("the host did not get ready: %q, %v", line, err)
	}
	var pids []int
	eventually(t, func() bool {
		pids = children(t, doomed.Process.Pid)
		return len(pids) == 2
	}, func() string { return fmt.Sprintf("its plugins are %v", pids) })
	mustDo(t, doomed.Process.Kill())
	_ = doomed.Wait()
	gone(t, pids...)
	// Its sockets stay until the next daemon sweeps.
	h, err := Open(Config{RuntimeDir: runtimeDir, Logger: quiet()})
	mustDo(t, err)
	mustDo(t, h.Sweep())
	if left, err := os.ReadDir(filepath.Join(runtimeDir, "plugins")); err != nil || len(left) != 0 {
		t.Errorf("a sweep leaves %v, %v", left, err)
	}
	mustDo(t, h.Close(t.Context()))
}
