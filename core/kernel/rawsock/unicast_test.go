package rawsock_test

import (
	"bytes"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

func unicast(family wire.Family) rawsock.Transport {
	return rawsock.Transport{Interface: "eth0", Family: family}
}

func TestUnicastSendReceive(t *testing.T) {
	for _, tt := range []struct {
		family         wire.Family
		hosts          func(testing.TB) (a, b *kerneltest.Namespace)
		source, peer   netip.Addr
		groupJoins     string // file of memberships below /proc/net
		groupMentioned string // the group as it stands there
	}{
		{wire.IPv4, twoHosts, addr("192.0.2.1"), addr("192.0.2.2"), "igmp", "120000E0"},
		{wire.IPv6, twoIPv6Hosts, addr("2001:db8::1"), addr("2001:db8::2"), "igmp6", "ff020000000000000000000000000012"},
		{wire.IPv6, twoIPv6Hosts, addr("fe80::1"), addr("fe80::2"), "igmp6", "ff020000000000000000000000000012"},
	} {
		t.Run(tt.peer.String(), func(t *testing.T) {
			a, b := tt.hosts(t)
			x, _ := openTransport(t, a, unicast(tt.family))
			y, ready := openTransport(t, b, unicast(tt.family))
			if err := x.Send([]byte("to a peer"), tt.source, tt.peer); err != nil {
				t.Fatal(err)
			}
			payload, meta := next(t, y, ready)
			meta.Arrived = time.Time{}
			want := wire.Meta{Source: tt.source, Destination: tt.peer, TTL: 255, Interface: b.Index("eth0")}
			if string(payload) != "to a peer" || meta != want {
				t.Errorf("%q, %+v, want %+v", payload, meta, want)
			}
			// The group: never joined, never sent to, never heard.
			if joined := memberships(t, b, tt.groupJoins); strings.Contains(joined, tt.groupMentioned) {
				t.Errorf("a unicast socket joined a group:\n%s", joined)
			}
			if err := x.Send([]byte("x"), tt.source, tt.family.Group()); err == nil || !strings.Contains(err.Error(), "unicast") {
				t.Errorf("sending to the group: %v", err)
			}
			group := unicast(tt.family)
			group.Group = true
			z, _ := openTransport(t, a, group)
			_, groupReady := openTransport(t, b, group)
			if joined := memberships(t, b, tt.groupJoins); !strings.Contains(joined, tt.groupMentioned) {
				t.Errorf("the group is not found where it was joined:\n%s", joined)
			}
			if err := z.Send([]byte("to all"), tt.source, tt.family.Group()); err != nil {
				t.Fatal(err)
			}
			select {
			case <-groupReady:
			case <-time.After(patience):
				t.Fatal("nothing came for the group")
			}
			if payload, _, err := y.Receive(make([]byte, 100)); payload != nil || err != nil {
				t.Errorf("the unicast socket heard %q, %v", payload, err)
			}
		})
	}
}

// memberships are the groups that a machine has joined.
func memberships(t testing.TB, n *kerneltest.Namespace, file string) string {
	t.Helper()
	var text []byte
	if err := n.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/" + file)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A peer may be behind a router, which takes one from the TTL.
func TestUnicastThroughARouter(t *testing.T) {
	a, router, b := kerneltest.NewNamespace(t, "near"), kerneltest.NewNamespace(t, "router"), kerneltest.NewNamespace(t, "far")
	kerneltest.Veth(a, "eth0", router, "near")
	kerneltest.Veth(b, "eth0", router, "far")
	router.Sysctl("ipv4/ip_forward", "1")
	router.Sysctl("ipv6/conf/all/forwarding", "1")
	for _, add := range []struct {
		n              *kerneltest.Namespace
		iface, address string
	}{
		{a, "eth0", "192.0.2.1/24"},
		{router, "near", "192.0.2.254/24"},
		{b, "eth0", "198.51.100.1/24"},
		{router, "far", "198.51.100.254/24"},
		{a, "eth0", "2001:db8:1::1/64"},
		{router, "near", "2001:db8:1::fe/64"},
		{b, "eth0", "2001:db8:2::1/64"},
		{router, "far", "2001:db8:2::fe/64"},
	} {
		add.n.AddAddress(add.iface, add.address)
	}
	a.AddRoute("198.51.100.0/24", "192.0.2.254")
	b.AddRoute("192.0.2.0/24", "198.51.100.254")
	a.AddRoute("2001:db8:2::/64", "2001:db8:1::fe")
	b.AddRoute("2001:db8:1::/64", "2001:db8:2::fe")
	for _, tt := range []struct {
		family       wire.Family
		source, peer string
	}{
		{wire.IPv4, "192.0.2.1", "198.51.100.1"},
		{wire.IPv6, "2001:db8:1::1", "2001:db8:2::1"},
	} {
		x, _ := openTransport(t, a, unicast(tt.family))
		y, ready := openTransport(t, b, unicast(tt.family))
		if err := x.Send([]byte("from afar"), addr(tt.source), addr(tt.peer)); err != nil {
			t.Fatal(err)
		}
		if payload, meta := next(t, y, ready); string(payload) != "from afar" || meta.TTL != 254 || meta.Source != addr(tt.source) {
			t.Errorf("%v: %q, TTL %d from %v", tt.family, payload, meta.TTL, meta.Source)
		}
	}
}

// A socket that is tied to no interface sends where the routes say, and knows of
// IPv6 packets where they came from.
func TestUnicastWithoutAnInterface(t *testing.T) {
	a, b := twoIPv6Hosts(t)
	a.AddAddress("eth0", "192.0.2.1/24")
	b.AddAddress("eth0", "192.0.2.2/24")
	for _, tt := range []struct {
		family       wire.Family
		source, peer string
		index        int
	}{
		{wire.IPv4, "192.0.2.1", "192.0.2.2", 0},
		{wire.IPv6, "2001:db8::1", "2001:db8::2", b.Index("eth0")},
	} {
		free := func(n *kerneltest.Namespace) (v *rawsock.VRRP, ready chan struct{}) {
			ready = make(chan struct{}, 1)
			if err := n.Do(func() (err error) {
				v, err = rawsock.OpenTransport(rawsock.Transport{Family: tt.family}, ready)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = v.Close() })
			return v, ready
		}
		x, _ := free(a)
		y, ready := free(b)
		if err := x.Send([]byte("by route"), addr(tt.source), addr(tt.peer)); err != nil {
			t.Fatal(err)
		}
		if payload, meta := next(t, y, ready); string(payload) != "by route" || meta.Interface != tt.index {
			t.Errorf("%v: %q on interface %d", tt.family, payload, meta.Interface)
		}
	}
}

// Peers that do not answer to ARP or neighbor discovery, and one to which there is
// no way, do not keep what is for the others.
func TestDeadPeersDoNotStarveTheOthers(t *testing.T) {
	for _, tt := range []struct {
		family       wire.Family
		hosts        func(testing.TB) (a, b *kerneltest.Namespace)
		source, live string
		dead         []string
		unreachable  string
	}{
		{wire.IPv4, twoHosts, "192.0.2.1", "192.0.2.2", []string{"192.0.2.7", "192.0.2.8", "192.0.2.9"}, ""},
		{wire.IPv6, twoIPv6Hosts, "2001:db8::1", "2001:db8::2", []string{"2001:db8::7", "2001:db8::8", "2001:db8::9"}, "2001:db8:ffff::1"},
	} {
		t.Run(tt.family.String(), func(t *testing.T) {
			a, b := tt.hosts(t)
			x, _ := openTransport(t, a, unicast(tt.family))
			y, ready := openTransport(t, b, unicast(tt.family))
			message := make([]byte, 40)
			for range 700 {
				for _, peer := range tt.dead {
					if err := x.Send(message, addr(tt.source), addr(peer)); err != nil {
						t.Fatal(err)
					}
				}
			}
			// IPv4 takes what it has no route to for a neighbour.
			if tt.unreachable != "" {
				if err := x.Send(message, addr(tt.source), addr(tt.unreachable)); err == nil {
					t.Error("sent to where there is no way")
				}
			}
			if err := x.Send([]byte("alive"), addr(tt.source), addr(tt.live)); err != nil {
				t.Fatal(err)
			}
			if payload, _ := next(t, y, ready); string(payload) != "alive" {
				t.Errorf("received %q", payload)
			}
		})
	}
}

func TestUnicastDoesNotAllocate(t *testing.T) {
	a, b := twoHosts(t)
	x, _ := openTransport(t, a, unicast(wire.IPv4))
	y, ready := openTransport(t, b, unicast(wire.IPv4))
	neverAllocates(t, x, y, ready, addr("192.0.2.1"), addr("192.0.2.2"), make([]byte, 20))
}

// ah is the transport of advertisements with an authentication header.
func ah(group bool) rawsock.Transport {
	return rawsock.Transport{Interface: "eth0", Group: group, AH: true}
}

// Advertisements with an authentication header pass the checks, to the group and
// to a peer, and stay what they are on the way through the kernel.
func TestAHSendReceive(t *testing.T) {
	a, b := twoHosts(t)
	x, _ := openTransport(t, a, ah(true))
	y, ready := openTransport(t, b, ah(true))
	plain, plainReady := open(t, b, "eth0")
	password, err := wire.NewPassword("geheim")
	if err != nil {
		t.Fatal(err)
	}
	advert := wire.Advertisement{
		Version: wire.V2, VRID: 51, Priority: 100, Interval: time.Second,
		Addresses: []netip.Addr{addr("192.0.2.10")}, Auth: wire.Auth{Type: wire.AuthHeader, Password: password},
	}
	fd := tap(t, b, unix.ETH_P_IP)
	var sent, heard wire.Sequence
	for _, destination := range []netip.Addr{wire.GroupIPv4(), addr("192.0.2.2")} {
		expect := wire.Expect{
			Version: wire.V2, Interval: time.Second, Auth: advert.Auth, Addresses: advert.Addresses,
			Group: destination, Sequence: &heard,
		}
		packet, err := advert.AppendAH(nil, addr("192.0.2.1"), destination, wire.HopLimit, sent.Next())
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Send(packet, addr("192.0.2.1"), destination); err != nil {
			t.Fatal(err)
		}
		payload, meta := next(t, y, ready)
		if !meta.AH.Present || meta.Source != addr("192.0.2.1") || meta.Destination != destination || meta.TTL != 255 || meta.Interface != b.Index("eth0") {
			t.Errorf("to %v: %+v", destination, meta)
		}
		if _, drop := expect.Check(payload, meta, &wire.Advertisement{}); drop != wire.DropNone {
			t.Errorf("to %v: dropped for %v", destination, drop)
		}
		frame := capture(t, fd, func(f []byte) bool { return f[23] == wire.ProtocolAH })
		if onWire := frame[14:]; !bytes.Equal(onWire, packet) {
			t.Errorf("to %v: on the wire\n% x, sent\n% x", destination, onWire, packet)
		}
	}
	select {
	case <-plainReady:
		t.Error("the socket without the header woke up")
	default:
	}
	if payload, _, err := plain.Receive(make([]byte, 100)); payload != nil || err != nil {
		t.Errorf("the socket without the header received % x, %v", payload, err)
	}
}

// An authentication header with something else behind it is IPsec's business.
func TestAHLeavesIPsecAlone(t *testing.T) {
	a, b := twoHosts(t)
	x, _ := openTransport(t, a, ah(false))
	y, ready := openTransport(t, b, ah(false))
	send := func(following byte, text string) {
		t.Helper()
		packet := make([]byte, 44, 44+len(text))
		packet[0], packet[8], packet[9] = 0x45, 64, wire.ProtocolAH
		copy(packet[12:], addr("192.0.2.1").AsSlice())
		copy(packet[16:], addr("192.0.2.2").AsSlice())
		packet[20], packet[21] = following, 4
		if err := x.Send(append(packet, text...), addr("192.0.2.1"), addr("192.0.2.2")); err != nil {
			t.Fatal(err)
		}
	}
	send(unix.IPPROTO_TCP, "a segment")
	send(wire.Protocol, "an advertisement")
	if payload, meta := next(t, y, ready); string(payload) != "an advertisement" || meta.TTL != 64 {
		t.Errorf("%q with TTL %d", payload, meta.TTL)
	}
}

func TestAHDoesNotAllocate(t *testing.T) {
	a, b := twoHosts(t)
	x, _ := openTransport(t, a, ah(false))
	y, ready := openTransport(t, b, ah(false))
	var sequence wire.Sequence
	password, err := wire.NewPassword("geheim")
	if err != nil {
		t.Fatal(err)
	}
	packet, err := wire.Advertisement{
		Version: wire.V2, VRID: 51, Priority: 100, Interval: time.Second,
		Addresses: []netip.Addr{addr("192.0.2.10")}, Auth: wire.Auth{Type: wire.AuthHeader, Password: password},
	}.AppendAH(nil, addr("192.0.2.1"), addr("192.0.2.2"), wire.HopLimit, sequence.Next())
	if err != nil {
		t.Fatal(err)
	}
	neverAllocates(t, x, y, ready, addr("192.0.2.1"), addr("192.0.2.2"), packet)
}
