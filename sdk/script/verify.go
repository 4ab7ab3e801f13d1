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
	// Mode and Owner are the element's; an empty Owner means that it does not exist.
	Mode  fs.FileMode
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
		fmt.Fprintf(&b, " (mode %s, owner %s)", octal(e.Mode), e.Owner)
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
	w := walk{path: path, trusted: map[uint32]bool{0: true}}
	if euid := uint32(os.Geteuid()); euid != 0 { //nolint:gosec // Identifiers are 32 bits wide.
		w.trusted[euid] = true
		// An error is found again, and better told, by the walk.
		if info, err := os.Stat(path); err == nil {
			w.trusted[ownerOf(info)] = true
		}
	}
	file, info, err := w.end()
	if err != nil {
		return err
	}
	if err := w.executable(file, info); err != nil {
		return err
	}
	return w.interpreted(file, info, depth)
}

// absoluteOf says which file a bare name was probably meant to be.
func absoluteOf(name string) string {
	if found, err := exec.LookPath(name); err == nil && filepath.IsAbs(found) {
		return "write " + found
	}
	return "write where it is, from the root"
}

// walk follows one path from the root.
type walk struct {
	path    string
	trusted map[uint32]bool
}

// end checks every element and returns the file, with no link left in its name.
func (w *walk) end() (string, fs.FileInfo, error) {
	at := "/"
	info, err := os.Lstat(at)
	if err != nil {
		return "", nil, err
	}
	if err := w.element(at, info); err != nil {
		return "", nil, err
	}
	links := 0
	for rest := strings.Split(w.path, "/"); len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		if info, err = os.Lstat(at); err == nil && !info.IsDir() {
			return "", nil, w.wrong(at, info, "is not a directory", "")
		}
		next := filepath.Join(at, name)
		if info, err = os.Lstat(next); err != nil {
			return "", nil, w.unreachable(at, next, err)
		}
		if err := w.element(next, info); err != nil {
			return "", nil, err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			at = next
			continue
		}
		if links++; links > longestLinkChain {
			return "", nil, w.wrong(next, info, "is one of too many symbolic links", "")
		}
		to, err := os.Readlink(next)
		if err != nil {
			return "", nil, w.unreachable(at, next, err)
		}
		if filepath.IsAbs(to) {
			at = "/"
		}
		rest = append(strings.Split(to, "/"), rest...)
	}
	return at, info, nil
}

// element checks whose an element is and who may write it.
func (w *walk) element(element string, info fs.FileInfo) error {
	owner := ownerOf(info)
	if !w.trusted[owner] {
		remedy := "chown root " + element
		if info.Mode().Type() == fs.ModeSymlink {
			remedy = "chown -h root " + element
		}
		return w.wrong(element, info, "belongs to another user, who could replace what is run", remedy)
	}
	if info.Mode().Type() == fs.ModeSymlink {
		return nil // The kernel ignores a link's permissions.
	}
	if info.IsDir() && info.Mode()&fs.ModeSticky != 0 {
		return nil // Nobody can rename or remove here what is not theirs.
	}
	byGroup := info.Mode().Perm()&0o020 != 0 && groupOf(info) != 0
	byOthers := info.Mode().Perm()&0o002 != 0
	switch {
	case byGroup && byOthers:
		return w.wrong(element, info, "is writable by its group and by others", "chmod go-w "+element)
	case byGroup:
		return w.wrong(element, info, "is writable by its group", "chmod g-w "+element)
	case byOthers:
		return w.wrong(element, info, "is writable by others", "chmod o-w "+element)
	}
	return nil
}

// executable checks what only the file at the end must be.
func (w *walk) executable(file string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return w.wrong(file, info, "is not a regular file", "")
	}
	// Asked of the kernel, so that groups, access lists and mount options count.
	err := unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS)
	switch {
	case err == nil:
		return nil
	case info.Mode().Perm()&0o111 == 0:
		return w.wrong(file, info, "is not executable", "chmod a+x "+file)
	case info.Mode().Perm()&0o111 == 0o111:
		return w.wrong(file, info, "lies on a file system that is mounted noexec", "move it to another one")
	}
	return w.wrong(file, info, "cannot be executed by user "+ownUser(), "chmod a+x "+file)
}

// unreachable tells a missing file from a directory that may not be entered.
func (w *walk) unreachable(directory, element string, err error) error {
	info, statErr := os.Lstat(directory)
	if errors.Is(err, fs.ErrPermission) && statErr == nil {
		return w.wrong(directory, info, "cannot be entered by user "+ownUser(), "chmod a+x "+directory+", or move the script")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &PathError{Path: w.path, Element: element, Why: "does not exist"}
	}
	return &PathError{Path: w.path, Element: element, Why: "cannot be looked at: " + errnoText(err)}
}

func (w *walk) wrong(element string, info fs.FileInfo, why, remedy string) error {
	return &PathError{Path: w.path, Element: element, Why: why, Remedy: remedy, Mode: info.Mode(), Owner: ownerName(info)}
}

func ownerOf(info fs.FileInfo) uint32 {
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		return sys.Uid
	}
	return ^uint32(0)
}

func groupOf(info fs.FileInfo) uint32 {
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		return sys.Gid
	}
	return ^uint32(0)
}

// ownerName is "user:group", in names where they have any.
func ownerName(info fs.FileInfo) string {
	uid, gid := strconv.FormatUint(uint64(ownerOf(info)), 10), strconv.FormatUint(uint64(groupOf(info)), 10)
	if u, err := user.LookupId(uid); err == nil {
		uid = u.Username
	}
	if g, err := user.LookupGroupId(gid); err == nil {
		gid = g.Name
	}
	return uid + ":" + gid
}

func ownUser() string {
	uid := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return uid
}

// octal writes a mode as chmod takes it.
func octal(mode fs.FileMode) string {
	bits := uint32(mode.Perm())
	if mode&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	if mode&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	if mode&fs.ModeSetuid != 0 {
		bits |= 0o4000
	}
	return fmt.Sprintf("%04o", bits)
}

func errnoText(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}
