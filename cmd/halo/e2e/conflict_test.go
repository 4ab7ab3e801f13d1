package e2e

import (
	"net/netip"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
	"github.com/halo-ha/halo/core/kernel/rawsock"
)

// Somebody who was given the address by hand takes the neighbours along, whatever
// the election says. The active router says who it is, and wins them back.
func TestAddressConflict(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, thief, onlooker := n.Host("a", aSource+"/24"), n.Host("thief", "192.0.2.66/24"), n.Host("onlooker", "192.0.2.3/24")
	h := a.Halo(haloConfig(settings{version: 3, priority: 150, interval: "0.2", vips: []string{vip + "/24"}}))
	h.WaitState(t, "VI_1", "active")
	onlooker.LearnNeighbour(vip)
	onlooker.WaitNeighbour(vip, a)

	var announcer *rawsock.Announcer
	claim := func() {
		t.Helper()
		if err := thief.Do(func() error {
			if announcer == nil {
				announcer = rawsock.NewAnnouncer()
			}
			return announcer.Announce("eth0", []netip.Addr{lab.Addr(t, vip)})
		}); err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _ = announcer.Close() }()
	lab.Eventually(t, "the status names the other machine", func() bool {
		claim() // Who has just become active may not listen yet.
		time.Sleep(10 * time.Millisecond)
		conflicts := h.Status(t).VRRPInstances["VI_1"].Conflicts
		return len(conflicts) == 1 && conflicts[0].Address == vip && conflicts[0].MAC == thief.MAC("eth0").String() && conflicts[0].Packets > 0
	})
	onlooker.WaitNeighbour(vip, a)
	// He goes on, and so does halo, but not with each packet of his.
	for range 20 {
		claim()
		time.Sleep(10 * time.Millisecond)
	}
	lab.Eventually(t, "all his packets are counted", func() bool {
		claim() // What came within a second of a report is told with the next packet.
		time.Sleep(10 * time.Millisecond)
		return h.Status(t).VRRPInstances["VI_1"].Counters["address_conflicts"] > 21
	})
	onlooker.WaitNeighbour(vip, a)
	if s := h.Status(t).VRRPInstances["VI_1"]; s.State != "active" {
		t.Errorf("it is %s: whoever claims an address by hand must not take it", s.State)
	}
	// What another router of the group announces after it has taken over is none.
	b := n.Host("b", bSource+"/24").Halo(haloConfig(settings{version: 3, priority: 200, interval: "0.2", preempt: true, vips: []string{vip + "/24"}}))
	b.WaitState(t, "VI_1", "active")
	h.WaitState(t, "VI_1", "backup")
	if conflicts := h.Status(t).VRRPInstances["VI_1"].Conflicts; len(conflicts) != 0 {
		t.Errorf("a backup tells of conflicts: %v", conflicts)
	}
}
