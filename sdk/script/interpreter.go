package script

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// headSize is how much of a file the kernel looks at to see what it is.
const headSize = 256

// interpreted checks the first line of a script. The kernel refuses a text
// without #!, and a shell that is told to run it would guess its language, so
// such a file is a mistake in the configuration.
func (w *walk) interpreted(file *element, depth int) error {
	head, err := headOf(file.path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		// A program may be executable and not readable; if it is a script
		// after all, its interpreter will say that it cannot read it.
		return nil
	case err != nil:
		return &PathError{Path: w.path, Element: file.path, Why: "cannot be read: " + errnoText(err)}
	case len(head) == 0:
		return w.wrong(file, "is empty", "")
	case !bytes.HasPrefix(head, []byte("#!")):
		if isText(head) {
			return w.wrong(file, "has no #! line, so the kernel cannot execute it", "make its first line #!/bin/sh, or name the interpreter before it in the command")
		}
		return nil // A program; if it is one for another machine, execution says so.
	}
	line, _, _ := bytes.Cut(head[2:], []byte("\n"))
	if bytes.HasSuffix(line, []byte("\r")) {
		return w.wrong(file, "has lines that end as on DOS, so its interpreter would not be found", "sed -i 's/\\r$//' "+file.path)
	}
	words := strings.Fields(string(line))
	if len(words) == 0 {
		return w.wrong(file, "names no interpreter in its first line", "make its first line #!/bin/sh")
	}
	if depth == deepest {
		return w.wrong(file, "stands behind too many interpreters", "")
	}
	if err := verify(words[0], depth+1); err != nil {
		return w.wrong(file, "names an interpreter that cannot be used: "+err.Error(), "")
	}
	if filepath.Base(words[0]) == "env" && len(words) > 1 && !strings.HasPrefix(words[1], "-") && !strings.Contains(words[1], "=") {
		if !inPath(words[1]) {
			return w.wrong(file, "asks env for "+words[1]+", which is nowhere in PATH", "install it, or write its full path after #!")
		}
	}
	return nil
}

func headOf(path string) ([]byte, error) {
	// Not blocking: opening a FIFO that took the file's place must not hang.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	head := make([]byte, headSize)
	n, err := unix.Read(fd, head)
	return head[:max(n, 0)], err
}

// isText reports whether a person could have written it: no zero byte, and
// characters that are whole, but for one that the limit has cut.
func isText(head []byte) bool {
	if bytes.IndexByte(head, 0) >= 0 {
		return false
	}
	for len(head) >= utf8.UTFMax {
		r, size := utf8.DecodeRune(head)
		if r == utf8.RuneError && size == 1 {
			return false
		}
		head = head[size:]
	}
	return true
}

// inPath looks for a program where Environment lets a script look.
func inPath(name string) bool {
	path := os.Getenv("PATH")
	if path == "" {
		path = strings.TrimPrefix(defaultPath, "PATH=")
	}
	for _, directory := range filepath.SplitList(path) {
		if info, err := os.Stat(filepath.Join(directory, name)); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return true
		}
	}
	return false
}
