package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// TestR19SyncGroupSplitHeals: the two sides of a group are split, and whoever hears
// the announcements of the other router follows it. When they are whole again, or
// only one of them is, every address of both members is announced anew.
func TestR19SyncGroupSplitHeals(t *testing.T) {
	t.Parallel()
	kerneltest.RequireTool(t, "nft")
	for _, heals := range []string{"both sides", "outside", "inside"} {
		t.Run(heals, func(t *testing.T) {
			t.Parallel()
			s := newTwoSided(t)
			out, in := s.outside.Host("out", "192.0.2.3/24"), s.inside.Host("in", "198.51.100.3/24")
			a, b := s.a.Halo(haloGroup(150)), s.b.Halo(haloGroup(100))
			s.waitBoth(t, s.a, s.b)
			out.LearnNeighbour(vip)
			in.LearnNeighbour(insideVIP)
			follow := func(owner *lab.Host) {
				t.Helper()
				for _, side := range []struct {
					host           *lab.Host
					address, iface string
				}{{out, vip, "eth0"}, {in, insideVIP, "eth1"}} {
					mac := owner.MAC(side.iface)
					lab.Eventually(t, side.host.Label()+" finds "+side.address+" at "+owner.Label(), func() bool {
						return slices.Equal(side.host.Neighbour("eth0", side.address), mac)
					})
				}
			}
			follow(s.a)
			healOutside, healInside := cut(t, s.outside, ""), cut(t, s.inside, "")
			for _, name := range []string{"outside", "inside"} {
				b.WaitState(t, name, "active")
				a.WaitState(t, name, "active")
			}
			follow(s.b)
			if heals != "inside" {
				healOutside()
			}
			if heals != "outside" {
				healInside()
			}
			s.waitBoth(t, s.a, s.b)
			follow(s.a)
		})
	}
}

// TestR23LinkFlaps: a link goes down and up twenty times. The state converges, and
// the last thing told, in the log and as an event, is the final state, whichever
// that is.
func TestR23LinkFlaps(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	better := a.Halo(haloConfig(single(150)))
	worse := b.Halo(haloConfig(single(100)))
	n.WaitOwner(vip, a)
	flap := func() {
		for range 20 {
			a.Pull()
			time.Sleep(100 * time.Millisecond)
			a.Plug()
			time.Sleep(100 * time.Millisecond)
		}
	}
	told := func(h *lab.Halo, state string) {
		t.Helper()
		h.WaitState(t, "VI_1", state)
		lab.Eventually(t, "the last thing told is "+state, func() bool {
			return lastTold(t, h, "VI_1") == state && lastEvent(t, h, "VI_1") == state
		})
	}
	flap()
	n.WaitOwner(vip, a)
	n.HoldsOwner(vip, a, downInterval(200*time.Millisecond))
	told(better, "active")
	told(worse, "backup")
	flap()
	a.Pull()
	lab.Eventually(t, "the other one has the address", func() bool { return slices.Equal(n.Owners(vip), []string{"b"}) })
	told(better, "fault")
	told(worse, "active")
}

// TestR26ForeignCluster: a Keepalived of somebody else uses the same virtual router
// id for another address. Its advertisements count, since a router that ignored
// them would be active beside a peer whose file differs by one address; each is
// counted, and one line of the log and the status say who it is and what it has.
func TestR26ForeignCluster(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, foreign := n.Host("a", aSource+"/24"), n.Host("foreign", "192.0.2.66/24")
	h := a.Halo(haloConfig(single(150)))
	h.WaitState(t, "VI_1", "active")
	theirs := single(200)
	theirs.vips = []string{"192.0.2.99/24"}
	foreign.Keepalived(keepalivedConfig(theirs))
	h.WaitState(t, "VI_1", "backup")
	n.WaitOwner("192.0.2.99", foreign)
	mismatches := func() uint64 { return h.Status(t).VRRPInstances["VI_1"].Counters["address_list_mismatches"] }
	before := mismatches()
	lab.Eventually(t, "each advertisement is counted", func() bool { return mismatches() >= before+10 })
	s := h.Status(t).VRRPInstances["VI_1"]
	if s.State != "backup" || len(s.Mismatches) != 1 || !containsAll(s.Mismatches[0], "192.0.2.66", "192.0.2.99") {
		t.Errorf("the status is %s and says %q", s.State, s.Mismatches)
	}
	if s.Peer == nil || s.Peer.Address != "192.0.2.66" {
		t.Errorf("the peer is %+v", s.Peer)
	}
	if told := strings.Count(h.Output(), "peer disagrees"); told != 1 {
		t.Errorf("it is told %d times in the log, want once", told)
	}
}

// TestR28DeafAtBoot: a better router that must not preempt returns and hears
// nothing for its first two seconds. The startup delay keeps it a backup.
func TestR28DeafAtBoot(t *testing.T) {
	t.Parallel()
	kerneltest.RequireTool(t, "nft")
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	better := single(150)
	better.preempt = false
	first := a.Halo(haloConfig(better))
	n.WaitOwner(vip, a)
	b.Halo(haloConfig(single(100)))
	first.Kill()
	a.DelAddress("eth0", vip+"/24") // A reboot takes it off.
	n.WaitOwner(vip, b)
	heal := cut(t, n, "oifname "+a.Port)
	const delay = 15 * time.Second // Enough for a slow machine to heal the network in.
	again := a.Halo(haloConfig(better), lab.Global(fmt.Sprintf("startup_delay = %q", delay)))
	n.HoldsOwner(vip, b, 2*time.Second)
	heal()
	n.HoldsOwner(vip, b, delay)
	if got := transitions(t, again, "VI_1"); !slices.Equal(got, []string{"initialize -> backup"}) {
		t.Errorf("the router that returned went %q", got)
	}
}

// TestR29PreemptDelayAlone: a router that would wait for minutes before it preempts
// does not wait for nobody.
func TestR29PreemptDelayAlone(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	h := a.Halo(haloConfig(single(150)) + "preempt_delay = \"300s\"\n")
	n.WaitOwner(vip, a)
	waitTransitions(t, h, "VI_1", "initialize -> backup", "backup -> active")
}
