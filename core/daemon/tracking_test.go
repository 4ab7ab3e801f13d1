package daemon

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/core/vrrp"
)

// told records what routers are told.
type told struct{ lines []string }

func (r *told) prioritize(instance string, priority uint8, detail string) {
	r.lines = append(r.lines, fmt.Sprintf("%s priority %d: %s", instance, priority, detail))
}

func (r *told) post(instance string, event vrrp.Event) {
	if e, ok := event.(vrrp.FaultRaised); ok {
		r.lines = append(r.lines, fmt.Sprintf("%s %v: %s", instance, e.Cause, e.Detail))
	}
	if e, ok := event.(vrrp.FaultCleared); ok {
		// Told again with every reload; only what follows a fault is of interest.
		if slices.ContainsFunc(r.lines, func(l string) bool { return strings.HasPrefix(l, instance+" "+e.Cause.String()) }) {
			r.lines = append(r.lines, fmt.Sprintf("%s no %v", instance, e.Cause))
		}
	}
}

// want compares what was told since the last time, in any order: a view moves
// several trackers, and it does not matter which first.
func (r *told) want(t *testing.T, lines ...string) {
	t.Helper()
	got := r.lines
	r.lines = nil
	slices.Sort(got)
	slices.Sort(lines)
	if !slices.Equal(got, lines) {
		t.Errorf("told\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

func link(name string, up bool, addresses ...string) rtnl.Link {
	l := rtnl.Link{Name: name, Up: up}
	for _, a := range addresses {
		l.Addresses = append(l.Addresses, inet.Address{Prefix: netip.MustParsePrefix(a)})
	}
	return l
}

func generationOf(t *testing.T, text string) *config.Generation {
	t.Helper()
	g, problems := config.Parse("halo.toml", []byte(text), config.Unseen{})
	if g == nil {
		t.Fatal(problems)
	}
	return g
}

const trackedFile = `
[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
priority = 150
addresses = ["192.0.2.10/24"]
track = ["uplink", "tunnel", { tracker = "quorum", weight = -30 }]
track_interfaces = ["eth9"]

[vrrp_instance.VI_2]
interface = "eth1"
virtual_router_id = 52
addresses = ["198.51.100.10/24"]

[tracker.uplink]
type = "interface"
interface = "eth2"
weight = -60

[tracker.tunnel]
type = "address"
address = "203.0.113.7"
interface = "eth3"
weight = 20

[tracker.quorum]
type = "service"
virtual_server = "web"
weight = -5

[virtual_server.web]
address = "192.0.2.10:80"
real_server = [{ address = "192.0.2.30:80" }]
`

func TestTracking(t *testing.T) {
	routers := &told{}
	k := newTracking(routers, nil, slog.New(slog.DiscardHandler))
	g := generationOf(t, trackedFile)
	k.apply(g)
	// Nothing is known of anything: the configured priority, and no fault.
	routers.want(t, "VI_1 priority 150: ")

	all := &rtnl.View{Links: []rtnl.Link{link("eth2", true), link("eth3", true, "203.0.113.7/32"), link("eth9", true)}}
	k.linksChanged(all)
	routers.want(t, "VI_1 priority 170: tracker up: tunnel")
	k.linksChanged(all)
	routers.want(t)
	// The address is there, but not where it has to be; an interface is gone; and
	// another is down.
	k.linksChanged(&rtnl.View{Links: []rtnl.Link{link("eth2", false), link("eth4", true, "203.0.113.7/32")}})
	if n := len(routers.lines); n < 2 || !slices.Contains(routers.lines, "VI_1 tracker: interface eth9") || !strings.Contains(strings.Join(routers.lines, "\n"), "VI_1 priority 90:") {
		t.Errorf("told %q", routers.lines)
	}
	routers.lines = nil
	k.serviceChanged("web", pool.Down)
	routers.want(t, "VI_1 priority 60: tracker down: quorum: quorum lost")

	// A reload tells every router what holds, for it may be a new one, and a new
	// tracker what is known of the service.
	more := strings.ReplaceAll(trackedFile, `addresses = ["198.51.100.10/24"]`, `addresses = ["198.51.100.10/24"]
track = ["web"]`) + `
[tracker.web]
type = "service"
virtual_server = "web"
`
	k.apply(generationOf(t, more))
	for _, line := range []string{"VI_1 tracker: interface eth9", "VI_2 tracker: web"} {
		if !slices.Contains(routers.lines, line) {
			t.Errorf("a reload does not tell %q but %q", line, routers.lines)
		}
	}
	routers.lines = slices.DeleteFunc(routers.lines, func(l string) bool { return !strings.HasPrefix(l, "VI_2 tracker") })[:1]
	k.serviceChanged("web", pool.Up)
	routers.want(t, "VI_2 tracker: web", "VI_2 no tracker", "VI_1 priority 90: tracker up: quorum: quorum gained")

	// What nobody tracks any more is forgotten with its effect.
	k.apply(generationOf(t, `
[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
priority = 150
addresses = ["192.0.2.10/24"]
`))
	if s := k.snapshot(); len(s.Trackers) != 0 || s.Instances[0].Effective != 150 || len(s.Instances[0].Faults) != 0 {
		t.Errorf("after all trackers are gone: %+v", s)
	}
	k.close()
}
