package netloop

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// start makes a socket for r and begins its handshake. Everything that goes
// wrong here is answered here.
func (l *Loop) start(epoll int, r *request) {
	now := l.now()
	if r.deadline <= now {
		r.done(Answer{State: NotStarted})
		return
	}
	fd, answer := l.connect(r)
	if answer.State != pending {
		r.done(answer)
		return
	}

	slot := l.slot()
	a := &l.attempts[slot]
	a.fd, a.done, a.started, a.deadline = fd, r.done, now, r.deadline
	// Edge triggered: an event that is not consumed at once, such as one of a
	// socket whose descriptor a child of this process still holds, comes once.
	event := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLET, Fd: slot, Pad: a.generation}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		a.done = nil
		l.free = append(l.free, slot)
		_ = unix.Close(fd)
		r.done(Answer{State: SocketFailed, Errno: errnoOf(err)})
		return
	}
	l.deadlines.add(l.attempts, slot)
}

// connect returns a socket whose handshake is under way, or, having closed it,
// the answer.
func (l *Loop) connect(r *request) (int, Answer) {
	target := r.target.Addr().Unmap()
	family, sockaddr := unix.AF_INET, unix.Sockaddr(&l.target4)
	if target.Is4() {
		l.target4.Addr, l.target4.Port = target.As4(), int(r.target.Port())
	} else {
		zone, err := zoneIndex(target.Zone())
		if err != nil {
			return -1, Answer{State: ConnectFailed, Errno: unix.ENODEV}
		}
		family, sockaddr = unix.AF_INET6, &l.target6
		l.target6.Addr, l.target6.Port, l.target6.ZoneId = target.As16(), int(r.target.Port()), zone
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
	if err != nil {
		return -1, Answer{State: SocketFailed, Errno: errnoOf(err)}
	}
	if r.bind.IsValid() {
		if err := bind(fd, r.bind.Unmap()); err != nil {
			_ = unix.Close(fd)
			return -1, Answer{State: BindFailed, Errno: errnoOf(err)}
		}
	}
	switch err := unix.Connect(fd, sockaddr); {
	case err == nil, errors.Is(err, unix.EINPROGRESS), errors.Is(err, unix.EINTR):
		// EINTR: the handshake goes on all the same. Done at once: the epoll
		// set reports it as writable, so there is one path for all.
		return fd, Answer{}
	default:
		_ = unix.Close(fd)
		return -1, Answer{State: ConnectFailed, Errno: errnoOf(err)}
	}
}

// bind fixes the local address and leaves the port to connect: chosen at bind
// time, a port would be taken for all targets, and the TIME_WAIT entries of
// some 28,000 checks would use up the address.
func bind(fd int, local netip.Addr) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	if local.Is4() {
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: local.As4()})
	}
	zone, err := zoneIndex(local.Zone())
	if err != nil {
		return unix.ENODEV
	}
	return unix.Bind(fd, &unix.SockaddrInet6{Addr: local.As16(), ZoneId: zone})
}

// slot returns an unused index of attempts.
func (l *Loop) slot() int32 {
	if n := len(l.free); n > 0 {
		slot := l.free[n-1]
		l.free = l.free[:n-1]
		return slot
	}
	l.attempts = append(l.attempts, attempt{})
	return int32(len(l.attempts) - 1)
}

// zoneIndex turns the zone of a link-local address into an interface index.
func zoneIndex(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	link, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	return uint32(link.Index), nil
}

// ended says how the handshake ended on a socket that is in error or hung up.
func ended(fd int) (State, syscall.Errno) {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return HandshakeFailed, errnoOf(err)
	}
	switch errno := syscall.Errno(n); errno {
	case 0, unix.ECONNRESET, unix.EPIPE:
		// The connection came and went: a reset in place of an answer would be
		// ECONNREFUSED. Whether it is seen connected or gone depends on nothing
		// but how late this process looks, which must not decide.
		return Connected, 0
	default:
		return HandshakeFailed, errno
	}
}

func errnoOf(err error) syscall.Errno {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return unix.EINVAL
}
