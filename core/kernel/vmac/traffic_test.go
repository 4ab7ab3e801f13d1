package vmac

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// One MAC address answers for the virtual address, and packets pass both ways,
// with any check of where packets come from.
//
//rfc:9568/8.1.2-1 positive
//rfc:9568/8.1.2-2 positive
//rfc:3768/8.2-1 positive
//rfc:3768/8.2-2 positive
func TestTheVirtualMACAnswers(t *testing.T) {
	for _, filter := range []string{"0", "1", "2"} {
		t.Run("rp_filter "+filter, func(t *testing.T) {
			b := newBench(t)
			b.Sysctl("ipv4/conf/all/rp_filter", filter)
			b.ensure(vrrp(51))
			if err := b.kernel.AddAddresses("vrrp.51", []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}); err != nil {
				t.Fatal(err)
			}
			b.AwaitCarrier("vrrp.51")
			b.client.LearnNeighbour("192.0.2.10")
			b.client.LearnNeighbour("192.0.2.1")
			b.eventually("the client learns both addresses", func() bool {
				return b.client.Neighbour("eth0", "192.0.2.10") != nil && b.client.Neighbour("eth0", "192.0.2.1") != nil
			})
			if mac := b.client.Neighbour("eth0", "192.0.2.10").String(); mac != MAC(51, false) {
				t.Errorf("the virtual address has the MAC address %s", mac)
			}
			if mac := b.client.Neighbour("eth0", "192.0.2.1"); mac.String() != b.MAC("eth0").String() {
				t.Errorf("the machine's own address has the MAC address %s", mac)
			}
			b.converse("192.0.2.10:7")
			// Asking for the client's MAC address, the machine does not give
			// away its own for the virtual address.
			if mac := b.client.Neighbour("eth0", "192.0.2.10").String(); mac != MAC(51, false) {
				t.Errorf("after a conversation the virtual address has the MAC address %s", mac)
			}
			b.wantSettings("for all", "ipv4/conf/all", "rp_filter="+filter)
		})
	}
}

//rfc:9568/7.4-1 positive
//rfc:9568/8.2.2-1 positive
func TestTheVirtualMACAnswersInIPv6(t *testing.T) {
	b := newBench(t)
	b.ensure(Interface{Name: "vrrp6.51", Parent: "eth0", VRID: 51, IPv6: true})
	own, client := b.kernel, (*rtnl.Handle)(nil)
	if err := b.client.Do(func() (err error) { client, err = rtnl.Open(); return err }); err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, put := range []struct {
		kernel        *rtnl.Handle
		link, address string
	}{{own, "eth0", "2001:db8::1/64"}, {own, "vrrp6.51", "2001:db8::10/128"}, {own, "vrrp6.51", "fe80::10/64"}, {client, "eth0", "2001:db8::3/64"}} {
		if err := put.kernel.PutAddresses(put.link, []inet.Address{{Prefix: netip.MustParsePrefix(put.address), Deprecated: strings.HasSuffix(put.address, "/128")}}); err != nil {
			t.Fatal(err)
		}
	}
	found, err := own.ListAddresses("vrrp6.51")
	if err != nil || len(found) != 2 {
		t.Errorf("addresses %v, %v, want the two that were given", found, err)
	}
	b.AwaitCarrier("vrrp6.51")
	b.converse("[2001:db8::10]:7")
	b.eventually("the client knows the virtual MAC address", func() bool {
		out, err := b.client.Output("ip", "-6", "neighbour", "show", "to", "2001:db8::10")
		return err == nil && strings.Contains(out, "lladdr "+MAC(51, true))
	})
}

// converse has the client connect to an address of the machine.
func (b *bench) converse(address string) {
	b.T.Helper()
	listener, err := b.Listen("tcp", address)
	if err != nil {
		b.T.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan error, 1)
	go func() {
		c, err := listener.Accept()
		if err == nil {
			_, err = c.Write([]byte("hello"))
			_ = c.Close()
		}
		accepted <- err
	}()
	c, err := b.client.DialContext(b.T.Context(), "tcp", address)
	if err != nil {
		b.T.Fatalf("the client cannot reach %s: %v", address, err)
	}
	defer c.Close()
	var text [5]byte
	if _, err := c.Read(text[:]); err != nil || string(text[:]) != "hello" {
		b.T.Errorf("the client reads %q, %v", text, err)
	}
	if err := <-accepted; err != nil {
		b.T.Error(err)
	}
}

// A parent in a VRF hands its membership on, since the addresses are to be in
// the VRF's table.
func TestInterfaceJoinsTheVRFOfItsParent(t *testing.T) {
	if !kerneltest.InGuest() {
		t.Skip("runs in the test kernel, which has VRFs")
	}
	b := newBench(t)
	b.ip("link", "add", "name", "blue", "type", "vrf", "table", "1001")
	b.ip("link", "set", "dev", "blue", "up")
	b.ip("link", "set", "dev", "eth0", "master", "blue")
	for range 2 {
		b.ensure(vrrp(51))
		b.AwaitCarrier("vrrp.51")
		links, err := b.kernel.Links()
		if err != nil {
			t.Fatal(err)
		}
		blue, _ := byName(links, "blue")
		own, _ := byName(links, "vrrp.51")
		if blue.Kind != "vrf" || blue.VRFTable != 1001 || own.Master != blue.Index {
			t.Errorf("%+v is not in %+v", own, blue)
		}
		// Whoever takes it out of the VRF is put right.
		b.ip("link", "set", "dev", "vrrp.51", "nomaster")
	}
}
