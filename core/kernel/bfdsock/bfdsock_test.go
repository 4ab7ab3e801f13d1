package bfdsock_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/kernel/bfdsock"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// patience is how long anything is waited for that is bound to happen.
const patience = 20 * time.Second

// host is a namespace whose IPv6 addresses can be used at once.
func host(t testing.TB, label string) *kerneltest.Namespace {
	t.Helper()
	n := kerneltest.NewNamespace(t, label)
	for _, of := range []string{"all", "default"} {
		n.Sysctl("ipv6/conf/"+of+"/accept_dad", "0")
		n.Sysctl("ipv6/conf/"+of+"/dad_transmits", "0")
	}
	return n
}

// twoHosts are two machines on one cable, each with eth0: 192.0.2.1 and .2,
// 2001:db8::1 and ::2, fe80::1 and ::2.
func twoHosts(t testing.TB) (a, b *kerneltest.Namespace) {
	t.Helper()
	a, b = host(t, "bfd-a"), host(t, "bfd-b")
	kerneltest.Veth(a, "eth0", b, "eth0")
	for n, last := range map[*kerneltest.Namespace]string{a: "1", b: "2"} {
		n.AddAddress("eth0", "192.0.2."+last+"/24")
		n.AddAddress("eth0", "2001:db8::"+last+"/64")
		n.AddAddress("eth0", "fe80::"+last+"/64")
		awaitAddress(t, n, "2001:db8::"+last)
		awaitAddress(t, n, "fe80::"+last+"%eth0")
	}
	return a, b
}

// awaitAddress waits until an IPv6 address can be used: the kernel makes it so
// in its own time, even where it does not look for duplicates.
func awaitAddress(t testing.TB, n *kerneltest.Namespace, address string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := n.Do(func() error {
			c, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr(address), 0)))
			if err == nil {
				err = c.Close()
			}
			return err
		})
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s cannot be used: %v", address, err)
		}
	}
}

