package e2e

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// Somebody who looks on sees who advertises what, whoever made it, and which ids
// are free.
func TestScan(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, b, onlooker := n.Host("a", aSource+"/24"), n.Host("b", bSource+"/24"), n.Host("onlooker", "192.0.2.3/24")
	a.Halo(haloConfig(settings{version: 3, priority: 150, interval: "0.2", vips: []string{vip + "/24"}})).WaitState(t, "VI_1", "active")
	b.Keepalived(`vrrp_instance VI_2 {
  state BACKUP
  interface eth0
  virtual_router_id 7
  priority 120
  version 2
  advert_int 1
  authentication {
    auth_type PASS
    auth_pass s3cret
  }
  virtual_ipaddress {
    192.0.2.20/24
    192.0.2.21/24
  }
}
`)
	n.WaitOwner("192.0.2.20", b)
	var found struct {
		Routers []struct {
			VirtualRouterID uint8 `json:"virtual_router_id"`
			Version         uint8
			Source          string
			Priority        uint8
			AdvertInterval  float64 `json:"advert_interval"`
			Addresses       []string
			Authentication  string
			Problem         string
		}
		Free []uint8
	}
	lab.Eventually(t, "both are heard", func() bool {
		out, err := onlooker.Output(lab.Bin(t)+"/halo", "vrrp", "scan", "eth0", "--for", "2s", "--json")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if err := json.Unmarshal([]byte(out), &found); err != nil {
			t.Fatal(err)
		}
		return len(found.Routers) == 2
	})
	k, h := found.Routers[0], found.Routers[1]
	if k.VirtualRouterID != 7 || k.Version != 2 || k.Source != bSource || k.Priority != 120 || k.AdvertInterval != 1 ||
		k.Authentication != "pass" || k.Problem != "" || !slices.Equal(k.Addresses, []string{"192.0.2.20", "192.0.2.21"}) {
		t.Errorf("Keepalived's: %+v", k)
	}
	if h.VirtualRouterID != 51 || h.Version != 3 || h.Source != aSource || h.Priority != 150 || h.AdvertInterval != 0.2 ||
		h.Authentication != "none" || h.Problem != "" || !slices.Equal(h.Addresses, []string{vip}) {
		t.Errorf("halo's: %+v", h)
	}
	if len(found.Free) != 253 || slices.Contains(found.Free, 7) || slices.Contains(found.Free, 51) {
		t.Errorf("free: %v", found.Free)
	}
	if out, err := onlooker.Output(lab.Bin(t)+"/halo", "vrrp", "scan", "eth7"); err == nil || !containsAll(out, "eth7", "no such interface") {
		t.Errorf("an interface that there is not: %v, %q", err, out)
	}
}
