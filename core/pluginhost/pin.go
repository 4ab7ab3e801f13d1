package pluginhost

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lowestDescriptor is where descriptors of programs are moved to, so that the
// child's own (0, 1, 2 and the lifeline) are never put over one between fork
// and exec.
const lowestDescriptor = 64

// program is a plugin file that passed verification, opened, and not opened
// again: what was checked and hashed is what is executed, whatever happens to
// its name meanwhile.
type program struct {
	// path is the name it was found by and becomes argv[0], by which the
	// multi-call file of the built-in plugins tells which one it is.
	path string
	// target is the file behind path, free of links.
	target string
	stamp  stamp
	file   *os.File
	// script is set for a file that starts with "#!". The kernel hands such a
	// file to its interpreter by name, so it is executed by name.
	script bool
}

// openProgram verifies the file at path and opens it. With a pin, which is the
// SHA-256 sum in hexadecimal, the content must have that sum. The caller
// closes the program.
func openProgram(path, pin string, o owners) (*program, error) {
	target, want, err := o.verify(path)
	if err != nil {
		return nil, err
	}
	p := &program{path: path, target: target}
	fd, err := unix.Open(target, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("refuse plugin %s: open %s: %w", path, target, err)
	}
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, lowestDescriptor)
	_ = unix.Close(fd)
	if err != nil {
		return nil, fmt.Errorf("refuse plugin %s: open %s: %w", path, target, err)
	}
	p.file = os.NewFile(uintptr(high), target)
	if err := p.inspect(want, pin); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// inspect proves that the open file is the verified one, and checks its pin.
func (p *program) inspect(want stamp, pin string) error {
	info, err := p.file.Stat()
	if err != nil {
		return fmt.Errorf("refuse plugin %s: %w", p.path, err)
	}
	if p.stamp = stampOf(info); p.stamp != want {
		return fmt.Errorf("refuse plugin %s: %s was replaced while it was being checked", p.path, p.target)
	}
	var start [2]byte
	if _, err := p.file.ReadAt(start[:], 0); err == nil {
		p.script = bytes.Equal(start[:], []byte("#!"))
	}
	if pin == "" {
		return nil
	}
	if p.script {
		return fmt.Errorf("refuse plugin %s: sha256 is set, but %s is a script, which its interpreter reads again by name after the check; pin a binary, or remove sha256", p.path, p.target)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(p.file, 0, p.stamp.size)); err != nil {
		return fmt.Errorf("refuse plugin %s: read %s: %w", p.path, p.target, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); !strings.EqualFold(got, pin) {
		return fmt.Errorf("refuse plugin %s: %s has sha256 %s, but %s is configured; put the expected file back, or update sha256", p.path, p.target, got, strings.ToLower(pin))
	}
	return nil
}

// executable is the name to execute. A binary is reached through its open
// descriptor, which works even where the plugin's user may not enter the
// directories above it, such as a checkout under /root.
func (p *program) executable() string {
	if p.script {
		return p.target
	}
	return fmt.Sprintf("/proc/self/fd/%d", p.file.Fd())
}

func (p *program) close() { _ = p.file.Close() }

// name is the plugin's name.
func (p *program) name() string { return filepath.Base(p.path) }
