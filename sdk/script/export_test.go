package script

import "golang.org/x/sys/unix"

// SetKill puts something in the place of kill(2). It is called before the
// first run.
func (r *Runner) SetKill(kill func(pid int, sig unix.Signal) error) { r.kill = kill }

// OnFirstThread is onFirstThread.
func OnFirstThread(f func() error) error { return onFirstThread(f) }
