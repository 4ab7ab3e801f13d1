package e2e

import (
	"fmt"
	"testing"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

func haloGroup(priority int) string {
	return fmt.Sprintf(`[vrrp_instance.outside]
interface         = "eth0"
virtual_router_id = 51
priority          = %[1]d
advert_interval   = "500ms"
addresses         = ["%[2]s/24"]

[vrrp_instance.inside]
interface         = "eth1"
virtual_router_id = 52
priority          = %[1]d
advert_interval   = "500ms"
addresses         = ["%[3]s/24"]

[vrrp_sync_group.router]
members = ["outside", "inside"]
`, priority, vip, insideVIP)
}

func keepalivedGroup(priority int) string {
	instance := func(name, iface string, vrid int, address string) string {
		return fmt.Sprintf(`vrrp_instance %s {
  state BACKUP
  interface %s
  virtual_router_id %d
  priority %d
  advert_int 0.5
  virtual_ipaddress {
    %s/24
  }
}
`, name, iface, vrid, priority, address)
	}
	return "global_defs {\n  vrrp_version 3\n}\nvrrp_sync_group router {\n  group {\n    outside\n    inside\n  }\n}\n" +
		instance("outside", "eth0", 51, vip) + instance("inside", "eth1", 52, insideVIP)
}

// waitBoth waits until host alone holds the addresses of both networks.
func (s *twoSided) waitBoth(t *testing.T, host, other *lab.Host) {
	t.Helper()
	lab.Eventually(t, "both addresses on "+host.Label()+" alone", func() bool {
		return host.HasAddress("eth0", vip) && host.HasAddress("eth1", insideVIP) &&
			!other.HasAddress("eth0", vip) && !other.HasAddress("eth1", insideVIP)
	})
}

// A fault on one side of a router moves both sides, and both come back together.
func TestSyncGroup(t *testing.T) {
	for _, p := range []pairing{{"halo", "halo"}, {"halo", "keepalived"}, {"keepalived", "halo"}} {
		t.Run(p.a+"+"+p.b, func(t *testing.T) {
			t.Parallel()
			s := newTwoSided(t)
			start := func(kind string, host *lab.Host, priority int) *lab.Halo {
				if kind == "halo" {
					return host.Halo(haloGroup(priority))
				}
				host.Keepalived(keepalivedGroup(priority))
				return nil
			}
			halo := start(p.a, s.a, 150)
			if other := start(p.b, s.b, 100); halo == nil {
				halo = other
			}
			s.waitBoth(t, s.a, s.b)
			for range 3 {
				s.inside.SetDown(s.aInside)
				s.waitBoth(t, s.b, s.a)
				s.inside.SetUp(s.aInside)
				s.waitBoth(t, s.a, s.b)
			}
			s.a.Pull()
			s.waitBoth(t, s.b, s.a)
			want := "active"
			if p.a == "halo" {
				want = "fault"
			}
			lab.Eventually(t, "the group is "+want, func() bool {
				g := halo.Status(t).VRRPSyncGroups["router"]
				return g.State == want && len(g.Members) == 2
			})
			s.a.Plug()
			s.waitBoth(t, s.a, s.b)
		})
	}
}

// A group can be made of running routers, and taken apart again, without either
// of them noticing.
func TestSyncGroupReload(t *testing.T) {
	t.Parallel()
	s := newTwoSided(t)
	alone := haloGroup(150)[:len(haloGroup(150))-len("[vrrp_sync_group.router]\nmembers = [\"outside\", \"inside\"]\n")]
	a := s.a.Halo(alone)
	s.b.Halo(haloGroup(100))
	s.waitBoth(t, s.a, s.b)
	before := a.Status(t).VRRPInstances
	for _, text := range []string{haloGroup(150), alone, haloGroup(150)} {
		a.MustReload(t, text)
		s.outside.HoldsOwner(vip, s.a, downInterval(0))
	}
	after := a.Status(t).VRRPInstances
	for name := range before {
		if before[name].Since != after[name].Since || after[name].State != "active" {
			t.Errorf("%s was %+v and is %+v", name, before[name], after[name])
		}
	}
	s.inside.SetDown(s.aInside)
	s.waitBoth(t, s.b, s.a)
}
