package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// single is the configuration of the tests about one router's addresses.
func single(priority int) settings {
	return settings{version: 3, interval: "0.2", preempt: true, priority: priority, vips: []string{vip + "/24"}}
}

// TestR20AddressStolen: somebody deletes the virtual address of the active
// router; it is restored, and the router stays active. Somebody takes the links
// down and up, which removes it as well; one of the two has it then.
func TestR20AddressStolen(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	b := n.Host("b", bSource+"/24")
	active := a.Halo(haloConfig(single(150)))
	backup := b.Halo(haloConfig(single(100)))
	n.WaitOwner(vip, a)
	since := active.Status(t).VRRPInstances["VI_1"].Since
	a.DelAddress("eth0", vip+"/24")
	n.WaitOwner(vip, a)
	got := active.Status(t).VRRPInstances["VI_1"]
	if got.State != "active" || !got.Since.Equal(since) {
		t.Errorf("after the restore: %s since %s, want active since %s as before", got.State, got.Since, since)
	}
	lab.Eventually(t, "the restore is counted", func() bool {
		addresses := active.Status(t).VRRPInstances["VI_1"].Addresses
		return len(addresses) == 1 && addresses[0].Restores >= 1
	})
	for range 3 {
		for _, r := range []struct {
			host *lab.Host
			halo *lab.Halo
		}{{b, backup}, {a, active}} {
			r.host.SetDown("eth0")
			r.halo.WaitState(t, "VI_1", "fault")
			r.host.SetUp("eth0")
		}
		active.WaitState(t, "VI_1", "active")
		n.WaitOwner(vip, a)
		n.HoldsOwner(vip, a, downInterval(200*time.Millisecond))
	}
}

// TestR21InterfaceRecreated: the interface is deleted and made anew many times,
// with another index each time, and reloads follow; the router rejoins each time
// and leaks no descriptor.
func TestR21InterfaceRecreated(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	halo := a.Halo(haloConfig(single(150)))
	n.WaitOwner(vip, a)
	pid, priority := halo.PID(), 150
	recreate := func() {
		index := a.Index("eth0")
		a.DeleteLink("eth0")
		halo.WaitState(t, "VI_1", "fault")
		a.Port = n.Attach(a.Namespace, "eth0", aSource+"/24")
		if again := a.Index("eth0"); again == index {
			t.Fatalf("the new interface has the old one's index %d", index)
		}
		priority++
		halo.MustReload(t, haloConfig(single(priority)))
		halo.WaitState(t, "VI_1", "active")
		lab.Eventually(t, "the address is on the new interface", func() bool { return a.HasAddress("eth0", vip) })
	}
	recreate() // What is opened once is open from here on.
	before := atRest(t, halo)
	for range 20 {
		recreate()
	}
	if after := atRest(t, halo); after > before {
		t.Errorf("%d descriptors are open, and %d were before", after, before)
	}
	if s := halo.Status(t).VRRPInstances["VI_1"]; !halo.Alive() || halo.PID() != pid || int(s.Priority) != priority {
		t.Errorf("process %d with priority %d, want %d with %d", halo.PID(), s.Priority, pid, priority)
	}
}

// atRest is how many descriptors halo has open once their number has been the same
// for a while: who is active listens for conflicts a moment later.
func atRest(t *testing.T, h *lab.Halo) int {
	t.Helper()
	const long = time.Second
	last, since := descriptors(t, h), time.Now()
	lab.Eventually(t, "the number of descriptors stays", func() bool {
		if n := descriptors(t, h); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > long
	})
	return last
}

func descriptors(t *testing.T, h *lab.Halo) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(h.PID()), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestR22InterfaceAbsentAtStart: neither an interface nor an address is there at
// start, and each absence heals without a restart, from fault by way of backup.
func TestR22InterfaceAbsentAtStart(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	host := n.Host("a")
	host.DeleteLink("eth0")
	halo := host.Halo(haloConfig(single(150)))
	halo.WaitState(t, "VI_1", "fault")
	host.Port = n.Attach(host.Namespace, "eth0")
	halo.WaitState(t, "VI_1", "fault") // up, but without a source address
	host.AddAddress("eth0", aSource+"/24")
	n.WaitOwner(vip, host)
	waitTransitions(t, halo, "VI_1", "initialize -> fault", "fault -> backup", "backup -> active")
	t.Log("the link goes down and up")
	host.Pull()
	lab.Eventually(t, "the address is given up", func() bool { return !host.HasAddress("eth0", vip) })
	halo.WaitState(t, "VI_1", "fault")
	host.Plug()
	n.WaitOwner(vip, host)
}

// TestR33LeftOverOnABackup: addresses of both families left by a crash are
// removed by a router that starts as backup, and by one that gets the instance
// by a reload.
func TestR33LeftOverOnABackup(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"start", "reload"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			n := lab.New(t)
			a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
			with := func(priority int) string {
				s := single(priority)
				s.vips = []string{vip + "/24", linkVIP6 + "/64", vip6 + "/64"}
				return haloConfig(s)
			}
			list := []string{vip, linkVIP6, vip6}
			a.Halo(with(150))
			for _, address := range list {
				n.WaitOwner(address, a)
			}
			for _, address := range []string{vip + "/24", linkVIP6 + "/64", vip6 + "/64"} {
				b.AddAddress("eth0", address)
			}
			if how == "start" {
				b.Halo(with(100))
			} else {
				other := b.Halo(instance(7, 100))
				other.WaitState(t, "VI_7", "active")
				other.MustReload(t, instance(7, 100)+with(100))
			}
			for _, address := range list {
				n.WaitOwner(address, a)
				n.HoldsOwner(address, a, downInterval(200*time.Millisecond))
			}
		})
	}
}

// TestStopCleansUp proves that SIGTERM ends halo with status 0 and leaves
// neither an address nor a socket behind, and that a second halo on the same
// runtime directory is refused while the first lives.
func TestStopCleansUp(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	halo := a.Halo(haloConfig(single(150)))
	n.WaitOwner(vip, a)

	second, err := a.Output(filepath.Join(lab.Bin(t), "halo"), "run", "--config", halo.ConfigFile())
	if err == nil {
		t.Fatalf("a second halo ran on the same runtime directory:\n%s", second)
	}
	if want := "pid " + strconv.Itoa(halo.PID()); !containsAll(second, want, halo.RuntimeDir(), "runtime_dir") {
		t.Errorf("the second halo said %q, want the owner's %s, the directory and the remedy", second, want)
	}

	if err := halo.Terminate(); err != nil {
		t.Errorf("halo ended with %v after SIGTERM, want success", err)
	}
	if owners := n.Owners(vip); len(owners) != 0 {
		t.Errorf("the address is still on %q", owners)
	}
	if _, err := os.Stat(filepath.Join(halo.RuntimeDir(), "halo.sock")); !os.IsNotExist(err) {
		t.Errorf("the control socket is still there: %v", err)
	}
}
