package pluginhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// longestLinkChain is how many symbolic links a path may lead through, the
// kernel's own limit.
const longestLinkChain = 40

// UntrustedError says which element of a plugin's path stands in the way, and
// what to do about it.
type UntrustedError struct {
	// Path is the plugin file as it was found, Element the part that is wrong.
	Path, Element string
	// Owner is the element's owner as "name (uid)", Mode its permissions.
	Owner string
	Mode  fs.FileMode
	// Why says what is wrong, Remedy which command puts it right.
	Why, Remedy string
}

func (e *UntrustedError) Error() string {
	return fmt.Sprintf("refuse plugin %s: %s %s (owner %s, mode %s): %s", e.Path, e.Element, e.Why, e.Owner, e.Mode, e.Remedy)
}

// owners says whose files are trusted: root's always, and when the daemon is
// not root also those of its own user, who could replace the daemon anyway.
type owners struct{ own uint32 }

func currentOwners() owners {
	return owners{own: uint32(os.Geteuid())} //nolint:gosec // identifiers are 32 bits wide.
}

func (o owners) trusted(uid uint32) bool { return uid == 0 || uid == o.own }

// stamp identifies one state of one file. The change time is part of it, which
// nobody can set back, so that a file replaced in place is noticed.
type stamp struct {
	device, inode uint64
	size          int64
	mode          fs.FileMode
	modified      int64 // nanoseconds since the epoch
	changed       int64 // nanoseconds since the epoch
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), mode: info.Mode(), modified: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.inode = uint64(sys.Dev), sys.Ino //nolint:unconvert,nolintlint // the width of Dev depends on the architecture.
		s.changed = sys.Ctim.Nano()
	}
	return s
}

// verify walks path from the root and checks every element: each directory,
// each symbolic link on the way and everything behind it, and the file at the
// end. Each must be owned by a trusted user and be writable by nobody else;
// the end must be a regular, executable file. It returns the file's own name,
// with no link left in it.
//
// A directory with the sticky bit (as /tmp has it) may be writable by others:
// there nobody can rename or remove what belongs to somebody else, and what
// stands in it is checked like everything.
func (o owners) verify(path string) (target string, s stamp, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return "", stamp{}, fmt.Errorf("refuse plugin %s: %w", path, err)
	}
	at := "/"
	info, err := os.Lstat(at)
	if err != nil {
		return "", stamp{}, fmt.Errorf("refuse plugin %s: %w", path, err)
	}
	if err := o.element(path, at, info); err != nil {
		return "", stamp{}, err
	}
	rest := strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		if info, err = os.Lstat(next); err != nil {
			return "", stamp{}, fmt.Errorf("refuse plugin %s: %w", path, err)
		}
		if err := o.element(path, next, info); err != nil {
			return "", stamp{}, err
		}
		if info.Mode().Type() == fs.ModeSymlink {
			if links++; links > longestLinkChain {
				return "", stamp{}, fmt.Errorf("refuse plugin %s: follow links: %w", path, syscall.ELOOP)
			}
			to, err := os.Readlink(next)
			if err != nil {
				return "", stamp{}, fmt.Errorf("refuse plugin %s: %w", path, err)
			}
			if filepath.IsAbs(to) {
				at = "/"
			}
			rest = append(strings.Split(to, "/"), rest...)
			continue
		}
		at = next
		if len(rest) > 0 && !info.IsDir() {
			return "", stamp{}, fmt.Errorf("refuse plugin %s: %s: %w", path, next, syscall.ENOTDIR)
		}
	}
	if err := o.file(path, at, info); err != nil {
		return "", stamp{}, err
	}
	return at, stampOf(info), nil
}

// element checks owner and permissions of one element of path.
func (o owners) element(path, element string, info fs.FileInfo) error {
	sys, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("refuse plugin %s: %s: read owner: %w", path, element, errors.ErrUnsupported)
	}
	if !o.trusted(sys.Uid) {
		why, remedy := "belongs to neither root nor the user halo runs as", "chown root "+element+", or install the plugin elsewhere"
		if o.own == 0 {
			why = "does not belong to root"
		}
		if info.Mode().Type() == fs.ModeSymlink {
			remedy = "chown -h root " + element
		}
		return untrusted(path, element, info, sys, why, remedy)
	}
	if info.Mode().Type() == fs.ModeSymlink {
		// The kernel ignores a link's permissions.
		return nil
	}
	writable := info.Mode().Perm() & 0o022
	if writable == 0 || info.IsDir() && info.Mode()&fs.ModeSticky != 0 {
		return nil
	}
	who := "others"
	switch writable {
	case 0o020:
		who = "its group"
	case 0o022:
		who = "its group and by others"
	}
	return untrusted(path, element, info, sys, "is writable by "+who, "chmod go-w "+element)
}

// file checks what only the end of the path must be.
func (o owners) file(path, target string, info fs.FileInfo) error {
	sys, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("refuse plugin %s: %s: read owner: %w", path, target, errors.ErrUnsupported)
	}
	if !info.Mode().IsRegular() {
		return untrusted(path, target, info, sys, "is not a regular file", "put the plugin's program there")
	}
	if info.Mode().Perm()&0o111 == 0 {
		return untrusted(path, target, info, sys, "is not executable", "chmod 0755 "+target)
	}
	return nil
}

func untrusted(path, element string, info fs.FileInfo, sys *syscall.Stat_t, why, remedy string) error {
	uid := strconv.FormatUint(uint64(sys.Uid), 10)
	owner := uid
	if u, err := user.LookupId(uid); err == nil {
		owner = u.Username + " (" + uid + ")"
	}
	return &UntrustedError{Path: path, Element: element, Owner: owner, Mode: info.Mode(), Why: why, Remedy: remedy}
}
