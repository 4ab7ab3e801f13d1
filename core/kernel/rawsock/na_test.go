package rawsock

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// The bytes are spelt out by hand after RFC 8200 and RFC 4861, a line for each
// field.
//
//rfc:9568/6.4.1-4 positive
//rfc:9568/6.4.2-14 positive
func TestUnsolicitedNAGolden(t *testing.T) {
	address := netip.MustParseAddr("2001:db8::10").As16()
	for _, tt := range []struct {
		router          bool
		checksum, flags string
	}{
		// The sums are worked out by another program: with the router flag
		// there is 0x8000 more in it, so as much less in its complement.
		{false, "ef0c", "20"},
		{true, "6f0c", "a0"},
	} {
		want := strings.Join([]string{
			"333300000001",                     // to all nodes of the link
			"020000000a01",                     // from the link
			"86dd",                             // IPv6
			"60000000",                         // version 6, no traffic class, no flow
			"0020",                             // 32 bytes behind the header
			"3a",                               // ICMPv6
			"ff",                               // hop limit 255
			"20010db8000000000000000000000010", // from the address itself
			"ff020000000000000000000000000001", // to all nodes
			"88", "00",                         // neighbor advertisement
			tt.checksum,
			tt.flags, "000000", // override, nobody asked
			"20010db8000000000000000000000010", // target
			"02", "01",                         // target link-layer address, 8 bytes
			"020000000a01",
		}, "")
		got := AppendUnsolicitedNA([]byte("kept"), [6]byte{2, 0, 0, 0, 0x0a, 1}, address, tt.router)
		if string(got[:4]) != "kept" {
			t.Errorf("what was there before became %q", got[:4])
		}
		if frame := hex.EncodeToString(got[4:]); frame != want {
			t.Errorf("router %v: frame\n got %s\nwant %s", tt.router, frame, want)
		}
		if len(got)-4 != NAFrameSize {
			t.Errorf("frame has %d bytes, want %d", len(got)-4, NAFrameSize)
		}
	}
}

// neighbour is what a host has learnt of an IPv6 address, and whether it takes it
// for a router.
func neighbour(t *testing.T, n *kerneltest.Namespace, link, address string) (mac string, router bool) {
	t.Helper()
	h, err := netlink.NewHandleAt(netns.NsHandle(n.FD()), unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	list, err := h.NeighList(n.Index(link), netlink.FAMILY_V6)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range list {
		if x.IP.String() == address && x.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) == 0 {
			return x.HardwareAddr.String(), x.Flags&netlink.NTF_ROUTER != 0
		}
	}
	return "", false
}

func openNA(t *testing.T, n *kerneltest.Namespace, link string) *NA {
	t.Helper()
	var s *NA
	if err := n.Do(func() (err error) {
		s, err = OpenNA(link)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

//rfc:9568/6.4.1-4 positive
//rfc:9568/6.4.2-14 positive
//rfc:9568/8.2.2-6 positive
func TestNAMovesTheNeighbourEntryOfAThirdHost(t *testing.T) {
	lan := kerneltest.NewSwitch(t, "lan")
	a, b, client := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b"), kerneltest.NewNamespace(t, "client")
	for n, address := range map[*kerneltest.Namespace]string{a: "2001:db8::1/64", b: "2001:db8::2/64", client: "2001:db8::3/64"} {
		lan.Attach(n, "eth0")
		n.AddAddress("eth0", address)
	}
	const vip = "2001:db8::10"
	a.AddAddress("eth0", vip+"/64")
	c, err := client.DialContext(t.Context(), "udp6", "["+vip+"]:9")
	if err == nil {
		_, err = c.Write([]byte{0})
		_ = c.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the client learns the first holder", func() bool {
		mac, _ := neighbour(t, client, "eth0", vip)
		return mac == a.MAC("eth0").String()
	})
	a.DelAddress("eth0", vip+"/64")
	b.AddAddress("eth0", vip+"/64")
	list := []netip.Addr{netip.MustParseAddr(vip)}
	for _, router := range []bool{true, false} {
		if err := openNA(t, b, "eth0").Announce(list, router); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the client turns to the second holder", func() bool {
			mac, isRouter := neighbour(t, client, "eth0", vip)
			return mac == b.MAC("eth0").String() && isRouter == router
		})
	}
	// The Announcer says what the kernel would say: whether it forwards.
	announcer := NewAnnouncer()
	defer announcer.Close()
	for _, forwards := range []string{"1", "0"} {
		b.Sysctl("ipv6/conf/eth0/forwarding", forwards)
		if err := b.Do(func() error { return announcer.Announce("eth0", list) }); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the client takes b for what it is", func() bool {
			_, isRouter := neighbour(t, client, "eth0", vip)
			return isRouter == (forwards == "1")
		})
	}
}

func TestNAFollowsARecreatedLink(t *testing.T) {
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	na := openNA(t, a, "eth0")
	vip := []netip.Addr{netip.MustParseAddr("2001:db8::10")}
	if err := na.Announce(vip, true); !errors.Is(err, unix.ENODEV) {
		t.Errorf("before the link exists: %v, want ENODEV", err)
	}
	for range 2 {
		kerneltest.Veth(a, "eth0", b, "eth0")
		if err := na.Announce(vip, true); err != nil {
			t.Errorf("with the link there: %v", err)
		}
		a.SetDown("eth0")
		if err := na.Announce(vip, true); !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("with the link down: %v, want ENETDOWN", err)
		}
		a.DeleteLink("eth0")
	}
	if err := openNA(t, a, "lo").Announce(vip, true); err != nil {
		t.Errorf("on the loopback: %v", err)
	}
	kerneltest.Veth(a, "eth0", b, "eth0")
	for _, wrong := range []string{"192.0.2.10", "::ffff:192.0.2.10"} {
		err := na.Announce([]netip.Addr{netip.MustParseAddr(wrong)}, true)
		if err == nil || !strings.Contains(err.Error(), wrong+" is not an IPv6 address") {
			t.Errorf("announcing %s: %v", wrong, err)
		}
	}
}

// One call may bring both families.
//
//rfc:9568/8.2.2-6 positive
func TestAnnouncerSendsBothFamilies(t *testing.T) {
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	kerneltest.Veth(a, "eth0", b, "eth0")
	announcer := NewAnnouncer()
	defer announcer.Close()
	heard := make(chan Conflict, 4)
	w := openWatch(t, b, "eth0", heard)
	vips := []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")}
	if err := w.Watch(Watched{Index: b.Index("eth0"), Addresses: vips}); err != nil {
		t.Fatal(err)
	}
	if err := a.Do(func() error { return announcer.Announce("eth0", vips) }); err != nil {
		t.Fatal(err)
	}
	missing := map[netip.Addr]bool{vips[0]: true, vips[1]: true}
	for range vips {
		c := hear(t, heard)
		if !missing[c.Address] || c.MAC != [6]byte(a.MAC("eth0")) {
			t.Errorf("heard %+v", c)
		}
		delete(missing, c.Address)
	}
}
