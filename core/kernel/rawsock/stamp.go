package rawsock

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// trusted is how old a time stamp may say that a packet is. A program that gets
// to its packets later than that was held up and has to be careful anyway; and
// where the wall clock was set between the stamp and the reading, which is all
// that this compares, the error stays too small to be taken for a silence.
const trusted = 5 * time.Millisecond

// stamp is when the kernel took in the packet that was read last, by the wall
// clock: struct __kernel_timespec.
type stamp struct{ seconds, nanoseconds int64 }

// read asks the socket. Where it does not know, the stamp is zero.
func (s *stamp) read(fd uintptr) {
	*s = stamp{}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.SIOCGSTAMPNS_NEW, uintptr(unsafe.Pointer(s)))
	if errno != 0 {
		*s = stamp{}
	}
}

// arrival is the stamp as a time that can be compared with other times of this
// process: now, less what the wall clock says has passed since. It is now where
// that cannot be.
func arrival(now time.Time, s stamp) time.Time {
	age := now.Sub(time.Unix(s.seconds, s.nanoseconds))
	if age < 0 || age > trusted {
		return now
	}
	return now.Add(-age)
}
