package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lock is the right to use one runtime directory. It is a kernel lock on an
// open file, so it ends with the process however that dies: a stale pid file
// or a recycled pid cannot keep halo from starting.
type lock struct{ file *os.File }

// takeLock makes directory if needed and locks it for this process.
func takeLock(directory string) (*lock, error) {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, fmt.Errorf("make runtime directory: %w; set [global] runtime_dir to a directory halo may write", err)
	}
	path := filepath.Join(directory, "halo.lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := awaitLock(file); err != nil {
		defer file.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		owner := make([]byte, 32)
		n, _ := file.Read(owner)
		return nil, fmt.Errorf("another halo (pid %s) uses runtime directory %s; stop it, or give this one its own [global] runtime_dir",
			strings.TrimSpace(string(owner[:n])), directory)
	}
	// The pid inside is for people; nothing decides by it.
	if err := errors.Join(file.Truncate(0), writePID(file)); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return &lock{file}, nil
}

// lockPatience is how long a lock may outlive its owner. One that is killed while
// it starts a plugin leaves it to that child, which has it until it has become
// the plugin: on a busy machine longer than whoever starts halo again waits.
const lockPatience = time.Second

// awaitLock takes the lock as soon as it is free, if that is soon.
func awaitLock(file *os.File) error {
	for until := time.Now().Add(lockPatience); ; time.Sleep(lockPatience / 100) {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(until) {
			return err
		}
	}
}

func writePID(file *os.File) error {
	_, err := fmt.Fprintf(file, "%d\n", os.Getpid())
	return err
}

// release gives the directory back. The file stays: removing it would let two
// processes lock two files of the same name.
func (l *lock) release() { _ = l.file.Close() }
