package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLockKeepsASecondOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	first, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = takeLock(dir)
	if err == nil {
		t.Fatal("a second lock was granted")
	}
	for _, part := range []string{fmt.Sprintf("pid %d", os.Getpid()), dir, "runtime_dir"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the refusal %q does not name %q", err, part)
		}
	}
	first.release()
	again, err := takeLock(dir)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	again.release()
}

// TestLockOutlivesItsOwner: a child that was forked and has not executed yet still
// has the lock of a process that was killed.
func TestLockOutlivesItsOwner(t *testing.T) {
	dir := t.TempDir()
	first, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := unix.Dup(int(first.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	first.release()
	taken := make(chan error)
	go func() {
		l, err := takeLock(dir)
		if err == nil {
			l.release()
		}
		taken <- err
	}()
	time.Sleep(50 * time.Millisecond) // It has met the lock by then, or it makes no difference.
	_ = unix.Close(copied)
	if err := <-taken; err != nil {
		t.Error(err)
	}
}

// TestLockIgnoresWhatIsWritten proves that nothing is decided by a pid file's
// content: a left-over with the pid of a living stranger is taken over.
func TestLockIgnoresWhatIsWritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "halo.lock"), []byte("1\nand much more text"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	text, err := os.ReadFile(filepath.Join(dir, "halo.lock"))
	if want := fmt.Sprintf("%d\n", os.Getpid()); err != nil || string(text) != want {
		t.Errorf("lock file holds %q, %v; want %q", text, err, want)
	}
}

func TestLockNamesTheRemedy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(filepath.Join(file, "run")); err == nil || !strings.Contains(err.Error(), "[global] runtime_dir") {
		t.Errorf("a directory that cannot be: %v", err)
	}
}
