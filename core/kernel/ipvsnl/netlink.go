package ipvsnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a generic netlink socket for questions to one family. It reads
// whatever comes into one buffer and shows it to its caller without a copy: a
// table of 10,000 destinations, looked at every few seconds, must not cost more
// than the kernel needs to write it down.
//
// It blocks in the system call instead of going through the runtime's poller:
// the kernel answers within the call that asks, so there is nothing to wait for.
type socket struct {
	fd       int
	family   uint16 // the family's message type
	sequence uint32
	request  []byte
	buffer   []byte
}

const (
	headerSize = unix.SizeofNlMsghdr + 4 // netlink's and generic netlink's
	// receiveSize is twice the most that the kernel puts into one answer.
	receiveSize = 64 << 10
	// receiveLimit bounds a wait that should never happen.
	receiveLimit = 10 * time.Second
	familyName   = "IPVS"
)

// openSocket opens a socket in the calling thread's network namespace and asks for
// the family's message type.
func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	s := &socket{fd: fd, buffer: make([]byte, receiveSize)}
	limit := unix.NsecToTimeval(receiveLimit.Nanoseconds())
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	if err == nil {
		err = s.findFamily()
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return s, nil
}

func (s *socket) close() error { return os.NewSyscallError("close", unix.Close(s.fd)) }

func (s *socket) findFamily() error {
	s.family = unix.GENL_ID_CTRL
	s.start(unix.CTRL_CMD_GETFAMILY, 0)
	s.attribute(unix.CTRL_ATTR_FAMILY_NAME, append([]byte(familyName), 0))
	var family uint16
	err := s.ask(func(payload []byte) error {
		return eachAttribute(payload, func(kind uint16, value []byte) error {
			if kind == unix.CTRL_ATTR_FAMILY_ID && len(value) == 2 {
				family = binary.NativeEndian.Uint16(value)
			}
			return nil
		})
	})
	if err == nil && family == 0 {
		err = errShort
	}
	s.family = family
	return err
}

// start begins a request. Attributes follow, and then ask.
func (s *socket) start(command uint8, flags uint16) {
	s.sequence++
	s.request = append(s.request[:0], make([]byte, headerSize)...)
	binary.NativeEndian.PutUint16(s.request[4:], s.family)
	binary.NativeEndian.PutUint16(s.request[6:], unix.NLM_F_REQUEST|flags)
	binary.NativeEndian.PutUint32(s.request[8:], s.sequence)
	s.request[16] = command
	s.request[17] = 1 // The version of both the control family and IPVS.
}

// attribute appends one attribute to the request.
func (s *socket) attribute(kind uint16, value []byte) {
	s.request = binary.NativeEndian.AppendUint16(s.request, uint16(unix.SizeofNlAttr+len(value)))
	s.request = binary.NativeEndian.AppendUint16(s.request, kind)
	s.request = append(s.request, value...)
	s.request = append(s.request, make([]byte, align(len(value))-len(value))...)
}

// nest makes the attributes that f appends the content of one attribute.
func (s *socket) nest(kind uint16, f func()) {
	at := len(s.request)
	s.attribute(kind|unix.NLA_F_NESTED, nil)
	f()
	binary.NativeEndian.PutUint16(s.request[at:], uint16(len(s.request)-at))
}

// ask sends the request and shows f the attributes of each message of the answer.
// They are valid only during the call. It returns the kernel's error as a
// unix.Errno.
func (s *socket) ask(f func(attributes []byte) error) error {
	binary.NativeEndian.PutUint32(s.request, uint32(len(s.request)))
	dump := binary.NativeEndian.Uint16(s.request[6:])&unix.NLM_F_DUMP != 0
	if err := unix.Sendto(s.fd, s.request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	var failure error
	for {
		n, err := receive(s.fd, s.buffer)
		if err != nil {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
		done, err := s.messages(s.buffer[:n], dump, f)
		if failure == nil {
			failure = err
		}
		if done {
			return failure
		}
	}
}

// receive reads one datagram.
func receive(fd int, buffer []byte) (int, error) {
	for {
		n, _, flags, _, err := unix.Recvmsg(fd, buffer, nil, 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		case flags&unix.MSG_TRUNC != 0:
			return 0, errors.New("longer than expected")
		default:
			return n, nil
		}
	}
}

var (
	// errBroken says that the conversation with the kernel is out of step, which
	// only a new socket cures.
	errBroken = errors.New("message from the kernel cannot be read")
	errShort  = fmt.Errorf("%w: it is too short", errBroken)
)

// messages takes a datagram apart, and reports whether the answer ends with it.
func (s *socket) messages(b []byte, dump bool, f func([]byte) error) (done bool, err error) {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr {
			return true, errShort
		}
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return true, errShort
		}
		kind, sequence, body := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:]), b[unix.SizeofNlMsghdr:size]
		b = b[min(align(size), len(b)):]
		if sequence != s.sequence {
			continue // Left over from a question that was given up.
		}
		switch {
		case kind == unix.NLMSG_ERROR || kind == unix.NLMSG_DONE:
			// Both carry an errno, negative, or 0.
			if len(body) < 4 {
				return true, errShort
			}
			if errno := -int32(binary.NativeEndian.Uint32(body)); errno > 0 {
				err = unix.Errno(errno)
			}
			return true, err
		case len(body) < 4:
			return true, errShort
		}
		if err == nil {
			err = f(body[4:]) // Behind the generic header.
		}
		done = !dump
	}
	return done, err
}

// eachAttribute shows f the attributes one after the other.
func eachAttribute(b []byte, f func(kind uint16, value []byte) error) error {
	for len(b) >= unix.SizeofNlAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofNlAttr || size > len(b) {
			return errShort
		}
		kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if err := f(kind, b[unix.SizeofNlAttr:size]); err != nil {
			return err
		}
		b = b[min(align(size), len(b)):]
	}
	return nil
}

func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }
