package pluginhost

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// roundTrip runs roundHost as a child that change has taken rights from. The
// thread that starts it is thrown away.
func roundTrip(t *testing.T, dir, runtimeDir, binary string, change func(*exec.Cmd) error) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = append(os.Environ(), "HALO_TEST_ROUND_HOST="+dir, "HALO_TEST_RUNTIME_DIR="+runtimeDir)
	var output []byte
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		if err = change(cmd); err == nil {
			var said bytes.Buffer
			cmd.Stderr = &said
			if output, err = cmd.Output(); err != nil {
				err = fmt.Errorf("%w: %s", err, &said)
			}
		}
	}()
	<-done
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return string(output)
}

// With exactly the capabilities of the systemd unit, which are not all of
// root's, plugins start, are replaced, and leave nothing.
func TestRootWithTheUnitsCapabilities(t *testing.T) {
	t.Parallel()
	needRoot(t)
	keep := []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL, unix.CAP_CHOWN}
	// What a daemon before left belongs to the plugin's user.
	runtimeDir := runtimeDir(t)
	s := sockets{root: filepath.Join(runtimeDir, "plugins")}
	left, err := s.make(account{name: "nobody", uid: 65534, gid: 65534})
	mustDo(t, err)
	touch(t, left+"/plugin1")

	got := roundTrip(t, install(t, stubGood), runtimeDir, os.Args[0], func(*exec.Cmd) error {
		for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
			if slices.Contains(keep, c) {
				continue
			}
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if want := "runs as nobody, warnings []\nleft 0, warned 0 times\n"; got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
}

// Without privileges plugins run as the daemon's own user, which is said once
// in the log and shown with each.
func TestWithoutPrivileges(t *testing.T) {
	t.Parallel()
	needRoot(t)
	// Everything belongs to the user who runs it.
	dir := t.TempDir()
	mustDo(t, os.Chmod(filepath.Dir(dir), 0o755)) //nolint:gosec // to be passed through.
	content, err := os.ReadFile(os.Args[0])
	mustDo(t, err)
	binary := filepath.Join(dir, stubGood)
	mustDo(t, os.WriteFile(binary, content, 0o755)) //nolint:gosec // a program.
	mustDo(t, os.Symlink(stubGood, filepath.Join(dir, "host")))
	runtimeDir := filepath.Join(dir, "run")
	mustDo(t, os.Mkdir(runtimeDir, 0o755))
	for _, path := range []string{dir, binary, runtimeDir} {
		mustDo(t, os.Chown(path, 4242, 4242))
	}
	got := roundTrip(t, dir, runtimeDir, filepath.Join(dir, "host"), func(cmd *exec.Cmd) error {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4242}}
		return nil
	})
	want := "runs as 4242, warnings [\"runs as 4242 instead of nobody: the daemon may not change users\"]\nleft 0, warned 1 times\n"
	if got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
}

// A daemon that is not root but has capabilities from its unit hands none of
// them to a plugin.
func TestAmbientCapabilitiesStayWithTheDaemon(t *testing.T) {
	t.Parallel()
	needRoot(t)
	runtimeDir := runtimeDir(t)
	mustDo(t, os.Chown(runtimeDir, 4242, 4242))
	binaryDir := t.TempDir()
	mustDo(t, os.Chmod(filepath.Dir(binaryDir), 0o755)) //nolint:gosec // to be passed through.
	content, err := os.ReadFile(os.Args[0])
	mustDo(t, err)
	for _, name := range []string{"host", stubGood} {
		mustDo(t, os.WriteFile(filepath.Join(binaryDir, name), content, 0o755)) //nolint:gosec // a program.
	}
	got := roundTrip(t, binaryDir, runtimeDir, filepath.Join(binaryDir, "host"), func(cmd *exec.Cmd) error {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: 4242, Gid: 4242},
			AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL, unix.CAP_CHOWN},
		}
		cmd.Env = append(cmd.Env, "HALO_TEST_SHOW_CAPABILITIES=1")
		return nil
	})
	want := "runs as nobody, warnings []\nCapEff 0000000000000000 CapAmb 0000000000000000\nleft 0, warned 0 times\n"
	if got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
}
