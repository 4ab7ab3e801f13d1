package pluginhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
)

// longestSocket is what a unix socket's path may have, without the final zero.
const longestSocket = 107 // bytes

// sockets hands out one private directory per started process, under
// <runtime directory>/plugins. It is not under /tmp, where cleaners remove
// sockets that look old while a plugin still listens on them.
type sockets struct {
	root string
	last atomic.Uint64
}

// check reports a runtime directory whose name leaves no room for a socket's.
func (s *sockets) check() error {
	// go-plugin calls the socket "plugin" and up to ten digits; a million
	// starts are allowed for.
	if n := len(s.root) + len("/1000000/plugin4294967295"); n > longestSocket {
		return fmt.Errorf("runtime directory %s: its name is too long by %d bytes for the plugins' sockets; set runtime_dir to a shorter one", filepath.Dir(s.root), n-longestSocket)
	}
	return nil
}

// sweep removes what an earlier process left behind. It must not run while
// another daemon uses the same runtime directory.
func (s *sockets) sweep() error {
	entries, err := os.ReadDir(s.root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sweep plugin sockets: %w", err)
	}
	var problems []error
	for _, e := range entries {
		problems = append(problems, removeSockets(filepath.Join(s.root, e.Name())))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("sweep plugin sockets: %w", err)
	}
	return nil
}

// seize makes a socket, or the directory that holds it, this process's own.
// The kernel lets root into other users' places only with CAP_DAC_OVERRIDE,
// which halo does not ask for: with CAP_CHOWN it takes what it gave away. A
// plugin needs neither once it listens, and cannot exchange the socket any
// more for something else.
func seize(path string) error { return os.Lchown(path, os.Geteuid(), os.Getegid()) }

// removeSockets removes the directory of a plugin that has ended. What is left
// if it fails is removed by the next sweep.
func removeSockets(dir string) error {
	_ = seize(dir) // Without the capability it was never given away.
	return os.RemoveAll(dir)
}

// make creates a directory that only a's user, and root, can enter. The
// directories above it can be passed through, not listed.
func (s *sockets) make(a account) (string, error) {
	if err := os.MkdirAll(filepath.Dir(s.root), 0o755); err != nil { //nolint:gosec // the plugin's user must pass through it.
		return "", fmt.Errorf("create runtime directory: %w", err)
	}
	if err := os.Mkdir(s.root, 0o711); err != nil && !errors.Is(err, fs.ErrExist) { //nolint:gosec // as above.
		return "", fmt.Errorf("create plugin socket directory: %w", err)
	}
	for {
		dir := filepath.Join(s.root, strconv.FormatUint(s.last.Add(1), 10))
		err := os.Mkdir(dir, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("create plugin socket directory: %w", err)
		}
		if !a.same {
			if err := os.Chown(dir, int(a.uid), int(a.gid)); err != nil {
				_ = os.Remove(dir)
				return "", fmt.Errorf("give plugin socket directory to %s: %w", a.name, err)
			}
		}
		return dir, nil
	}
}

// reachable reports which directory above the sockets the user a cannot pass
// through. A plugin would fail there with a bare "permission denied".
func (s *sockets) reachable(a account) error {
	if a.same || a.uid == 0 {
		return nil
	}
	for dir := s.root; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("check plugin socket directory: %w", err)
		}
		if sys, ok := info.Sys().(*syscall.Stat_t); ok && !mayEnter(info.Mode().Perm(), sys, a) {
			return fmt.Errorf("user %q cannot enter %s (mode %s), where the plugins' sockets are: chmod o+x %s, or set another runtime_dir", a.name, dir, info.Mode(), dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func mayEnter(mode fs.FileMode, sys *syscall.Stat_t, a account) bool {
	switch {
	case sys.Uid == a.uid:
		return mode&0o100 != 0
	case sys.Gid == a.gid:
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}
