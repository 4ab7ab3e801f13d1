package rawsock_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// patience is how long anything is waited for that is bound to happen.
const patience = 20 * time.Second

// twoHosts are two machines on one cable: 192.0.2.1 and 192.0.2.2 on eth0.
func twoHosts(t testing.TB) (a, b *kerneltest.Namespace) {
	t.Helper()
	a, b = kerneltest.NewNamespace(t, "vrrp-a"), kerneltest.NewNamespace(t, "vrrp-b")
	kerneltest.Veth(a, "eth0", b, "eth0")
	for n, address := range map[*kerneltest.Namespace]string{a: "192.0.2.1/24", b: "192.0.2.2/24"} {
		n.AddAddress("eth0", address)
		n.SetUp("eth0")
	}
	a.AwaitCarrier("eth0")
	b.AwaitCarrier("eth0")
	return a, b
}

// ipv4Group is IPv4 multicast on an interface.
func ipv4Group(iface string) rawsock.Transport {
	return rawsock.Transport{Interface: iface, Family: wire.IPv4, Group: true}
}

// open opens a socket for IPv4 multicast that is closed with the test.
func open(t testing.TB, n *kerneltest.Namespace, iface string) (*rawsock.VRRP, <-chan struct{}) {
	t.Helper()
	return openTransport(t, n, ipv4Group(iface))
}

// openTransport opens a socket that is closed with the test, on the interface
// that the transport names.
func openTransport(t testing.TB, n *kerneltest.Namespace, transport rawsock.Transport) (*rawsock.VRRP, <-chan struct{}) {
	t.Helper()
	ready := make(chan struct{}, 1)
	transport.Index = n.Index(transport.Interface)
	var v *rawsock.VRRP
	if err := n.Do(func() (err error) {
		v, err = rawsock.OpenTransport(transport, ready)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v, ready
}

// next waits for one packet.
func next(t testing.TB, v *rawsock.VRRP, ready <-chan struct{}) ([]byte, wire.Meta) {
	t.Helper()
	buf := make([]byte, 60+wire.MaxLength)
	deadline := time.After(patience)
	for {
		payload, meta, err := v.Receive(buf)
		if err != nil {
			t.Fatal(err)
		}
		if payload != nil {
			return payload, meta
		}
		select {
		case <-ready:
		case <-deadline:
			t.Fatal("no packet came")
		}
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

//rfc:9568/7.2-7 positive
//rfc:3768/7.2-6 positive
func TestVRRPSendReceive(t *testing.T) {
	a, b := twoHosts(t)
	x, _ := open(t, a, "eth0")
	y, ready := open(t, b, "eth0")
	for i, message := range []string{"first message", "second", "x"} {
		if err := x.Send([]byte(message), addr("192.0.2.1"), wire.GroupIPv4()); err != nil {
			t.Fatal(err)
		}
		payload, meta := next(t, y, ready)
		want := wire.Meta{Source: addr("192.0.2.1"), Destination: wire.GroupIPv4(), TTL: 255, Interface: b.Index("eth0")}
		meta.Arrived = time.Time{} // TestArrival
		if string(payload) != message || meta != want {
			t.Errorf("packet %d: %q, %+v, want %q, %+v", i, payload, meta, message, want)
		}
	}
	// The sender does not hear itself.
	if payload, _, err := x.Receive(make([]byte, 100)); payload != nil || err != nil {
		t.Errorf("the sender received %q, %v", payload, err)
	}
}

// A packet counts from when the kernel took it in, however much later it is read.
func TestArrival(t *testing.T) {
	for _, row := range []struct {
		name      string
		hosts     func(testing.TB) (a, b *kerneltest.Namespace)
		transport rawsock.Transport
		source    string
		group     netip.Addr
	}{
		{"IPv4", twoHosts, ipv4Group("eth0"), "192.0.2.1", wire.GroupIPv4()},
		{"IPv6", twoIPv6Hosts, ipv6Group(), "fe80::1", wire.GroupIPv6()},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, b := row.hosts(t)
			x, _ := openTransport(t, a, row.transport)
			y, ready := openTransport(t, b, row.transport)
			// A packet that this machine lets wait for long counts from its reading,
			// so a busy one needs more than one attempt.
			for range 1000 {
				before := time.Now()
				if err := x.Send([]byte("x"), addr(row.source), row.group); err != nil {
					t.Fatal(err)
				}
				<-ready
				after := time.Now()
				_, meta := next(t, y, ready)
				if meta.Arrived.Before(before) {
					t.Fatalf("a packet came in %v before it was sent", before.Sub(meta.Arrived))
				}
				if !meta.Arrived.After(after) {
					return
				}
				drain(t, y)
			}
			t.Error("no packet counts from when it came in")
		})
	}
}

// The frame on the wire, byte by byte.
//
//rfc:9568/5.1.1.3-1 positive
//rfc:9568/7.2-4 positive
//rfc:9568/7.2-6 positive
//rfc:3768/5.2.3-1 positive
//rfc:3768/7.2-4 positive
//rfc:3768/7.2-5 positive
func TestVRRPFrame(t *testing.T) {
	a, b := twoHosts(t)
	a.AddAddress("eth0", "192.0.2.77/24")
	x, _ := open(t, a, "eth0")
	var fd int
	if err := b.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_IP)))
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: b.Index("eth0")})
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	if err := x.Send([]byte("advertisement"), addr("192.0.2.77"), wire.GroupIPv4()); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 200)
	for {
		n, err := unix.Read(fd, frame)
		if err != nil {
			t.Fatalf("no frame came: %v", err)
		}
		// Joining the group is told by IGMP, which comes this way too.
		if frame[23] == wire.Protocol {
			frame = frame[:n]
			break
		}
	}
	ip := frame[14:]
	if want := []byte{0x01, 0x00, 0x5e, 0, 0, 18}; !bytes.Equal(frame[:6], want) {
		t.Errorf("to % x, want % x", frame[:6], want)
	}
	if !bytes.Equal(frame[6:12], a.MAC("eth0")) {
		t.Errorf("from % x, want %v", frame[6:12], a.MAC("eth0"))
	}
	if ip[0] != 0x45 || ip[1] != 0xc0 || ip[8] != 255 || ip[9] != 112 {
		t.Errorf("version and length %#x, type of service %#x, TTL %d, protocol %d", ip[0], ip[1], ip[8], ip[9])
	}
	if src := netip.AddrFrom4([4]byte(ip[12:16])); src != addr("192.0.2.77") {
		t.Errorf("from %v", src)
	}
	if total := binary.BigEndian.Uint16(ip[2:]); int(total) != 20+len("advertisement") || !bytes.HasPrefix(ip[20:], []byte("advertisement")) {
		t.Errorf("length %d, payload %q", total, ip[20:])
	}
}

