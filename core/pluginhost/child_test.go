package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// forker is a spawner for one test.
func forker(t testing.TB) *spawner {
	t.Helper()
	s, err := newSpawner()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// shell starts a script as a child. It says "ready" when it has got that far.
func shell(t testing.TB, s *spawner, script string) *child {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	mustWrite(t, path, "#!/bin/sh\n"+script)
	p, err := openProgram(path, "", currentOwners())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	k, err := s.start(command{program: p, account: account{same: true}, environment: []string{"PATH=/usr/bin:/bin"}, lifeline: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.signal(unix.SIGKILL)
		<-k.dead
		closeAll(k.stdout, k.stderr)
	})
	line := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(k.stdout, line); err != nil || string(line) != "ready\n" {
		t.Fatalf("the script says %q, %v", line, err)
	}
	return k
}

func mustWrite(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

func ended(t testing.TB, k *child) string {
	t.Helper()
	select {
	case <-k.dead:
		return k.exit()
	case <-time.After(patience):
		t.Fatal("the child does not end")
		return ""
	}
}

func TestChildTellsHowItEnded(t *testing.T) {
	t.Parallel()
	s := forker(t)
	for script, want := range map[string]string{
		"exit 0":                     exitedWell,
		"exit 42":                    "exited with status 42",
		"kill -ABRT $$":              "killed by SIGABRT",
		"ulimit -c 0; kill -SEGV $$": "killed by SIGSEGV",
		"exec true":                  exitedWell,
	} {
		k := shell(t, s, "echo ready\n"+script)
		if got := ended(t, k); got != want {
			t.Errorf("%s: %s, want %s", script, got, want)
		}
		if !k.byItself() {
			t.Errorf("%s: it counts as killed", script)
		}
		k.signal(unix.SIGKILL) // comes too late, and must not reach anybody
		if !k.byItself() {
			t.Errorf("%s: a signal after the end counts", script)
		}
	}
}

func TestChildKilledHereIsToldFromChildKilledElsewhere(t *testing.T) {
	t.Parallel()
	s := forker(t)
	here := shell(t, s, "echo ready\nexec sleep 1000")
	here.signal(unix.SIGKILL)
	if got := ended(t, here); got != killedBySignal || here.byItself() {
		t.Errorf("%s, by itself %v", got, here.byItself())
	}
	elsewhere := shell(t, s, "echo ready\nexec sleep 1000")
	mustDo(t, unix.Kill(elsewhere.pid, unix.SIGKILL))
	if got := ended(t, elsewhere); got != killedBySignal || !elsewhere.byItself() {
		t.Errorf("%s, by itself %v", got, elsewhere.byItself())
	}
}

// A grandchild in a process group of its own dies with the child, and cannot
// keep the end of its output from coming.
func TestRelativesDieWithTheChild(t *testing.T) {
	t.Parallel()
	k := shell(t, forker(t), "exec bash -c 'set -m; sleep 1000 & echo ready; echo $! >&2; sleep 0.2; exit 1'")
	text := make([]byte, 20)
	n, err := k.stderr.Read(text)
	mustDo(t, err)
	var grandchild int
	_, err = fmt.Sscan(string(text[:n]), &grandchild)
	mustDo(t, err)
	if group, err := unix.Getpgid(grandchild); err != nil || group == k.pid {
		t.Fatalf("the grandchild is in group %d, %v: the test tests nothing", group, err)
	}
	if got := ended(t, k); got != "exited with status 1" {
		t.Errorf("it %s", got)
	}
	gone(t, grandchild)
	if _, err := io.ReadAll(k.stdout); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("its output ends with %v", err)
	}
}

func TestSessionMembers(t *testing.T) {
	t.Parallel()
	k := shell(t, forker(t), "exec bash -c 'set -m; sleep 1000 & echo ready; wait'")
	members := sessionMembers(k.pid)
	if len(members) != 2 {
		t.Errorf("the session has %v, want the shell and its child", members)
	}
	for _, pid := range sessionMembers(os.Getpid()) {
		if pid == k.pid {
			t.Error("the child is in this process's session")
		}
	}
}

func TestLifelineEndsWhenReleased(t *testing.T) {
	t.Parallel()
	k := shell(t, forker(t), "echo ready\neval \"cat <&$"+lifelineVariable+"\"\nexit 9")
	select {
	case <-k.dead:
		t.Fatal("the lifeline has ended before it was released")
	case <-time.After(100 * time.Millisecond):
	}
	k.release()
	if got := ended(t, k); got != "exited with status 9" {
		t.Errorf("it %s", got)
	}
	k.release() // again is harmless
}

// endOf ends k as an instance whose plugin does not answer calls would.
func endOf(t testing.TB, k *child, within time.Duration) ending {
	t.Helper()
	said := make(chan struct{})
	close(said)
	i := &instance{runner: &childRunner{child: k, said: said, words: &lastWords{}, socketDir: t.TempDir()}, later: func(func()) {}}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	k.release()
	if !await(ctx, k.dead, lifelineTimeout) {
		k.signal(unix.SIGTERM)
		await(ctx, k.dead, termTimeout)
	}
	return i.End(ctx, false)
}

func TestEndEscalates(t *testing.T) {
	t.Parallel()
	s := forker(t)
	for script, want := range map[string]string{
		"trap 'exit 5' TERM\necho ready\nwhile :; do sleep 0.01; done":   "exited with status 5",
		"trap '' TERM HUP INT\necho ready\nwhile :; do sleep 0.01; done": killedBySignal,
		"echo ready\nkill -STOP $$":                                      killedBySignal,
	} {
		k := shell(t, s, script)
		if got := endOf(t, k, stopTimeout); got.how != want {
			t.Errorf("%q: it %s, want %s", script, got.how, want)
		}
	}
}

func TestExecErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	s := forker(t)
	dir := t.TempDir()
	mustWrite(t, dir+"/noloader", "#!/no/such/interpreter\n")
	mustWrite(t, dir+"/garbage", "this is no program")
	for name, want := range map[string]string{
		"noloader": "interpreter or loader is missing",
		"garbage":  "not a program for this machine's architecture",
	} {
		p, err := openProgram(filepath.Join(dir, name), "", currentOwners())
		mustDo(t, err)
		_, err = s.start(command{program: p, account: account{same: true}})
		p.close()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), filepath.Join(dir, name)) || strings.Contains(err.Error(), "/proc/self/fd") {
			t.Errorf("%s: %v", name, err)
		}
		if !permanentExec(err) {
			t.Errorf("%s: %v is tried again", name, err)
		}
	}
	for _, err := range []error{syscall.EAGAIN, syscall.ENOMEM, errors.New("other")} {
		if permanentExec(err) || explainExec(err).Error() != err.Error() {
			t.Errorf("%v is permanent, or explained: %v", err, explainExec(err))
		}
	}
	for err, want := range map[error]string{syscall.EACCES: "chmod a+rx", syscall.EPERM: "may not change the user"} {
		if got := explainExec(&os.PathError{Op: "fork/exec", Path: "/proc/self/fd/64", Err: err}); !errors.Is(got, err) || !strings.Contains(got.Error(), want) {
			t.Errorf("%v is explained as %v", err, got)
		}
	}
}

