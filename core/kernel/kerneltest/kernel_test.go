package kerneltest_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl"
)

// addressKernel is what the kernel in memory and the real one have in common.
type addressKernel interface {
	Addresses(link string) (all, marked []netip.Prefix, err error)
	AddAddresses(link string, addresses []netip.Prefix) error
	DelAddresses(link string, addresses []netip.Prefix) error
}

// hand is somebody else's on the same machine.
type hand struct {
	kernel           addressKernel
	put, take        func(address string)
	addLink, delLink func()
}

func prefixes(text ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(text))
	for i, s := range text {
		list[i] = netip.MustParsePrefix(s)
	}
	return list
}

// What drivers rely on is the same in memory and in the real kernel.
func TestKernelInMemoryBehavesLikeTheRealOne(t *testing.T) {
	for _, kind := range []struct {
		name string
		make func(*testing.T) hand
	}{{"in memory", inMemory}, {"real", inNamespace}} {
		t.Run(kind.name, func(t *testing.T) {
			h := kind.make(t)
			want := func(what string, err, wanted error, addresses ...string) {
				t.Helper()
				if !errors.Is(err, wanted) {
					t.Errorf("%s: error %v, want %v", what, err, wanted)
				}
				all, _, err := h.kernel.Addresses("eth0")
				if addresses == nil {
					if !errors.Is(err, unix.ENODEV) {
						t.Errorf("%s: listing gives %v, want ENODEV", what, err)
					}
					return
				}
				slices.SortFunc(all, netip.Prefix.Compare)
				if wanted := prefixes(addresses...); err != nil || !slices.Equal(all, wanted) {
					t.Errorf("%s: addresses %v, %v, want %v", what, all, err, wanted)
				}
			}
			k, vips := h.kernel, prefixes("192.0.2.10/24", "192.0.2.11/32")
			want("no link", nil, nil)
			want("add without link", k.AddAddresses("eth0", vips), unix.ENODEV)
			want("delete without link", k.DelAddresses("eth0", vips), nil)
			h.addLink()
			h.put("192.0.2.1/24")
			want("foreign address", nil, nil, "192.0.2.1/24")
			want("add", k.AddAddresses("eth0", vips), nil, "192.0.2.1/24", "192.0.2.10/24", "192.0.2.11/32")
			want("add again", k.AddAddresses("eth0", vips), nil, "192.0.2.1/24", "192.0.2.10/24", "192.0.2.11/32")
			_, marked, _ := k.Addresses("eth0")
			slices.SortFunc(marked, netip.Prefix.Compare)
			if len(marked) != 0 && !slices.Equal(marked, vips) {
				t.Errorf("marked %v, want %v, or none on a kernel without marks", marked, vips)
			}
			h.take("192.0.2.10/24")
			want("taken away", nil, nil, "192.0.2.1/24", "192.0.2.11/32")
			want("same address, other length", k.AddAddresses("eth0", prefixes("192.0.2.11/24")), nil,
				"192.0.2.1/24", "192.0.2.11/24", "192.0.2.11/32")
			want("delete", k.DelAddresses("eth0", vips), nil, "192.0.2.1/24", "192.0.2.11/24")
			want("delete again", k.DelAddresses("eth0", vips), nil, "192.0.2.1/24", "192.0.2.11/24")
			h.delLink()
			want("link deleted", nil, nil)
			h.addLink()
			want("link made again", k.AddAddresses("eth0", vips), nil, "192.0.2.10/24", "192.0.2.11/32")
		})
	}
}

func inMemory(*testing.T) hand {
	k := kerneltest.NewKernel()
	return hand{
		kernel:  k,
		put:     func(a string) { k.Put("eth0", a) },
		take:    func(a string) { k.Take("eth0", a) },
		addLink: func() { k.AddLink("eth0") },
		delLink: func() { k.DelLink("eth0") },
	}
}

