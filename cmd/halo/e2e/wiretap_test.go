package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// wiretap is a machine that hears all advertisements on a network and can send
// what looks like some. What it knows of packets and of trailers it knows by their
// specification: it shares no code with halo.
type wiretap struct {
	t     testing.TB
	fd    int
	index int
	done  chan struct{}

	mu    sync.Mutex
	heard []overheard
}

// overheard is an advertisement on the wire.
type overheard struct {
	at     time.Time
	source netip.Addr
	to     netip.Addr
	// payload is that of the IP packet.
	payload []byte
}

// trailer is the 28 bytes behind the message.
const trailerLength = 28

// newWiretap listens on a host's eth0.
func newWiretap(t testing.TB, host *lab.Host) *wiretap {
	t.Helper()
	w := &wiretap{t: t, done: make(chan struct{})}
	if err := host.Do(w.open); err != nil {
		t.Fatal(err)
	}
	listener := make(chan struct{})
	go func() { defer close(listener); w.listen() }()
	t.Cleanup(func() {
		close(w.done)
		<-listener
		_ = unix.Close(w.fd)
	})
	return w
}

func (w *wiretap) open() error {
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	w.index = link.Index
	if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(networkOrder(unix.ETH_P_ALL))); err != nil {
		return err
	}
	return errors.Join(
		unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: w.index}),
		unix.SetsockoptPacketMreq(w.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(w.index), Type: unix.PACKET_MR_PROMISC}),
		unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
	)
}

func networkOrder(protocol uint16) uint16 { return protocol<<8 | protocol>>8 }

func (w *wiretap) listen() {
	buf := make([]byte, 1<<16)
	for {
		select {
		case <-w.done:
			return
		default:
		}
		n, from, err := unix.Recvfrom(w.fd, buf, 0)
		if err != nil {
			continue // Nothing came for a while.
		}
		if l, ok := from.(*unix.SockaddrLinklayer); !ok || l.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if o, ok := overhear(bytes.Clone(buf[:n])); ok {
			w.mu.Lock()
			w.heard = append(w.heard, o)
			w.mu.Unlock()
		}
	}
}

// overhear takes an IP packet apart.
func overhear(packet []byte) (o overheard, ok bool) {
	const protocol = 112
	o.at = time.Now()
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4 && packet[9] == protocol:
		o.source, o.to = netip.AddrFrom4([4]byte(packet[12:])), netip.AddrFrom4([4]byte(packet[16:]))
		o.payload = packet[int(packet[0]&15)*4 : binary.BigEndian.Uint16(packet[2:])]
	case len(packet) >= 40 && packet[0]>>4 == 6 && packet[6] == protocol:
		o.source, o.to = netip.AddrFrom16([16]byte(packet[8:])), netip.AddrFrom16([16]byte(packet[24:]))
		o.payload = packet[40 : 40+int(binary.BigEndian.Uint16(packet[4:]))]
	}
	return o, len(o.payload) >= 8
}

// adverts is what was heard of a sender, in order.
func (w *wiretap) adverts(source string) []overheard {
	w.mu.Lock()
	defer w.mu.Unlock()
	address := netip.MustParseAddr(source)
	var list []overheard
	for _, o := range w.heard {
		if o.source == address || address.IsUnspecified() && o.source.Is6() {
			list = append(list, o)
		}
	}
	return list
}

// message is how long the payload is without a trailer.
func (o *overheard) message() int {
	n, version := int(o.payload[3]), o.payload[0]>>4
	switch {
	case o.source.Is6():
		return 8 + 16*n
	case version == 2:
		return 16 + 4*n
	default:
		return 8 + 4*n
	}
}

func (o *overheard) signed() bool { return len(o.payload) == o.message()+trailerLength }

func (o *overheard) trailer() []byte { return o.payload[o.message():] }

func (o *overheard) keyID() uint8 { return o.trailer()[1] }

