package rawsock_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// twoIPv6Hosts are two machines on one cable: fe80::1 and 2001:db8::1, fe80::2 and
// 2001:db8::2 on eth0.
func twoIPv6Hosts(t testing.TB) (a, b *kerneltest.Namespace) {
	t.Helper()
	a, b = kerneltest.NewNamespace(t, "vrrp6-a"), kerneltest.NewNamespace(t, "vrrp6-b")
	kerneltest.Veth(a, "eth0", b, "eth0")
	for n, host := range map[*kerneltest.Namespace]string{a: "1", b: "2"} {
		n.AddAddress("eth0", "fe80::"+host+"/64")
		n.AddAddress("eth0", "2001:db8::"+host+"/64")
	}
	return a, b
}

// ipv6Group is IPv6 multicast on eth0.
func ipv6Group() rawsock.Transport {
	return rawsock.Transport{Interface: "eth0", Family: wire.IPv6, Group: true}
}

func TestIPv6SendReceive(t *testing.T) {
	a, b := twoIPv6Hosts(t)
	x, _ := openTransport(t, a, ipv6Group())
	y, ready := openTransport(t, b, ipv6Group())
	before := time.Now()
	for i, message := range []string{"first message", "second", "x"} {
		if err := x.Send([]byte(message), addr("fe80::1"), wire.GroupIPv6()); err != nil {
			t.Fatal(err)
		}
		payload, meta := next(t, y, ready)
		if meta.Arrived.Before(before) || meta.Arrived.After(time.Now()) {
			t.Errorf("packet %d came in at %v, sent after %v", i, meta.Arrived, before)
		}
		meta.Arrived = time.Time{}
		want := wire.Meta{Source: addr("fe80::1"), Destination: wire.GroupIPv6(), TTL: 255, Interface: b.Index("eth0")}
		if string(payload) != message || meta != want {
			t.Errorf("packet %d: %q, %+v, want %q, %+v", i, payload, meta, message, want)
		}
	}
	// The sender does not hear itself.
	if payload, _, err := x.Receive(make([]byte, 100)); payload != nil || err != nil {
		t.Errorf("the sender received %q, %v", payload, err)
	}
}

// drain reads until there is nothing more.
func drain(t testing.TB, v *rawsock.VRRP) {
	t.Helper()
	for {
		payload, _, err := v.Receive(make([]byte, 100))
		if err != nil {
			t.Fatal(err)
		}
		if payload == nil {
			return
		}
	}
}

// tap is a packet socket that hears all of one protocol on eth0.
func tap(t testing.TB, n *kerneltest.Namespace, protocol uint16) int {
	t.Helper()
	fd := -1
	index := n.Index("eth0")
	if err := n.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(htons(protocol)))
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(protocol), Ifindex: index})
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	timeout := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	return fd
}

// capture reads the next frame that is wanted.
func capture(t testing.TB, fd int, wanted func(frame []byte) bool) []byte {
	t.Helper()
	for {
		frame := make([]byte, 2048)
		n, err := unix.Read(fd, frame)
		if err != nil {
			t.Fatalf("no frame came: %v", err)
		}
		if frame = frame[:n]; wanted(frame) {
			return frame
		}
	}
}

// The frame on the wire, byte by byte.
//
//rfc:9568/5.1.2.3-1 positive
//rfc:9568/7.2-5 positive
//rfc:9568/7.2-6 positive
//rfc:9568/7.2-7 positive
func TestIPv6Frame(t *testing.T) {
	a, b := twoIPv6Hosts(t)
	a.AddAddress("eth0", "fe80::77/64")
	x, _ := openTransport(t, a, ipv6Group())
	fd := tap(t, b, unix.ETH_P_IPV6)
	if err := x.Send([]byte("advertisement"), addr("fe80::77"), wire.GroupIPv6()); err != nil {
		t.Fatal(err)
	}
	// Joining the group is told by MLD, which comes this way too.
	frame := capture(t, fd, func(f []byte) bool { return len(f) > 54 && f[20] == wire.Protocol })
	ip := frame[14:]
	if want := []byte{0x33, 0x33, 0, 0, 0, 0x12}; !bytes.Equal(frame[:6], want) {
		t.Errorf("to % x, want % x", frame[:6], want)
	}
	if !bytes.Equal(frame[6:12], a.MAC("eth0")) {
		t.Errorf("from % x, want %v", frame[6:12], a.MAC("eth0"))
	}
	if class := binary.BigEndian.Uint16(ip) >> 4 & 0xff; ip[0]>>4 != 6 || class != 0xc0 || ip[7] != 255 {
		t.Errorf("version %d, traffic class %#x, hop limit %d", ip[0]>>4, class, ip[7])
	}
	if src, dst := netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40])); src != addr("fe80::77") || dst != wire.GroupIPv6() {
		t.Errorf("from %v to %v", src, dst)
	}
	if length := binary.BigEndian.Uint16(ip[4:]); int(length) != len("advertisement") || string(ip[40:]) != "advertisement" {
		t.Errorf("length %d, payload %q", length, ip[40:])
	}
}

