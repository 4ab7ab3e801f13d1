package sdk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/internal/handshake"
)

// forbidNewPrivileges gives up, for this process and all it starts, the means
// to gain privileges by executing a set-user-id file. The host cannot do it:
// Go's SysProcAttr has no field for it.
//
// The flag belongs to a thread. The Go runtime can set it on all of them
// unless C code may have made threads of its own; then the program starts over
// from this thread, and the flag comes along.
func forbidNewPrivileges() error {
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil {
		return os.NewSyscallError("prctl", err)
	}
	if set == 1 {
		return nil
	}
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	switch {
	case errno == 0:
		return nil
	case !errors.Is(errno, syscall.ENOTSUP):
		return os.NewSyscallError("prctl", errno)
	}
	return startOver()
}

// startOver replaces the program by itself with the flag set. It only returns
// with an error.
func startOver() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	if err := unix.Exec("/proc/self/exe", os.Args, os.Environ()); err != nil {
		return fmt.Errorf("execute /proc/self/exe again: %w", err)
	}
	return nil
}

// nameProcess sets what ps shows. A binary that was executed by descriptor
// would otherwise be called "3". The name is cut to the kernel's 15 bytes; that
// it cannot be set harms nobody.
func nameProcess(name string) {
	_ = os.WriteFile("/proc/self/comm", []byte(name), 0)
}

// volunteerScore is the oom_score_adj of a plugin: when memory runs out the
// kernel is to take a plugin, which is started again, before the host.
const volunteerScore = 500

// volunteer raises this process's oom_score_adj, which it inherits from the
// host, where a service manager may have lowered it. The host tries the same
// but may lack the privilege to, whereas everybody may raise his own. Best
// effort: without /proc, or in a container that forbids it, the plugin works
// all the same.
func volunteer() {
	const path = "/proc/self/oom_score_adj"
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	if score, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && score < volunteerScore {
		_ = os.WriteFile(path, []byte(strconv.Itoa(volunteerScore)), 0)
	}
}

// openLifeline returns the descriptor the host named, or nil if it named none.
// It must not reach a child: a script that held it would not matter, but one
// that read it would.
func openLifeline() (*os.File, error) {
	text := os.Getenv(handshake.LifelineEnv)
	if text == "" {
		return nil, nil //nolint:nilnil // No lifeline is an answer.
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%q: not the number of a descriptor above 2", handshake.LifelineEnv, text)
	}
	if err := os.Unsetenv(handshake.LifelineEnv); err != nil {
		return nil, fmt.Errorf("unset %s: %w", handshake.LifelineEnv, err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("%s=%d: %w", handshake.LifelineEnv, fd, err)
	}
	// Not blocking, so that the wait costs no thread. A pipe's two ends do not
	// share the flag.
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("%s=%d: %w", handshake.LifelineEnv, fd, err)
	}
	return os.NewFile(uintptr(fd), "lifeline"), nil
}

// awaitEOF returns when the other end is closed. What is written to it is
// thrown away.
func awaitEOF(line *os.File) {
	_, _ = io.Copy(io.Discard, line)
}
