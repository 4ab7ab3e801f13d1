package rtnl

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// routed is a namespace with eth0 (192.0.2.1/24, 2001:db8::1/64) and eth1
// (198.51.100.1/24, 2001:db8:1::1/64).
func routed(t *testing.T) *kerneltest.Namespace {
	t.Helper()
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	kerneltest.Veth(a, "eth0", b, "eth0")
	kerneltest.Veth(a, "eth1", b, "eth1")
	h := openIn(t, a)
	for link, addresses := range map[string][]netip.Prefix{
		"eth0": prefixes("192.0.2.1/24", "2001:db8::1/64"), "eth1": prefixes("198.51.100.1/24", "2001:db8:1::1/64"),
	} {
		if err := h.AddAddresses(link, addresses); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// halos are the routes with halo's mark in the words of iproute2, sorted.
func halos(t *testing.T, h *Handle) []string {
	t.Helper()
	routes, err := h.Routes(inet.RouteFilter{Protocol: inet.ProtocolHalo})
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, len(routes))
	for i, r := range routes {
		lines[i] = r.String()
	}
	slices.Sort(lines)
	return lines
}

// Every attribute goes to the kernel and comes back, and `ip route` shows it.
func TestRouteAttributesAsAnIndependentReaderSeesThem(t *testing.T) {
	kerneltest.RequireTool(t, "ip")
	n := routed(t)
	h := openIn(t, n)
	via4, via6 := []inet.NextHop{{Gateway: addr("192.0.2.254")}}, []inet.NextHop{{Gateway: addr("2001:db8::254")}}
	for _, row := range []struct {
		name  string
		route inet.Route
		shown string // by ip route show, of which this must be the beginning of a line once "proto" is cut out
	}{
		{"gateway", inet.Route{Destination: prefix("203.0.113.0/24"), NextHops: via4}, "203.0.113.0/24 via 192.0.2.254 dev eth0"},
		{"default", inet.Route{Destination: prefix("0.0.0.0/0"), NextHops: via4, Metric: 50}, "default via 192.0.2.254 dev eth0 metric 50"},
		{"direct", inet.Route{Destination: prefix("203.0.113.0/25"), NextHops: []inet.NextHop{{Link: "eth1"}}}, "203.0.113.0/25 dev eth1 scope link"},
		{"direct, global", inet.Route{Destination: prefix("203.0.113.0/26"), NextHops: []inet.NextHop{{Link: "eth1"}}, Scope: inet.Some(inet.ScopeGlobal)}, "203.0.113.0/26 dev eth1"},
		{"source, table, metric, tos", inet.Route{Destination: prefix("203.0.113.0/24"), NextHops: via4, Source: addr("198.51.100.1"), Table: 1000, Metric: 7, TOS: 16}, "203.0.113.0/24 tos 0x10 via 192.0.2.254 dev eth0 table 1000 src 198.51.100.1 metric 7"},
		{"onlink", inet.Route{Destination: prefix("203.0.113.1/32"), NextHops: []inet.NextHop{{Gateway: addr("10.9.9.9"), Link: "eth1", OnLink: true}}}, "203.0.113.1 via 10.9.9.9 dev eth1 onlink"},
		{"IPv6 gateway", inet.Route{Destination: prefix("203.0.113.2/32"), NextHops: []inet.NextHop{{Gateway: addr("2001:db8::254"), Link: "eth0"}}}, "203.0.113.2 via inet6 2001:db8::254 dev eth0"},
		{"blackhole", inet.Route{Type: inet.Blackhole, Destination: prefix("203.0.113.3/32")}, "blackhole 203.0.113.3"},
		{"unreachable", inet.Route{Type: inet.Unreachable, Destination: prefix("203.0.113.4/32")}, "unreachable 203.0.113.4"},
		{"prohibit", inet.Route{Type: inet.Prohibit, Destination: prefix("203.0.113.5/32")}, "prohibit 203.0.113.5"},
		{"throw", inet.Route{Type: inet.Throw, Destination: prefix("203.0.113.6/32"), Table: 100}, "throw 203.0.113.6 table 100"},
		{"local", inet.Route{Type: inet.Local, Destination: prefix("203.0.113.7/32"), NextHops: []inet.NextHop{{Link: "lo"}}}, "local 203.0.113.7 dev lo table local scope host"},
		{"realms", inet.Route{Destination: prefix("203.0.113.8/32"), NextHops: via4, Realms: 1<<16 | 2}, "203.0.113.8 via 192.0.2.254 dev eth0 realms 1/2"},
		{
			"several ways",
			inet.Route{Destination: prefix("203.0.113.9/32"), NextHops: []inet.NextHop{{Gateway: addr("192.0.2.254"), Weight: 3}, {Gateway: addr("2001:db8:1::9"), Link: "eth1", OnLink: true}, {Link: "eth1", Weight: 256}}},
			"203.0.113.9 nexthop via 192.0.2.254 dev eth0 weight 3 nexthop via inet6 2001:db8:1::9 dev eth1 weight 1 onlink nexthop dev eth1 weight 256",
		},
		{
			"numbers",
			inet.Route{Destination: prefix("203.0.113.10/32"), NextHops: via4, Metrics: inet.Metrics{
				MTU: 1400, MTULocked: true, AdvMSS: 1300, HopLimit: 10, Window: 1000, CongestionWindow: 11, InitialCongestionWindow: 12,
				InitialReceiveWindow: 13, SlowStartThreshold: 14, Reordering: 15, RTT: 100 * time.Millisecond, RTTVar: 50 * time.Millisecond, RTOMin: 20 * time.Millisecond,
			}},
			"203.0.113.10 via 192.0.2.254 dev eth0 mtu lock 1400 window 1000 rtt 100ms rttvar 50ms ssthresh 14 cwnd 11 advmss 1300 reordering 15 hoplimit 10 initcwnd 12 rto_min 20ms initrwnd 13",
		},
		{
			"words",
			inet.Route{Destination: prefix("203.0.113.11/32"), NextHops: via4, Metrics: inet.Metrics{MTU: 1300, ECN: true, QuickACK: true, FastOpenNoCookie: true, CongestionControl: "reno"}},
			"203.0.113.11 via 192.0.2.254 dev eth0 mtu 1300 features ecn quickack 1 congctl reno fastopen_no_cookie 1",
		},
		{"IPv6 gateway", inet.Route{Destination: prefix("2001:db8:5::/48"), NextHops: via6}, "2001:db8:5::/48 via 2001:db8::254 dev eth0 metric 1024 pref medium"},
		{"IPv6 default", inet.Route{Destination: prefix("::/0"), NextHops: []inet.NextHop{{Gateway: addr("fe80::1"), Link: "eth0"}}, Metric: 5, Preference: inet.PreferLow}, "default via fe80::1 dev eth0 metric 5 pref low"},
		{"IPv6 from", inet.Route{Destination: prefix("2001:db8:6::/48"), From: prefix("2001:db8:7::/48"), NextHops: via6}, "2001:db8:6::/48 from 2001:db8:7::/48 via 2001:db8::254 dev eth0 metric 1024 pref medium"},
		{"IPv6 source", inet.Route{Destination: prefix("2001:db8:8::/48"), Source: addr("2001:db8::1"), NextHops: via6, Table: 1000, Metric: 3, Metrics: inet.Metrics{MTU: 1400}}, "2001:db8:8::/48 via 2001:db8::254 dev eth0 table 1000 src 2001:db8::1 metric 3 mtu 1400 pref medium"},
		{"IPv6 blackhole", inet.Route{Type: inet.Blackhole, Destination: prefix("2001:db8:9::/48")}, "blackhole 2001:db8:9::/48 dev lo metric 1024 pref medium"},
		{"IPv6 unreachable", inet.Route{Type: inet.Unreachable, Destination: prefix("2001:db8:10::/48")}, "unreachable 2001:db8:10::/48 dev lo metric 1024 pref medium"},
		{"IPv6 onlink", inet.Route{Destination: prefix("2001:db8:11::/48"), NextHops: []inet.NextHop{{Gateway: addr("2001:db8:ff::1"), Link: "eth1", OnLink: true}}}, "2001:db8:11::/48 via 2001:db8:ff::1 dev eth1 metric 1024 onlink pref medium"},
		{
			"IPv6 several ways",
			inet.Route{Destination: prefix("2001:db8:12::/48"), NextHops: []inet.NextHop{{Gateway: addr("2001:db8::253"), Link: "eth0", Weight: 2}, {Gateway: addr("2001:db8:1::9"), Link: "eth1"}}},
			"2001:db8:12::/48 metric 1024 pref medium nexthop via 2001:db8::253 dev eth0 weight 2 nexthop via 2001:db8:1::9 dev eth1 weight 1",
		},
	} {
		for range 2 { // The second time it is there already.
			if err := h.PutRoutes([]inet.Route{row.route}); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
		}
		routes, err := h.Routes(inet.RouteFilter{Protocol: inet.ProtocolHalo})
		if err != nil {
			t.Fatal(err)
		}
		if len(routes) != 1 || !routes[0].Satisfies(row.route) {
			t.Errorf("%s: found %v, want %s", row.name, routes, row.route)
		}
		family := "-4"
		if !row.route.Is4() {
			family = "-6"
		}
		out, err := n.Output("ip", "-d", family, "route", "show", "table", "all", "proto", "104")
		if err != nil {
			t.Fatalf("ip: %v: %s", err, out)
		}
		if got := plain(out); got != row.shown {
			t.Errorf("%s: ip shows\n%s, want\n%s", row.name, got, row.shown)
		}
		for range 2 { // The second time it is gone already.
			if err := h.DelRoutes([]inet.Route{row.route}); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
		}
		if left := halos(t, h); len(left) > 0 {
			t.Fatalf("%s: %v is left", row.name, left)
		}
	}
}

// plain cuts what every route has, and what depends on ip's version, out of a
// line of `ip -d route`.
func plain(out string) string {
	words := strings.Fields(out)
	var kept []string
	for i := 0; i < len(words); i++ {
		switch {
		case words[i] == "proto":
			i++
		case words[i] == "unicast", words[i] == "linkdown":
		case words[i] == "scope" && words[i+1] == "global", words[i] == "table" && words[i+1] == "main":
			i++
		case words[i] == "error":
			i++
		default:
			kept = append(kept, words[i])
		}
	}
	return strings.Join(kept, " ")
}

func TestPutRoutesReplacesOnlyItsOwn(t *testing.T) {
	n := routed(t)
	h := openIn(t, n)
	n.AddRoute("203.0.113.0/24", "192.0.2.9")
	foreign := inet.Route{Destination: prefix("203.0.113.0/24"), NextHops: []inet.NextHop{{Gateway: addr("192.0.2.254")}}}
	own := inet.Route{Destination: prefix("10.0.0.0/8"), NextHops: []inet.NextHop{{Gateway: addr("192.0.2.254")}}}
	own6 := inet.Route{Destination: prefix("2001:db8:5::/48"), NextHops: []inet.NextHop{{Gateway: addr("2001:db8::254")}}}
	err := h.PutRoutes([]inet.Route{own, foreign, own6})
	batch, ok := errors.AsType[*inet.BatchError](err)
	if !ok || len(batch.Failures) != 1 || batch.Failures[0].Index != 1 || !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), "via 192.0.2.9 dev eth0") {
		t.Errorf("putting a route in somebody else's place: %v", err)
	}
	own.NextHops = []inet.NextHop{{Gateway: addr("198.51.100.254")}}
	own.Metrics.MTU = 1400
	own6.NextHops = append(own6.NextHops, inet.NextHop{Gateway: addr("2001:db8:1::254"), Link: "eth1"})
	if err := h.PutRoutes([]inet.Route{own, own6}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"10.0.0.0/8 via 198.51.100.254 dev eth1 scope global mtu 1400 proto halo",
		"2001:db8:5::/48 table 254 metric 1024 proto halo nexthop via 2001:db8::254 dev eth0 weight 1 nexthop via 2001:db8:1::254 dev eth1 weight 1",
	}
	want[0] = strings.Replace(want[0], "dev eth1 scope", "dev eth1 table 254 scope", 1)
	if got := halos(t, h); !slices.Equal(got, want) {
		t.Errorf("halo's routes are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// What halo did not make, it does not delete.
	if err := h.DelRoutes([]inet.Route{foreign, own, own6}); err != nil {
		t.Fatal(err)
	}
	routes, err := h.Routes(inet.RouteFilter{Table: inet.TableMain})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(routes, func(r inet.Route) bool { return r.ID() == foreign.ID() && r.Protocol != inet.ProtocolHalo }) {
		t.Error("somebody else's route was deleted")
	}
	// Unless it is asked to take the place.
	if err := h.ReplaceRoutes([]inet.Route{foreign}); err != nil {
		t.Fatal(err)
	}
	if got := halos(t, h); len(got) != 1 || !strings.Contains(got[0], "203.0.113.0/24 via 192.0.2.254") {
		t.Errorf("after replacing: %v", got)
	}
}

// Told to delete a route without a metric, the kernel would take any.
func TestDelRoutesDoesNotTakeAnotherMetric(t *testing.T) {
	n := routed(t)
	h := openIn(t, n)
	hop := []inet.NextHop{{Gateway: addr("192.0.2.254")}}
	with, without := inet.Route{Destination: prefix("0.0.0.0/0"), NextHops: hop, Metric: 100}, inet.Route{Destination: prefix("0.0.0.0/0"), NextHops: hop}
	if err := h.PutRoutes([]inet.Route{with, without}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.DelRoutes([]inet.Route{without}); err != nil {
			t.Fatal(err)
		}
	}
	if got := halos(t, h); len(got) != 1 || !strings.Contains(got[0], "metric 100") {
		t.Errorf("left are %v, want the one with metric 100", got)
	}
}

// Among the whole Internet's routes, only halo's are looked at: every route that is
// read costs memory.
func TestDelRoutesReadsHalosAlone(t *testing.T) {
	h := openIn(t, routed(t))
	const others = 2000
	var crowd []inet.Route
	for _, p := range many(others, 32) {
		crowd = append(crowd, inet.Route{Destination: p, Type: inet.Blackhole, Protocol: inet.ProtocolBIRD})
	}
	if err := h.PutRoutes(crowd); err != nil {
		t.Fatal(err)
	}
	own := []inet.Route{{Destination: prefix("203.0.113.0/24"), NextHops: []inet.NextHop{{Gateway: addr("192.0.2.254")}}}}
	spent := testing.AllocsPerRun(3, func() {
		if err := errors.Join(h.PutRoutes(own), h.DelRoutes(own)); err != nil {
			t.Fatal(err)
		}
	})
	if spent >= others/2 {
		t.Errorf("putting and deleting a route among %d others takes %.0f allocations", others, spent)
	}
	if got := halos(t, h); len(got) != 0 {
		t.Errorf("left are %v", got)
	}
}

// Who finds a route in its place, or deletes one without a metric, has to read a
// table, however long that takes; an address that is to be added meanwhile does not
// wait for it.
func TestReadingATableHoldsUpNoChange(t *testing.T) {
	theirs := inet.Route{Destination: prefix("10.0.0.0/8"), Type: inet.Blackhole, Protocol: inet.ProtocolStatic}
	ours := theirs
	ours.Protocol = inet.ProtocolHalo
	for name, read := range map[string]func(h *Handle) error{
		"put": func(h *Handle) error {
			if err := h.PutRoutes([]inet.Route{ours}); !errors.Is(err, unix.EEXIST) {
				return fmt.Errorf("put: %w, want that it is somebody else's", err)
			}
			return nil
		},
		"delete": func(h *Handle) error { return h.DelRoutes([]inet.Route{ours}) },
	} {
		t.Run(name, func(t *testing.T) {
			h := openIn(t, routed(t))
			if err := h.PutRoutes([]inet.Route{theirs}); err != nil {
				t.Fatal(err)
			}
			h.reading.Lock() // A long list.
			done := make(chan error, 1)
			go func() { done <- read(h) }()
			added := make(chan error, 1)
			go func() {
				var err error
				for range 500 { // The other one begins at some time.
					err = errors.Join(err, h.AddAddresses("eth0", prefixes("192.0.2.77/24")))
				}
				added <- err
			}()
			select {
			case err := <-added:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(time.Minute):
				t.Error("an address waits for a table that is read")
			}
			h.reading.Unlock()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRouteErrorsNameWhatFailed(t *testing.T) {
	n := routed(t)
	h := openIn(t, n)
	good := inet.Route{Destination: prefix("10.0.0.0/8"), NextHops: []inet.NextHop{{Gateway: addr("192.0.2.254")}}}
	err := h.PutRoutes([]inet.Route{
		{Destination: prefix("10.1.0.0/16"), NextHops: []inet.NextHop{{Link: "eth7"}}},
		good,
		{Destination: prefix("10.2.0.0/16"), NextHops: []inet.NextHop{{Gateway: addr("10.99.0.1")}}},
		{},
	})
	batch, ok := errors.AsType[*inet.BatchError](err)
	if !ok || len(batch.Failures) != 3 {
		t.Fatalf("got %v, want three failures", err)
	}
	for i, want := range []struct {
		cause error
		words string
	}{
		{unix.ENODEV, "put route 10.1.0.0/16 dev eth7: link eth7"},
		{unix.ENETUNREACH, "put route 10.2.0.0/16 via 10.99.0.1"},
		{nil, "no destination"},
	} {
		if got := batch.Failures[i].Err; want.cause != nil && !errors.Is(got, want.cause) || !strings.Contains(got.Error(), want.words) {
			t.Errorf("failure %v, want %v with %q", got, want.cause, want.words)
		}
	}
	if got := halos(t, h); len(got) != 1 {
		t.Errorf("routes %v: bad routes kept the good one from being added", got)
	}
	if err := h.DelRoutes([]inet.Route{{}, good}); err == nil {
		t.Error("a route without destination is deleted")
	}
	if got := halos(t, h); len(got) != 0 {
		t.Errorf("routes %v are left", got)
	}
}

// An unused table is empty, which some kernels call an error.
func TestRoutesOfATableThatIsNotThere(t *testing.T) {
	h := openIn(t, routed(t))
	if routes, err := h.Routes(inet.RouteFilter{Table: 4711}); err != nil || len(routes) > 0 {
		t.Errorf("got %v, %v", routes, err)
	}
	if err := h.DelRoutes([]inet.Route{{Destination: prefix("10.0.0.0/8"), Table: 4711}, {Destination: prefix("2001:db8:5::/48"), Table: 4711}}); err != nil {
		t.Error(err)
	}
}

func TestThousandRoutes(t *testing.T) {
	h := openIn(t, routed(t))
	var routes []inet.Route
	for i, p := range many(1000, 32) {
		gateway := addr("192.0.2.254")
		if i%2 == 1 {
			p, gateway = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 5, 14: byte(i >> 8), 15: byte(i)}), 128), addr("2001:db8::254")
		}
		routes = append(routes, inet.Route{Destination: p, NextHops: []inet.NextHop{{Gateway: gateway}}})
	}
	if err := h.PutRoutes(routes); err != nil {
		t.Fatal(err)
	}
	if got := len(halos(t, h)); got != 1000 {
		t.Errorf("%d routes, want 1000", got)
	}
	if err := h.DelRoutes(routes); err != nil {
		t.Fatal(err)
	}
	if got := len(halos(t, h)); got != 0 {
		t.Errorf("%d routes are left", got)
	}
}
