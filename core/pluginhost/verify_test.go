package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tree makes a plugin directory as an installation has it: the plugin is a
// link to the multi-call file. It returns the directory above both.
func tree(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "r")
	for _, dir := range []string{root, root + "/lib", root + "/lib/plugins"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(root+"/lib/halo-plugins", []byte("\x7fELF, nearly"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../halo-plugins", root+"/lib/plugins/halo-check-tcp"); err != nil {
		t.Fatal(err)
	}
	return root
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root, to give files to another user")
		}
		t.Skip("needs root, to give files to another user")
	}
}

func TestVerifyFollowsTheLink(t *testing.T) {
	root := tree(t)
	target, s, err := currentOwners().verify(root + "/lib/plugins/halo-check-tcp")
	if err != nil {
		t.Fatal(err)
	}
	if want := root + "/lib/halo-plugins"; target != want {
		t.Errorf("target is %s, want %s", target, want)
	}
	if s == (stamp{}) || s.size != int64(len("\x7fELF, nearly")) {
		t.Errorf("the stamp is %+v", s)
	}
}

func TestVerifyRefuses(t *testing.T) {
	const plugin = "/lib/plugins/halo-check-tcp"
	tests := []struct {
		name   string
		root   bool // needs root
		spoil  func(t *testing.T, root string)
		at     string // the element that is named
		reason string
		remedy string
	}{
		{
			name: "file writable by others", at: "/lib/halo-plugins",
			spoil:  func(t *testing.T, root string) { mustDo(t, os.Chmod(root+"/lib/halo-plugins", 0o757)) },
			reason: "is writable by others (owner root (0), mode -rwxr-xrwx)", remedy: "chmod go-w",
		},
		{
			name: "file writable by its group", at: "/lib/halo-plugins",
			spoil:  func(t *testing.T, root string) { mustDo(t, os.Chmod(root+"/lib/halo-plugins", 0o775)) },
			reason: "is writable by its group (owner root (0), mode -rwxrwxr-x)", remedy: "chmod go-w",
		},
		{
			name: "directory of the link writable", at: "/lib/plugins",
			spoil:  func(t *testing.T, root string) { mustDo(t, os.Chmod(root+"/lib/plugins", 0o777)) },
			reason: "is writable by its group and by others (owner root (0), mode drwxrwxrwx)", remedy: "chmod go-w",
		},
		{
			name: "directory of the target writable", at: "/lib",
			spoil:  func(t *testing.T, root string) { mustDo(t, os.Chmod(root+"/lib", 0o775)) },
			reason: "is writable by its group", remedy: "chmod go-w",
		},
		{
			name: "directory far above", at: "",
			spoil:  func(t *testing.T, root string) { mustDo(t, os.Chmod(root, 0o757)) },
			reason: "is writable by others", remedy: "chmod go-w",
		},
		{
			name: "directory reached only through a link", at: "/elsewhere",
			spoil: func(t *testing.T, root string) {
				mustDo(t, os.Mkdir(root+"/elsewhere", 0o755))
				mustDo(t, os.Rename(root+"/lib/halo-plugins", root+"/elsewhere/halo-plugins"))
				mustDo(t, os.Remove(root+plugin))
				mustDo(t, os.Symlink(root+"/elsewhere/halo-plugins", root+plugin))
				mustDo(t, os.Chmod(root+"/elsewhere", 0o757))
			},
			reason: "is writable by others", remedy: "chmod go-w",
		},
		{
			name: "file of another user", root: true, at: "/lib/halo-plugins",
			spoil:  func(t *testing.T, root string) { mustDo(t, os.Chown(root+"/lib/halo-plugins", 65534, 0)) },
			reason: "does not belong to root (owner nobody (65534), mode -rwxr-xr-x)", remedy: "chown root",
		},
		{
			name: "directory of another user", root: true, at: "/lib",
			spoil:  func(t *testing.T, root string) { mustDo(t, os.Chown(root+"/lib", 4242, 0)) },
			reason: "does not belong to root (owner 4242, mode drwxr-xr-x)", remedy: "chown root",
		},
		{
			name: "link of another user", root: true, at: plugin,
			spoil:  func(t *testing.T, root string) { mustDo(t, os.Lchown(root+plugin, 65534, 0)) },
			reason: "does not belong to root", remedy: "chown -h root",
		},
		{
			name: "not executable", at: "/lib/halo-plugins",
			spoil:  func(t *testing.T, root string) { mustDo(t, os.Chmod(root+"/lib/halo-plugins", 0o644)) },
			reason: "is not executable", remedy: "chmod 0755",
		},
		{
			name: "a directory", at: "/lib/halo-plugins",
			spoil: func(t *testing.T, root string) {
				mustDo(t, os.Remove(root+"/lib/halo-plugins"))
				mustDo(t, os.Mkdir(root+"/lib/halo-plugins", 0o755))
			},
			reason: "is not a regular file", remedy: "put the plugin's program there",
		},
		{
			name: "a pipe", at: "/lib/halo-plugins",
			spoil: func(t *testing.T, root string) {
				mustDo(t, os.Remove(root+"/lib/halo-plugins"))
				mustDo(t, syscall.Mkfifo(root+"/lib/halo-plugins", 0o755))
			},
			reason: "is not a regular file",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root || strings.Contains(tt.reason, "root (0)") {
				needRoot(t)
			}
			root := tree(t)
			tt.spoil(t, root)
			_, _, err := currentOwners().verify(root + plugin)
			var refused *UntrustedError
			if !errors.As(err, &refused) {
				t.Fatalf("verify = %v, want an UntrustedError", err)
			}
			if refused.Element != root+tt.at {
				t.Errorf("it names %s, want %s", refused.Element, root+tt.at)
			}
			for _, want := range []string{"refuse plugin " + root + plugin + ": ", root + tt.at + " ", tt.reason, tt.remedy} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the message lacks %q: %s", want, err)
				}
			}
		})
	}
}

