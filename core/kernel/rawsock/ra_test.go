package rawsock_test

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/radv"
)

// solicitation is one that was heard.
type solicitation struct {
	message []byte
	radv.Meta
}

func openRA(t testing.TB, n *kerneltest.Namespace, link, source string) (*rawsock.RA, <-chan solicitation) {
	t.Helper()
	heard := make(chan solicitation, 64)
	index := n.Index(link)
	var r *rawsock.RA
	if err := n.Do(func() (err error) {
		r, err = rawsock.OpenRA(rawsock.RALink{Name: link, Index: index, Source: addr(source)}, func(message []byte, m radv.Meta) {
			heard <- solicitation{slices.Clone(message), m}
		})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, heard
}

// advertised is a configuration with every option.
func advertised() radv.Config {
	return radv.Config{
		MinInterval: 3 * time.Second, MaxInterval: 4 * time.Second, Lifetime: 1800 * time.Second, Preference: radv.Low,
		Managed: true, OtherConfig: true, HopLimit: 61, ReachableTime: 30 * time.Second, RetransmitTimer: 1500 * time.Millisecond, MTU: 1480,
		Prefixes: []radv.Prefix{
			{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), OnLink: true, Autonomous: true, Valid: time.Hour, Preferred: time.Minute},
			{Prefix: netip.MustParsePrefix("2001:db8:2::/56"), Valid: time.Minute},
		},
		DNSServers: []netip.Addr{addr("2001:db8::53"), addr("fe80::53")}, DNSSearch: []string{"example.com", "a.b"}, DNSLifetime: time.Minute,
	}
}

// What goes out is read by another program, which finds nothing wrong with it.
func TestRAByAnotherReader(t *testing.T) {
	kerneltest.RequireTool(t, "tshark")
	a, b := twoIPv6Hosts(t)
	a.AddAddress("eth0", "fe80::10/64")
	r, _ := openRA(t, a, "eth0", "fe80::10")
	wire := tap(t, b, unix.ETH_P_IPV6)
	config := advertised()
	var frames [][]byte
	for _, lifetime := range []time.Duration{config.Lifetime, 0} {
		if err := r.Send(config.Append(nil, a.MAC("eth0"), lifetime)); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, capture(t, wire, func(f []byte) bool {
			return len(f) > 54 && f[20] == unix.IPPROTO_ICMPV6 && f[54] == radv.TypeAdvertisement
		}))
	}
	got := dissect(t, frames, "_ws.malformed", "icmpv6.checksum.status", "ipv6.src", "ipv6.dst", "ipv6.hlim", "eth.dst",
		"icmpv6.nd.ra.cur_hop_limit", "icmpv6.nd.ra.flag.m", "icmpv6.nd.ra.flag.o", "icmpv6.nd.ra.flag.prf", "icmpv6.nd.ra.router_lifetime",
		"icmpv6.nd.ra.reachable_time", "icmpv6.nd.ra.retrans_timer", "icmpv6.opt.src_linkaddr", "icmpv6.opt.mtu", "icmpv6.opt.prefix",
		"icmpv6.opt.prefix.length", "icmpv6.opt.prefix.flag.l", "icmpv6.opt.prefix.flag.a", "icmpv6.opt.prefix.valid_lifetime",
		"icmpv6.opt.prefix.preferred_lifetime", "icmpv6.opt.rdnss", "icmpv6.opt.rdnss.lifetime", "icmpv6.opt.dnssl", "icmpv6.opt.dnssl.lifetime")
	options := a.MAC("eth0").String() + "|1480|2001:db8:1::,2001:db8:2::|64,56|1,0|1,0|3600,60|60,0|2001:db8::53,fe80::53|60|example.com,a.b|60"
	want := []string{
		"|1|fe80::10|ff02::1|255|33:33:00:00:00:01|61|1|1|3|1800|30000|1500|" + options,
		"|1|fe80::10|ff02::1|255|33:33:00:00:00:01|61|1|1|0|0|30000|1500|" + options,
	}
	if !slices.Equal(got, want) {
		t.Errorf("read\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// ask sends an ICMPv6 message of a host's own making.
func ask(t testing.TB, n *kerneltest.Namespace, message []byte, to string, hops int) {
	t.Helper()
	index := n.Index("eth0")
	if err := n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		for _, option := range []int{unix.IPV6_MULTICAST_HOPS, unix.IPV6_UNICAST_HOPS} {
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, option, hops); err != nil {
				return err
			}
		}
		return unix.Sendto(fd, message, 0, &unix.SockaddrInet6{ZoneId: uint32(index), Addr: addr(to).As16()})
	}); err != nil {
		t.Fatal(err)
	}
}

