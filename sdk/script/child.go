package script

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How often a group that does not end is looked at: soon at first, then at
// growing intervals, so that a process nobody can kill costs nothing.
const (
	firstLook = 500 * time.Microsecond
	lastLook  = time.Second
)

// child is a script that was started, and its process group, whose number is
// the script's process id.
//
// The number stays taken as long as the script is not reaped or any process of
// the group exists, so a signal to it cannot reach a stranger before both are
// over; after that it is not used again, but for the one look that finds the
// group gone.
type child struct {
	pid    int
	output *output
	kill   func(pid int, sig unix.Signal) error

	// pidfd becomes readable when the script ends. Waiting on it occupies the
	// runtime's poller and no thread, so thousands may hang at once.
	pidfd *os.File
	conn  syscall.RawConn

	reaped bool
	status unix.WaitStatus
}

// watch takes over the process descriptor that came with the fork.
func (c *child) watch(pidfd int) error {
	if pidfd < 0 {
		return errors.New("the kernel has no process descriptors (Linux 5.4 or later is needed)")
	}
	// os.NewFile hands a descriptor to the runtime's poller only if it is non-blocking.
	if err := unix.SetNonblock(pidfd, true); err != nil {
		_ = unix.Close(pidfd)
		return err
	}
	c.pidfd = os.NewFile(uintptr(pidfd), "pidfd") //nolint:gosec // A descriptor fits.
	if err := c.pidfd.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	var err error
	c.conn, err = c.pidfd.SyscallConn()
	return err
}

// abandon ends a script that cannot be watched.
func (c *child) abandon() {
	_ = c.kill(-c.pid, unix.SIGKILL)
	for errors.Is(waitFor(c.pid, &c.status, 0), unix.EINTR) {
		continue
	}
	if c.pidfd != nil {
		_ = c.pidfd.Close()
	}
}

// awaitExit waits for the script itself and reports false when ctx ended first.
func (c *child) awaitExit(ctx context.Context) bool {
	var mu sync.Mutex
	waiting := true
	cancel := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if waiting {
			_ = c.pidfd.SetReadDeadline(time.Unix(1, 0))
		}
	})
	defer cancel()
	_ = c.conn.Read(func(uintptr) bool { return c.reap() })
	mu.Lock()
	waiting = false
	mu.Unlock()
	if c.reaped {
		_ = c.pidfd.Close()
	}
	return c.reaped
}

// reap collects the script's status if it has ended.
func (c *child) reap() bool {
	if c.reaped {
		return true
	}
	err := waitFor(c.pid, &c.status, unix.WNOHANG)
	if err != nil && !errors.Is(err, unix.ECHILD) {
		return false // It has not ended, or EINTR: the next look tells.
	}
	// With ECHILD somebody else has taken the status; as the outcome is lost,
	// the script counts as ended by a signal.
	if err != nil {
		c.status = unix.WaitStatus(unix.SIGKILL)
	}
	c.reaped = true
	return true
}

// waitFor is wait4 with "not yet" as an error.
func waitFor(pid int, status *unix.WaitStatus, options int) error {
	got, err := unix.Wait4(pid, status, options, nil)
	if err == nil && got == 0 {
		return unix.EAGAIN
	}
	return err
}

// stop ends the group, SIGTERM first, and returns when it is gone.
func (c *child) stop() {
	c.signal(unix.SIGTERM)
	if !c.lookFor(termTime) {
		c.signal(unix.SIGKILL)
		c.awaitGone(context.Background())
	}
	_ = c.pidfd.Close()
}

// sweep ends what a script that has exited left behind in its group, and
// reports whether it is gone. It does not outstay ctx by much: the script's
// verdict must not come too late because of it.
func (c *child) sweep(ctx context.Context) bool {
	if c.gone(false) {
		return true
	}
	limit := leftoverTime
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/3)
	}
	c.signal(unix.SIGTERM)
	if c.lookFor(limit) {
		return true
	}
	c.signal(unix.SIGKILL)
	return c.lookFor(max(limit, 10*time.Millisecond))
}

// awaitGone waits until the group, which has been sent SIGKILL, is gone, or
// ctx ends.
func (c *child) awaitGone(ctx context.Context) bool {
	for look := firstLook; ; look = min(2*look, lastLook) {
		// Only from some look on is it worth to tell the dead from the living:
		// usually their reaper is about to come.
		if c.gone(look > 64*firstLook) {
			return true
		}
		select {
		case <-ctx.Done():
			return c.gone(true)
		case <-time.After(look):
		}
	}
}

// lookFor waits for the end of the group, at most as long as limit. The last
// look tells the dead from the living.
func (c *child) lookFor(limit time.Duration) bool {
	end := time.Now().Add(limit)
	for look := firstLook; ; look = min(2*look, 20*time.Millisecond) {
		if c.gone(false) {
			return true
		}
		left := time.Until(end)
		if left <= 0 {
			return c.gone(true)
		}
		time.Sleep(min(look, left))
	}
}

func (c *child) signal(sig unix.Signal) { _ = c.kill(-c.pid, sig) }

// gone reports whether the script has been reaped and no process of its group
// is left. A dead process still counts as one until its parent has reaped it;
// orphans' parent is process 1, which in a container may be a program that
// never does. With closely only the living count.
func (c *child) gone(closely bool) bool {
	if !c.reap() {
		return false
	}
	if errors.Is(c.kill(-c.pid, 0), unix.ESRCH) {
		return true
	}
	return closely && !anyAlive(c.pid)
}

// anyAlive looks through all processes for a living one of a group.
func anyAlive(group int) bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return true // Not known: the careful answer.
	}
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue
		}
		// The second field is the command in parentheses and may hold
		// anything, so count from its last parenthesis: state, parent, group.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 3 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
			continue
		}
		if number, err := strconv.Atoi(string(fields[2])); err == nil && number == group {
			return true
		}
	}
	return false
}
