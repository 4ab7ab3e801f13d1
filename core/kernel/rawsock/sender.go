package rawsock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// announceLimit is how long one call of Announce waits for a link whose queue
// is full. What is not sent by then is lost, as on a wire.
const announceLimit = 250 * time.Millisecond

// frameSender sends Ethernet frames on one link, which it finds by name each
// time. It receives nothing.
type frameSender struct {
	link string

	mu    sync.Mutex
	file  *os.File
	raw   syscall.RawConn
	index int // the link the socket is bound to, 0 = none
	frame []byte
}

func openSender(link string) (*frameSender, error) {
	file, raw, err := openPacket("announcing addresses", link)
	if err != nil {
		return nil, err
	}
	return &frameSender{link: link, file: file, raw: raw}, nil
}

// openPacket opens a packet socket that is bound to no link and to no protocol,
// so that no frame is ever queued on it. The purpose is for people.
func openPacket(purpose, link string) (*os.File, syscall.RawConn, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EPERM) {
		return nil, nil, fmt.Errorf("open packet socket for %s: %w: %s needs the capability CAP_NET_RAW; "+
			"run as root, or grant it with AmbientCapabilities=CAP_NET_RAW in the systemd unit "+
			"or setcap cap_net_raw+ep on the program", link, err, purpose)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open packet socket for %s: %w", link, err)
	}
	file := os.NewFile(uintptr(fd), "packets of "+link)
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, nil, fmt.Errorf("open packet socket for %s: %w", link, err)
	}
	return file, raw, nil
}

// Close releases the socket.
func (s *frameSender) Close() error { return s.file.Close() }

// announce sends the frame that build appends for each address.
func (s *frameSender) announce(addresses []netip.Addr, build func(b []byte, mac [6]byte, address netip.Addr) ([]byte, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	mac, ok, err := s.locate()
	if err == nil && ok {
		err = s.send(mac, addresses, build)
	}
	if err != nil {
		return fmt.Errorf("announce addresses on %s: %w", s.link, err)
	}
	return nil
}

// locate binds the socket to the link as it is now, and tells its hardware
// address. It is not ok where nobody resolves addresses.
func (s *frameSender) locate() (mac [6]byte, ok bool, err error) {
	ifr, err := unix.NewIfreq(s.link)
	if err != nil {
		return mac, false, unix.ENODEV // A name too long is no link's.
	}
	controlErr := s.raw.Control(func(fd uintptr) {
		if err = unix.IoctlIfreq(int(fd), unix.SIOCGIFFLAGS, ifr); err != nil {
			return
		}
		switch flags := ifr.Uint16(); {
		case flags&(unix.IFF_LOOPBACK|unix.IFF_NOARP) != 0:
			return
		case flags&unix.IFF_UP == 0:
			err = unix.ENETDOWN
			return
		}
		if err = unix.IoctlIfreq(int(fd), unix.SIOCGIFINDEX, ifr); err != nil {
			return
		}
		if index := int(ifr.Uint32()); index != s.index {
			if err = unix.Bind(int(fd), &unix.SockaddrLinklayer{Ifindex: index}); err != nil {
				return
			}
			s.index = index
		}
		if mac, err = hardwareAddress(int(fd)); err == nil {
			ok = true
		}
	})
	return mac, ok, errors.Join(controlErr, err)
}

// hardwareAddress is that of the link that a packet socket is bound to: the
// socket's own name carries the device's type and address.
func hardwareAddress(fd int) (mac [6]byte, err error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return mac, err
	}
	device, isLink := name.(*unix.SockaddrLinklayer)
	if !isLink || device.Hatype != unix.ARPHRD_ETHER || int(device.Halen) != len(mac) {
		return mac, errors.New("not an Ethernet link")
	}
	copy(mac[:], device.Addr[:])
	return mac, nil
}

func (s *frameSender) send(mac [6]byte, addresses []netip.Addr, build func(b []byte, mac [6]byte, address netip.Addr) ([]byte, error)) error {
	if err := s.file.SetWriteDeadline(time.Now().Add(announceLimit)); err != nil {
		return err
	}
	to := &unix.SockaddrLinklayer{Ifindex: s.index}
	for _, address := range addresses {
		frame, err := build(s.frame[:0], mac, address)
		if err != nil {
			return err
		}
		s.frame = frame
		to.Protocol = binary.NativeEndian.Uint16(frame[etherTypeOffset:])
		writeErr := s.raw.Write(func(fd uintptr) bool {
			err = unix.Sendto(int(fd), frame, 0, to)
			return !errors.Is(err, unix.EAGAIN)
		})
		if err := errors.Join(writeErr, err); err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
	}
	return nil
}

// networkOrder is htons.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