func TestVerifyTakesAStickyDirectory(t *testing.T) {
	root := tree(t)
	mustDo(t, os.Chmod(root, 0o777|os.ModeSticky))
	if _, _, err := currentOwners().verify(root + "/lib/plugins/halo-check-tcp"); err != nil {
		t.Errorf("a sticky directory above is refused: %v", err)
	}
	needRoot(t)
	mustDo(t, os.Chown(root+"/lib", 65534, 0))
	if _, _, err := currentOwners().verify(root + "/lib/plugins/halo-check-tcp"); err == nil {
		t.Error("what somebody else put into a sticky directory is taken")
	}
}

func TestVerifyUnprivilegedTrustsItsOwnUser(t *testing.T) {
	needRoot(t)
	root := tree(t)
	mustDo(t, os.Chown(root+"/lib/halo-plugins", 4242, 0))
	if _, _, err := (owners{own: 4242}).verify(root + "/lib/plugins/halo-check-tcp"); err != nil {
		t.Errorf("the daemon's own file is refused: %v", err)
	}
	_, _, err := owners{own: 4243}.verify(root + "/lib/plugins/halo-check-tcp")
	if err == nil || !strings.Contains(err.Error(), "belongs to neither root nor the user halo runs as") {
		t.Errorf("somebody else's file: %v", err)
	}
}

func TestVerifyEndsOnLoopsAndHoles(t *testing.T) {
	root := tree(t)
	mustDo(t, os.Symlink("b", root+"/a"))
	mustDo(t, os.Symlink("a", root+"/b"))
	mustDo(t, os.Symlink("nowhere", root+"/c"))
	for path, want := range map[string]error{
		root + "/a":                     syscall.ELOOP,
		root + "/c":                     os.ErrNotExist,
		root + "/lib/halo-plugins/deep": syscall.ENOTDIR,
		root + "/missing":               os.ErrNotExist,
	} {
		if _, _, err := currentOwners().verify(path); !errors.Is(err, want) {
			t.Errorf("verify %s = %v, want %v", path, err, want)
		}
	}
}

func TestOpenProgramPins(t *testing.T) {
	root := tree(t)
	path := root + "/lib/plugins/halo-check-tcp"
	digest := sha256.Sum256([]byte("\x7fELF, nearly"))
	sum := hex.EncodeToString(digest[:])

	p, err := openProgram(path, strings.ToUpper(sum), currentOwners())
	if err != nil {
		t.Fatalf("the right sum is refused: %v", err)
	}
	if want := fmt.Sprintf("/proc/self/fd/%d", p.file.Fd()); p.executable() != want || p.file.Fd() < lowestDescriptor {
		t.Errorf("it is executed as %s", p.executable())
	}
	p.close()

	_, err = openProgram(path, strings.Repeat("0", 64), currentOwners())
	for _, want := range []string{path, root + "/lib/halo-plugins", sum, strings.Repeat("0", 64), "update sha256"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a wrong sum: %v, which lacks %q", err, want)
		}
	}

	mustDo(t, os.WriteFile(root+"/lib/script", []byte("#!/bin/sh\n"), 0o755))
	p, err = openProgram(root+"/lib/script", "", currentOwners())
	if err != nil || p.executable() != root+"/lib/script" {
		t.Fatalf("a script: %v", err)
	}
	p.close()
	if _, err = openProgram(root+"/lib/script", sum, currentOwners()); err == nil || !strings.Contains(err.Error(), "is a script") {
		t.Errorf("a pinned script: %v", err)
	}
}

func TestStampNoticesAChangeThatHidesItself(t *testing.T) {
	root := tree(t)
	path := root + "/lib/halo-plugins"
	info, err := os.Stat(path)
	mustDo(t, err)
	before := stampOf(info)
	mustDo(t, os.WriteFile(path, []byte("\x7fELF, really"), 0o755))
	mustDo(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	info, err = os.Stat(path)
	mustDo(t, err)
	if after := stampOf(info); after == before {
		t.Error("a file with other content of the same length and time has the same stamp")
	}
}
