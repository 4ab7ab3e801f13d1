package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// instances are VI_1 to VI_n of instance, but for one; 0 leaves none out.
func instances(n, priority, without int) string {
	var b strings.Builder
	for i := range n {
		if i+1 != without {
			b.WriteString(instance(i+1, priority))
		}
	}
	return b.String()
}

// TestR24OneOfTenRemoved: of ten active instances a reload removes one. Only that
// one says goodbye and loses its address; another router, which heard it, says so.
func TestR24OneOfTenRemoved(t *testing.T) {
	t.Parallel()
	const many, removed = 10, 4
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	ours := a.Halo(instances(many, 150, 0))
	theirs := b.Halo(instances(many, 100, 0))
	for i := range many {
		n.WaitOwner(fmt.Sprintf("192.0.2.%d", 11+i), a)
		theirs.WaitState(t, fmt.Sprintf("VI_%d", i+1), "backup")
	}
	before := ours.Status(t).VRRPInstances
	if r := ours.MustReload(t, instances(many, 150, removed)); len(r.Changes) != 1 {
		t.Errorf("the reload changed %q", r.Changes)
	}
	n.WaitOwner(fmt.Sprintf("192.0.2.%d", 10+removed), b)
	n.HoldsOwner("192.0.2.11", a, downInterval(0)) // And what follows holds by now.
	after, heard := ours.Status(t).VRRPInstances, theirs.Status(t).VRRPInstances
	for i := range many {
		name, goodbyes := fmt.Sprintf("VI_%d", i+1), uint64(0)
		if i+1 == removed {
			goodbyes = 1
		} else {
			n.WaitOwner(fmt.Sprintf("192.0.2.%d", 11+i), a)
			if got, was := after[name], before[name]; got.State != "active" || !got.Since.Equal(was.Since) || got.Counters["priority_zero_sent"] != 0 {
				t.Errorf("%s was touched: before %+v, after %+v", name, was, got)
			}
		}
		if got := heard[name].Counters["priority_zero_received"]; got != goodbyes {
			t.Errorf("of %s %d releases were heard, want %d", name, got, goodbyes)
		}
	}
	if _, there := after[fmt.Sprintf("VI_%d", removed)]; there {
		t.Error("the removed instance is in the status")
	}
}

// TestR25DuplicateVRID: a file with one virtual router id twice on one interface is
// refused with both places; once for each family is fine.
func TestR25DuplicateVRID(t *testing.T) {
	t.Parallel()
	check := func(second string) (string, int) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "halo.toml")
		first := "[vrrp_instance.VI_1]\ninterface = \"eth0\"\nvirtual_router_id = 51\naddresses = [\"192.0.2.10/24\"]\n\n"
		if err := os.WriteFile(path, []byte(first+second), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), filepath.Join(lab.Bin(t), "halo"), "check", path)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	out, code := check("[vrrp_instance.VI_2]\ninterface = \"eth0\"\nvirtual_router_id = 51\naddresses = [\"192.0.2.11/24\"]\n")
	if code != 1 || !containsAll(out, "halo.toml:8:", "vrrp_instance.VI_2.virtual_router_id", "vrrp_instance.VI_1 on line 3") {
		t.Errorf("twice for IPv4: exit code %d\n%s", code, out)
	}
	out, code = check("[vrrp_instance.VI_2]\ninterface = \"eth0\"\nvirtual_router_id = 51\naddresses = [\"fe80::10/64\"]\n")
	if code != 0 {
		t.Errorf("once for each family: exit code %d\n%s", code, out)
	}
}

// TestR34MassFailover: two hundred instances take over at once from a router that
// has died, while who is notified takes a second for each event, and nobody reads
// the log, whose pipe is full. All are active and announced, and advertisements
// leave so regularly that a third router takes nothing over.
func TestR34MassFailover(t *testing.T) {
	t.Parallel()
	const many = 200
	text := func(priority int) string {
		var b strings.Builder
		for i := range many {
			fmt.Fprintf(&b, `[vrrp_instance.VI_%d]
interface         = "eth0"
virtual_router_id = %d
priority          = %d
advert_interval   = "500ms"
addresses         = ["198.51.100.%d/24"]

`, i+1, i+1, priority, i+1)
		}
		return b.String()
	}
	n := lab.New(t)
	a, b, c := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24"), n.Host("c", "192.0.2.3/24")
	onlooker := n.Host("onlooker", "192.0.2.4/24", "198.51.100.254/24")
	owns := func(h *lab.Host) func() bool { return func() bool { return len(h.Addresses("eth0")) == 1+many } }
	dying := a.Halo(text(150))
	lab.Eventually(t, "all addresses on a", owns(a))
	stderr := lab.FullPipe(t)
	next := b.Halo(text(100), lab.Prepare(func(cmd *exec.Cmd) { cmd.Stderr = stderr }))
	third := c.Halo(text(50))
	for i := range many {
		onlooker.LearnNeighbour(fmt.Sprintf("198.51.100.%d", i+1))
	}
	follow := func(owner *lab.Host) {
		t.Helper()
		mac := owner.MAC("eth0").String()
		for i := range many {
			address := fmt.Sprintf("198.51.100.%d", i+1)
			lab.Eventually(t, "onlooker finds "+address+" at "+owner.Label(), func() bool {
				return onlooker.Neighbour("eth0", address).String() == mac
			})
		}
	}
	follow(a)
	taken := takeSlowly(t, next)
	dying.Kill()
	lab.Eventually(t, "all addresses on b", owns(b))
	follow(b)
	sent := func() (least uint64) {
		for i, s := range next.Status(t).VRRPInstances {
			if n := s.Counters["adverts_sent"]; least == 0 || n < least {
				least = n
			}
			if s.State != "active" || s.Counters["transitions"] != 2 {
				t.Errorf("%s is %s after %d transitions, want active after 2", i, s.State, s.Counters["transitions"])
			}
		}
		return least
	}
	before := sent()
	lab.Eventually(t, "each has advertised ten times more", func() bool { return sent() >= before+10 })
	for name, s := range third.Status(t).VRRPInstances {
		if s.State != "backup" || s.Counters["transitions"] != 1 {
			t.Errorf("on the third router %s is %s after %d transitions", name, s.State, s.Counters["transitions"])
		}
	}
	if n := taken.Load(); n == 0 || n >= many {
		t.Errorf("%d events were taken meanwhile, want some and not all", n)
	}
	set := []unix.PollFd{{Fd: int32(stderr.Fd()), Events: unix.POLLOUT}}
	if writable, err := unix.Poll(set, 0); err != nil || writable != 0 {
		t.Errorf("somebody has taken the events: %d, %v", writable, err)
	}
}

// takeSlowly follows a halo's events until the test ends, a second for each.
func takeSlowly(t *testing.T, h *lab.Halo) *atomic.Int64 {
	t.Helper()
	var taken atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var follower sync.WaitGroup
	follower.Go(func() {
		// However it ends: that is the business of other tests.
		_ = control.NewClient(h.Socket()).Follow(ctx, "", func(e control.Events) error {
			for range e.Events {
				select {
				case <-time.After(time.Second):
					taken.Add(1)
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	t.Cleanup(func() { cancel(); follower.Wait() })
	return &taken
}
