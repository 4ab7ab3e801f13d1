package bfdsock_test

import (
	"testing"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/kernel/bfdsock"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

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
	kerneltest.LeavesNothing(t, cycle)
}
