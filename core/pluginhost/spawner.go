package pluginhost

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// spawner is the one thread that forks. The kernel sends the parent-death
// signal when the *thread* that forked ends, and the runtime ends threads as
// it sees fit, so a child started from any goroutine could be killed at any
// moment. This goroutine is locked to its thread until close, when every child
// is gone.
//
// What every child must inherit is set on this thread once, so that it holds
// before the plugin's first instruction and for plugins in any language:
// NO_NEW_PRIVS, no ambient and no inheritable capability, ordinary scheduling.
// Descriptors belong to the process, and are seen to here as well.
// The rest of the daemon does not inherit any of it, because the runtime never
// starts threads from a locked one.
type spawner struct {
	jobs    chan func()
	closing chan struct{}
	done    chan struct{}
	once    sync.Once
}

// firstExtra is the first descriptor after the three that every program has.
const firstExtra = 3

var errClosed = errors.New("the plugin host is closed")

// newSpawner starts the thread. It fails if the thread cannot be prepared,
// since a plugin must not run with less containment than promised.
func newSpawner() (*spawner, error) {
	s := &spawner{jobs: make(chan func()), closing: make(chan struct{}), done: make(chan struct{})}
	ready := make(chan error)
	go s.run(ready)
	if err := <-ready; err != nil {
		return nil, err
	}
	return s, nil
}

// run is the thread. It tells ready when it is prepared, or why it is not.
func (s *spawner) run(ready chan<- error) {
	// Never unlocked but here: the thread ends with the goroutine.
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The first thread never ends, and it is the one that tools look at
		// for the whole process. While it is held, a goroutine runs elsewhere.
		told := make(chan error)
		go s.run(told)
		ready <- <-told
		runtime.UnlockOSThread()
		return
	}
	defer close(s.done)
	err := prepareThread()
	ready <- err
	if err != nil {
		return
	}
	for {
		select {
		case job := <-s.jobs:
			job()
		case <-s.closing:
			return
		}
	}
}

// do runs f on the thread and returns when it is done. It fails, without
// running f, when the thread has ended.
func (s *spawner) do(f func()) error {
	ended := make(chan struct{})
	select {
	case s.jobs <- func() { defer close(ended); f() }:
		<-ended
		return nil
	case <-s.done:
		return errClosed
	}
}

// close ends the thread, and with it every child that is still there.
func (s *spawner) close() {
	s.once.Do(func() { close(s.closing) })
	<-s.done
}

func prepareThread() error {
	// What the daemon itself was started with, a shell's or a supervisor's open
	// file, is no plugin's business. The runtime opens everything else so that
	// it does not outlive an exec. Best effort: Linux 5.11 or later knows it.
	_ = unix.CloseRange(firstExtra, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs on the spawning thread: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities of the spawning thread: %w", err)
	}
	ordinary := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
	if err := unix.SchedSetAttr(0, &ordinary, 0); err != nil {
		return fmt.Errorf("schedule the spawning thread as any other: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities of the spawning thread: %w", err)
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("clear inheritable capabilities of the spawning thread: %w", err)
	}
	return nil
}