// A file that the plugin's user may not execute, although root may.
func TestFileForOthersEyesOnly(t *testing.T) {
	needRoot(t)
	s := forker(t)
	path := filepath.Join(t.TempDir(), "private")
	content, err := os.ReadFile("/bin/true")
	mustDo(t, err)
	mustDo(t, os.WriteFile(path, content, 0o700))
	p, err := openProgram(path, "", currentOwners())
	mustDo(t, err)
	defer p.close()
	_, err = s.start(command{program: p, account: account{name: "nobody", uid: 65534, gid: 65534}})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "start "+path+" as nobody") {
		t.Errorf("start: %v", err)
	}
}

func TestCheckHandshake(t *testing.T) {
	for line, want := range map[string]string{
		"1|1|unix|/run/x|grpc|cert":   "",
		"1|1|unix|/run/x|grpc":        "",
		"1|3|unix|/run/x|grpc|":       "protocol 3 is not spoken here",
		"1|x\x1b|unix|/run/x|grpc|":   `its handshake has "x·" where the protocol version should be`,
		"":                            `the first line on its stdout is "" instead of the handshake`,
		"1|1|unix|/run/x":             "instead of the handshake",
		strings.Repeat("long ", 1000): `long…" instead of the handshake`,
	} {
		err := checkHandshake(line)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.40q: %v, want %q", line, err, want)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%.40q: the message has %d bytes", line, len(err.Error()))
		}
	}
}

