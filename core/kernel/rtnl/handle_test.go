package rtnl

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// openIn opens a handle inside a namespace.
func openIn(t *testing.T, n *kerneltest.Namespace) *Handle {
	t.Helper()
	var h *Handle
	err := n.Do(func() (err error) {
		h, err = Open()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// pair is a namespace with one interface, eth0.
func pair(t *testing.T) *kerneltest.Namespace {
	t.Helper()
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	kerneltest.Veth(a, "eth0", b, "eth0")
	return a
}

func prefixes(text ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(text))
	for i, s := range text {
		list[i] = netip.MustParsePrefix(s)
	}
	return list
}

// many are n /24 addresses of 10.0.0.0/16, or /32 ones.
func many(n, bits int) []netip.Prefix {
	list := make([]netip.Prefix, n)
	for i := range list {
		list[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), bits)
	}
	return list
}

func TestAddAndDeleteAddresses(t *testing.T) {
	n := pair(t)
	h := openIn(t, n)
	n.AddAddress("eth0", "192.0.2.1/24")
	vips := prefixes("192.0.2.10/24", "198.51.100.10/32", "2001:db8::10/64")

	for range 2 { // The second time everything is there already.
		if err := h.AddAddresses("eth0", vips); err != nil {
			t.Fatal(err)
		}
	}
	got, marked, err := h.Addresses("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(marked, netip.MustParsePrefix("192.0.2.1/24")) || (len(marked) != 0 && len(marked) != len(vips)) {
		t.Errorf("marked %v, want the added ones alone, or none on a kernel without marks", marked)
	}
	for _, want := range append(prefixes("192.0.2.1/24"), vips...) {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing in %v", want, got)
		}
	}
	for range 2 { // The second time nothing is there any more.
		if err := h.DelAddresses("eth0", vips); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.Addresses("eth0"); !slices.Equal(got, prefixes("192.0.2.1/24")) {
		t.Errorf("after deleting: %v, want the machine's own address alone", got)
	}
}

// What `ip address` shows is what a user compares with Keepalived's work.
func TestAddedAddressAsAnIndependentReaderSeesIt(t *testing.T) {
	kerneltest.RequireTool(t, "ip")
	n := pair(t)
	h := openIn(t, n)
	if err := h.AddAddresses("eth0", prefixes("192.0.2.10/24", "198.51.100.10/32", "2001:db8::10/64")); err != nil {
		t.Fatal(err)
	}
	out, err := n.Output("ip", "-oneline", "address", "show", "dev", "eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"inet 192.0.2.10/24 scope global", "inet 198.51.100.10/32 scope global", "inet6 2001:db8::10/64 scope global"} {
		if !strings.Contains(strings.ReplaceAll(out, "proto 0x68 ", ""), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "brd") || (strings.Contains(line, "2001:db8::10") && strings.Contains(line, "tentative")) {
			t.Errorf("unwanted broadcast address or duplicate address detection: %s", line)
		}
	}
}

func TestAddedAddressesCarryTheMark(t *testing.T) {
	n := pair(t)
	h := openIn(t, n)
	n.AddAddress("eth0", "192.0.2.1/24")
	if err := h.AddAddresses("eth0", prefixes("192.0.2.10/24")); err != nil {
		t.Fatal(err)
	}
	links, err := h.Links()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(links, func(l Link) bool { return l.Name == "eth0" })
	if i < 0 {
		t.Fatalf("no eth0 in %v", links)
	}
	eth0 := links[i]
	if eth0.Index != n.Index("eth0") || eth0.MAC != n.MAC("eth0").String() || !eth0.Up {
		t.Errorf("eth0 is %+v, want index %d, MAC %s, up", eth0, n.Index("eth0"), n.MAC("eth0"))
	}
	var foreign, own *inet.Address
	for i, a := range eth0.Addresses {
		switch a.Prefix.String() {
		case "192.0.2.1/24":
			foreign = &eth0.Addresses[i]
		case "192.0.2.10/24":
			own = &eth0.Addresses[i]
		}
	}
	if foreign == nil || foreign.Secondary || foreign.Protocol != 0 {
		t.Errorf("the machine's address is %+v, want primary and unmarked", foreign)
	}
	if own == nil || !own.Secondary {
		t.Fatalf("the added address is %+v, want secondary", own)
	}
	// A kernel before 5.18 stores no mark.
	if own.Protocol != inet.ProtocolHalo && own.Protocol != 0 {
		t.Errorf("the added address is marked %d, want %d", own.Protocol, inet.ProtocolHalo)
	}
}

// A VIP that came first is the primary address of its subnet, and the kernel
// deletes the secondary ones along with it unless told otherwise.
func TestDeletingAPrimaryAddressSparesTheOthers(t *testing.T) {
	n := pair(t)
	n.Sysctl("ipv4/conf/all/promote_secondaries", "0")
	n.Sysctl("ipv4/conf/eth0/promote_secondaries", "0")
	h := openIn(t, n)
	if err := h.AddAddresses("eth0", prefixes("192.0.2.10/24", "192.0.2.11/24")); err != nil {
		t.Fatal(err)
	}
	n.AddAddress("eth0", "192.0.2.1/24")
	if err := h.DelAddresses("eth0", prefixes("192.0.2.10/24", "192.0.2.11/24")); err != nil {
		t.Fatal(err)
	}
	if got := n.Addresses("eth0"); !slices.Equal(got, prefixes("192.0.2.1/24")) {
		t.Errorf("addresses %v, want the machine's own to have stayed", got)
	}
}

func TestDeletingWithoutDependentsLeavesSysctlsAlone(t *testing.T) {
	n := pair(t)
	n.Sysctl("ipv4/conf/all/promote_secondaries", "0")
	n.Sysctl("ipv4/conf/eth0/promote_secondaries", "0")
	h := openIn(t, n)
	n.AddAddress("eth0", "192.0.2.1/24")
	vips := prefixes("192.0.2.10/24", "198.51.100.1/24", "198.51.100.2/24")
	if err := h.AddAddresses("eth0", vips); err != nil {
		t.Fatal(err)
	}
	if err := h.DelAddresses("eth0", vips); err != nil {
		t.Fatal(err)
	}
	if got := n.Addresses("eth0"); !slices.Equal(got, prefixes("192.0.2.1/24")) {
		t.Errorf("addresses %v", got)
	}
	value, err := n.Output("cat", "/proc/sys/net/ipv4/conf/eth0/promote_secondaries")
	if err != nil || strings.TrimSpace(value) != "0" {
		t.Errorf("promote_secondaries is %q (%v), want it untouched", value, err)
	}
}

func TestThousandAddresses(t *testing.T) {
	for _, bits := range []int{32, 16} {
		t.Run(fmt.Sprintf("prefix length %d", bits), func(t *testing.T) {
			n := pair(t)
			h := openIn(t, n)
			n.AddAddress("eth0", "192.0.2.1/24")
			vips := many(1000, bits)
			if err := h.AddAddresses("eth0", vips); err != nil {
				t.Fatal(err)
			}
			if got := n.Addresses("eth0"); len(got) != 1001 {
				t.Errorf("%d addresses, want 1001", len(got))
			}
			if err := h.DelAddresses("eth0", vips); err != nil {
				t.Fatal(err)
			}
			if got := n.Addresses("eth0"); len(got) != 1 {
				t.Errorf("%d addresses are left, want 1", len(got))
			}
		})
	}
}

// A dump of many addresses takes several system calls. While addresses come
// and go in between, the kernel calls it interrupted, and what was read may
// lack or repeat addresses that never changed. It is repeated, and neither a
// question nor the start of a monitor fails because of it.
func TestR32InterruptedDump(t *testing.T) {
	n := pair(t)
	h, other := openIn(t, n), openIn(t, n)
	stable := many(2000, 32)
	if err := h.AddAddresses("eth0", stable); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var storm sync.WaitGroup
	storm.Go(func() {
		// The first of the subnet, so that the others move in the list.
		moving := prefixes("203.0.113.1/32", "203.0.113.2/32")
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := errors.Join(other.AddAddresses("eth0", moving), other.DelAddresses("eth0", moving)); err != nil {
				t.Error(err)
				return
			}
			runtime.Gosched()
		}
	})
	whole := func(addresses []netip.Prefix) {
		count := make(map[netip.Prefix]int, len(addresses))
		for _, p := range addresses {
			count[p]++
		}
		for _, p := range stable {
			if count[p] != 1 {
				t.Errorf("%s is in the dump %d times", p, count[p])
			}
		}
	}
	interrupted := 0
	for tries := 0; tries < 2000 && (interrupted == 0 || tries < 20) && !t.Failed(); tries++ {
		links, err := h.reads.dumpLinks()
		switch {
		case errors.Is(err, errDumpInterrupted):
			interrupted++
		case err != nil:
			t.Fatal(err)
		default:
			var list []netip.Prefix
			for _, l := range links {
				for _, a := range l.Addresses {
					list = append(list, a.Prefix)
				}
			}
			whole(list)
		}
	}
	if interrupted == 0 {
		t.Error("no dump was ever interrupted, so nothing was tested")
	}
	started := watchIn(t, n, 0).Subscribe()
	await(t, started, "a monitor that starts in the storm sees all", func(v *View) bool {
		l, _ := v.Link("eth0")
		return len(l.Addresses) >= len(stable)
	})
	close(done)
	storm.Wait()
	all, _, err := h.Addresses("eth0")
	if err != nil {
		t.Fatal(err)
	}
	whole(all)
}

