package rawsock

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// watch tells when packets wait. It reads none: the owner does, when it sees
// fit, and then lets watch go on.
func (v *VRRP) watch() {
	for {
		// The runtime's poller tells each arrival once, maybe before this
		// call, so the kernel is asked first.
		if v.raw.Read(readable) != nil {
			return // Closed.
		}
		v.armed.Store(false)
		select {
		case v.ready <- struct{}{}:
		default:
		}
		if _, open := <-v.rearm; !open {
			return
		}
	}
}

// readable says whether there is something to read on the descriptor, or an
// error to be told by reading.
func readable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return n > 0 || err != nil
		}
	}
}

// onDescriptor runs f on a connection's descriptor.
func onDescriptor(c syscall.RawConn, f func(fd int) error) error {
	var err error
	if controlErr := c.Control(func(fd uintptr) { err = f(int(fd)) }); controlErr != nil {
		return controlErr
	}
	return err
}

// attach makes the kernel drop what the filter does not let pass. It takes the
// place of the filter before it.
func attach(fd int, filter []bpf.Instruction) error {
	assembled, err := bpf.Assemble(filter)
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(assembled))
	for i, a := range assembled {
		code[i] = unix.SockFilter{Code: a.Op, Jt: a.Jt, Jf: a.Jf, K: a.K}
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	return os.NewSyscallError("attach filter", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program))
}
