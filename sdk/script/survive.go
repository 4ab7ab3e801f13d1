package script

import (
	"errors"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// lifelineVariable is the protocol's: it names the descriptor at whose end of
// file a plugin ends by itself.
const lifelineVariable = "HALO_PLUGIN_LIFELINE_FD"

// StayToCleanUp lets a plugin outlive its host for the moment it takes to end
// its scripts. It is called first thing in main, from main's goroutine.
//
// A host has the kernel kill its plugins with it, which is right for all that
// leave nothing behind. A plugin with scripts would leave their children
// behind. So it asks for SIGCONT instead, which does nothing to a process but
// wake one that was stopped; the lifeline then tells it that the host is gone.
// Without a lifeline nothing is changed.
//
// The signal is a property of the thread that the host started, the first of
// this process.
func StayToCleanUp() error {
	if os.Getenv(lifelineVariable) == "" {
		return nil
	}
	return onFirstThread(func() error {
		return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGCONT), 0, 0, 0))
	})
}

const (
	// mostThreads is how many threads are tried at once; a process that has
	// just started has not nearly as many.
	mostThreads = 100
	// mostTries is how often that is done, a millisecond apart.
	mostTries = 500
)

// onFirstThread runs f on the process's first thread. Main's goroutine usually
// begins on it, but not surely. Otherwise goroutines each take a thread and
// hold it until it was the first one's turn; while that one waits in the
// poller nobody can take it, but the timer of the pause that follows calls it
// back, so that sooner or later it is found.
func onFirstThread(f func() error) error {
	for range mostTries {
		if found, err := onThisThread(f); found {
			return err
		}
		if found, err := onSomeThread(f); found {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("find the first thread: it is never free")
}

// onThisThread runs f if this happens to be the first thread.
func onThisThread(f func() error) (found bool, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Gettid() != unix.Getpid() {
		return false, nil
	}
	return true, f()
}

// onSomeThread runs f if the first thread is among those that are free.
func onSomeThread(f func() error) (found bool, err error) {
	type outcome struct {
		found bool
		err   error
	}
	result, release := make(chan outcome, 1), make(chan struct{})
	defer close(release)
	var try func(left int)
	try = func(left int) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		switch {
		case unix.Gettid() == unix.Getpid():
			result <- outcome{true, f()}
		case left == 0:
			result <- outcome{}
		default:
			go try(left - 1)
			<-release
		}
	}
	go try(mostThreads)
	o := <-result
	return o.found, o.err
}
