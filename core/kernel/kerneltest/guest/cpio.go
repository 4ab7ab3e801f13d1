package guest

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"path"
)

// archive writes the "newc" form of cpio, which the kernel unpacks into its
// first root file system (Documentation/driver-api/early-userspace/
// buffer-format.rst). Directories above an entry are made as needed. An entry
// that is there already is kept: the first one wins.
type archive struct {
	out     *bufio.Writer
	written int64
	inode   uint32
	names   map[string]bool
	err     error
}

// The file types of struct stat's st_mode.
const (
	modeDirectory = 0o040000
	modeCharacter = 0o020000
	modeRegular   = 0o100000
	modeSymlink   = 0o120000
)

func newArchive(out io.Writer) *archive {
	return &archive{out: bufio.NewWriterSize(out, 1<<20), names: map[string]bool{"/": true, ".": true}}
}

// has tells whether name, an absolute path, is in the archive.
func (a *archive) has(name string) bool { return a.names[path.Clean(name)] }

func (a *archive) directory(name string, mode fs.FileMode) {
	a.entry(name, modeDirectory|uint32(mode.Perm()), 0, 0, nil)
}

func (a *archive) file(name string, mode fs.FileMode, content []byte) {
	a.entry(name, modeRegular|uint32(mode.Perm()), 0, 0, content)
}

func (a *archive) symlink(name, target string) {
	a.entry(name, modeSymlink|0o777, 0, 0, []byte(target))
}

func (a *archive) device(name string, major, minor uint32) {
	a.entry(name, modeCharacter|0o600, major, minor, nil)
}

func (a *archive) entry(name string, mode, major, minor uint32, content []byte) {
	name = path.Clean(name)
	if a.names[name] {
		return
	}
	if parent := path.Dir(name); !a.names[parent] {
		a.directory(parent, 0o755)
	}
	a.names[name] = true
	a.inode++
	a.record(name[1:], mode, major, minor, content)
}

// record writes one header of thirteen eight-digit hexadecimal numbers, the
// name and the content, each padded to a multiple of four bytes.
func (a *archive) record(name string, mode, major, minor uint32, content []byte) {
	links := 1
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.inode, mode, 0, 0, links, 0, len(content), 0, 0, major, minor, len(name)+1, 0)
	a.write([]byte(header))
	a.write([]byte(name))
	a.write([]byte{0})
	a.pad()
	a.write(content)
	a.pad()
}

func (a *archive) pad() {
	const alignment = 4
	if rest := a.written % alignment; rest != 0 {
		a.write(make([]byte, alignment-rest))
	}
}

func (a *archive) write(data []byte) {
	if a.err != nil {
		return
	}
	n, err := a.out.Write(data)
	a.written += int64(n)
	a.err = err
}

// close ends the archive and tells the first error of all the calls before.
func (a *archive) close() error {
	a.inode = 0
	a.record("TRAILER!!!", 0, 0, 0, nil)
	if a.err != nil {
		return a.err
	}
	return a.out.Flush()
}
