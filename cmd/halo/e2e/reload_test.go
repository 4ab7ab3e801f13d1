package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// instance is one more virtual router for a file: VI_n with the id 50+n and
// the address 192.0.2.(10+n).
func instance(n, priority int) string {
	return fmt.Sprintf(`[vrrp_instance.VI_%d]
interface         = "eth0"
virtual_router_id = %d
priority          = %d
advert_interval   = "200ms"
addresses         = ["192.0.2.%d/24"]

`, n, 50+n, priority, 10+n)
}

// TestReloadTouchesOnlyWhatChanged is R24 and its kin: instances are changed,
// added and removed by reloads, and those that are not mentioned by the
// difference keep their state, their timers and their good name.
func TestReloadTouchesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	halo := a.Halo(instance(1, 150) + instance(2, 150))
	halo.WaitState(t, "VI_1", "active")
	halo.WaitState(t, "VI_2", "active")
	lab.Eventually(t, "both addresses", func() bool { return a.HasAddress("eth0", "192.0.2.11") && a.HasAddress("eth0", "192.0.2.12") })
	before := halo.Status(t).VRRPInstances

	if r := halo.MustReload(t, instance(1, 150)+instance(2, 150)); len(r.Changes) != 0 || r.Generation != 1 {
		t.Errorf("an unchanged file: %+v", r)
	}
	r := halo.MustReload(t, instance(1, 150)+instance(2, 200)+instance(3, 100))
	if r.Generation != 2 || len(r.Changes) != 2 || !containsAll(strings.Join(r.Changes, "\n"), "VI_2", "priority 150 -> 200", "VI_3") {
		t.Errorf("a changed and an added instance: %+v", r)
	}
	halo.WaitState(t, "VI_3", "active")
	halo.MustReload(t, instance(1, 150)+instance(3, 100))
	lab.Eventually(t, "the address of the removed instance is gone", func() bool { return !a.HasAddress("eth0", "192.0.2.12") })

	t.Log("SIGHUP reloads as well")
	halo.Write(t, instance(1, 150))
	halo.Signal(unix.SIGHUP)
	lab.Eventually(t, "VI_3 is gone", func() bool { return len(halo.Status(t).VRRPInstances) == 1 })

	after := halo.Status(t).VRRPInstances
	if one, was := after["VI_1"], before["VI_1"]; !one.Since.Equal(was.Since) || one.Counters["transitions"] != was.Counters["transitions"] ||
		one.Counters["priority_zero_sent"] != 0 || one.Counters["adverts_sent"] <= was.Counters["adverts_sent"] {
		t.Errorf("VI_1 was touched: before %+v, after %+v", was, one)
	}
	if changed := strings.Count(halo.Output(), `"instance":"VI_1","from"`); changed != 2 {
		t.Errorf("VI_1 changed its state %d times, want twice: to backup and to active", changed)
	}
}

// TestInvalidReload proves that a file with mistakes changes nothing, says
// everything that is wrong with it, and is remembered as refused until a good
// one comes.
func TestInvalidReload(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	halo := a.Halo(instance(1, 150))
	halo.WaitState(t, "VI_1", "active")
	before := halo.Status(t).VRRPInstances["VI_1"]
	r := halo.Reload(t, strings.NewReplacer("eth0", "", "150", "256").Replace(instance(1, 150)))
	if r.Applied || len(r.Problems) != 2 || !strings.Contains(r.Problems[0], halo.ConfigFile()+":") {
		t.Errorf("a file with two mistakes: %+v", r)
	}
	s := halo.Status(t)
	if s.Generation != 1 || s.Config.LastReloadOK || s.Config.LastReloadNote == "" {
		t.Errorf("after a refused reload: %+v", s.Config)
	}
	if after := s.VRRPInstances["VI_1"]; after.State != "active" || !after.Since.Equal(before.Since) {
		t.Errorf("the instance was touched: before %+v, after %+v", before, after)
	}
	halo.MustReload(t, instance(1, 151))
	if s := halo.Status(t); s.Generation != 2 || !s.Config.LastReloadOK {
		t.Errorf("after a good reload: %+v", s.Config)
	}
}

// TestMismatchIsTold proves that routers that disagree about the addresses
// still make out one owner, that each says what the other has, and that it is
// said once and not per packet.
func TestMismatchIsTold(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24")
	a.Halo(haloConfig(single(150)))
	n.WaitOwner(vip, a)
	other := single(100)
	other.vips = append(other.vips, "192.0.2.77/24")
	backup := b.Halo(haloConfig(other))
	lab.Eventually(t, "b tells of the mismatch", func() bool {
		v := backup.Status(t).VRRPInstances["VI_1"]
		return len(v.Mismatches) == 1 && containsAll(v.Mismatches[0], "192.0.2.77", aSource)
	})
	n.HoldsOwner(vip, a, 2*time.Second)
	if told := strings.Count(backup.Output(), "peer disagrees"); told != 1 {
		t.Errorf("the mismatch is told %d times in the log, want once", told)
	}
	if heard := backup.Status(t).VRRPInstances["VI_1"].Counters["address_list_mismatches"]; heard < 2 {
		t.Errorf("the mismatch is counted %d times, want each advertisement", heard)
	}
}

// TestServiceWithoutIPVS proves that a kernel without IPVS does not keep the
// election from its work, and that what is missing is named with the remedy.
// In the test kernel, which has IPVS, there is nothing to prove.
func TestServiceWithoutIPVS(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	halo := a.Halo(haloConfig(single(150)) + "\n[virtual_server.web]\naddress = \"192.0.2.10:80\"\n\n[[virtual_server.web.real_server]]\naddress = \"192.0.2.30:80\"\n")
	n.WaitOwner(vip, a)
	s := halo.Status(t)
	if s.IPVS.Synced {
		t.Skip("this kernel has IPVS")
	}
	lab.Eventually(t, "the missing module is named", func() bool { return strings.Contains(halo.Status(t).IPVS.Error, "modprobe ip_vs") })
	if s.VirtualServers["web"].RealServers["192.0.2.30:80"].State != "up" {
		t.Errorf("a server without checks is not up: %+v", s.VirtualServers["web"])
	}
}
