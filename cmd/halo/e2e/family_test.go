package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

const (
	vip6     = "2001:db8::10"
	linkVIP6 = "fe80::10"
)

// bothFamilies are the addresses of an instance that is two virtual routers.
var bothFamilies = []string{vip + "/24", linkVIP6 + "/64", vip6 + "/64"}

// keepalivedBoth is the same for Keepalived, which has one family in an instance.
func keepalivedBoth(priority int) string {
	var b strings.Builder
	b.WriteString("global_defs {\n  vrrp_version 3\n}\nvrrp_sync_group both {\n  group {\n    VI_0\n    VI_1\n  }\n}\n")
	for n, vips := range [][]string{bothFamilies[:1], bothFamilies[1:]} {
		fmt.Fprintf(&b, `vrrp_instance VI_%d {
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority %d
  advert_int 1
  virtual_ipaddress {
    %s
  }
}
`, n, priority, strings.Join(vips, "\n    "))
	}
	return b.String()
}

// An instance with addresses of both families moves as one, and beside a sync group
// of Keepalived: one owner of all, who is replaced when it dies or leaves, and
// takes over again. All other ways to travel are in the matrix of package peers.
func TestBothFamilies(t *testing.T) {
	t.Parallel()
	for _, p := range []pairing{{"halo", "halo"}, {"halo", "keepalived"}, {"keepalived", "halo"}} {
		t.Run(p.a+"+"+p.b, func(t *testing.T) {
			t.Parallel()
			n := lab.New(t)
			a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
			start := func(kind string, host *lab.Host, priority int) (*lab.Process, func() *lab.Process) {
				if kind == "halo" {
					h := host.Halo(haloConfig(settings{version: 3, interval: "1", preempt: true, priority: priority, vips: bothFamilies}))
					return h.Process, func() *lab.Process { h.Start(t); return h.Process }
				}
				again := func() *lab.Process { return host.Keepalived(keepalivedBoth(priority)) }
				return again(), again
			}
			better, again := start(p.a, a, 150)
			start(p.b, b, 100)
			all := []string{vip, linkVIP6, vip6}
			owned := func(by *lab.Host) {
				t.Helper()
				for _, address := range all {
					n.WaitOwner(address, by)
				}
			}
			owned(a)
			n.HoldsOwner(vip6, a, downInterval(time.Second))
			better.Kill()
			a.Pull()
			lab.Eventually(t, "the other one has taken over", func() bool {
				return !slices.ContainsFunc(all, func(address string) bool { return !b.HasAddress("eth0", address) })
			})
			better = again()
			a.Plug()
			owned(a)
			_ = better.Terminate() // How it ends is the business of other tests.
			owned(b)
		})
	}
}

// RFC 9568 §8.4.2: while a group moves from version 2 to 3, a router that speaks
// both is understood by either, and understands them.
func TestBothVersions(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b, c := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24"), n.Host("c", "192.0.2.3/24")
	speaks := func(version, priority int) settings {
		return settings{version: version, interval: "1", preempt: true, priority: priority, vips: []string{vip + "/24"}}
	}
	h := a.Halo(haloConfig(speaks(3, 150)) + "also_version_2 = true\n")
	n.WaitOwner(vip, a)
	old := b.Keepalived(keepalivedConfig(speaks(2, 100)))
	c.Keepalived(keepalivedConfig(speaks(3, 90)))
	n.HoldsOwner(vip, a, 2*downInterval(time.Second)) // Both hear it.
	// And it hears both: a better router of the old version takes over.
	old.Kill()
	b.Keepalived(keepalivedConfig(speaks(2, 200)))
	h.WaitState(t, "VI_1", "backup")
}
