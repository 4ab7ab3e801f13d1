package balancing

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestR18WallClockJump: the wall clock jumps by an hour, forth, back twice and
// forth, as in no kernel but this one a test may make it. Neither of two routers
// changes its state, and no server leaves.
func TestR18WallClockJump(t *testing.T) {
	s := newSite(t, "nat")
	s.start(s.web(tcpCheck, "w1", "w2"))
	all := map[string]int{"w1": 1, "w2": 1}
	s.waitTable("both serve", all)
	backup := s.network.Host("other", "192.0.2.2/24").Halo(`[vrrp_instance.VI_1]
interface         = "eth0"
virtual_router_id = 51
priority          = 100
advert_interval   = "200ms"
addresses         = ["192.0.2.10/24"]
`)
	backup.WaitState(t, "VI_1", "backup")
	before, other := s.halo.Status(t).VRRPInstances["VI_1"], backup.Status(t).VRRPInstances["VI_1"]
	watch := s.watchTableEvery(50*time.Millisecond, all)
	for _, by := range []time.Duration{time.Hour, -time.Hour, -time.Hour, time.Hour} {
		jump(t, by)
		s.network.HoldsOwner(vip, s.lb, 2*time.Second) // Three down intervals, and six checks.
	}
	watch.stop("when the clock jumped")
	after, otherAfter := s.halo.Status(t).VRRPInstances["VI_1"], backup.Status(t).VRRPInstances["VI_1"]
	for _, c := range []struct {
		name        string
		was, is     string
		moved, upto uint64
	}{
		{"the active router", before.State, after.State, before.Counters["transitions"], after.Counters["transitions"]},
		{"the backup", other.State, otherAfter.State, other.Counters["transitions"], otherAfter.Counters["transitions"]},
	} {
		if c.was != c.is || c.moved != c.upto {
			t.Errorf("%s was %s and is %s, after %d more changes", c.name, c.was, c.is, c.upto-c.moved)
		}
	}
	// Eight seconds have passed on the clock that counts.
	if sent := after.Counters["adverts_sent"] - before.Counters["adverts_sent"]; sent < 20 || sent > 100 {
		t.Errorf("%d advertisements were sent meanwhile, want about 40", sent)
	}
	if n := s.healthy(); n != 2 {
		t.Errorf("%d servers are healthy, want 2", n)
	}
}

// jump sets the wall clock of the whole test kernel.
func jump(t *testing.T, by time.Duration) {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		t.Fatal(err)
	}
	to := unix.NsecToTimespec(now.Nano() + by.Nanoseconds())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &to); err != nil {
		t.Fatalf("set the clock: %v", err)
	}
}