// The kernel does not look at the checksum: a wrong one arrives and is counted by
// whoever reads it, and a right one is not touched.
func TestIPv6ChecksumIsWires(t *testing.T) {
	a, b := twoIPv6Hosts(t)
	x, _ := openTransport(t, a, ipv6Group())
	y, ready := openTransport(t, b, ipv6Group())
	advert := wire.Advertisement{
		Version: wire.V3, Family: wire.IPv6, VRID: 51, Priority: 100, Interval: time.Second,
		Addresses: []netip.Addr{addr("fe80::51"), addr("2001:db8::51")},
	}
	message, err := advert.Append(nil, addr("fe80::1"), wire.GroupIPv6(), wire.PseudoHeader)
	if err != nil {
		t.Fatal(err)
	}
	expect := wire.Expect{
		Version: wire.V3, Family: wire.IPv6, Interval: time.Second, Addresses: advert.Addresses, Group: wire.GroupIPv6(),
	}
	for _, want := range []wire.DropReason{wire.DropNone, wire.DropChecksum} {
		if err := x.Send(message, addr("fe80::1"), wire.GroupIPv6()); err != nil {
			t.Fatal(err)
		}
		payload, meta := next(t, y, ready)
		if findings, drop := expect.Check(payload, meta, &wire.Advertisement{}); drop != want || findings.Any() {
			t.Errorf("dropped for %v, findings %+v, want %v", drop, findings, want)
		}
		message[6] ^= 0x55
	}
}

// A socket hears its own interface only.
//
//rfc:9568/7.1-6 positive negative
func TestIPv6StaysOnItsInterface(t *testing.T) {
	a, b := twoIPv6Hosts(t)
	kerneltest.Veth(a, "eth1", b, "eth1")
	for n, address := range map[*kerneltest.Namespace]string{a: "fe80::11/64", b: "fe80::12/64"} {
		n.AddAddress("eth1", address)
	}
	second := ipv6Group()
	second.Interface = "eth1"
	x0, _ := openTransport(t, a, ipv6Group())
	x1, _ := openTransport(t, a, second)
	y0, ready0 := openTransport(t, b, ipv6Group())
	y1, ready1 := openTransport(t, b, second)
	if err := x1.Send([]byte("on eth1"), addr("fe80::11"), wire.GroupIPv6()); err != nil {
		t.Fatal(err)
	}
	if err := x0.Send([]byte("on eth0"), addr("fe80::1"), wire.GroupIPv6()); err != nil {
		t.Fatal(err)
	}
	if payload, meta := next(t, y1, ready1); string(payload) != "on eth1" || meta.Interface != b.Index("eth1") {
		t.Errorf("eth1 received %q on interface %d", payload, meta.Interface)
	}
	if payload, meta := next(t, y0, ready0); string(payload) != "on eth0" || meta.Interface != b.Index("eth0") {
		t.Errorf("eth0 received %q on interface %d", payload, meta.Interface)
	}
	for name, v := range map[string]*rawsock.VRRP{"eth0": y0, "eth1": y1} {
		if payload, _, err := v.Receive(make([]byte, 100)); payload != nil || err != nil {
			t.Errorf("%s received also %q, %v", name, payload, err)
		}
	}
}

// A longer packet than anybody sends is cut, and known to be.
func TestIPv6Truncated(t *testing.T) {
	a, b := twoIPv6Hosts(t)
	x, _ := openTransport(t, a, ipv6Group())
	y, ready := openTransport(t, b, ipv6Group())
	if err := x.Send(make([]byte, 1400), addr("fe80::1"), wire.GroupIPv6()); err != nil {
		t.Fatal(err)
	}
	if payload, meta := next(t, y, ready); !meta.Truncated || len(payload) != 60+wire.MaxLength {
		t.Errorf("%d bytes, truncated: %v", len(payload), meta.Truncated)
	}
}

func TestIPv6Errors(t *testing.T) {
	a, _ := twoIPv6Hosts(t)
	x, _ := openTransport(t, a, ipv6Group())
	for name, tt := range map[string]struct{ source, destination string }{
		"from an address of somebody else": {"fe80::99", "ff02::12"},
		"over IPv4":                        {"192.0.2.1", "224.0.0.18"},
		"from IPv4 written as IPv6":        {"::ffff:192.0.2.1", "ff02::12"},
	} {
		if err := x.Send([]byte("x"), addr(tt.source), addr(tt.destination)); err == nil || !strings.Contains(err.Error(), "eth0") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := x.Send([]byte("x"), addr("fe80::1"), wire.GroupIPv6()); err != nil {
		t.Errorf("after the errors: %v", err)
	}
	for name, transport := range map[string]rawsock.Transport{
		"a missing interface":                {Interface: "eth9", Index: 4711, Family: wire.IPv6, Group: true},
		"unicast on a missing interface":     {Interface: "eth9", Index: 4711, Family: wire.IPv6},
		"IPv4 unicast on a missing one":      {Interface: "eth9", Index: 4711},
		"an authentication header over IPv6": {Interface: "eth9", Index: a.Index("eth0"), Family: wire.IPv6, AH: true},
		"a group on no interface":            {Interface: "eth9", Group: true},
	} {
		if err := a.Do(func() error {
			v, err := rawsock.OpenTransport(transport, make(chan struct{}, 1))
			if err == nil {
				_ = v.Close()
			}
			return err
		}); err == nil || !strings.Contains(err.Error(), "eth9") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIPv6DoesNotAllocate(t *testing.T) {
	a, b := twoIPv6Hosts(t)
	x, _ := openTransport(t, a, ipv6Group())
	y, ready := openTransport(t, b, ipv6Group())
	neverAllocates(t, x, y, ready, addr("fe80::1"), wire.GroupIPv6(), make([]byte, 20))
}

// neverAllocates sends and receives a number of packets.
func neverAllocates(t *testing.T, x, y *rawsock.VRRP, ready <-chan struct{}, source, destination netip.Addr, message []byte) {
	t.Helper()
	buf := make([]byte, 1500)
	if err := x.Send(message, source, destination); err != nil {
		t.Fatal(err)
	}
	next(t, y, ready)
	if n := testing.AllocsPerRun(200, func() {
		if err := x.Send(message, source, destination); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations to send", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if payload, _, err := y.Receive(buf); err != nil || payload == nil {
			t.Errorf("received %v, %v", payload, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations to receive", n)
	}
}
