package script

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// OutputLimit is how much of what a script prints is kept, in bytes.
const OutputLimit = 4096

// usualOutput is room for the one line that most scripts print.
const usualOutput = 256

// A script that prints without end is read on, since it would otherwise hang
// in its write, but no faster than discardSize per discardPause once it has
// printed more than freeOutput: it must not cost a processor.
const (
	freeOutput   = 1 << 20
	discardSize  = 32 << 10
	discardPause = 5 * time.Millisecond
)

// output reads what a script prints.
type output struct {
	file *os.File
	conn syscall.RawConn
	// over tells read that the script has ended and only what is in the pipe
	// still counts: a daemon it started may hold the other end for ever.
	over atomic.Bool
	done chan struct{}

	kept  []byte
	total int
	spare []byte
}

// newOutput makes the pipe; the second value is the descriptor to give to the script.
func newOutput() (*output, int, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, -1, os.NewSyscallError("pipe2", err)
	}
	// The two ends do not share the flag: the script's blocks, as it expects.
	err := unix.SetNonblock(fds[0], true)
	o := &output{file: os.NewFile(uintptr(fds[0]), "script output"), done: make(chan struct{})} //nolint:gosec // A descriptor fits.
	if err == nil {
		o.conn, err = o.file.SyscallConn()
	}
	if err != nil {
		o.close()
		_ = unix.Close(fds[1])
		return nil, -1, err
	}
	return o, fds[1], nil
}

// read runs until the pipe is at its end, or empty once the script is over.
func (o *output) read() {
	defer close(o.done)
	for {
		var pause bool
		err := o.conn.Read(func(fd uintptr) bool {
			empty, ended := o.take(int(fd)) //nolint:gosec // A descriptor fits.
			pause = !empty && !ended
			return ended || pause || o.over.Load()
		})
		switch {
		case pause && !o.over.Load():
			time.Sleep(discardPause)
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			// finish woke us; what came before it is still there to be read.
			_ = o.conn.Control(func(fd uintptr) { o.take(int(fd)) }) //nolint:gosec // As above.
		}
		return
	}
}

// take reads until the pipe is empty or at its end, or a pause is due.
func (o *output) take(fd int) (empty, ended bool) {
	for {
		into := o.room()
		n, err := unix.Read(fd, into)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return true, false
		case err != nil || n <= 0:
			return false, true
		}
		o.total += n
		if len(o.kept) < OutputLimit {
			o.kept = o.kept[:len(o.kept)+n]
		}
		if o.total > freeOutput {
			return false, false
		}
	}
}

// room is where to read to: what is kept first, and then what is thrown away.
func (o *output) room() []byte {
	switch n := len(o.kept); {
	case n == 0 && o.kept == nil:
		o.kept = make([]byte, 0, usualOutput)
	case n == cap(o.kept) && n < OutputLimit:
		o.kept = append(make([]byte, 0, OutputLimit), o.kept...)
	}
	if len(o.kept) < OutputLimit {
		return o.kept[len(o.kept):cap(o.kept)]
	}
	if o.spare == nil {
		o.spare = make([]byte, discardSize)
	}
	return o.spare
}

// finish ends the reading and returns what was kept.
func (o *output) finish() []byte {
	o.over.Store(true)
	_ = o.file.SetReadDeadline(time.Unix(1, 0))
	<-o.done
	o.close()
	return o.kept
}

func (o *output) close() { _ = o.file.Close() }
