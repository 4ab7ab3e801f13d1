package peers

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// advert is one advertisement as the switch received it, at the kernel's time.
type advert struct {
	at                  time.Time
	source, destination string
	priority            uint8
}

func (a advert) String() string {
	return fmt.Sprintf("%s %s advertises priority %d", a.at.Format("05.000"), a.source, a.priority)
}

// capture is everything that the hosts have sent into a switch, including what
// the switch then lost: the frames in a file, the advertisements at hand.
type capture struct {
	vip    netip.Addr
	file   string
	socket *os.File
	done   chan struct{} // closed when the file is complete
	err    error         // of writing the file; valid after done

	mu      sync.Mutex
	adverts []advert
	// claims are the announcements by hardware address.
	claims map[string]int
	// belief is the hardware address that the last announcement gave to vip.
	belief string
}

// newCapture captures until close, or else until the test ends.
func newCapture(t testing.TB, n *lab.Network, vip netip.Addr) *capture {
	t.Helper()
	c := &capture{vip: vip, file: filepath.Join(t.ArtifactDir(), "network.pcap"), done: make(chan struct{}), claims: map[string]int{}}
	file, err := os.Create(c.file)
	if err != nil {
		t.Fatal(err)
	}
	err = n.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		c.socket = os.NewFile(uintptr(fd), "capture")
		for _, o := range []struct{ level, name int }{{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS}, {unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING}} {
			if err := unix.SetsockoptInt(fd, o.level, o.name, 1); err != nil {
				return err
			}
		}
		// From here on it receives, from all ports.
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00})
	})
	if err != nil {
		t.Fatalf("capture on the switch: %v", err)
	}
	t.Cleanup(c.close)
	bridge := n.Index("switch")
	go c.run(file, bridge)
	return c
}

// close ends the capture; the file is complete then.
func (c *capture) close() {
	_ = c.socket.Close()
	<-c.done
}

func (c *capture) run(file *os.File, bridge int) {
	defer close(c.done)
	w := newPcap(file)
	conn, err := c.socket.SyscallConn()
	buf, oob := make([]byte, 65536), make([]byte, 128)
	for err == nil {
		var size, oobSize int
		var from unix.Sockaddr
		var received error
		err = conn.Read(func(fd uintptr) bool {
			size, oobSize, _, from, received = unix.Recvmsg(int(fd), buf, oob, 0)
			return received != unix.EAGAIN
		})
		if err != nil {
			break // closed
		}
		// The bridge's own interface repeats what came in by a port.
		link, ok := from.(*unix.SockaddrLinklayer)
		if received != nil || !ok || link.Ifindex == bridge {
			continue
		}
		at := stamp(oob[:oobSize])
		w.write(at, buf[:size])
		c.note(at, buf[:size])
	}
	c.err = w.close()
}

// note keeps what the tests ask for.
func (c *capture) note(at time.Time, frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := decode(frame); ok {
		a.at = at
		c.adverts = append(c.adverts, a)
	}
	if mac, ok := announcement(frame, c.vip); ok {
		c.belief = mac.String()
		c.claims[c.belief]++
	}
}

// announced is where a neighbour that heard all announcements finds the
// virtual address.
func (c *capture) announced() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.belief
}

// since lists the advertisements that were sent at or after a time.
func (c *capture) since(start time.Time) []advert {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, a := range c.adverts {
		if !a.at.Before(start) {
			return append([]advert(nil), c.adverts[i:]...)
		}
	}
	return nil
}

// takeover returns the last advertisement of a router that has fallen silent,
// and the first of anybody else after it.
func (c *capture) takeover(source string) (last, first advert) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.adverts {
		switch {
		case a.source == source:
			last, first = a, advert{}
		case first.source == "":
			first = a
		}
	}
	return last, first
}

// tail prints the last n advertisements.
func (c *capture) tail(n int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, a := range c.adverts[max(0, len(c.adverts)-n):] {
		fmt.Fprintln(&b, a)
	}
	return b.String()
}

