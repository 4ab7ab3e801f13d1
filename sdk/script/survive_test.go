package script_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/script"
)

// The test binary also plays a host and a plugin, so that they can be killed.
const (
	roleVariable   = "SCRIPT_TEST_ROLE"
	scriptVariable = "SCRIPT_TEST_SCRIPT"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "host":
		playHost()
	case "plugin":
		playPlugin()
	case "reaper":
		playReaper()
	case "threads":
		playThreads()
	default:
		os.Exit(m.Run())
	}
}

// playHost starts a plugin as halo's core does, says its process id, and
// stays until it is killed.
func playHost() {
	runtime.LockOSThread()
	read, write, err := os.Pipe()
	if err != nil {
		fail(err)
	}
	plugin := exec.Command(os.Args[0]) //nolint:noctx // Its whole life is this process's.
	plugin.Env = append(os.Environ(), roleVariable+"=plugin", "HALO_PLUGIN_LIFELINE_FD=3")
	plugin.ExtraFiles = []*os.File{read}
	plugin.Stderr = os.Stderr
	plugin.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := plugin.Start(); err != nil {
		fail(err)
	}
	fmt.Println(plugin.Process.Pid)
	time.Sleep(time.Hour)
	runtime.KeepAlive(write)
}

// playPlugin runs one script and ends with it, or with its host.
func playPlugin() {
	if err := script.StayToCleanUp(); err != nil {
		fail(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if os.Getenv("HALO_PLUGIN_LIFELINE_FD") != "" {
		go func() {
			_, _ = io.Copy(io.Discard, os.NewFile(3, "lifeline"))
			cancel()
		}()
	}
	var runner script.Runner
	_, _ = runner.Script().Run(ctx, script.Command{Args: []string{os.Getenv(scriptVariable)}})
	os.Exit(0)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// family is a script with a child, both deaf to SIGTERM, and their process ids.
type family struct{ path, script, child string }

func newFamily(t *testing.T) family {
	t.Helper()
	directory := t.TempDir()
	f := family{script: filepath.Join(directory, "script"), child: filepath.Join(directory, "child")}
	f.path = write(t, "#!/bin/sh\ntrap '' TERM\necho $$ > "+f.script+"\nsleep 3600 &\necho $! > "+f.child+"\nwhile :; do wait; done\n")
	return f
}

// TestHostKilled kills a host with SIGKILL while its plugin runs a script, also
// when the plugin stands still just then.
func TestHostKilled(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		t.Run(fmt.Sprintf("plugin stopped %v", stopped), func(t *testing.T) {
			f := newFamily(t)
			host := exec.CommandContext(t.Context(), os.Args[0])
			host.Env = append(os.Environ(), roleVariable+"=host", scriptVariable+"="+f.path)
			host.Stderr = os.Stderr
			stdout, err := host.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := host.Start(); err != nil {
				t.Fatal(err)
			}
			var plugin int
			if _, err := fmt.Fscan(bufio.NewReader(stdout), &plugin); err != nil {
				t.Fatal(err)
			}
			leader, child := pidIn(t, f.script), pidIn(t, f.child)
			if stopped {
				if err := unix.Kill(plugin, unix.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			if err := host.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = host.Wait()
			for _, pid := range []int{plugin, leader, child} {
				awaitDeath(t, pid)
			}
		})
	}
}

// TestPluginKilled kills a plugin with SIGKILL: the script goes with it. Its
// child is for the host to find, by the session, as the package says.
func TestPluginKilled(t *testing.T) {
	f := newFamily(t)
	plugin := exec.CommandContext(t.Context(), os.Args[0])
	plugin.Env = append(os.Environ(), roleVariable+"=plugin", scriptVariable+"="+f.path)
	plugin.Stderr = os.Stderr
	if err := plugin.Start(); err != nil {
		t.Fatal(err)
	}
	leader, child := pidIn(t, f.script), pidIn(t, f.child)
	defer kill(child)
	if err := plugin.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = plugin.Wait()
	awaitDeath(t, leader)
	if session, err := unix.Getsid(child); err != nil || session != mustSession(t) {
		t.Errorf("the child is in session %d (%v), not the plugin's", session, err)
	}
}

// TestNobodyReaps is a container whose first process never reaps: what is dead
// stays in the process table, and must not count as alive for ever.
func TestNobodyReaps(t *testing.T) {
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), roleVariable+"=reaper",
		scriptVariable+"="+write(t, "#!/bin/sh\nsleep 3600 &\nexit 3\n"))
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// playReaper inherits what its scripts leave behind, and lets it lie. The
// scripts exit, or are ended, with a child in their group each time.
func playReaper() {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fail(err)
	}
	var runner script.Runner
	s, path := runner.Script(), os.Getenv(scriptVariable)
	for range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		ended, err := s.Run(ctx, script.Command{Args: []string{path}})
		cancel()
		if err != nil || ended.Code != 3 {
			fail(fmt.Errorf("exit: %+v, %w", ended, err))
		}
		ctx, cancel = context.WithTimeout(context.Background(), 100*time.Millisecond)
		_, err = s.Run(ctx, script.Command{Args: []string{"/bin/sh", "-c", "sleep 3600 & wait"}})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			fail(fmt.Errorf("timeout: %w", err))
		}
	}
	os.Exit(0)
}

// TestOnFirstThread asks a process of its own: here a test before may have
// taken the first thread for good.
func TestOnFirstThread(t *testing.T) {
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), roleVariable+"=threads")
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// playThreads finds the first thread again and again, from everywhere.
func playThreads() {
	want := errors.New("from the function")
	for range 100 {
		err := script.OnFirstThread(func() error {
			if unix.Gettid() != unix.Getpid() {
				return fmt.Errorf("on thread %d of process %d", unix.Gettid(), unix.Getpid())
			}
			return want
		})
		if !errors.Is(err, want) {
			fail(err)
		}
		go time.Sleep(time.Millisecond)
	}
	os.Exit(0)
}

func mustSession(t *testing.T) int {
	t.Helper()
	session, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	return session
}