func FuzzCheckHandshake(f *testing.F) {
	f.Add("1|1|unix|/run/x|grpc|cert")
	f.Add("|||||")
	f.Fuzz(func(t *testing.T, line string) {
		if err := checkHandshake(line); err != nil && err.Error() != printable(err.Error()) {
			t.Errorf("%q: the error is not printable: %q", line, err)
		}
	})
}

// The daemon connects to nothing but a socket in the plugin's own directory.
func TestAddressOfAPluginIsChecked(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	listen := func(path string) {
		l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
		mustDo(t, err)
		t.Cleanup(func() { _ = l.Close() })
	}
	listen(dir + "/good")
	listen(other + "/docker.sock")
	mustDo(t, os.Symlink(other+"/docker.sock", dir+"/link"))
	mustWrite(t, dir+"/file", "")
	r := &childRunner{socketDir: dir, command: command{account: account{same: true}}}
	tests := []struct{ network, address, want string }{
		{"unix", dir + "/good", ""},
		{"tcp", "127.0.0.1:22", "not on a unix socket"},
		{"unix", other + "/docker.sock", "not on a unix socket in " + dir},
		{"unix", dir + "/../" + filepath.Base(other) + "/docker.sock", "not on a unix socket in " + dir},
		{"unix", dir + "/link", "not a socket"},
		{"unix", dir + "/file", "not a socket"},
		{"unix", dir + "/missing", "no such file"},
		{"unix", "@abstract", "not on a unix socket in"},
	}
	for _, tt := range tests {
		network, address, err := r.PluginToHost(tt.network, tt.address)
		switch {
		case tt.want == "" && (err != nil || network != tt.network || address != tt.address):
			t.Errorf("%s: %s %s, %v", tt.address, network, address, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.address, err, tt.want)
		}
	}
	if _, _, err := r.HostToPlugin("unix", "/x"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("the way back: %v", err)
	}
}

func TestExplainEnd(t *testing.T) {
	lost := errors.New("unresponsive")
	tests := []struct {
		cause error
		end   ending
		want  string
	}{
		{errDied, ending{how: "exited with status 2", cause: "panic: x"}, "exited with status 2: panic: x"},
		{errDied, ending{how: "killed by SIGKILL"}, "killed by SIGKILL"},
		{lost, ending{how: "killed by SIGKILL", cause: "slow disk"}, "unresponsive (killed by SIGKILL: slow disk)"},
		{lost, ending{how: "killed by SIGKILL"}, "unresponsive (killed by SIGKILL)"},
		{lost, ending{}, "unresponsive"},
	}
	for _, tt := range tests {
		if got := explainEnd(tt.cause, tt.end); got.Error() != tt.want {
			t.Errorf("explainEnd(%v, %+v) = %v, want %s", tt.cause, tt.end, got, tt.want)
		}
	}
}

func TestSpawnerOutlivesItsCallers(t *testing.T) {
	t.Parallel()
	s := forker(t)
	thread := 0
	for range 50 {
		mustDo(t, s.do(func() {
			if thread != 0 && thread != unix.Gettid() {
				t.Errorf("job on thread %d after thread %d", unix.Gettid(), thread)
			}
			thread = unix.Gettid()
		}))
	}
	if thread == os.Getpid() {
		t.Error("the spawner is the first thread, which stands for the whole process")
	}
	s.close()
	s.close()
	if err := s.do(func() { t.Error("a job runs after the end") }); !errors.Is(err, errClosed) {
		t.Errorf("do after close: %v", err)
	}
	eventually(t, func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
		return os.IsNotExist(err)
	}, func() string { return "the thread is still there" })
}

// Descriptors that this process was started with are not handed down.
func TestInheritedDescriptorsStayHere(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	mustDo(t, err)
	defer closeAll(read, write)
	_, err = unix.FcntlInt(write.Fd(), unix.F_SETFD, 0) // as a shell leaves its own
	mustDo(t, err)
	k := shell(t, forker(t), "echo ready\nls -l /proc/$$/fd >&2")
	list, err := io.ReadAll(k.stderr)
	mustDo(t, err)
	to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", write.Fd()))
	mustDo(t, err)
	if strings.Contains(string(list), to) {
		t.Errorf("the child holds %s:\n%s", to, list)
	}
}