func listen(t testing.TB, n *kerneltest.Namespace, multihop, ipv6 bool) (*bfdsock.Receiver, <-chan struct{}) {
	t.Helper()
	ready := make(chan struct{}, 1)
	var r *bfdsock.Receiver
	if err := n.Do(func() (err error) {
		r, err = bfdsock.Listen(multihop, ipv6, ready)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, ready
}

func dial(t testing.TB, n *kerneltest.Namespace, path bfd.Path) *bfdsock.Sender {
	t.Helper()
	var s *bfdsock.Sender
	if err := n.Do(func() (err error) {
		s, err = bfdsock.Dial(path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// next waits for one packet.
func next(t testing.TB, r *bfdsock.Receiver, ready <-chan struct{}) ([]byte, bfd.Meta) {
	t.Helper()
	buf := make([]byte, 512)
	deadline := time.After(patience)
	for {
		payload, meta, err := r.Receive(buf)
		if err != nil {
			t.Fatal(err)
		}
		if payload != nil {
			return payload, meta
		}
		select {
		case <-ready:
		case <-deadline:
			t.Fatalf("no packet came to %s", r)
		}
	}
}

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

// Every kind of path: what is said of a packet at the other end.
//
//rfc:5880/9-1 positive negative
//rfc:5881/4-1 positive negative
//rfc:5881/5-1 positive negative
//rfc:5881/6-2 positive negative
//rfc:5883/5-1 positive negative
func TestPacketsAlongEveryPath(t *testing.T) {
	a, b := twoHosts(t)
	// Another address, and one of another subnet.
	a.AddAddress("eth0", "192.0.2.77/24")
	a.AddAddress("eth0", "2001:db8::77/64")
	awaitAddress(t, a, "2001:db8::77")
	a.AddAddress("eth0", "198.51.100.1/24")
	type socket struct {
		receiver *bfdsock.Receiver
		ready    <-chan struct{}
	}
	sockets := map[[2]bool]socket{}
	for _, multihop := range []bool{false, true} {
		for _, ipv6 := range []bool{false, true} {
			r, ready := listen(t, b, multihop, ipv6)
			sockets[[2]bool{multihop, ipv6}] = socket{r, ready}
		}
	}
	tests := []struct {
		peer, source, iface string
		multihop            bool
		ttl                 uint8
		from                string
	}{
		{"192.0.2.2", "", "", false, 255, "192.0.2.1"},
		{"192.0.2.2", "", "eth0", false, 255, "192.0.2.1"},
		{"192.0.2.2", "192.0.2.77", "", false, 255, "192.0.2.77"},
		{"192.0.2.2", "192.0.2.77", "eth0", false, 64, "192.0.2.77"},
		{"192.0.2.2", "", "", true, 255, "192.0.2.1"},
		{"192.0.2.2", "192.0.2.77", "", true, 3, "192.0.2.77"},
		{"2001:db8::2", "2001:db8::77", "", false, 255, "2001:db8::77"},
		{"2001:db8::2", "2001:db8::1", "eth0", false, 255, "2001:db8::1"},
		{"2001:db8::2", "2001:db8::1", "", true, 7, "2001:db8::1"},
		{"fe80::2", "fe80::1", "eth0", false, 255, "fe80::1"},
	}
	for _, tt := range tests {
		path := bfd.Path{Peer: addr(tt.peer), Source: addr(tt.source), Interface: tt.iface, Multihop: tt.multihop}
		s := dial(t, a, path)
		message := []byte("to " + tt.peer)
		if err := s.Send(message, tt.ttl); err != nil {
			t.Errorf("%+v: %v", path, err)
			continue
		}
		to := sockets[[2]bool{tt.multihop, path.Peer.Is6()}]
		payload, meta := next(t, to.receiver, to.ready)
		meta.Arrived = time.Time{} // TestArrival
		want := bfd.Meta{Source: addr(tt.from), Destination: path.Peer, TTL: int(tt.ttl), Interface: "eth0", Multihop: tt.multihop}
		if !bytes.Equal(payload, message) || meta != want {
			t.Errorf("%+v: %q, %+v, want %+v", path, payload, meta, want)
		}
	}
	// None came to a port that it was not for.
	for of, s := range sockets {
		if payload, _, err := s.receiver.Receive(make([]byte, 512)); payload != nil || err != nil {
			t.Errorf("multihop and IPv6 %v: received also %q, %v", of, payload, err)
		}
	}
}

// A session has one port for life, and it is no other session's.
//
//rfc:5881/4-2 positive negative
//rfc:5881/4-3 positive negative
//rfc:5881/4-4 positive negative
func TestSourcePorts(t *testing.T) {
	a, b := twoHosts(t)
	var raw *net.UDPConn
	if err := b.Do(func() (err error) {
		raw, err = net.ListenUDP("udp4", &net.UDPAddr{Port: bfd.PortSingleHop})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	seen := map[uint16]bool{}
	for range 200 {
		s := dial(t, a, bfd.Path{Peer: addr("192.0.2.2"), Interface: "eth0"})
		if seen[s.Port()] || s.Port() < 49152 {
			t.Fatalf("port %d", s.Port())
		}
		seen[s.Port()] = true
		for _, ttl := range []uint8{255, 255, 64} {
			if err := s.Send([]byte("x"), ttl); err != nil {
				t.Fatal(err)
			}
			_, from, err := raw.ReadFromUDPAddrPort(make([]byte, 10))
			if err != nil || from.Port() != s.Port() {
				t.Fatalf("came from %v, %v, want port %d", from, err, s.Port())
			}
		}
	}
}

// A packet carries the time at which the kernel took it in, however much later
// it is read.
func TestArrival(t *testing.T) {
	a, b := twoHosts(t)
	r, ready := listen(t, b, false, false)
	s := dial(t, a, bfd.Path{Peer: addr("192.0.2.2")})
	// A packet that this machine lets wait for long counts from its reading, so
	// a busy one needs more than one attempt.
	for range 1000 {
		before := time.Now()
		if err := s.Send([]byte("x"), 255); err != nil {
			t.Fatal(err)
		}
		<-ready
		after := time.Now()
		_, meta := next(t, r, ready)
		if meta.Arrived.Before(before) {
			t.Fatalf("a packet came in %v before it was sent", before.Sub(meta.Arrived))
		}
		if !meta.Arrived.After(after) {
			return
		}
		for payload := []byte{}; payload != nil; {
			payload, _, _ = r.Receive(make([]byte, 100))
		}
	}
	t.Error("no packet counts from when it came in")
}

// Routers count: this is what a session that allows some hops goes by.
func TestTTLBehindARouter(t *testing.T) {
	a, router, b := host(t, "bfd-a"), host(t, "bfd-router"), host(t, "bfd-b")
	kerneltest.Veth(a, "eth0", router, "left")
	kerneltest.Veth(router, "right", b, "eth0")
	router.Sysctl("ipv4/ip_forward", "1")
	a.AddAddress("eth0", "192.0.2.1/24")
	router.AddAddress("left", "192.0.2.254/24")
	router.AddAddress("right", "198.51.100.254/24")
	b.AddAddress("eth0", "198.51.100.1/24")
	a.AddRoute("default", "192.0.2.254")
	b.AddRoute("default", "198.51.100.254")
	r, ready := listen(t, b, true, false)
	s := dial(t, a, bfd.Path{Peer: addr("198.51.100.1"), Multihop: true})
	if err := s.Send([]byte("x"), 255); err != nil {
		t.Fatal(err)
	}
	if _, meta := next(t, r, ready); meta.TTL != 254 || meta.Source != addr("192.0.2.1") {
		t.Errorf("%+v", meta)
	}
	// A session over one hop does not let a router have its packets.
	one := dial(t, a, bfd.Path{Peer: addr("198.51.100.1")})
	if err := one.Send([]byte("x"), 255); err == nil {
		t.Error("sent through a router")
	}
	// One that is told to does, over the port of one hop.
	r, ready = listen(t, b, false, false)
	if err := dial(t, a, bfd.Path{Peer: addr("198.51.100.1"), Routed: true}).Send([]byte("x"), 255); err != nil {
		t.Fatal(err)
	}
	if _, meta := next(t, r, ready); meta.TTL != 254 || meta.Multihop {
		t.Errorf("%+v", meta)
	}
}

// What is missing when the socket is opened, or goes for a while, is found when
// it is there, with the same source port.
//
//rfc:5881/6-1 positive negative
func TestInterfaceAndAddressComeAndGo(t *testing.T) {
	a, b := host(t, "bfd-a"), host(t, "bfd-b")
	s := dial(t, a, bfd.Path{Peer: addr("192.0.2.2"), Source: addr("192.0.2.1"), Interface: "eth0"})
	port := s.Port()
	r, ready := listen(t, b, false, false)
	for round := range 2 {
		if err := s.Send([]byte("x"), 255); err == nil {
			t.Fatalf("round %d: sent without an interface", round)
		}
		kerneltest.Veth(a, "eth0", b, "eth0")
		b.AddAddress("eth0", "192.0.2.2/24")
		if err := s.Send([]byte("x"), 255); err == nil {
			t.Fatalf("round %d: sent without the source address", round)
		}
		a.AddAddress("eth0", "192.0.2.1/24")
		if err := s.Send([]byte("here"), 255); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if payload, meta := next(t, r, ready); string(payload) != "here" || meta.Interface != "eth0" || s.Port() != port {
			t.Errorf("round %d: %q, %+v", round, payload, meta)
		}
		a.DeleteLink("eth0")
	}
	// With an interface it leaves through no other.
	kerneltest.Veth(a, "eth1", b, "eth1")
	a.AddAddress("eth1", "192.0.2.1/24")
	b.AddAddress("eth1", "192.0.2.2/24")
	if err := s.Send([]byte("x"), 255); err == nil {
		t.Error("sent through another interface")
	}
	if payload, _, _ := r.Receive(make([]byte, 100)); payload != nil {
		t.Errorf("received %q", payload)
	}
}

// An interface that is renamed is called by its name of the moment.
func TestReceiverAndRenamedInterface(t *testing.T) {
	a, b := twoHosts(t)
	r, ready := listen(t, b, false, false)
	s := dial(t, a, bfd.Path{Peer: addr("192.0.2.2")})
	for _, name := range []string{"eth0", "lan", "eth0"} {
		if name != "eth0" || b.HasLink("lan") {
			old := map[string]string{"lan": "eth0", "eth0": "lan"}[name]
			b.SetDown(old)
			kerneltest.RequireTool(t, "ip")
			if out, err := b.Output("ip", "link", "set", old, "name", name); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			b.SetUp(name)
			b.AwaitCarrier(name)
			a.AwaitCarrier("eth0")
		}
		if err := s.Send([]byte("x"), 255); err != nil {
			t.Fatal(err)
		}
		if _, meta := next(t, r, ready); meta.Interface != name {
			t.Errorf("came in on %q, want %q", meta.Interface, name)
		}
	}
}

// Not one of many packets is lost between a wake-up and the next.
func TestReceiverWakesForEveryPacket(t *testing.T) {
	a, b := twoHosts(t)
	r, ready := listen(t, b, false, false)
	s := dial(t, a, bfd.Path{Peer: addr("192.0.2.2")})
	for i := range 2000 {
		var message [8]byte
		binary.BigEndian.PutUint64(message[:], uint64(i))
		if err := s.Send(message[:], 255); err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			runtime.Gosched()
		}
		if i%3 != 0 {
			continue // Let some gather.
		}
		for want := i - min(i, 2); want <= i; want++ {
			payload, _ := next(t, r, ready)
			if got := binary.BigEndian.Uint64(payload); got != uint64(want) {
				t.Fatalf("packet %d came, want %d", got, want)
			}
		}
	}
}

// A port is had once; who has it is not said, but what it means.
func TestListenTwice(t *testing.T) {
	a, _ := twoHosts(t)
	listen(t, a, false, false)
	listen(t, a, true, false) // Others are free.
	listen(t, a, false, true)
	err := a.Do(func() error {
		_, err := bfdsock.Listen(false, false, make(chan struct{}, 1))
		return err
	})
	if err == nil || err.Error() != "open BFD socket on udp4 port 3784: listen udp4 :3784: bind: address already in use: another BFD daemon runs here" {
		t.Errorf("error %v", err)
	}
}

func TestClosed(t *testing.T) {
	a, _ := twoHosts(t)
	r, _ := listen(t, a, false, false)
	s := dial(t, a, bfd.Path{Peer: addr("192.0.2.2")})
	for _, c := range []interface{ Close() error }{r, s} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err == nil {
			t.Errorf("closed a closed %T", c)
		}
	}
	if err := s.Send([]byte("x"), 255); err == nil {
		t.Error("sent on a closed socket")
	}
	if _, _, err := r.Receive(make([]byte, 100)); err == nil {
		t.Error("received on a closed socket")
	}
}

// What is sent to a source port is thrown away and takes no memory.
func TestSenderReceivesNothing(t *testing.T) {
	a, b := twoHosts(t)
	s := dial(t, a, bfd.Path{Peer: addr("192.0.2.2")})
	if err := b.Do(func() error {
		c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr("192.0.2.1"), s.Port())))
		if err != nil {
			return err
		}
		defer c.Close()
		for range 100 {
			if _, err := c.Write(make([]byte, 1000)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var table []byte
	if err := a.Do(func() (err error) {
		table, err = os.ReadFile("/proc/thread-self/net/udp")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if queued := queue(t, string(table), s.Port()); queued != "00000000" {
		t.Errorf("%s bytes wait", queued)
	}
}

// Opening and closing leaves nothing behind.
func TestLeavesNothingBehind(t *testing.T) {
	a, _ := twoHosts(t)
	cycle := func() {
		t.Helper()
		if err := a.Do(func() error {
			r, err := bfdsock.Listen(false, false, make(chan struct{}, 1))
			if err != nil {
				return err
			}
			s, err := bfdsock.Dial(bfd.Path{Peer: addr("192.0.2.2")})
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
			return r.Close()
		}); err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)
	for range 50 {
		cycle()
	}
	if n := openDescriptors(t); n > descriptors {
		t.Errorf("%d descriptors, before %d", n, descriptors)
	}
	// The helper's goroutines end on their own time.
	for end := time.Now().Add(patience); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), goroutines)
		}
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestDoesNotAllocate(t *testing.T) {
	a, b := twoHosts(t)
	for _, peer := range []string{"192.0.2.2", "2001:db8::2"} {
		r, ready := listen(t, b, false, addr(peer).Is6())
		s := dial(t, a, bfd.Path{Peer: addr(peer), Interface: "eth0"})
		buf, message := make([]byte, 512), make([]byte, bfd.Length)
		if err := s.Send(message, 255); err != nil {
			t.Fatal(err)
		}
		next(t, r, ready)
		if n := testing.AllocsPerRun(200, func() {
			if err := s.Send(message, 255); err != nil {
				t.Error(err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations to send", peer, n)
		}
		if n := testing.AllocsPerRun(100, func() {
			if payload, _, err := r.Receive(buf); err != nil || payload == nil {
				t.Errorf("received %v, %v", payload, err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations to receive", peer, n)
		}
	}
}

// The class of service is that of routing protocols.
func TestClassOfService(t *testing.T) {
	a, b := twoHosts(t)
	var fd int
	if err := b.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300 /* ETH_P_ALL */, Ifindex: b.Index("eth0")})
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
	for _, peer := range []string{"192.0.2.2", "2001:db8::2"} {
		if err := dial(t, a, bfd.Path{Peer: addr(peer)}).Send([]byte("x"), 255); err != nil {
			t.Fatal(err)
		}
		for packet := make([]byte, 200); ; {
			n, err := unix.Read(fd, packet)
			if err != nil {
				t.Fatalf("no packet to %s came: %v", peer, err)
			}
			class, protocol := packet[1], packet[9]
			if packet[0]>>4 == 6 {
				class, protocol = packet[0]<<4|packet[1]>>4, packet[6]
			}
			version := packet[0] >> 4
			if n < 28 || version != 4 && version != 6 || version == 6 != addr(peer).Is6() || protocol != unix.IPPROTO_UDP {
				continue // ARP and its kin.
			}
			if class != 0xc0 {
				t.Errorf("to %s with class %#x", peer, class)
			}
			break
		}
	}
}
