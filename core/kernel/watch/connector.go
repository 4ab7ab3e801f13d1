package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The kernel's proc connector (Documentation/driver-api/connector.rst and
// include/uapi/linux/cn_proc.h): a multicast group of netlink that is told of
// every fork, exec and exit.
const (
	connectorProc = 1 // CN_IDX_PROC and CN_VAL_PROC
	listen        = 1 // PROC_CN_MCAST_LISTEN
	ignore        = 2 // PROC_CN_MCAST_IGNORE

	// Where things are in a datagram: behind nlmsghdr and cn_msg the event's
	// number, and behind two more fields its numbers of processes.
	connectorHeader = unix.SizeofNlMsghdr
	eventStart      = connectorHeader + 20
	eventData       = eventStart + 16
	eventSize       = eventData + 16
)

// The numbers of events.
const (
	eventAnswer = 0          // to a request, with an error number
	eventFork   = 1          // parent, parent's group, child, child's group
	eventExec   = 2          // process, group
	eventComm   = 0x00000200 // process, group
	eventExit   = 0x80000000 // process, group
)

// happening is one event of a process.
type happening struct {
	what        uint32
	pid, parent int
	failure     unix.Errno // of an answer
}

// connector is a socket on the proc connector and the goroutine that reads it.
type connector struct {
	file   *os.File
	raw    syscall.RawConn
	c      chan happenings
	done   chan struct{}
	reader sync.WaitGroup
}

// happenings is a batch of events in order.
type happenings struct {
	list []happening
	// lost says that the kernel had to drop some. List is empty then: it is
	// time to look at everything.
	lost bool
	err  error // the socket is beyond use, and this is the last batch
}

// batchSize bounds a batch.
const batchSize = 512

// initialPIDs is how the first namespace of process ids is called (PROC_PID_INIT_INO).
const initialPIDs = "pid:[4026531836]"

// openConnector asks the kernel for events. Whether it sends them is known from
// its answer, which is the first happening; where it is not allowed to ask, as
// in a network namespace, there may be no answer at all.
func openConnector(buffer int) (*connector, error) {
	// The events have the numbers of the first namespace of process ids, which
	// elsewhere belong to others.
	if name, err := os.Readlink("/proc/self/ns/pid"); err != nil || name != initialPIDs {
		return nil, fmt.Errorf("open process events: they are of another namespace of process ids than %s", name)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, fmt.Errorf("open process events: %w", err)
	}
	c := &connector{file: os.NewFile(uintptr(fd), "proc connector"), c: make(chan happenings), done: make(chan struct{})}
	if c.raw, err = c.file.SyscallConn(); err == nil {
		err = listenOn(fd, buffer)
	}
	if err != nil {
		_ = c.file.Close() // The error that counts is the first one.
		return nil, fmt.Errorf("open process events: %w", err)
	}
	c.reader.Go(c.read)
	return c, nil
}

func listenOn(fd, buffer int) error {
	// Both only make it likelier that nothing is lost. The first needs a
	// privilege, and the second is bounded by the system's limit.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
	}
	if err := attachFilter(fd); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: connectorProc}); err != nil {
		return err
	}
	return request(fd, listen)
}

// request asks the kernel to begin or to end.
func request(fd int, operation uint32) error {
	b := make([]byte, 0, eventStart+4)
	b = binary.NativeEndian.AppendUint32(b, eventStart+4)
	b = binary.NativeEndian.AppendUint16(b, unix.NLMSG_DONE)
	b = append(b, make([]byte, unix.SizeofNlMsghdr-len(b))...)
	b = binary.NativeEndian.AppendUint32(b, connectorProc)
	b = binary.NativeEndian.AppendUint32(b, connectorProc)
	b = append(b, make([]byte, 8)...) // Sequence numbers.
	b = binary.NativeEndian.AppendUint16(b, 4)
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint32(b, operation)
	return unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// attachFilter keeps threads and events that nobody wants from waking the
// process. A thread is known by a number that is not its group's.
func attachFilter(fd int) error {
	program, err := bpf.Assemble(eventFilter())
	if err != nil {
		return fmt.Errorf("filter process events: %w", err)
	}
	filters := make([]unix.SockFilter, 0, len(program))
	for _, i := range program {
		filters = append(filters, unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filters)), Filter: &filters[0]}); err != nil {
		return fmt.Errorf("filter process events: %w", err)
	}
	return nil
}

