package script

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// PathError says why a program will not be run: which element of its path is
// wrong, how, and what puts it right.
type PathError struct {
	// Path is the program as it was named, Element the part that is wrong.
	Path, Element string
	// Why says what is wrong, Remedy what to do about it.
	Why, Remedy string
	// Mode (as chmod takes it) and Owner ("user:group") are the element's; an
	// empty Owner means that it does not exist.
	Mode  uint32
	Owner string
}

// Error puts it all into one line.
func (e *PathError) Error() string {
	var b strings.Builder
	if e.Path != e.Element {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Element + " " + e.Why)
	if e.Owner != "" {
		fmt.Fprintf(&b, " (mode %04o, owner %s)", e.Mode, e.Owner)
	}
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

// Verify reports why the program at path must not, or could not, be run by
// this process.
//
// Every element of the path, and of the paths its symbolic links lead
// through, must belong to root, to the user of this process or to the owner of
// the file, and only its owner may be able to write it (root's group counts as
// root). If this process is root's, everything must belong to root: a script
// that somebody else can write must not run with root's rights. A directory
// with the sticky bit, as /tmp has it, may be open to all: what stands in it
// is checked. The file must be executable for this process, and a text must
// begin with a #! line whose interpreter passes the same test.
func Verify(path string) error {
	return verify(path, 0)
}

// deepest is how many interpreters may stand behind each other: the kernel's limit.
const deepest = 4

// longestLinkChain is how many symbolic links a path may lead through: the kernel's limit.
const longestLinkChain = 40

func verify(path string, depth int) error {
	if !filepath.IsAbs(path) {
		return &PathError{Path: path, Element: path, Why: "is not an absolute path", Remedy: absoluteOf(path)}
	}
	w := walk{path: path, own: uint32(os.Geteuid())} //nolint:gosec // Identifiers are 32 bits wide.
	w.owner = w.own
	if w.own != 0 {
		// An error is found again, and better told, by the walk.
		var stat unix.Stat_t
		if unix.Stat(path, &stat) == nil {
			w.owner = stat.Uid
		}
	}
	file, err := w.end()
	if err != nil {
		return err
	}
	if err := w.executable(file); err != nil {
		return err
	}
	return w.interpreted(file, depth)
}

// absoluteOf says which file a bare name was probably meant to be.
func absoluteOf(name string) string {
	if found, err := exec.LookPath(name); err == nil && filepath.IsAbs(found) {
		return "write " + found
	}
	return "write where it is, from the root"
}

// walk follows one path from the root. It makes its system calls without
// package os: it is made before every run.
type walk struct {
	path string
	// own is the user of this process, owner that of the file at the end.
	own, owner uint32
}

// element is one part of a path.
type element struct {
	path string
	stat unix.Stat_t
}

func (e *element) is(kind uint32) bool { return e.stat.Mode&unix.S_IFMT == kind }

// end checks every element and returns the file, with no link left in its name.
func (w *walk) end() (*element, error) {
	at, next := &element{path: "/"}, &element{}
	if err := unix.Lstat(at.path, &at.stat); err != nil {
		return nil, w.unreachable(at, at.path, err)
	}
	if err := w.check(at); err != nil {
		return nil, err
	}
	links := 0
	for rest := w.path; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if name == "" || name == "." {
			continue
		}
		if !at.is(unix.S_IFDIR) {
			return nil, w.wrong(at, "is not a directory", "")
		}
		// "/a/.." is looked at as it stands: the kernel knows what it means.
		next.path = strings.TrimSuffix(at.path, "/") + "/" + name
		if name == ".." {
			next.path = filepath.Dir(at.path)
		}
		if err := unix.Lstat(next.path, &next.stat); err != nil {
			return nil, w.unreachable(at, next.path, err)
		}
		if err := w.check(next); err != nil {
			return nil, err
		}
		if !next.is(unix.S_IFLNK) {
			at, next = next, at
			continue
		}
		if links++; links > longestLinkChain {
			return nil, w.wrong(next, "is one of too many symbolic links", "")
		}
		to, err := os.Readlink(next.path)
		if err != nil {
			return nil, w.unreachable(at, next.path, err)
		}
		rest = to + "/" + rest
		if filepath.IsAbs(to) {
			at.path = "/"
			if err := unix.Lstat(at.path, &at.stat); err != nil {
				return nil, w.unreachable(at, at.path, err)
			}
		}
	}
	return at, nil
}

// check says whether an element is in the right hands.
func (w *walk) check(e *element) error {
	trusted := e.stat.Uid == 0 || w.own != 0 && (e.stat.Uid == w.own || e.stat.Uid == w.owner)
	if !trusted {
		remedy := "chown root " + e.path
		if e.is(unix.S_IFLNK) {
			remedy = "chown -h root " + e.path
		}
		return w.wrong(e, "belongs to another user, who could replace what is run", remedy)
	}
	if e.is(unix.S_IFLNK) {
		return nil // The kernel ignores a link's permissions.
	}
	if e.is(unix.S_IFDIR) && e.stat.Mode&unix.S_ISVTX != 0 {
		return nil // Nobody can rename or remove here what is not theirs.
	}
	byGroup := e.stat.Mode&unix.S_IWGRP != 0 && e.stat.Gid != 0
	byOthers := e.stat.Mode&unix.S_IWOTH != 0
	switch {
	case byGroup && byOthers:
		return w.wrong(e, "is writable by its group and by others", "chmod go-w "+e.path)
	case byGroup:
		return w.wrong(e, "is writable by its group", "chmod g-w "+e.path)
	case byOthers:
		return w.wrong(e, "is writable by others", "chmod o-w "+e.path)
	}
	return nil
}

// executable checks what only the file at the end must be.
func (w *walk) executable(file *element) error {
	const all = unix.S_IXUSR | unix.S_IXGRP | unix.S_IXOTH
	if !file.is(unix.S_IFREG) {
		return w.wrong(file, "is not a regular file", "")
	}
	// Asked of the kernel, so that groups, access lists and mount options count.
	err := unix.Faccessat(unix.AT_FDCWD, file.path, unix.X_OK, unix.AT_EACCESS)
	switch {
	case err == nil:
		return nil
	case file.stat.Mode&all == 0:
		return w.wrong(file, "is not executable", "chmod a+x "+file.path)
	case file.stat.Mode&all == all:
		return w.wrong(file, "lies on a file system that is mounted noexec", "move it to another one")
	}
	return w.wrong(file, "cannot be executed by user "+ownUser(), "chmod a+x "+file.path)
}

// unreachable tells a missing file from a directory that may not be entered.
func (w *walk) unreachable(directory *element, path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return w.wrong(directory, "cannot be entered by user "+ownUser(), "chmod a+x "+directory.path+", or move the script")
	case errors.Is(err, fs.ErrNotExist):
		return &PathError{Path: w.path, Element: path, Why: "does not exist"}
	}
	return &PathError{Path: w.path, Element: path, Why: "cannot be looked at: " + errnoText(err)}
}

func (w *walk) wrong(e *element, why, remedy string) error {
	return &PathError{Path: w.path, Element: e.path, Why: why, Remedy: remedy, Mode: e.stat.Mode & 0o7777, Owner: ownerName(e.stat.Uid, e.stat.Gid)}
}

// ownerName is "user:group", in names where they have any.
func ownerName(uid, gid uint32) string {
	owner, group := strconv.FormatUint(uint64(uid), 10), strconv.FormatUint(uint64(gid), 10)
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return owner + ":" + group
}

func ownUser() string {
	uid := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return uid
}

func errnoText(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}
