package ipvsnl

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// threadNamespace is the calling thread's network namespace; /proc/self/ns/net
// would be that of the process's first thread.
const threadNamespace = "/proc/thread-self/ns/net"

// namespace is a network namespace that a Handle goes back to.
type namespace struct {
	file *os.File
	id   identity
}

// identity is what tells one namespace from another.
type identity struct{ device, inode uint64 }

func currentNamespace() (*namespace, error) {
	f, err := os.Open(threadNamespace)
	if err != nil {
		return nil, err
	}
	id, err := identify(f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &namespace{file: f, id: id}, nil
}

func identify(f *os.File) (identity, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return identity{}, fmt.Errorf("identify network namespace: %w", err)
	}
	return identity{st.Dev, st.Ino}, nil
}

func (n *namespace) close() error {
	if n == nil {
		return nil
	}
	return n.file.Close()
}

// do runs f on a thread in the namespace. The common case, to be there already,
// needs no privilege; changing over needs CAP_SYS_ADMIN and costs a thread.
func (n *namespace) do(f func() error) error {
	runtime.LockOSThread()
	here, err := currentNamespace()
	if err == nil {
		_ = here.close()
		if here.id == n.id {
			defer runtime.UnlockOSThread()
			return f()
		}
	}
	runtime.UnlockOSThread()
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Never unlocked: the thread ends with the goroutine.
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}

// Epoch names the life of the table that the Handle sees: the boot of the
// machine and the network namespace. What was true of the table in another epoch
// says nothing about this one.
func (h *Handle) Epoch() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return fmt.Sprintf("%s/%d", strings.TrimSpace(string(boot)), h.home.id.inode), nil
}
