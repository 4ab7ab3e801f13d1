package rawsock

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// The bytes are spelt out by hand after RFC 826, a line for each field.
//
//rfc:9568/6.4.1-3 positive
func TestGratuitousARPGolden(t *testing.T) {
	want := strings.Join([]string{
		"ffffffffffff", // to everybody
		"020000000a01", // from the link
		"0806",         // ARP
		"0001",         // hardware type Ethernet
		"0800",         // protocol type IPv4
		"06", "04",     // address lengths
		"0001",         // request
		"020000000a01", // sender hardware address
		"c000020a",     // sender protocol address 192.0.2.10
		"000000000000", // target hardware address
		"c000020a",     // target protocol address 192.0.2.10
	}, "")
	prefix := []byte("kept")
	got := AppendGratuitousARP(prefix, [6]byte{2, 0, 0, 0, 0x0a, 1}, [4]byte{192, 0, 2, 10})
	if string(got[:4]) != "kept" {
		t.Errorf("what was there before became %q", got[:4])
	}
	if frame := hex.EncodeToString(got[4:]); frame != want {
		t.Errorf("frame\n got %s\nwant %s", frame, want)
	}
	if len(got)-4 != ARPFrameSize {
		t.Errorf("frame has %d bytes, want %d", len(got)-4, ARPFrameSize)
	}
}

// openARP opens a sender inside a namespace.
func openARP(t *testing.T, n *kerneltest.Namespace, link string) *ARP {
	t.Helper()
	var a *ARP
	err := n.Do(func() (err error) {
		a, err = OpenARP(link)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// eventually waits for a condition that the kernel brings about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

//rfc:9568/6.4.3-1 positive
//rfc:3768/6.4.3-1 positive
func TestAnnounceMovesTheNeighbourEntryOfAThirdHost(t *testing.T) {
	lan := kerneltest.NewSwitch(t, "lan")
	a, b, client := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b"), kerneltest.NewNamespace(t, "client")
	lan.Attach(a, "eth0", "192.0.2.1/24", "192.0.2.10/24")
	lan.Attach(b, "eth0", "192.0.2.2/24")
	lan.Attach(client, "eth0", "192.0.2.3/24")
	vip := []netip.Addr{netip.MustParseAddr("192.0.2.10")}

	client.LearnNeighbour("192.0.2.10")
	eventually(t, "the client learns the first holder", func() bool {
		return client.Neighbour("eth0", "192.0.2.10").String() == a.MAC("eth0").String()
	})
	// The kernel keeps an entry for locktime (1 s) against changes of mind.
	client.Sysctl("ipv4/neigh/eth0/locktime", "0")
	a.DelAddress("eth0", "192.0.2.10/24")
	b.AddAddress("eth0", "192.0.2.10/24")
	if err := openARP(t, b, "eth0").Announce(vip); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the client turns to the second holder", func() bool {
		return client.Neighbour("eth0", "192.0.2.10").String() == b.MAC("eth0").String()
	})
}

//rfc:9568/6.4.1-3 positive
//rfc:9568/6.4.2-8 positive
func TestAnnouncePutsTheGoldenFrameOnTheWire(t *testing.T) {
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	kerneltest.Veth(a, "eth0", b, "eth0")
	fd := -1
	err := b.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(networkOrder(unix.ETH_P_ARP)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30}); err != nil {
		t.Fatal(err)
	}
	addresses := []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.11")}
	if err := openARP(t, a, "eth0").Announce(addresses); err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		buf := make([]byte, 128)
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			t.Fatal(err)
		}
		want := AppendGratuitousARP(nil, [6]byte(a.MAC("eth0")), address.As4())
		if got := hex.EncodeToString(buf[:n]); got != hex.EncodeToString(want) {
			t.Errorf("received\n     %s\nwant %s", got, hex.EncodeToString(want))
		}
	}
}

func TestAnnounceFollowsARecreatedLink(t *testing.T) {
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	arp := openARP(t, a, "eth0")
	vip := []netip.Addr{netip.MustParseAddr("192.0.2.10")}
	if err := arp.Announce(vip); !errors.Is(err, unix.ENODEV) {
		t.Errorf("before the link exists: %v, want ENODEV", err)
	}
	for range 3 {
		kerneltest.Veth(a, "eth0", b, "eth0")
		if err := arp.Announce(vip); err != nil {
			t.Errorf("with the link there: %v", err)
		}
		a.SetDown("eth0")
		if err := arp.Announce(vip); !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("with the link down: %v, want ENETDOWN", err)
		}
		a.DeleteLink("eth0")
		if err := arp.Announce(vip); !errors.Is(err, unix.ENODEV) {
			t.Errorf("with the link gone: %v, want ENODEV", err)
		}
	}
}

func TestAnnounceWhereThereIsNobodyToTell(t *testing.T) {
	n := kerneltest.NewNamespace(t, "lo")
	vip := []netip.Addr{netip.MustParseAddr("192.0.2.10")}
	if err := openARP(t, n, "lo").Announce(vip); err != nil {
		t.Errorf("on the loopback: %v", err)
	}
	if err := openARP(t, n, "a-name-longer-than-any-link").Announce(vip); !errors.Is(err, unix.ENODEV) {
		t.Errorf("on an impossible link: %v, want ENODEV", err)
	}
}

//rfc:9568/6.4.1-3 negative
//rfc:9568/6.4.2-8 negative
func TestAnnounceRefusesIPv6(t *testing.T) {
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	kerneltest.Veth(a, "eth0", b, "eth0")
	err := openARP(t, a, "eth0").Announce([]netip.Addr{netip.MustParseAddr("2001:db8::1")})
	if err == nil || !strings.Contains(err.Error(), "2001:db8::1 is not an IPv4 address") {
		t.Errorf("announcing an IPv6 address by ARP: %v", err)
	}
}

func TestAnnouncerKeepsOneSenderForEachLink(t *testing.T) {
	kerneltest.RequireRoot(t)
	a := NewAnnouncer()
	// The loopback of the host: nothing is sent there.
	for range 3 {
		if err := a.Announce("lo", []netip.Addr{netip.MustParseAddr("192.0.2.10")}); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.senders) != 1 {
		t.Errorf("%d senders for one link", len(a.senders))
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Announce("lo", nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after closing: %v, want ErrClosed", err)
	}
}
