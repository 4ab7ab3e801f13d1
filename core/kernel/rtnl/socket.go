package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// socket is a netlink socket read by one goroutine at a time. It is used
// below the library's own Receive, which waits for each reply on its own,
// drops the flags of a dump's last message (an interrupted dump may be told
// nowhere else) and cannot empty a queue without blocking.
type socket struct {
	conn *netlink.Conn
	raw  syscall.RawConn
	seq  uint32
	buf  []byte
}

// datagramSize is more than the kernel puts into one datagram (32 KiB).
const datagramSize = 64 << 10

// answerLimit is how long an answer may take. The kernel works within the
// request's system call, so its answers are there at once; the limit only
// keeps a lost answer from blocking for ever.
const answerLimit = 5 * time.Second

// batchSize and batchBytes bound the requests in one system call such that they
// fit into the smallest usual send buffer, and all the answers into the
// smallest usual receive buffer.
const (
	batchSize  = 64
	batchBytes = 32 << 10
)

// headerSize is that of struct nlmsghdr; messages are aligned to four bytes.
const (
	headerSize = unix.SizeofNlMsghdr
	alignment  = unix.NLMSG_ALIGNTO
)

// errDumpInterrupted says that the kernel's state changed during a dump, so
// that entries may be missing or doubled.
var errDumpInterrupted = errors.New("dump interrupted by changes")

// request is a message before it has a sequence number.
type request struct {
	kind  netlink.HeaderType
	flags netlink.HeaderFlags
	body  []byte
	err   error // from building it
}

// dial opens a socket in the calling thread's namespace that hears the given
// multicast groups.
func dial(groups ...uint32) (*socket, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, err
	}
	// Both only improve what we get: messages in errors, and dumps limited to
	// one link. Kernels without them work as well.
	_ = conn.SetOption(netlink.ExtendedAcknowledge, true)
	_ = conn.SetOption(netlink.CapAcknowledge, true)
	_ = conn.SetOption(netlink.GetStrictCheck, true)
	for _, g := range groups {
		if err := conn.JoinGroup(g); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &socket{conn: conn, raw: raw, buf: make([]byte, datagramSize)}, nil
}

func (s *socket) close() error { return s.conn.Close() }

// execute sends requests and returns the kernel's answer to each.
func (s *socket) execute(requests []request) []error {
	results := make([]error, 0, len(requests))
	for len(requests) > 0 {
		n, size := 0, 0
		for n < min(len(requests), batchSize) && (n == 0 || size+len(requests[n].body) <= batchBytes) {
			size += headerSize + alignment + len(requests[n].body)
			n++
		}
		results = append(results, s.executeBatch(requests[:n])...)
		requests = requests[n:]
	}
	return results
}

func (s *socket) executeBatch(requests []request) []error {
	results := make([]error, len(requests))
	waiting := make(map[uint32]int, len(requests)) // sequence number to index
	var out []byte
	for i, r := range requests {
		if r.err != nil {
			results[i] = r.err
			continue
		}
		r.flags |= netlink.Request | netlink.Acknowledge
		out = s.append(out, r)
		waiting[s.seq] = i
	}
	err := s.send(out)
	for err == nil && len(waiting) > 0 {
		err = s.receive(func(h netlink.Header, body []byte) error {
			i, ok := waiting[h.Sequence]
			if !ok || h.Type != netlink.Error {
				return nil // An answer to a request given up before.
			}
			delete(waiting, h.Sequence)
			results[i] = answer(h, body)
			return nil
		})
	}
	for _, i := range waiting {
		results[i] = err
	}
	return results
}

