package script

import (
	"os"
	"runtime"
	"syscall"

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
// this process: main's goroutine runs on it until it blocks.
func StayToCleanUp() error {
	if os.Getenv(lifelineVariable) == "" {
		return nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Gettid() == unix.Getpid() {
		return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGCONT), 0, 0, 0))
	}
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGCONT), 0, 0, 0, 0); errno != 0 {
		return os.NewSyscallError("prctl", errno)
	}
	return nil
}
