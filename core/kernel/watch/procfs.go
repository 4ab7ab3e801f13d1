package watch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// procfs reads processes from /proc. It is used by one goroutine.
type procfs struct {
	root string
	buf  []byte
}

// commandSize is how much of a command line is read, beside what it is compared
// with.
const commandSize = 8 << 10

func newProcfs(root string) *procfs { return &procfs{root: root, buf: make([]byte, commandSize)} }

// reach makes the buffer large enough to tell the longest wanted command apart
// from one that goes on.
func (p *procfs) reach(rules []*counted) {
	size := commandSize
	for _, c := range rules {
		length := len(c.rule.Name)
		for _, a := range c.rule.Wanted {
			length += len(a) + 1
		}
		size = max(size, commandSize+length)
	}
	if size != len(p.buf) {
		p.buf = make([]byte, size)
	}
}

// each calls visit for the number of every process.
func (p *procfs) each(visit func(pid int)) error {
	directory, err := os.Open(p.root)
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	defer directory.Close()
	for {
		names, err := directory.Readdirnames(512)
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil && pid > 0 {
				visit(pid)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list processes: %w", err)
		}
	}
}

// find reads a process. It is false for one that has ended, also where its
// parent has not noticed yet.
func (p *procfs) find(pid int) (process, bool) {
	directory := filepath.Join(p.root, strconv.Itoa(pid))
	stat, err := p.read(filepath.Join(directory, "stat"))
	if err != nil {
		return process{}, false
	}
	comm, alive := parseStat(stat)
	if !alive {
		return process{}, false
	}
	var command []byte
	read := false
	return process{
		comm: comm,
		command: func() []byte {
			if !read {
				// What cannot be read is as without arguments.
				text, _ := p.read(filepath.Join(directory, "cmdline"))
				command, read = bytes.Clone(text), true
			}
			return command
		},
		file: func() string {
			target, _ := os.Readlink(filepath.Join(directory, "exe"))
			return target
		},
	}, true
}

// read returns the beginning of a file, valid until the next call.
func (p *procfs) read(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	n, err := io.ReadFull(file, p.buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return p.buf[:n], err
}

// parseStat reads the name and the state from /proc/PID/stat. The name is in
// brackets, and may hold brackets and blanks itself. One that has ended is a
// zombie, or dead.
func parseStat(stat []byte) (comm string, alive bool) {
	first, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if first < 0 || end < first || end+2 >= len(stat) {
		return "", false
	}
	state := stat[end+2]
	return string(stat[first+1 : end]), state != 'Z' && state != 'X' && state != 'x'
}