// dump sends a dump request and calls each for every message of the answer.
// It reads the answer to its end even when each or the dump fails.
func (s *socket) dump(r request, each func(netlink.HeaderType, []byte) error) error {
	if r.err != nil {
		return r.err
	}
	r.flags |= netlink.Request | netlink.Dump
	if err := s.send(s.append(nil, r)); err != nil {
		return err
	}
	seq := s.seq
	var failed error
	interrupted, done := false, false
	for !done {
		err := s.receive(func(h netlink.Header, body []byte) error {
			if h.Sequence != seq {
				return nil
			}
			interrupted = interrupted || h.Flags&netlink.DumpInterrupted != 0
			var err error
			switch h.Type {
			case netlink.Done, netlink.Error:
				done = true
				err = answer(h, body)
			default:
				err = each(h.Type, body)
			}
			if failed == nil {
				failed = err
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if failed == nil && interrupted {
		return errDumpInterrupted
	}
	return failed
}

// append encodes a request under the next sequence number.
func (s *socket) append(out []byte, r request) []byte {
	s.seq++
	start := len(out)
	out = binary.NativeEndian.AppendUint32(out, uint32(headerSize+len(r.body)))
	out = binary.NativeEndian.AppendUint16(out, uint16(r.kind))
	out = binary.NativeEndian.AppendUint16(out, uint16(r.flags))
	out = binary.NativeEndian.AppendUint32(out, s.seq)
	out = binary.NativeEndian.AppendUint32(out, 0) // The kernel knows who asks.
	out = append(out, r.body...)
	for (len(out)-start)%alignment != 0 {
		out = append(out, 0)
	}
	return out
}

func (s *socket) send(out []byte) error {
	if len(out) == 0 {
		return nil
	}
	if err := s.conn.SetReadDeadline(time.Now().Add(answerLimit)); err != nil {
		return err
	}
	var err error
	writeErr := s.raw.Write(func(fd uintptr) bool {
		err = unix.Sendto(int(fd), out, unix.MSG_DONTWAIT, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		return !errors.Is(err, unix.EAGAIN)
	})
	return errors.Join(writeErr, err)
}

// receive waits for one datagram and calls each for its messages.
func (s *socket) receive(each func(netlink.Header, []byte) error) error {
	var n int
	var err error
	readErr := s.raw.Read(func(fd uintptr) bool {
		n, err = s.take(fd)
		return !errors.Is(err, unix.EAGAIN)
	})
	if readErr != nil {
		return readErr
	}
	if err != nil {
		return err
	}
	return messages(s.buf[:n], each)
}

// drain reads the datagrams that wait, at most limit, without blocking on a
// queue that has become empty; it does wait for the first one. It returns
// ENOBUFS when the kernel had to drop notifications, after reading the queue
// to its end: only then does the kernel fill it again.
func (s *socket) drain(limit int, each func(netlink.Header, []byte) error) error {
	var err, overrun error
	readErr := s.raw.Read(func(fd uintptr) bool {
		for count := 0; ; count++ {
			if overrun == nil && count == limit {
				return true
			}
			var n int
			n, err = s.take(fd)
			switch {
			case errors.Is(err, unix.EAGAIN):
				err = nil
				return count > 0
			case errors.Is(err, unix.ENOBUFS):
				overrun = err
				continue
			case err == nil:
				err = messages(s.buf[:n], each)
			}
			if err != nil {
				return true
			}
		}
	})
	return errors.Join(readErr, err, overrun)
}

// take reads one datagram into the buffer.
func (s *socket) take(fd uintptr) (int, error) {
	for {
		n, from, err := unix.Recvfrom(int(fd), s.buf, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		switch sender, ok := from.(*unix.SockaddrNetlink); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		case n > len(s.buf):
			return 0, fmt.Errorf("netlink datagram of %d bytes is longer than %d", n, len(s.buf))
		case ok && sender.Pid == 0:
			return n, nil
		}
		// Interrupted, or not from the kernel: next.
	}
}

// messages splits a datagram.
func messages(b []byte, each func(netlink.Header, []byte) error) error {
	for len(b) > 0 {
		if len(b) < headerSize {
			return fmt.Errorf("netlink message of %d bytes has no header", len(b))
		}
		h := netlink.Header{
			Length:   binary.NativeEndian.Uint32(b),
			Type:     netlink.HeaderType(binary.NativeEndian.Uint16(b[4:])),
			Flags:    netlink.HeaderFlags(binary.NativeEndian.Uint16(b[6:])),
			Sequence: binary.NativeEndian.Uint32(b[8:]),
			PID:      binary.NativeEndian.Uint32(b[12:]),
		}
		if h.Length < headerSize || uint64(h.Length) > uint64(len(b)) {
			return fmt.Errorf("netlink message says it has %d of %d bytes", h.Length, len(b))
		}
		if err := each(h, b[headerSize:h.Length]); err != nil {
			return err
		}
		b = b[min(len(b), int(h.Length+alignment-1)&^(alignment-1)):]
	}
	return nil
}

// answer reads the verdict of an acknowledgement or of a dump's last message.
func answer(h netlink.Header, body []byte) error {
	if len(body) < 4 {
		return fmt.Errorf("netlink answer of %d bytes has no error number", len(body))
	}
	errno := int32(binary.NativeEndian.Uint32(body))
	if errno == 0 {
		return nil
	}
	failure := &kernelError{errno: unix.Errno(-errno)}
	// The request's header follows the number, then the kernel's own words.
	if h.Type == netlink.Error && h.Flags&netlink.AcknowledgeTLVs != 0 && len(body) > 4+headerSize {
		attributes, err := netlink.NewAttributeDecoder(body[4+headerSize:])
		for err == nil && attributes.Next() {
			if attributes.Type() == unix.NLMSGERR_ATTR_MSG {
				failure.message = attributes.String()
			}
		}
	}
	return failure
}

// kernelError is an error number with the kernel's explanation, if it gave
// one.
type kernelError struct {
	errno   unix.Errno
	message string
}

func (e *kernelError) Error() string {
	if e.message == "" {
		return e.errno.Error()
	}
	return e.errno.Error() + " (" + e.message + ")"
}

func (e *kernelError) Unwrap() error { return e.errno }
