package daemon

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/pluginhost"
	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/sdk/host"
)

// TestProbesByProcess holds that a plugin runs once for each user its checks
// name, with the capabilities that its own checks need and no others.
func TestProbesByProcess(t *testing.T) {
	plain := &config.Check{Name: "tcp", Type: "tcp", Plugin: "halo-check-tcp", User: "halo"}
	marked := &config.Check{Name: "tcp#2", Type: "tcp", Plugin: "halo-check-tcp", User: "halo", Capabilities: []string{"net_raw"}}
	other := &config.Check{Name: "misc", Type: "misc", Plugin: "halo-check-misc", User: "nagios"}
	g := &config.Generation{
		Plugins: map[string]*config.Plugin{"halo-check-tcp": {Name: "halo-check-tcp", Capabilities: []string{"net_admin", "net_raw"}}},
		VirtualServers: map[string]*config.VirtualServer{"web": {Name: "web", Servers: []*config.RealServer{
			{Address: netip.MustParseAddrPort("192.0.2.30:80"), Checks: []*config.Check{plain, other}},
			{Address: netip.MustParseAddrPort("192.0.2.31:80"), Checks: []*config.Check{plain, marked}},
			{Address: netip.MustParseAddrPort("192.0.2.32:80")},
		}}},
		Trackers: map[string]*config.Tracker{
			"uplink": {Name: "uplink", Type: "interface", Interface: "eth1"},
			"nginx": {Name: "nginx", Type: "script", Probe: &config.Check{
				Name: "nginx", Type: "script", Plugin: "halo-track-script", User: "halo", Interval: time.Minute, Timeout: time.Second, Rise: 1, Fall: 2,
			}},
		},
	}
	list, specs := probes(g, map[string]pool.Config{"web": poolConfig(g, g.VirtualServers["web"])})
	if len(list) != 5 {
		t.Fatalf("%d probes, want one for each check of each server, and for the tracker that a plugin observes", len(list))
	}
	own := host.Probe{Type: "script", Tracker: "nginx", Schedule: host.Schedule{Interval: time.Minute, RetryInterval: time.Minute, Timeout: time.Second, Rise: 1, Fall: 2}}
	if p := list[4]; p.Tracker != "nginx" || p.Definition != g.Trackers["nginx"].Definition() || !reflect.DeepEqual(p.Wire, own) {
		t.Errorf("the tracker's is %+v", p)
	}
	slices.SortFunc(specs, func(a, b pluginhost.Spec) int { return strings.Compare(a.Plugin, b.Plugin) })
	if len(specs) != 3 || specs[0].User != "nagios" || specs[1].User != "halo" || specs[2].Plugin != "halo-track-script" {
		t.Fatalf("processes %+v", specs)
	}
	if len(specs[0].Capabilities) != 0 || !slices.Equal(specs[1].Capabilities, []string{"net_raw"}) {
		t.Errorf("capabilities %q and %q, want none and the one that is used", specs[0].Capabilities, specs[1].Capabilities)
	}
}
