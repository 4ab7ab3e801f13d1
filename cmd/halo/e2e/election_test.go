package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// pairing is who plays the better router (a) and who the other (b).
type pairing struct{ a, b string }

// protocols are the forms of the protocol the pairs are run with. interval is
// also the unit of the windows: long enough for a loaded machine.
var protocols = []struct {
	name     string
	settings settings
	interval time.Duration
}{
	{"v2pass", settings{version: 2, interval: "1", password: "s3cret"}, time.Second},
	{"v3", settings{version: 3, interval: "0.5"}, 500 * time.Millisecond},
}

// eachPair runs f for halo beside halo and for halo beside Keepalived, both
// ways round, in every protocol. f's settings have everything but priorities.
func eachPair(t *testing.T, f func(t *testing.T, p pairing, s settings, interval time.Duration)) {
	for _, p := range []pairing{{"halo", "halo"}, {"halo", "keepalived"}, {"keepalived", "halo"}} {
		for _, proto := range protocols {
			t.Run(fmt.Sprintf("%s/%s+%s", proto.name, p.a, p.b), func(t *testing.T) {
				t.Parallel()
				s := proto.settings
				s.preempt = true
				s.vips = []string{vip + "/24"}
				f(t, p, s, proto.interval)
			})
		}
	}
}

// with returns s with a priority.
func (s settings) with(priority int) settings {
	s.priority = priority
	return s
}

// downInterval is the longest time after which a silent active router is
// replaced: three intervals and the skew, which is less than one.
func downInterval(interval time.Duration) time.Duration { return 4 * interval }

// pair is two hosts with a router each, and a third host that looks on.
type pair struct {
	network  *lab.Network
	a, b     *router
	onlooker *lab.Host
}

// newPair starts both routers and waits until a owns the address.
func newPair(t *testing.T, p pairing, a, b settings) *pair {
	t.Helper()
	n := lab.New(t)
	hostA, hostB := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	w := &pair{network: n, onlooker: n.Host("onlooker", "192.0.2.3/24")}
	w.a = newRouter(t, p.a, hostA, a)
	w.b = newRouter(t, p.b, hostB, b)
	n.WaitOwner(vip, hostA)
	w.a.settled(a)
	return w
}

// TestStopIsFasterThanSilence proves that SIGTERM hands over by priority 0:
// within the skew time, where silence would take the whole down interval.
func TestStopIsFasterThanSilence(t *testing.T) {
	t.Parallel()
	eachPair(t, func(t *testing.T, p pairing, s settings, _ time.Duration) {
		// A long interval, so that the two cannot be confused: the skew of
		// priority 200 is a quarter of it, the down interval three and a quarter.
		const interval = 4 * time.Second
		s.interval = "4"
		w := newPair(t, p, s.with(201), s.with(200))
		w.a.Signal(15)
		stopped := time.Now()
		w.network.WaitOwner(vip, w.b.host)
		if took := time.Since(stopped); took >= 3*interval {
			t.Errorf("b took over %s after a was stopped: no faster than silence (%s)", took, 3*interval)
		}
	})
}

// TestR17SnapshotFreeze: an active router that was frozen while the other took
// over wakes up, exactly one owner remains, and a third host's neighbour
// cache points to it: its announcements came after the other's last.
func TestR17SnapshotFreeze(t *testing.T) {
	t.Parallel()
	eachPair(t, func(t *testing.T, p pairing, s settings, interval time.Duration) {
		w := newPair(t, p, s.with(150), s.with(100))
		w.onlooker.LearnNeighbour(vip)
		w.onlooker.WaitNeighbour(vip, w.a.host)
		w.a.freeze()
		lab.Eventually(t, "b owns the address too", func() bool { return w.b.host.HasAddress("eth0", vip) })
		w.onlooker.WaitNeighbour(vip, w.b.host)
		time.Sleep(5*time.Second - downInterval(interval)) // the rest of a freeze of five seconds
		w.a.thaw()
		w.network.WaitOwner(vip, w.a.host)
		w.onlooker.WaitNeighbour(vip, w.a.host)
		w.network.HoldsOwner(vip, w.a.host, downInterval(interval))
	})
}

// TestManyAddresses moves a list of 200 addresses between halo and Keepalived.
func TestManyAddresses(t *testing.T) {
	t.Parallel()
	eachPair(t, func(t *testing.T, p pairing, s settings, _ time.Duration) {
		s.vips = []string{vip + "/24"}
		for i := 1; i < 200; i++ {
			s.vips = append(s.vips, fmt.Sprintf("198.51.100.%d/32", i))
		}
		w := newPair(t, p, s.with(150), s.with(100))
		all := func(h *lab.Host) func() bool { return func() bool { return len(h.Addresses("eth0")) == 1+len(s.vips) } }
		none := func(h *lab.Host) func() bool { return func() bool { return len(h.Addresses("eth0")) == 1 } }
		lab.Eventually(t, "all addresses on a", all(w.a.host))
		w.a.Signal(15)
		lab.Eventually(t, "all addresses on b", all(w.b.host))
		lab.Eventually(t, "no address left on a", none(w.a.host))
		if err := w.a.Wait(); err != nil && w.a.halo != nil {
			t.Errorf("halo ended with %v after SIGTERM, want success", err)
		}
		w.a.again()
		lab.Eventually(t, "all addresses back on a", all(w.a.host))
		lab.Eventually(t, "no address left on b", none(w.b.host))
	})
}