// Solicitations of this link are heard, and nothing else that ICMPv6 has.
func TestRAHearsSolicitations(t *testing.T) {
	a, b := twoIPv6Hosts(t)
	kerneltest.Veth(a, "eth1", b, "eth1")
	_, heard := openRA(t, a, "eth0", "fe80::1")
	_, elsewhere := openRA(t, a, "eth1", "fe80::1")
	solicit := []byte{radv.TypeSolicitation, 0, 0, 0, 0, 0, 0, 0}
	ask(t, b, []byte{128, 0, 0, 0, 0, 1, 0, 1}, "fe80::1", 255) // An echo request.
	ask(t, b, []byte{radv.TypeAdvertisement, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "ff02::2", 255)
	for _, to := range []struct {
		address string
		hops    int
	}{{"ff02::2", 255}, {"fe80::1", 255}, {"ff02::2", 64}} {
		ask(t, b, solicit, to.address, to.hops)
		select {
		case s := <-heard:
			if s.HopLimit != to.hops || s.Source != addr("fe80::2") && s.Source != addr("2001:db8::2") || len(s.message) != 8 || s.message[0] != radv.TypeSolicitation {
				t.Errorf("heard %+v", s)
			}
		case <-time.After(patience):
			t.Fatalf("what goes to %s is not heard", to.address)
		}
	}
	if len(heard)+len(elsewhere) > 0 {
		t.Errorf("%d more, and %d on the other link", len(heard), len(elsewhere))
	}
}

func TestRAErrors(t *testing.T) {
	a, _ := twoIPv6Hosts(t)
	r, _ := openRA(t, a, "eth0", "fe80::10")
	config := advertised()
	message := config.Append(nil, nil, 0)
	// The address is not there yet.
	err := r.Send(message)
	if err == nil || !strings.Contains(err.Error(), "eth0 from fe80::10") {
		t.Errorf("without the address: %v", err)
	}
	a.AddAddress("eth0", "fe80::10/64")
	if err := r.Send(message); err != nil {
		t.Errorf("with it: %v", err)
	}
	a.SetDown("eth0")
	if err := r.Send(message); err == nil {
		t.Error("a link that is down takes it")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Send(message); !errors.Is(err, os.ErrClosed) && err == nil {
		t.Errorf("closed: %v", err)
	}
	open := func(index int) error {
		return a.Do(func() error {
			_, err := rawsock.OpenRA(rawsock.RALink{Name: "eth9", Index: index, Source: addr("fe80::10")}, nil)
			return err
		})
	}
	if err := open(4711); !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "eth9") {
		t.Errorf("missing interface: %v", err)
	}
	index := a.Index("eth0")
	err = a.Do(func() error {
		var openErr error
		if err := withoutCapability(unix.CAP_NET_RAW, func() {
			_, openErr = rawsock.OpenRA(rawsock.RALink{Name: "eth0", Index: index, Source: addr("fe80::10")}, nil)
		}); err != nil {
			t.Error(err)
		}
		return openErr
	})
	for _, want := range []string{"eth0", "CAP_NET_RAW", "router advertisements", "setcap"} {
		if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

// Opening and closing leaves nothing behind, membership included.
func TestRALeavesNothingBehind(t *testing.T) {
	a, b := twoIPv6Hosts(t)
	before, groups := kerneltest.OpenDescriptors(t), memberships(t, a, "igmp6")
	for range 20 {
		r, _ := openRA(t, a, "eth0", "fe80::1")
		ask(t, b, []byte{radv.TypeSolicitation, 0, 0, 0, 0, 0, 0, 0}, "ff02::2", 255)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if after := kerneltest.OpenDescriptors(t); after > before {
		t.Errorf("%d descriptors, and %d before", after, before)
	}
	if got := memberships(t, a, "igmp6"); got != groups {
		t.Errorf("memberships\n%s\nbefore\n%s", got, groups)
	}
}
