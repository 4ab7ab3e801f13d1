package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// transport is a way in which advertisements travel, as both kinds of router are
// told it: what stands in their files beside what all have in common.
type transport struct {
	name             string
	halo, keepalived func(source, peer string) string
	vips             []string
	version          int
	// keepalivedInstances makes a file for Keepalived by itself: it has one
	// family in an instance.
	dual bool
}

const (
	vip6     = "2001:db8::10"
	linkVIP6 = "fe80::10"
)

var transports = []transport{
	{
		name: "v3 IPv6", version: 3, vips: []string{linkVIP6 + "/64", vip6 + "/64"},
		halo: func(string, string) string { return "" }, keepalived: func(string, string) string { return "" },
	},
	{
		name: "v3 both families", version: 3, vips: []string{vip + "/24", linkVIP6 + "/64", vip6 + "/64"}, dual: true,
		halo: func(string, string) string { return "" }, keepalived: func(string, string) string { return "" },
	},
	{
		name: "v3 unicast", version: 3, vips: []string{vip + "/24"},
		halo: func(source, peer string) string {
			return fmt.Sprintf("source_address = %q\nunicast_peers = [{ address = %q, min_ttl = 255 }]\n", source, peer)
		},
		keepalived: func(source, peer string) string {
			return fmt.Sprintf("  unicast_src_ip %s\n  unicast_peer {\n    %s\n  }\n", source, peer)
		},
	},
	{
		name: "v2 unicast with a password", version: 2, vips: []string{vip + "/24"},
		halo: func(source, peer string) string {
			return fmt.Sprintf("source_address = %q\nunicast_peers = [%q]\nauthentication = { password = \"s3cret\" }\n", source, peer)
		},
		keepalived: func(source, peer string) string {
			return fmt.Sprintf("  authentication {\n    auth_type PASS\n    auth_pass s3cret\n  }\n  unicast_src_ip %s\n  unicast_peer {\n    %s\n  }\n", source, peer)
		},
	},
	{
		name: "v2 with an authentication header", version: 2, vips: []string{vip + "/24"},
		halo: func(string, string) string { return "authentication = { type = \"ah\", password = \"s3cret\" }\n" },
		keepalived: func(string, string) string {
			return "  authentication {\n    auth_type AH\n    auth_pass s3cret\n  }\n"
		},
	},
}

func (tr *transport) haloConfig(priority int, source, peer string) string {
	return fmt.Sprintf(`[vrrp_instance.VI_1]
interface         = "eth0"
virtual_router_id = 51
version           = %d
priority          = %d
advert_interval   = "1s"
addresses         = [%s]
%s`, tr.version, priority, quoted(tr.vips), tr.halo(source, peer))
}

func (tr *transport) keepalivedConfig(priority int, source, peer string) string {
	lists := [][]string{tr.vips}
	group := ""
	if tr.dual {
		four := slices.DeleteFunc(slices.Clone(tr.vips), func(v string) bool { return strings.Contains(v, "::") })
		six := slices.DeleteFunc(slices.Clone(tr.vips), func(v string) bool { return !strings.Contains(v, "::") })
		lists = [][]string{four, six}
		group = "vrrp_sync_group both {\n  group {\n    VI_0\n    VI_1\n  }\n}\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n  vrrp_version %d\n}\n%s", tr.version, group)
	for n, vips := range lists {
		fmt.Fprintf(&b, `vrrp_instance VI_%d {
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority %d
  advert_int 1
%s  virtual_ipaddress {
    %s
  }
}
`, n, priority, tr.keepalived(source, peer), strings.Join(vips, "\n    "))
	}
	return b.String()
}

// Whatever way advertisements travel: one owner, who is replaced when it dies or
// leaves, and takes over again.
func TestTransports(t *testing.T) {
	for _, tr := range transports {
		for _, p := range []pairing{{"halo", "halo"}, {"halo", "keepalived"}, {"keepalived", "halo"}} {
			t.Run(tr.name+"/"+p.a+"+"+p.b, func(t *testing.T) {
				t.Parallel()
				n := lab.New(t)
				a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
				start := func(kind string, host *lab.Host, priority int, source, peer string) (*lab.Process, func() *lab.Process) {
					if kind == "halo" {
						h := host.Halo(tr.haloConfig(priority, source, peer))
						return h.Process, func() *lab.Process { h.Start(t); return h.Process }
					}
					again := func() *lab.Process { return host.Keepalived(tr.keepalivedConfig(priority, source, peer)) }
					return again(), again
				}
				better, again := start(p.a, a, 150, aSource, bSource)
				start(p.b, b, 100, bSource, aSource)
				owned := func(by *lab.Host) {
					t.Helper()
					for _, v := range tr.vips {
						address, _, _ := strings.Cut(v, "/")
						n.WaitOwner(address, by)
					}
				}
				owned(a)
				last, _, _ := strings.Cut(tr.vips[len(tr.vips)-1], "/")
				n.HoldsOwner(last, a, downInterval(time.Second))
				better.Kill()
				a.Pull()
				lab.Eventually(t, "the other one has taken over", func() bool {
					return !slices.ContainsFunc(tr.vips, func(v string) bool {
						address, _, _ := strings.Cut(v, "/")
						return !b.HasAddress("eth0", address)
					})
				})
				better = again()
				a.Plug()
				owned(a)
				_ = better.Terminate() // How it ends is the business of other tests.
				owned(b)
			})
		}
	}
}

// RFC 9568 §8.4.2: while a group moves from version 2 to 3, a router that speaks
// both is understood by either, and understands them.
func TestBothVersions(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b, c := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24"), n.Host("c", "192.0.2.3/24")
	ours := transport{version: 3, vips: []string{vip + "/24"}, halo: func(string, string) string { return "also_version_2 = true\n" }}
	plain := func(string, string) string { return "" }
	two := transport{version: 2, vips: ours.vips, keepalived: plain}
	three := transport{version: 3, vips: ours.vips, keepalived: plain}
	h := a.Halo(ours.haloConfig(150, aSource, ""))
	n.WaitOwner(vip, a)
	old := b.Keepalived(two.keepalivedConfig(100, bSource, ""))
	c.Keepalived(three.keepalivedConfig(90, "192.0.2.3", ""))
	n.HoldsOwner(vip, a, 2*downInterval(time.Second)) // Both hear it.
	// And it hears both: a better router of the old version takes over.
	old.Kill()
	b.Keepalived(two.keepalivedConfig(200, bSource, ""))
	h.WaitState(t, "VI_1", "backup")
}