func TestErrorsNameWhatFailed(t *testing.T) {
	n := pair(t)
	h := openIn(t, n)
	vips := prefixes("192.0.2.10/24")

	t.Run("missing link", func(t *testing.T) {
		for what, err := range map[string]error{
			"list": func() error { _, _, err := h.Addresses("eth7"); return err }(),
			"add":  h.AddAddresses("eth7", vips),
		} {
			if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "eth7") {
				t.Errorf("%s: %v, want ENODEV with the link's name", what, err)
			}
		}
		if err := h.DelAddresses("eth7", vips); err != nil {
			t.Errorf("delete: %v, want success: the address is not there", err)
		}
	})
	t.Run("impossible name", func(t *testing.T) {
		for _, name := range []string{"", "a-name-longer-than-any-link"} {
			if _, _, err := h.Addresses(name); !errors.Is(err, unix.ENODEV) {
				t.Errorf("link %q: %v, want ENODEV", name, err)
			}
		}
	})
	t.Run("refused by the kernel", func(t *testing.T) {
		mixed := append(prefixes("0.0.0.0/0"), vips...)
		mixed = append(mixed, netip.Prefix{}, netip.Prefix{})
		err := h.AddAddresses("eth0", mixed)
		if err == nil || !strings.Contains(err.Error(), "add address") || !strings.Contains(err.Error(), "more)") {
			t.Errorf("adding bad addresses: %v", err)
		}
		if !n.HasAddress("eth0", "192.0.2.10") {
			t.Error("one bad address kept the good one from being added")
		}
		if err := h.DelAddresses("eth0", vips); err != nil {
			t.Error(err)
		}
	})
}

func TestMissingCapabilityIsNamed(t *testing.T) {
	n := pair(t)
	n.AddAddress("eth0", "192.0.2.11/24")
	var addErr, delErr error
	err := n.Do(func() error {
		// Capabilities belong to the thread. Do returns it to the pool only
		// when it can leave the namespace, for which it needs one of them.
		if err := dropCapabilities(); err != nil {
			return err
		}
		h, err := Open()
		if err != nil {
			return err
		}
		defer func() { _ = h.Close() }()
		addErr = h.AddAddresses("eth0", prefixes("192.0.2.10/24"))
		delErr = h.DelAddresses("eth0", prefixes("192.0.2.11/24"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{addErr, delErr} {
		if !errors.Is(err, unix.EPERM) {
			t.Fatalf("without capabilities: %v, want EPERM", err)
		}
		for _, want := range []string{"192.0.2.1", "eth0", "CAP_NET_ADMIN", "AmbientCapabilities", "setcap"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not name %s", err, want)
			}
		}
	}
}

// dropCapabilities takes all capabilities from the calling thread.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}
