package balancing

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// script is a check script whose exit code the test sets.
type script struct {
	t    *testing.T
	path string
	code string // file with the exit code
}

// scriptDir makes a directory for a script. It is below /run: halo refuses to
// run what is in a place that others can write, as the test's own directory is.
func scriptDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "halo-script-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// newScript writes a script that exits with code.
func newScript(t *testing.T, code int) *script {
	t.Helper()
	dir := scriptDir(t)
	s := &script{t: t, path: filepath.Join(dir, "check.sh"), code: filepath.Join(dir, "code")}
	text := fmt.Sprintf("#!/bin/sh\nread -r code < %s\nexit \"$code\"\n", s.code)
	if err := os.WriteFile(s.path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	s.exits(code)
	return s
}

// exits sets the exit code of the runs to come. The file is replaced, so that
// no run reads half of it.
func (s *script) exits(code int) {
	s.t.Helper()
	fresh := s.code + ".new"
	if err := os.WriteFile(fresh, fmt.Appendf(nil, "%d\n", code), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(fresh, s.code); err != nil {
		s.t.Fatal(err)
	}
}

// slowScript is a check script that runs until it is released and succeeds at
// once from then on.
type slowScript struct {
	path, started, released string
	t                       *testing.T
}

func newSlowScript(t *testing.T) *slowScript {
	t.Helper()
	dir := scriptDir(t)
	// The scripts run as an account without privileges and must leave a mark.
	marks := filepath.Join(dir, "marks")
	if err := errors.Join(os.Mkdir(marks, 0o777), os.Chmod(marks, 0o777)); err != nil {
		t.Fatal(err)
	}
	s := &slowScript{path: filepath.Join(dir, "slow.sh"), started: filepath.Join(marks, "started"), released: filepath.Join(dir, "released"), t: t}
	text := fmt.Sprintf("#!/bin/sh\n: > %s\nwhile [ ! -e %s ]; do sleep 0.1; done\n", s.started, s.released)
	if err := os.WriteFile(s.path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// running tells whether a run has begun.
func (s *slowScript) running() bool {
	_, err := os.Stat(s.started)
	return err == nil
}

// release lets this run and every later one succeed.
func (s *slowScript) release() {
	s.t.Helper()
	if err := os.WriteFile(s.released, nil, 0o644); err != nil {
		s.t.Fatal(err)
	}
}