func eventFilter() []bpf.Instruction {
	// The filter reads words as the network writes them.
	word := func(v uint32) uint32 {
		return binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, v))
	}
	equal := func(v uint32, then uint8) bpf.Instruction {
		return bpf.JumpIf{Cond: bpf.JumpEqual, Val: word(v), SkipTrue: then}
	}
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: eventStart, Size: 4},
		equal(eventAnswer, 13),
		equal(eventExec, 12),
		equal(eventFork, 3),
		equal(eventComm, 6),
		equal(eventExit, 5),
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: eventData + 8, Size: 4}, // The child,
		bpf.TAX{},
		bpf.LoadAbsolute{Off: eventData + 12, Size: 4}, // and its group.
		bpf.Jump{Skip: 3},
		bpf.LoadAbsolute{Off: eventData, Size: 4}, // The process,
		bpf.TAX{},
		bpf.LoadAbsolute{Off: eventData + 4, Size: 4}, // and its group.
		bpf.JumpIfX{Cond: bpf.JumpEqual, SkipTrue: 0, SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	}
}

func (c *connector) close() {
	close(c.done)
	// Older kernels count who listens, and not who has gone.
	_ = c.raw.Control(func(fd uintptr) { _ = request(int(fd), ignore) })
	_ = c.file.Close() // It was only read from.
	c.reader.Wait()
}

// read hands batches over. While nobody takes them the kernel collects, and
// says so when it had to drop some.
func (c *connector) read() {
	buf := make([]byte, 4096)
	for {
		batch := c.receive(buf)
		select {
		case c.c <- batch:
		case <-c.done:
			return
		}
		if batch.err != nil {
			return
		}
	}
}

// receive waits for a first event and takes those that wait behind it.
func (c *connector) receive(buf []byte) happenings {
	var batch happenings
	err := c.raw.Read(func(fd uintptr) bool {
		// After a loss the kernel only goes on when the queue has been read to
		// its end. What is in it is not worth keeping.
		for count := 0; batch.lost || count < batchSize; count++ {
			n, from, err := unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			switch sender, ok := from.(*unix.SockaddrNetlink); {
			case errors.Is(err, unix.EAGAIN):
				return count > 0
			case errors.Is(err, unix.ENOBUFS):
				batch.lost, batch.list = true, nil
			case errors.Is(err, unix.EINTR):
			case err != nil:
				batch.err = err
				return true
			case batch.lost || !ok || sender.Pid != 0: // Old, or not from the kernel.
			default:
				if h, ok := parseHappening(buf[:n]); ok {
					batch.list = append(batch.list, h)
				}
			}
		}
		return true
	})
	if batch.err == nil {
		batch.err = err
	}
	return batch
}

// parseHappening reads one datagram.
func parseHappening(b []byte) (happening, bool) {
	if len(b) < eventSize ||
		binary.NativeEndian.Uint32(b[connectorHeader:]) != connectorProc ||
		binary.NativeEndian.Uint32(b[connectorHeader+4:]) != connectorProc {
		return happening{}, false
	}
	number := func(n int) int { return int(int32(binary.NativeEndian.Uint32(b[eventData+4*n:]))) }
	h := happening{what: binary.NativeEndian.Uint32(b[eventStart:])}
	switch h.what {
	case eventAnswer:
		h.failure = unix.Errno(number(0))
	case eventFork:
		h.parent, h.pid = number(1), number(3)
	case eventExec, eventComm, eventExit:
		h.pid = number(1)
	default:
		return happening{}, false
	}
	return h, true
}