// decode finds an advertisement for the group's virtual router in a frame. It
// is deliberately not halo's own decoder.
func decode(frame []byte) (advert, bool) {
	var a advert
	var next byte
	p := frame[min(14, len(frame)):]
	switch {
	case len(p) >= 20 && binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_IP:
		a.source, a.destination = netip.AddrFrom4([4]byte(p[12:16])).String(), netip.AddrFrom4([4]byte(p[16:20])).String()
		next, p = p[9], p[min(int(p[0]&0xf)*4, len(p)):]
	case len(p) >= 40 && binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_IPV6:
		a.source, a.destination = netip.AddrFrom16([16]byte(p[8:24])).String(), netip.AddrFrom16([16]byte(p[24:40])).String()
		next, p = p[6], p[40:]
	}
	if next == 51 && len(p) >= 12 { // an authentication header, whose length is in words less two
		next, p = p[0], p[min(4*(int(p[1])+2), len(p)):]
	}
	if next != 112 || len(p) < 8 || p[0]&0xf != 1 || p[1] != vrid {
		return advert{}, false
	}
	a.priority = p[2]
	return a, true
}

// announcement finds a gratuitous ARP for the virtual address, in either form, or
// an unsolicited neighbour advertisement.
func announcement(frame []byte, vip netip.Addr) (net.HardwareAddr, bool) {
	if vip.Is6() {
		return neighbourAdvertisement(frame, vip)
	}
	broadcast := bytes.Repeat([]byte{0xff}, 6)
	if len(frame) < 42 || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_ARP || !bytes.Equal(frame[:6], broadcast) {
		return nil, false
	}
	address := vip.As4()
	if !bytes.Equal(frame[28:32], address[:]) || !bytes.Equal(frame[38:42], address[:]) {
		return nil, false
	}
	return bytes.Clone(frame[22:28]), true
}

// neighbourAdvertisement finds one for the virtual address to all nodes, with the
// target's link-layer address as its only option.
func neighbourAdvertisement(frame []byte, vip netip.Addr) (net.HardwareAddr, bool) {
	if len(frame) < 86 || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_IPV6 {
		return nil, false
	}
	allNodes, target := netip.MustParseAddr("ff02::1").As16(), vip.As16()
	p, message := frame[14:], frame[54:]
	if p[6] != unix.IPPROTO_ICMPV6 || !bytes.Equal(p[24:40], allNodes[:]) || message[0] != 136 || !bytes.Equal(message[8:24], target[:]) ||
		message[24] != 2 || message[25] != 1 {
		return nil, false
	}
	return bytes.Clone(message[26:32]), true
}

// stamp is the kernel's time of a frame.
func stamp(oob []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{}
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return time.Time{}
}

// pcap writes frames as tcpdump does, with nanoseconds.
type pcap struct {
	file *os.File
	w    *bufio.Writer
}

func newPcap(file *os.File) *pcap {
	p := &pcap{file: file, w: bufio.NewWriter(file)}
	// Magic number, version 2.4, zone and accuracy 0, longest frame, Ethernet.
	p.numbers(0xa1b23c4d, 2|4<<16, 0, 0, 65536, 1)
	return p
}

// numbers writes words in the byte order of the magic number. Errors stay with
// the writer until close.
func (p *pcap) numbers(words ...uint32) {
	for _, n := range words {
		_, _ = p.w.Write(binary.LittleEndian.AppendUint32(nil, n))
	}
}

func (p *pcap) write(at time.Time, frame []byte) {
	size := uint32(len(frame))
	p.numbers(uint32(at.Unix()), uint32(at.Nanosecond()), size, size)
	_, _ = p.w.Write(frame)
}

func (p *pcap) close() error {
	if err := p.w.Flush(); err != nil {
		return err
	}
	return p.file.Close()
}
