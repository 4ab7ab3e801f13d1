// Package script runs programs that an operator named, such as check scripts,
// so that none of them can hurt the plugin that runs it.
//
// Every run is a process group of its own, with the empty input, the root
// directory and a cleaned environment, and inherits no descriptor. It is never
// run twice at once. When its time is over the whole group is ended, SIGTERM
// first and SIGKILL after, and what a script leaves running in its group is
// ended with it. A run costs no thread while it lasts. What an exit code means is a
// Dialect of the caller's choice. The package interprets no shell syntax.
//
// # When this process dies
//
// The script itself dies with this process, by a parent-death signal. That
// signal does not reach the script's own children: a plugin that ends in order
// ends the groups first (the SDK cancels every run and waits for it), halo's
// core kills all of a dead plugin's session, and StayToCleanUp gives a plugin
// the time to do it when the core itself was killed. What a script moved into
// a session of its own is a daemon, and is left alone. The process does not
// make itself the reaper of orphans: it would then have to reap, and could
// not tell, the children of everybody else in the same process.
//
// Read Probe first, then Script and Verify.
package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How a run is ended. All of it fits into the half second that the SDK waits
// for runs when the plugin ends.
const (
	// termTime is what a group has between SIGTERM and SIGKILL.
	termTime = 300 * time.Millisecond
	// leftoverTime is the same for what a script leaves behind that has itself
	// exited; and how long its result then waits for the end.
	leftoverTime = 100 * time.Millisecond
)

// Runner starts scripts. One serves a process; it must not be copied. The zero
// Runner is ready and holds nothing until its first run.
type Runner struct {
	once    sync.Once
	spawner *spawner
	null    *os.File
	err     error

	// kill stands for unix.Kill; a test puts in one that fails to kill.
	kill func(pid int, sig unix.Signal) error
}

// Script is one program that is run again and again, never twice at once: a
// probe, a tracker, a notifier has one. Its runs are made by Run, one after
// another.
type Script struct {
	runner *Runner
	busy   sync.Mutex
	// left is what the last run could not end in time; nil means nothing.
	left *child
}

// Command is what to run.
type Command struct {
	// Args holds the program's absolute path and its arguments. No shell is
	// involved.
	Args []string
	// Env is the complete environment; see Environment.
	Env []string
}

// Ended is how a run ended.
type Ended struct {
	// Code is the exit code, 0 to 255, or -1 after a signal.
	Code int
	// Signal ended the script; zero after an exit.
	Signal syscall.Signal
	// Output is the beginning of what it printed to either stream, at most
	// OutputLimit bytes.
	Output []byte
	// Took is how long it ran.
	Took time.Duration
}

// ErrAlive is returned by Run when the run before is still alive although it
// was killed, as a process that waits for a dead disk or a dead file server
// is. Nothing has been started.
var ErrAlive = errors.New("the run before has not ended")

// StartError says that a program could not be executed, which says nothing
// about what it would have found out.
type StartError struct {
	Path string
	Err  error
}

// Error says what to do where the system's text does not.
func (e *StartError) Error() string {
	text := "execute " + e.Path + ": " + e.Err.Error()
	switch {
	case errors.Is(e.Err, unix.ENOENT):
		text += " (the file, or the interpreter in its first line, is missing)"
	case errors.Is(e.Err, unix.ENOEXEC):
		text += " (no program for this machine, and no #! in its first line)"
	}
	return text
}

// Unwrap returns the system's error.
func (e *StartError) Unwrap() error { return e.Err }

// Script returns a Script that r runs.
func (r *Runner) Script() *Script { return &Script{runner: r} }

// Close ends the runner: scripts that still run are killed by their
// parent-death signal, and later runs fail. A process that is about to exit
// need not call it.
func (r *Runner) Close() {
	r.once.Do(func() { r.err = os.ErrClosed })
	if r.spawner != nil {
		r.spawner.close()
	}
}

// Run verifies c's program (see Verify), runs it once, and returns when it and
// its whole process group have ended. An error that is a *PathError or a
// *StartError is this machine's, and nothing has run.
//
// When ctx ends first, the group is ended, and Run returns what had been
// printed and the context's cause. It returns only when nothing is left
// alive: the caller's own deadline may have passed by then, and for a process
// that cannot be killed that may be never, but it costs nothing meanwhile.
func (s *Script) Run(ctx context.Context, c Command) (Ended, error) {
	if !s.busy.TryLock() {
		return Ended{Code: -1}, ErrAlive
	}
	defer s.busy.Unlock()
	if s.left != nil {
		if !s.left.awaitGone(ctx) {
			return Ended{Code: -1}, ErrAlive
		}
		s.left = nil
	}
	// Every time, and before the fork: the file may have changed, and on a file
	// server that hangs this blocks this run alone, while a fork that cannot
	// execute stops the whole process.
	if len(c.Args) > 0 {
		if err := Verify(c.Args[0]); err != nil {
			return Ended{Code: -1}, err
		}
	}
	if ctx.Err() != nil {
		return Ended{Code: -1}, context.Cause(ctx)
	}
	child, err := s.runner.start(c)
	if err != nil {
		return Ended{Code: -1}, err
	}
	began := time.Now()
	exited := child.awaitExit(ctx)
	took := time.Since(began)
	if !exited {
		child.stop()
		ended := Ended{Code: -1, Output: child.output.finish(), Took: took}
		if ctx.Err() == nil {
			return ended, &StartError{Path: c.Args[0], Err: errors.New("lost sight of the process")}
		}
		return ended, context.Cause(ctx)
	}
	if !child.sweep(ctx) {
		s.left = child
	}
	ended := Ended{Code: child.status.ExitStatus(), Output: child.output.finish(), Took: took}
	if child.status.Signaled() {
		ended.Signal = child.status.Signal()
	}
	return ended, nil
}

// prepare is the runner's first act, made late so that describing and
// validating cost nothing.
func (r *Runner) prepare() {
	if r.kill == nil {
		r.kill = unix.Kill
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		r.err = err
		return
	}
	if err := closeOnExec(); err != nil {
		_ = null.Close()
		r.err = fmt.Errorf("keep descriptors from scripts: %w", err)
		return
	}
	hear()
	r.null, r.spawner = null, newSpawner()
}
