package plugins

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// mark is an environment variable by which a test knows all its plugins, their
// scripts and the scripts' children, whoever their parent is by now.
type mark string

func newMark(t *testing.T) mark {
	t.Helper()
	return mark(fmt.Sprintf("%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), os.Getpid()))
}

const markVariable = "HALO_TEST_MARK"

// tables marks plugins: it is the configuration that gives each the variable.
func (m mark) tables(plugins ...string) string {
	var b strings.Builder
	for _, name := range plugins {
		fmt.Fprintf(&b, "[plugin.%s]\nenv = { %s = %q }\n\n", name, markVariable, string(m))
	}
	return b.String()
}

// living lists the processes with the mark.
func (m mark) living(t *testing.T) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		// A process that has ended, if only as a zombie, has no environment.
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(text, []byte(markVariable+"="+string(m)+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// waitGone waits until no process with the mark is left.
func (m mark) waitGone(t *testing.T) {
	t.Helper()
	lab.Eventually(t, "no plugin, no script and no child of one is left", func() bool { return len(m.living(t)) == 0 })
}

// signal sends a signal to a plugin's process.
func signal(t *testing.T, pid int, s unix.Signal) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("no plugin has process id %d", pid)
	}
	if err := unix.Kill(pid, s); err != nil {
		t.Fatalf("signal %d: %v", pid, err)
	}
}

// proc reads a file about a process.
func proc(t *testing.T, pid int, file string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// procStatus is /proc/PID/status by key; the fields of a value are parted by
// one space.
func procStatus(t *testing.T, pid int) map[string]string {
	t.Helper()
	values := map[string]string{}
	for line := range strings.Lines(proc(t, pid, "status")) {
		key, value, _ := strings.Cut(line, ":")
		values[key] = strings.Join(strings.Fields(value), " ")
	}
	return values
}

// descriptors is what a process has open, by number.
func descriptors(t *testing.T, pid int) map[int]string {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	open := map[int]string{}
	for _, file := range links {
		number, err := strconv.Atoi(filepath.Base(file))
		if err != nil {
			t.Fatal(err)
		}
		if to, err := os.Readlink(file); err == nil { // else it was closed meanwhile
			open[number] = to
		}
	}
	return open
}

// socketDirs lists the plugins' socket directories of a runtime directory,
// each with what is in it.
func socketDirs(t *testing.T, runtimeDir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(runtimeDir, "plugins", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	empty, err := filepath.Glob(filepath.Join(runtimeDir, "plugins", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range empty {
		if entries, err := os.ReadDir(dir); err == nil && len(entries) == 0 {
			found = append(found, dir)
		}
	}
	return found
}
