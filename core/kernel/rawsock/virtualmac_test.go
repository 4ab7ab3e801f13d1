package rawsock_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// virtualLink adds an interface with a virtual MAC address to eth0.
func virtualLink(t testing.TB, n *kerneltest.Namespace, name, mac string) {
	t.Helper()
	for _, args := range [][]string{
		{"link", "add", "link", "eth0", "name", name, "address", mac, "type", "macvlan", "mode", "private"},
		{"link", "set", "dev", name, "addrgenmode", "none"},
		{"link", "set", "dev", name, "up"},
	} {
		if out, err := n.Output("ip", args...); err != nil {
			t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	n.Sysctl("ipv4/conf/"+name+"/rp_filter", "0")
	n.Sysctl("ipv4/conf/"+name+"/accept_local", "1")
	n.AwaitCarrier(name)
}

// What is sent through an interface with a virtual MAC address comes from an
// address of the interface below, which it does not have itself; and it arrives
// where both machines have the same MAC address.
func TestBorrowedSource(t *testing.T) {
	for _, row := range []struct {
		name, mac, source string
		group             rawsock.Transport
		hosts             func(testing.TB) (a, b *kerneltest.Namespace)
	}{
		{"IPv4", "00:00:5e:00:01:33", "192.0.2.1", rawsock.Transport{Family: wire.IPv4}, twoHosts},
		{"IPv6", "00:00:5e:00:02:33", "fe80::1", rawsock.Transport{Family: wire.IPv6}, twoIPv6Hosts},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, b := row.hosts(t)
			virtualLink(t, a, "vrrp.51", row.mac)
			virtualLink(t, b, "vrrp.51", row.mac)
			virtual := rawsock.Transport{Interface: "vrrp.51", Family: row.group.Family, Group: true, Borrowed: true}
			x, _ := openTransport(t, a, virtual)
			y, ready := openTransport(t, b, virtual)
			group := wire.GroupIPv4()
			if row.group.Family == wire.IPv6 {
				group = wire.GroupIPv6()
			}
			if err := x.Send([]byte("from the virtual MAC address"), addr(row.source), group); err != nil {
				t.Fatal(err)
			}
			payload, meta := next(t, y, ready)
			// The other machine's virtual interface gets it because of whom it is from.
			if string(payload) != "from the virtual MAC address" || meta.Source != addr(row.source) || meta.TTL != wire.HopLimit {
				t.Errorf("received %q, %+v", payload, meta)
			}
			if row.group.Family == wire.IPv4 {
				return
			}
			plain := virtual
			plain.Borrowed = false
			z, _ := openTransport(t, a, plain)
			if err := z.Send([]byte("x"), addr(row.source), group); err == nil {
				t.Error("a socket that does not borrow sends from an address of another interface")
			}
		})
	}
}

// A socket for one sender hears nobody else.
func TestFromOneSender(t *testing.T) {
	a, b := twoHosts(t)
	const mac = "00:00:5e:00:01:33"
	virtualLink(t, a, "vrrp.51", mac)
	virtualLink(t, b, "vrrp.51", mac)
	hardware, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	for _, ah := range []bool{false, true} {
		virtual := rawsock.Transport{Interface: "vrrp.51", Group: true, Borrowed: true, AH: ah}
		plain := rawsock.Transport{Interface: "eth0", Group: true, AH: ah}
		only := virtual
		only.From = [6]byte(hardware)
		fromVirtual, _ := openTransport(t, a, virtual)
		fromPlain, _ := openTransport(t, a, plain)
		y, ready := openTransport(t, b, only)
		message := func(vrid uint8) []byte {
			advert := wire.Advertisement{Version: wire.V2, VRID: vrid, Priority: 1, Interval: time.Second, Addresses: []netip.Addr{addr("192.0.2.10")}}
			if !ah {
				b, err := advert.Append(nil, addr("192.0.2.1"), wire.GroupIPv4(), wire.Plain)
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			password, err := wire.NewPassword("geheim")
			if err != nil {
				t.Fatal(err)
			}
			advert.Auth = wire.Auth{Type: wire.AuthHeader, Password: password}
			b, err := advert.AppendAH(nil, addr("192.0.2.1"), wire.GroupIPv4(), wire.HopLimit, 1)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		for _, step := range []struct {
			by   *rawsock.VRRP
			vrid uint8
		}{{fromPlain, 1}, {fromVirtual, 2}} {
			if err := step.by.Send(message(step.vrid), addr("192.0.2.1"), wire.GroupIPv4()); err != nil {
				t.Fatal(err)
			}
		}
		payload, _ := next(t, y, ready)
		if vrid, ok := wire.VRID(payload); !ok || vrid != 2 {
			t.Errorf("AH %v: received %q first, want what came from the virtual MAC address", ah, payload)
		}
	}
}
