package script

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// headSize is how much of a file the kernel looks at to see what it is.
const headSize = 256

// interpreted checks the first line of a script. The kernel refuses a text
// without #!, and a shell that is told to run it would guess its language, so
// such a file is a mistake in the configuration.
func (w *walk) interpreted(file string, info fs.FileInfo, depth int) error {
	head, err := headOf(file)
	switch {
	case errors.Is(err, fs.ErrPermission):
		// A program may be executable and not readable; if it is a script
		// after all, its interpreter will say that it cannot read it.
		return nil
	case err != nil:
		return &PathError{Path: w.path, Element: file, Why: "cannot be read: " + errnoText(err)}
	case len(head) == 0:
		return w.wrong(file, info, "is empty", "")
	case !bytes.HasPrefix(head, []byte("#!")):
		if isText(head) {
			return w.wrong(file, info, "has no #! line, so the kernel cannot execute it", "make its first line #!/bin/sh, or name the interpreter before it in the command")
		}
		return nil // A program; if it is one for another machine, execution says so.
	}
	line, _, _ := bytes.Cut(head[2:], []byte("\n"))
	if bytes.HasSuffix(line, []byte("\r")) {
		return w.wrong(file, info, "has lines that end as on DOS, so its interpreter would not be found", "sed -i 's/\\r$//' "+file)
	}
	words := strings.Fields(string(line))
	if len(words) == 0 {
		return w.wrong(file, info, "names no interpreter in its first line", "make its first line #!/bin/sh")
	}
	if depth == deepest {
		return w.wrong(file, info, "stands behind too many interpreters", "")
	}
	if err := verify(words[0], depth+1); err != nil {
		return w.wrong(file, info, "names an interpreter that cannot be used: "+err.Error(), "")
	}
	if filepath.Base(words[0]) == "env" && len(words) > 1 && !strings.HasPrefix(words[1], "-") && !strings.Contains(words[1], "=") {
		if !inPath(words[1]) {
			return w.wrong(file, info, "asks env for "+words[1]+", which is nowhere in PATH", "install it, or write its full path after #!")
		}
	}
	return nil
}

func headOf(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, headSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return head[:n], nil
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
