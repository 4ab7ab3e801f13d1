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

// ARPFrameSize is the length of an ARP packet for IPv4 in an Ethernet frame:
// 14 bytes of header and 28 of payload.
const ARPFrameSize = 14 + 28

// AppendGratuitousARP appends the frame that announces an IPv4 address at a
// hardware address: a broadcast request in which sender and target protocol
// address are the announced one (RFC 9568 §8.1.2, RFC 5227 §3). The target
// hardware address, which a request leaves open, is the broadcast address, as
// some switches and hosts only learn from such a frame.
func AppendGratuitousARP(b []byte, mac [6]byte, address [4]byte) []byte {
	broadcast := [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	b = append(b, broadcast[:]...)
	b = append(b, mac[:]...)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_ARP)
	b = binary.BigEndian.AppendUint16(b, unix.ARPHRD_ETHER)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IP)
	b = append(b, 6, 4) // Lengths of the two kinds of addresses.
	b = binary.BigEndian.AppendUint16(b, arpRequest)
	b = append(b, mac[:]...)
	b = append(b, address[:]...)
	b = append(b, make([]byte, len(mac))...)
	return append(b, address[:]...)
}

// arpRequest is ARPOP_REQUEST.
const arpRequest = 1

// announceLimit is how long one call of Announce waits for a link whose queue
// is full. What is not sent by then is lost, as on a wire.
const announceLimit = 250 * time.Millisecond

// ARP sends gratuitous ARP on one link, which it finds by name each time, so
// that a link deleted and made again needs no new ARP. It receives nothing.
// Calls are served one after the other.
type ARP struct {
	link string

	mu    sync.Mutex
	file  *os.File
	raw   syscall.RawConn
	index int // the link the socket is bound to, 0 = none
	frame []byte
}

// OpenARP opens a sender in the calling thread's network namespace. The link
// need not exist yet.
func OpenARP(link string) (*ARP, error) {
	// Protocol 0: no frame is ever queued on this socket.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("open ARP socket for %s: %w: sending gratuitous ARP needs the capability CAP_NET_RAW; "+
			"run as root, or grant it with AmbientCapabilities=CAP_NET_RAW in the systemd unit "+
			"or setcap cap_net_raw+ep on the program", link, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open ARP socket for %s: %w", link, err)
	}
	file := os.NewFile(uintptr(fd), "arp "+link)
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("open ARP socket for %s: %w", link, err)
	}
	return &ARP{link: link, file: file, raw: raw}, nil
}

// Close releases the socket.
func (a *ARP) Close() error { return a.file.Close() }

// Announce sends one frame for each IPv4 address, with the link's present
// hardware address. Links without ARP, such as the loopback, have nobody to
// tell, which is no error. A missing link is an error that wraps ENODEV, one
// that is down wraps ENETDOWN.
func (a *ARP) Announce(addresses []netip.Addr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	mac, ok, err := a.locate()
	if err == nil && ok {
		err = a.send(mac, addresses)
	}
	if err != nil {
		return fmt.Errorf("announce addresses on %s: %w", a.link, err)
	}
	return nil
}

// locate binds the socket to the link as it is now, and tells its hardware
// address. It is not ok where ARP does not apply.
func (a *ARP) locate() (mac [6]byte, ok bool, err error) {
	ifr, err := unix.NewIfreq(a.link)
	if err != nil {
		return mac, false, unix.ENODEV // A name too long is no link's.
	}
	controlErr := a.raw.Control(func(fd uintptr) {
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
		if index := int(ifr.Uint32()); index != a.index {
			if err = unix.Bind(int(fd), &unix.SockaddrLinklayer{Ifindex: index}); err != nil {
				return
			}
			a.index = index
		}
		// The socket's own name carries the device's type and address.
		var name unix.Sockaddr
		if name, err = unix.Getsockname(int(fd)); err != nil {
			return
		}
		device, isLink := name.(*unix.SockaddrLinklayer)
		if !isLink || device.Hatype != unix.ARPHRD_ETHER || int(device.Halen) != len(mac) {
			err = errors.New("not an Ethernet link")
			return
		}
		copy(mac[:], device.Addr[:])
		ok = true
	})
	return mac, ok, errors.Join(controlErr, err)
}

func (a *ARP) send(mac [6]byte, addresses []netip.Addr) error {
	if err := a.file.SetWriteDeadline(time.Now().Add(announceLimit)); err != nil {
		return err
	}
	to := &unix.SockaddrLinklayer{Ifindex: a.index, Protocol: networkOrder(unix.ETH_P_ARP)}
	for _, address := range addresses {
		if !address.Is4() {
			return fmt.Errorf("%s is not an IPv4 address", address)
		}
		a.frame = AppendGratuitousARP(a.frame[:0], mac, address.As4())
		var err error
		writeErr := a.raw.Write(func(fd uintptr) bool {
			err = unix.Sendto(int(fd), a.frame, 0, to)
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

// Announcer sends gratuitous ARP on any number of links. It opens a sender for
// a link when it is first used and keeps it. A link whose queue is full delays
// only its own announcements.
type Announcer struct {
	mu      sync.Mutex
	senders map[string]*ARP
	closed  bool
}

// NewAnnouncer makes an Announcer without open sockets.
func NewAnnouncer() *Announcer { return &Announcer{senders: make(map[string]*ARP)} }

// Announce sends one gratuitous ARP for each address on the link.
func (a *Announcer) Announce(link string, addresses []netip.Addr) error {
	sender, err := a.sender(link)
	if err != nil {
		return err
	}
	return sender.Announce(addresses)
}

func (a *Announcer) sender(link string) (*ARP, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, fmt.Errorf("announce addresses on %s: %w", link, os.ErrClosed)
	}
	if s, ok := a.senders[link]; ok {
		return s, nil
	}
	s, err := OpenARP(link)
	if err != nil {
		return nil, err
	}
	a.senders[link] = s
	return s, nil
}

// Close releases all sockets.
func (a *Announcer) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	errs := make([]error, 0, len(a.senders))
	for _, s := range a.senders {
		errs = append(errs, s.Close())
	}
	clear(a.senders)
	return errors.Join(errs...)
}