// A socket hears its own interface only.
//
//rfc:9568/7.1-6 positive negative
//rfc:3768/7.1-5 positive negative
func TestVRRPStaysOnItsInterface(t *testing.T) {
	a, b := twoHosts(t)
	kerneltest.Veth(a, "eth1", b, "eth1")
	for n, address := range map[*kerneltest.Namespace]string{a: "198.51.100.1/24", b: "198.51.100.2/24"} {
		n.AddAddress("eth1", address)
		n.SetUp("eth1")
		n.AwaitCarrier("eth1")
	}
	x0, _ := open(t, a, "eth0")
	x1, _ := open(t, a, "eth1")
	y0, ready0 := open(t, b, "eth0")
	y1, ready1 := open(t, b, "eth1")
	if err := x1.Send([]byte("on eth1"), addr("198.51.100.1"), wire.GroupIPv4()); err != nil {
		t.Fatal(err)
	}
	if err := x0.Send([]byte("on eth0"), addr("192.0.2.1"), wire.GroupIPv4()); err != nil {
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

// Not one of many packets is lost between a wake-up and the next.
func TestVRRPWakesForEveryPacket(t *testing.T) {
	a, b := twoHosts(t)
	x, _ := open(t, a, "eth0")
	y, ready := open(t, b, "eth0")
	for i := range 2000 {
		var message [8]byte
		binary.BigEndian.PutUint64(message[:], uint64(i))
		if err := x.Send(message[:], addr("192.0.2.1"), wire.GroupIPv4()); err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			runtime.Gosched()
		}
		if i%3 != 0 {
			continue // Let some gather.
		}
		for want := i - min(i, 2); want <= i; want++ {
			payload, _ := next(t, y, ready)
			if got := binary.BigEndian.Uint64(payload); got != uint64(want) {
				t.Fatalf("packet %d came, want %d", got, want)
			}
		}
	}
}

// A longer packet than anybody sends is cut, and known to be.
func TestVRRPTruncated(t *testing.T) {
	a, b := twoHosts(t)
	x, _ := open(t, a, "eth0")
	y, ready := open(t, b, "eth0")
	if err := x.Send(make([]byte, 1400), addr("192.0.2.1"), wire.GroupIPv4()); err != nil {
		t.Fatal(err)
	}
	if payload, meta := next(t, y, ready); !meta.Truncated || len(payload) != 40+wire.MaxLength {
		t.Errorf("%d bytes, truncated: %v", len(payload), meta.Truncated)
	}
}

func TestVRRPSendErrors(t *testing.T) {
	a, _ := twoHosts(t)
	x, _ := open(t, a, "eth0")
	tests := []struct {
		name, source, destination string
	}{
		{"from an address of somebody else", "192.0.2.99", "224.0.0.18"},
		{"over IPv6", "fe80::1", "ff02::12"},
	}
	for _, tt := range tests {
		err := x.Send([]byte("x"), addr(tt.source), addr(tt.destination))
		if err == nil || !strings.Contains(err.Error(), "eth0") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	// It still works after an error, and fails when the link goes.
	if err := x.Send([]byte("x"), addr("192.0.2.1"), wire.GroupIPv4()); err != nil {
		t.Error(err)
	}
	a.DeleteLink("eth0")
	if err := x.Send([]byte("x"), addr("192.0.2.1"), wire.GroupIPv4()); err == nil {
		t.Error("sent on an interface that is gone")
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	if err := x.Close(); err == nil {
		t.Error("closed a closed socket")
	}
	if err := x.Send([]byte("x"), addr("192.0.2.1"), wire.GroupIPv4()); err == nil {
		t.Error("sent on a closed socket")
	}
	if _, _, err := x.Receive(make([]byte, 100)); err == nil {
		t.Error("received on a closed socket")
	}
}

func TestOpenOnAMissingInterface(t *testing.T) {
	a, _ := twoHosts(t)
	err := a.Do(func() error {
		_, err := rawsock.OpenTransport(rawsock.Transport{Interface: "eth9", Index: 4711, Group: true}, make(chan struct{}, 1))
		return err
	})
	if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "eth9") {
		t.Errorf("error %v", err)
	}
}

// The error for a missing privilege says which, for what, and how to get it.
func TestOpenWithoutCapability(t *testing.T) {
	a, _ := twoHosts(t)
	index := a.Index("eth0")
	err := a.Do(func() error {
		var openErr error
		if err := withoutCapability(unix.CAP_NET_RAW, func() {
			_, openErr = rawsock.OpenTransport(rawsock.Transport{Interface: "eth0", Index: index, Group: true}, make(chan struct{}, 1))
		}); err != nil {
			t.Error(err)
		}
		return openErr
	})
	if !errors.Is(err, os.ErrPermission) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"eth0", "CAP_NET_RAW", "protocol 112", "AmbientCapabilities", "setcap"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
}

// withoutCapability runs f while the calling thread, which must be locked, has
// the capability switched off.
func withoutCapability(capability int, f func()) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var before [2]unix.CapUserData
	if err := unix.Capget(&header, &before[0]); err != nil {
		return err
	}
	less := before
	less[capability/32].Effective &^= 1 << (capability % 32)
	if err := unix.Capset(&header, &less[0]); err != nil {
		return err
	}
	f()
	return unix.Capset(&header, &before[0])
}

// Opening and closing leaves nothing behind.
func TestVRRPLeavesNothingBehind(t *testing.T) {
	a, _ := twoHosts(t)
	index := a.Index("eth0")
	cycle := func() {
		t.Helper()
		if err := a.Do(func() error {
			v, err := rawsock.OpenTransport(rawsock.Transport{Interface: "eth0", Index: index, Group: true}, make(chan struct{}, 1))
			if err != nil {
				return err
			}
			return v.Close()
		}); err != nil {
			t.Fatal(err)
		}
	}
	kerneltest.LeavesNothing(t, cycle)
}

func TestVRRPDoesNotAllocate(t *testing.T) {
	a, b := twoHosts(t)
	x, _ := open(t, a, "eth0")
	y, ready := open(t, b, "eth0")
	buf, message := make([]byte, 1500), make([]byte, 20)
	source, group := addr("192.0.2.1"), wire.GroupIPv4()
	if err := x.Send(message, source, group); err != nil {
		t.Fatal(err)
	}
	next(t, y, ready)
	if n := testing.AllocsPerRun(200, func() {
		if err := x.Send(message, source, group); err != nil {
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

func BenchmarkVRRPReceive(b *testing.B) {
	x, y := twoHosts(b)
	from, _ := open(b, x, "eth0")
	to, _ := open(b, y, "eth0")
	buf, message := make([]byte, 1500), make([]byte, 20)
	source, group := addr("192.0.2.1"), wire.GroupIPv4()
	for b.Loop() {
		b.StopTimer()
		if err := from.Send(message, source, group); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if payload, _, err := to.Receive(buf); err != nil || payload == nil {
			b.Fatalf("received %v, %v", payload, err)
		}
	}
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }
