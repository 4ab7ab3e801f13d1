package lab

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// FullPipe is the writing end of a pipe that is full and that nobody reads: whoever
// writes to it waits until the test ends.
func FullPipe(t testing.TB) *os.File {
	t.Helper()
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	write := os.NewFile(uintptr(ends[1]), "full pipe")
	t.Cleanup(func() { _ = unix.Close(ends[0]); _ = write.Close() })
	for {
		if _, err := unix.Write(ends[1], make([]byte, 1<<16)); err != nil {
			break
		}
	}
	// Whoever writes from here on waits for ever.
	if err := unix.SetNonblock(ends[1], false); err != nil {
		t.Fatal(err)
	}
	return write
}
