package rawsock

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Alarm is a timer on a timerfd. The runtime waits for its own timers with the
// resolution of epoll, a millisecond; it is woken by a descriptor within
// microseconds. The clock is the monotonic one, so that a step of the wall clock
// moves nothing. Methods are called from one goroutine.
type Alarm struct {
	file   *os.File
	raw    syscall.RawConn
	c      chan time.Time
	reader sync.WaitGroup

	// One call's argument, so that no call allocates.
	set  func(fd uintptr)
	next unix.ItimerSpec
}

// NewAlarm makes an alarm that is not set.
func NewAlarm() (*Alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make alarm: %w", err)
	}
	a := &Alarm{file: os.NewFile(uintptr(fd), "timerfd"), c: make(chan time.Time, 1)}
	a.set = func(fd uintptr) {
		// It cannot fail: the descriptor is a timer and the time is valid.
		_ = unix.TimerfdSettime(int(fd), 0, &a.next, nil)
	}
	if a.raw, err = a.file.SyscallConn(); err != nil {
		_ = a.file.Close() // The error that counts is the first one.
		return nil, fmt.Errorf("make alarm: %w", err)
	}
	a.reader.Go(a.read)
	return a, nil
}

// Reset makes the alarm go off once, d from now, and no more when it was to
// before. Zero and less are now. A value from before may still be in the
// channel.
func (a *Alarm) Reset(d time.Duration) {
	// A timerfd is turned off by zero.
	a.next.Value = unix.NsecToTimespec(max(d, 1).Nanoseconds())
	// An alarm that was stopped has no descriptor any more, and stays silent.
	_ = a.raw.Control(a.set)
}

// C gets the time when the alarm goes off. A value nobody has taken is not
// followed by another.
func (a *Alarm) C() <-chan time.Time { return a.c }

// Stop ends the alarm for good.
func (a *Alarm) Stop() {
	_ = a.file.Close() // Nothing is left to be lost.
	a.reader.Wait()
}

func (a *Alarm) read() {
	var expirations [8]byte
	for {
		if _, err := a.file.Read(expirations[:]); err != nil {
			return // Closed.
		}
		select {
		case a.c <- time.Now():
		default:
		}
	}
}
