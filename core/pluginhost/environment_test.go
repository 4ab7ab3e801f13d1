package pluginhost

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestEnvironmentIsAShortList(t *testing.T) {
	t.Setenv("TZ", "UTC")
	t.Setenv("SECRET", "hunter2")
	t.Setenv("LD_PRELOAD", "")
	got := environment(map[string]string{
		"B": "2", "A": "1", "PLUGIN_UNIX_SOCKET_DIR": "/tmp", "HALO_PLUGIN_LIFELINE_FD": "7",
	}, []string{"PLUGIN_X=y"})
	for _, forbidden := range []string{"SECRET=", "LD_PRELOAD=", "PLUGIN_UNIX_SOCKET_DIR=", "HALO_PLUGIN_LIFELINE_FD=", "HOME="} {
		if slices.ContainsFunc(got, func(v string) bool { return strings.HasPrefix(v, forbidden) }) {
			t.Errorf("%s is in %q", forbidden, got)
		}
	}
	if tail := got[len(got)-3:]; !slices.Equal(tail, []string{"A=1", "B=2", "PLUGIN_X=y"}) {
		t.Errorf("the end is %q", tail)
	}
	if !slices.Contains(got, "TZ=UTC") || !strings.HasPrefix(got[0], "PATH=/usr/local/sbin:") {
		t.Errorf("%q lacks the time zone or the path", got)
	}
}

func TestCapabilityNumber(t *testing.T) {
	for _, name := range []string{"net_raw", "NET_RAW", "CAP_NET_RAW", "cap_net_raw"} {
		if n, err := capabilityNumber(name); n != unix.CAP_NET_RAW || err != nil {
			t.Errorf("capabilityNumber(%q) = %d, %v", name, n, err)
		}
	}
	for _, name := range []string{"sys_admin", "setuid", "sys_ptrace", "dac_override", "sys_module", ""} {
		if _, err := capabilityNumber(name); err == nil || !strings.Contains(err.Error(), "net_raw") {
			t.Errorf("capabilityNumber(%q): %v", name, err)
		}
	}
}

func TestSocketDirectories(t *testing.T) {
	root := filepath.Join(t.TempDir(), "run")
	s := sockets{root: root + "/plugins"}
	own := account{same: true}
	mustDo(t, s.sweep())
	first, err := s.make(own)
	mustDo(t, err)
	second, err := s.make(own)
	mustDo(t, err)
	if first != root+"/plugins/1" || second != root+"/plugins/2" {
		t.Errorf("the directories are %s and %s", first, second)
	}
	for dir, want := range map[string]os.FileMode{root: 0o755, root + "/plugins": 0o711, first: 0o700} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v (%v)", dir, info.Mode().Perm(), want, err)
		}
	}
	touch(t, first+"/plugin12345")
	touch(t, root+"/plugins/plugin-dir99/x")
	mustDo(t, s.sweep())
	if left, err := os.ReadDir(s.root); err != nil || len(left) != 0 {
		t.Errorf("a sweep leaves %v, %v", left, err)
	}
	// What a process of before left must not be in the way.
	mustDo(t, os.Mkdir(root+"/plugins/3", 0o700))
	if dir, err := s.make(own); err != nil || dir != root+"/plugins/4" {
		t.Errorf("the next is %s, %v", dir, err)
	}
}

func TestSocketsRefuseALongRuntimeDirectory(t *testing.T) {
	s := sockets{root: "/" + strings.Repeat("x", 73) + "/plugins"}
	if err := s.check(); err != nil {
		t.Errorf("a path that fits: %v", err)
	}
	s.root = "/" + strings.Repeat("x", 74) + "/plugins"
	if err := s.check(); err == nil || !strings.Contains(err.Error(), "too long by 1 bytes") || !strings.Contains(err.Error(), "runtime_dir") {
		t.Errorf("a path that does not fit: %v", err)
	}
}

func TestSocketsNameADirectoryThatCannotBeEntered(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	mustDo(t, os.Chmod(filepath.Dir(root), 0o755))
	mustDo(t, os.Chmod(root, 0o750))
	s := sockets{root: root + "/plugins"}
	nobody := account{name: "nobody", uid: 65534, gid: 65534}
	_, err := s.make(nobody)
	mustDo(t, err)
	if err := s.reachable(nobody); err == nil || !strings.Contains(err.Error(), `user "nobody" cannot enter `+root+" ") {
		t.Errorf("a directory closed to others: %v", err)
	}
	if err := s.reachable(account{uid: 4242, gid: 0}); err != nil {
		t.Errorf("a directory open to the group: %v", err)
	}
	mustDo(t, os.Chmod(root, 0o751))
	if err := s.reachable(nobody); err != nil {
		t.Errorf("a directory open to others: %v", err)
	}
}

func TestLookupAccount(t *testing.T) {
	if a, err := lookupAccount("whoever", false); err != nil || !a.same || int(a.uid) != os.Geteuid() {
		t.Errorf("without privilege: %+v, %v", a, err)
	}
	a, err := lookupAccount("nobody", true)
	if err != nil || a.uid != 65534 || a.same {
		t.Errorf("nobody: %+v, %v", a, err)
	}
	if b, err := lookupAccount("65534", true); err != nil || b != a {
		t.Errorf("nobody by number: %+v, %v", b, err)
	}
	if _, err := lookupAccount("no-such-user", true); err == nil || !strings.Contains(err.Error(), "useradd") {
		t.Errorf("nobody at all: %v", err)
	}
}
