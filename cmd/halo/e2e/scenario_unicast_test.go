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
	for _, returning := range []string{"worse", "better that must not preempt"} {
		t.Run(returning, func(t *testing.T) {
			t.Parallel()
			n := lab.New(t)
			a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
			// It forgets within seconds, and looks again at the usual pace.
			a.Sysctl("ipv4/neigh/eth0/base_reachable_time_ms", "500")
			a.Sysctl("ipv4/neigh/eth0/delay_first_probe_time", "1")
			unicast := func(priority int, preempt bool, source, peer string) string {
				return haloConfig(settings{version: 3, interval: "0.1", preempt: preempt, priority: priority, vips: []string{vip + "/24"}}) +
					fmt.Sprintf("source_address = %q\nunicast_peers = [%q]\n", source, peer)
			}
			a.Halo(unicast(100, true, aSource, bSource))
			n.WaitOwner(vip, a)
			priority, preempt := 50, true
			if returning != "worse" {
				priority, preempt = 200, false
			}
			h := b.Halo(unicast(priority, preempt, bSource, aSource))
			h.WaitState(t, "VI_1", "backup")
			for range 3 {
				b.Pull()
				h.WaitState(t, "VI_1", "fault")
				lab.Eventually(t, "a does not know b any more", func() bool { return a.Neighbour("eth0", bSource) == nil })
				// a has asked anew by now, and will again in most of a second.
				time.Sleep(300 * time.Millisecond)
				b.Plug()
				h.WaitState(t, "VI_1", "backup")
				n.HoldsOwner(vip, a, 2*time.Second)
			}
			if slices.Contains(transitions(t, h, "VI_1"), "backup -> active") {
				t.Error("the router that returned was active")
			}
		})
	}
}
