package bfdsock_test

import (
	"bytes"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/kernel/bfdsock"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

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