func (o *overheard) sequence() uint64 { return binary.BigEndian.Uint64(o.trailer()[4:]) }

// verify says what is wrong with a signature.
func (o *overheard) verify(key []byte) error {
	if !o.signed() {
		return fmt.Errorf("%d bytes, of which the message has %d", len(o.payload), o.message())
	}
	t := o.trailer()
	if t[0] != 1 || t[2] != 0 || t[3] != 0 {
		return fmt.Errorf("type %d, reserved %x", t[0], t[2:4])
	}
	if seconds := int64(binary.BigEndian.Uint32(t[4:])); seconds-o.at.Unix() > 1 || o.at.Unix()-seconds > 60 {
		return fmt.Errorf("its time is %d, and it is %d", seconds, o.at.Unix())
	}
	if want := signature(key, o.source, o.payload[:o.message()], t[:12]); !hmac.Equal(want, t[12:]) {
		return fmt.Errorf("signed %x, want %x", t[12:], want)
	}
	return nil
}

// signature is the first half of HMAC-SHA-256 over the pseudo header, the message
// without its checksum, the head of the trailer and zeros in the signature's place.
func signature(key []byte, source netip.Addr, message, head []byte) []byte {
	pseudo := make([]byte, 20)
	pseudo[0], pseudo[1], pseudo[2] = 4, message[0]>>4, message[1]
	if source.Is6() {
		pseudo[0] = 6
	}
	copy(pseudo[4:], source.AsSlice())
	m := hmac.New(sha256.New, key)
	m.Write(pseudo)
	m.Write(message[:6])
	m.Write([]byte{0, 0})
	m.Write(message[8:])
	m.Write(head)
	m.Write(make([]byte, 16))
	return m.Sum(nil)[:16]
}

// forgery is an advertisement of version 3 over IPv4, from whom one likes.
type forgery struct {
	source   string
	priority uint8
	key      []byte // none: no trailer
	id       uint8
	at       time.Time
	spoil    func(payload []byte)
}

// forge sends it to the group.
func (w *wiretap) forge(f forgery) {
	w.t.Helper()
	source, group := netip.MustParseAddr(f.source), netip.MustParseAddr("224.0.0.18")
	message := []byte{3<<4 | 1, 51, f.priority, 1, 0, 50, 0, 0}
	message = append(message, netip.MustParseAddr(vip).AsSlice()...)
	pseudo := slices.Concat(source.AsSlice(), group.AsSlice(), []byte{0, 112, 0, byte(len(message))})
	binary.BigEndian.PutUint16(message[6:], internetChecksum(append(pseudo, message...)))
	payload := message
	if f.key != nil {
		head := []byte{1, f.id, 0, 0}
		head = binary.BigEndian.AppendUint32(head, uint32(f.at.Unix()))
		head = binary.BigEndian.AppendUint16(head, uint16(f.at.Nanosecond()*(1<<16)/1e9))
		head = append(head, 0, 0)
		payload = slices.Concat(message, head, signature(f.key, source, message, head))
	}
	if f.spoil != nil {
		f.spoil(payload)
	}
	w.repeat(overheard{source: source, to: group, payload: payload})
}

// repeat sends what was heard, or made, once more.
func (w *wiretap) repeat(o overheard) {
	w.t.Helper()
	header := []byte{4<<4 | 5, 0xc0, 0, 0, 0, 0, 0, 0, 255, 112, 0, 0}
	header = slices.Concat(header, o.source.AsSlice(), o.to.AsSlice())
	binary.BigEndian.PutUint16(header[2:], uint16(len(header)+len(o.payload)))
	binary.BigEndian.PutUint16(header[10:], internetChecksum(header))
	to := &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IP), Ifindex: w.index, Halen: 6, Addr: [8]byte{1, 0, 0x5e, 0, 0, 18}}
	if err := unix.Sendto(w.fd, append(header, o.payload...), 0, to); err != nil {
		w.t.Fatal(err)
	}
}

func internetChecksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