func inNamespace(t *testing.T) hand {
	t.Helper()
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	a.Sysctl("ipv6/conf/default/disable_ipv6", "1") // Its own addresses come and go.
	var k *rtnl.Handle
	if err := a.Do(func() (err error) { k, err = rtnl.Open(); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return hand{
		kernel:  k,
		put:     func(address string) { a.AddAddress("eth0", address) },
		take:    func(address string) { a.DelAddress("eth0", address) },
		addLink: func() { kerneltest.Veth(a, "eth0", b, "eth0") },
		delLink: func() { a.DeleteLink("eth0") },
	}
}

func TestKernelPrintsItsState(t *testing.T) {
	k := kerneltest.NewKernel()
	if got := k.String(); got != "" {
		t.Errorf("empty kernel prints %q", got)
	}
	k.AddLink("eth0", "192.0.2.9/24", "192.0.2.1/24")
	k.AddLink("eth1")
	k.SetLink("eth1", false)
	vip := []netip.Addr{netip.MustParseAddr("192.0.2.10")}
	for range 2 {
		if err := k.Announce("eth0", vip); err != nil {
			t.Error(err)
		}
	}
	if err := k.AddAddresses("eth0", prefixes("192.0.2.10/24")); err != nil {
		t.Error(err)
	}
	if err := k.DelAddresses("eth0", prefixes("192.0.2.9/24")); err != nil {
		t.Error(err)
	}
	want := `link eth0 2 up
address eth0 192.0.2.1/24
address eth0 192.0.2.10/24
link eth1 3 down
announced eth0 192.0.2.10 x2
`
	if got := k.String(); got != want {
		t.Errorf("kernel prints\n%swant\n%s", got, want)
	}
	if got, want := k.Journal(), "add eth0 192.0.2.10/24\ndelete eth0 192.0.2.9/24"; got != want {
		t.Errorf("journal\n%s\nwant\n%s", got, want)
	}
	if sent := k.Sent(); len(sent) != 2 || sent[0].Link != "eth0" || sent[0].Address != vip[0] || sent[0].At.IsZero() {
		t.Errorf("sent %v", sent)
	}
	k.Forget()
	if len(k.Sent()) != 0 || k.Journal() != "" || strings.Contains(k.String(), "announced") {
		t.Errorf("after forgetting: %v, %q", k.Sent(), k.Journal())
	}
}

func TestKernelInMemoryFailsWhenTold(t *testing.T) {
	k := kerneltest.NewKernel()
	k.AddLink("eth0")
	vips := prefixes("192.0.2.10/24")
	vip := []netip.Addr{vips[0].Addr()}
	calls := map[kerneltest.Call]func() error{
		kerneltest.CallList:     func() error { _, _, err := k.Addresses("eth0"); return err },
		kerneltest.CallAdd:      func() error { return k.AddAddresses("eth0", vips) },
		kerneltest.CallDelete:   func() error { return k.DelAddresses("eth0", vips) },
		kerneltest.CallAnnounce: func() error { return k.Announce("eth0", vip) },
	}
	for call, do := range calls {
		k.Fail(call, 2, unix.EPERM)
		for i := range 3 {
			if err := do(); errors.Is(err, unix.EPERM) != (i < 2) {
				t.Errorf("%s number %d of two that fail: %v", call, i+1, err)
			}
		}
		k.Fail(call, -1, unix.EIO)
		for range 10 {
			if err := do(); !errors.Is(err, unix.EIO) {
				t.Errorf("%s that always fails: %v", call, err)
			}
		}
		k.Fail(call, 0, nil)
		if err := do(); err != nil {
			t.Errorf("%s that fails no more: %v", call, err)
		}
	}
	if err := k.Announce("eth9", vip); !errors.Is(err, unix.ENODEV) {
		t.Errorf("announcing on a missing link: %v", err)
	}
	k.SetLink("eth0", false)
	if err := k.Announce("eth0", vip); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("announcing on a link that is down: %v", err)
	}
	k.Take("eth0", "192.0.2.10/24")
	k.Vanish("192.0.2.10/24", 1)
	for i, want := range []int{0, 1} {
		if err := calls[kerneltest.CallAdd](); err != nil {
			t.Error(err)
		}
		if all, _, _ := k.Addresses("eth0"); len(all) != want {
			t.Errorf("addition %d of an address that vanishes once: %v", i+1, all)
		}
	}
}

func TestKernelInMemoryHangsWhenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := kerneltest.NewKernel()
		k.AddLink("eth0")
		release := k.Hang(kerneltest.CallAdd)
		var wait sync.WaitGroup
		start := time.Now()
		for _, a := range []string{"192.0.2.10/24", "192.0.2.11/24"} {
			wait.Go(func() {
				if err := k.AddAddresses("eth0", prefixes(a)); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Hour)
		// Other calls go on.
		if all, _, err := k.Addresses("eth0"); err != nil || len(all) != 0 {
			t.Errorf("while adding hangs: %v, %v", all, err)
		}
		release()
		wait.Wait()
		if all, _, _ := k.Addresses("eth0"); len(all) != 2 || time.Since(start) != time.Hour {
			t.Errorf("after %s: %v", time.Since(start), all)
		}
	})
}

// Watchers hear of changes in the order in which they happen, whoever makes
// them.
func TestKernelInMemoryTellsWatchersInOrder(t *testing.T) {
	k := kerneltest.NewKernel()
	k.AddLink("eth0")
	var mu sync.Mutex
	var last []kerneltest.LinkState
	counts := []int{-1}
	k.Watch(func(links []kerneltest.LinkState) {
		mu.Lock()
		defer mu.Unlock()
		last = links
		counts = append(counts, len(links[1].Addresses))
	})
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for j := range 10 {
				p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(j + 1)}), 32)
				if err := k.AddAddresses("eth0", []netip.Prefix{p}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if !slices.IsSorted(counts) || len(counts) != 1+1+80 {
		t.Errorf("watchers heard of these numbers of addresses: %v", counts)
	}
	if len(last) != 2 || last[1].Name != "eth0" || last[1].Index != 2 || !last[1].Up || len(last[1].Addresses) != 80 {
		t.Errorf("last state %+v", last)
	}
}
