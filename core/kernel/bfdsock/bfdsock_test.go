package bfdsock_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

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
