package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// TestR30UnicastNeighbourUnknown: the cable of a unicast peer is put back while the
// active router does not know its hardware address any more. Whoever returns does
// not seize the address while that is being resolved.
func TestR30UnicastNeighbourUnknown(t *testing.T) {
	t.Parallel()
	for _, family := range []struct {
		name, neighbours  string
		a, b, length, vip string
		vips              []string
	}{
		{"IPv4", "ipv4", aSource, bSource, "/24", vip, []string{vip + "/24"}},
		{"IPv6", "ipv6", "fe80::1", "fe80::2", "/64", vip6, []string{linkVIP6 + "/64", vip6 + "/64"}},
	} {
		for _, returning := range []string{"worse", "better that must not preempt"} {
			t.Run(family.name+"/"+returning, func(t *testing.T) {
				t.Parallel()
				n := lab.New(t)
				a, b := n.Host("a"), n.Host("b")
				for host, address := range map[*lab.Host]string{a: family.a, b: family.b} {
					host.GivenAddressesOnly("eth0")
					host.AddAddress("eth0", address+family.length)
				}
				// It forgets within seconds, and looks again at the usual pace.
				a.Sysctl(family.neighbours+"/neigh/eth0/base_reachable_time_ms", "500")
				a.Sysctl(family.neighbours+"/neigh/eth0/delay_first_probe_time", "1")
				unicast := func(priority int, preempt bool, source, peer string) string {
					return haloConfig(settings{version: 3, interval: "0.1", preempt: preempt, priority: priority, vips: family.vips}) +
						fmt.Sprintf("source_address = %q\nunicast_peers = [%q]\n", source, peer)
				}
				a.Halo(unicast(100, true, family.a, family.b))
				n.WaitOwner(family.vip, a)
				priority, preempt := 50, true
				if returning != "worse" {
					priority, preempt = 200, false
				}
				h := b.Halo(unicast(priority, preempt, family.b, family.a))
				h.WaitState(t, "VI_1", "backup")
				for range 3 {
					b.Pull()
					h.WaitState(t, "VI_1", "fault")
					lab.Eventually(t, "a does not know b any more", func() bool { return a.Neighbour("eth0", family.b) == nil })
					// a has asked anew by now, and will again in most of a second.
					time.Sleep(300 * time.Millisecond)
					b.Plug()
					h.WaitState(t, "VI_1", "backup")
					n.HoldsOwner(family.vip, a, 2*time.Second)
				}
				if slices.Contains(transitions(t, h, "VI_1"), "backup -> active") {
					t.Error("the router that returned was active")
				}
			})
		}
	}
}
