package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// TestLinkFlapsWithDAD: the links of both routers go down and up twenty times each,
// by the cable and by hand, with everything that IPv6 makes of that: the addresses
// are flushed, and the one that halo speaks from is tentative for a while each
// time. In the end one router has the virtual addresses, usable at once.
func TestLinkFlapsWithDAD(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b := n.Host("a"), n.Host("b") // Only with the addresses that the kernel makes.
	s := settings{version: 3, interval: "0.2", preempt: true, vips: []string{linkVIP6 + "/64", vip6 + "/64"}}
	better, worse := a.Halo(haloConfig(s.with(150))), b.Halo(haloConfig(s.with(100)))
	settled := func() {
		t.Helper()
		better.WaitState(t, "VI_1", "active")
		worse.WaitState(t, "VI_1", "backup")
		for _, address := range []string{linkVIP6, vip6} {
			n.WaitOwner(address, a)
		}
		n.HoldsOwner(vip6, a, downInterval(200*time.Millisecond))
		shown, err := a.Output("ip", "-6", "address", "show", "dev", "eth0")
		if err != nil {
			t.Fatalf("%v\n%s", err, shown)
		}
		for line := range strings.Lines(shown) {
			virtual := strings.Contains(line, linkVIP6+"/") || strings.Contains(line, vip6+"/")
			if virtual && (strings.Contains(line, "tentative") || strings.Contains(line, "dadfailed")) {
				t.Errorf("a virtual address waits for duplicate address detection: %s", line)
			}
		}
	}
	settled()
	for _, host := range []*lab.Host{b, a} {
		for range 20 {
			host.Pull()
			time.Sleep(50 * time.Millisecond)
			host.Plug()
			time.Sleep(50 * time.Millisecond)
		}
		settled()
		for range 20 {
			host.SetDown("eth0") // Takes all IPv6 addresses off.
			time.Sleep(50 * time.Millisecond)
			host.SetUp("eth0")
			time.Sleep(50 * time.Millisecond)
		}
		settled()
	}
	for _, h := range []*lab.Halo{better, worse} {
		if list := transitions(t, h, "VI_1"); len(list) < 20 {
			t.Errorf("only %d changes were told: %q", len(list), list)
		}
	}
}
