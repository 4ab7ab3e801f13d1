package inet_test

import (
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

func TestRoutePrintsAsIproute2WritesIt(t *testing.T) {
	for _, row := range []struct {
		route inet.Route
		want  string
	}{
		{inet.Route{Destination: prefix("0.0.0.0/0"), NextHops: []inet.NextHop{{Gateway: addr("192.0.2.1"), Link: "eth0", OnLink: true}}}, "default via 192.0.2.1 dev eth0 onlink"},
		{inet.Route{Destination: prefix("::/0"), NextHops: []inet.NextHop{{Gateway: addr("fe80::1"), Link: "eth0"}}, Preference: inet.PreferHigh}, "default6 via fe80::1 dev eth0 pref high"},
		{inet.Route{Type: inet.Blackhole, Destination: prefix("203.0.113.0/24"), Table: 100, Metric: 7, TOS: 16, Protocol: inet.ProtocolHalo}, "blackhole 203.0.113.0/24 tos 0x10 table 100 metric 7 proto halo"},
		{
			inet.Route{
				Destination: prefix("198.51.100.0/24"), Source: addr("192.0.2.10"), Scope: inet.Some(inet.ScopeLink), Realms: 1<<16 | 2,
				NextHops: []inet.NextHop{{Gateway: addr("192.0.2.1"), Weight: 3}, {Gateway: addr("fe80::2"), Link: "eth0"}},
			},
			"198.51.100.0/24 scope link src 192.0.2.10 realms 1/2 nexthop via 192.0.2.1 weight 3 nexthop via fe80::2 dev eth0 weight 1",
		},
		{
			inet.Route{
				Destination: prefix("2001:db8::/32"), From: prefix("2001:db8:1::/48"), NextHops: []inet.NextHop{{Link: "eth0"}}, Realms: 0,
				Metrics: inet.Metrics{MTU: 1400, MTULocked: true, AdvMSS: 1300, RTT: 10 * time.Millisecond, ECN: true, CongestionControl: "reno", InitialCongestionWindow: 20},
			},
			"2001:db8::/32 from 2001:db8:1::/48 dev eth0 mtu lock 1400 advmss 1300 rtt 10ms initcwnd 20 features ecn congctl reno",
		},
	} {
		if got := row.route.String(); got != row.want {
			t.Errorf("got  %s\nwant %s", got, row.want)
		}
	}
}

func TestRouteDefaults(t *testing.T) {
	direct := []inet.NextHop{{Link: "eth0"}}
	gateway := []inet.NextHop{{Gateway: addr("192.0.2.1")}}
	for _, row := range []struct {
		route inet.Route
		table uint32
		scope inet.Scope
	}{
		{inet.Route{Destination: prefix("203.0.113.0/24"), NextHops: gateway}, inet.TableMain, inet.ScopeGlobal},
		{inet.Route{Destination: prefix("203.0.113.0/24"), NextHops: direct}, inet.TableMain, inet.ScopeLink},
		{inet.Route{Destination: prefix("203.0.113.0/24"), NextHops: direct, Scope: inet.Some(inet.ScopeGlobal)}, inet.TableMain, inet.ScopeGlobal},
		{inet.Route{Destination: prefix("203.0.113.0/24"), NextHops: direct, Type: inet.Local}, inet.TableLocal, inet.ScopeHost},
		{inet.Route{Destination: prefix("203.0.113.0/24"), NextHops: direct, Type: inet.Broadcast, Table: 9}, 9, inet.ScopeLink},
		{inet.Route{Destination: prefix("203.0.113.0/24"), Type: inet.Blackhole}, inet.TableMain, inet.ScopeGlobal},
		{inet.Route{Destination: prefix("2001:db8::/32"), NextHops: direct}, inet.TableMain, inet.ScopeGlobal},
	} {
		if table, scope := row.route.TableOrDefault(), row.route.ScopeOrDefault(); table != row.table || scope != row.scope {
			t.Errorf("%s: table %d scope %s, want %d %s", row.route, table, scope, row.table, row.scope)
		}
	}
	a := inet.Route{Destination: prefix("2001:db8::1/32"), From: prefix("::/0")}
	b := inet.Route{Destination: prefix("2001:db8::/32"), Metric: 1024, Table: inet.TableMain, Protocol: 9}
	if a.ID() != b.ID() {
		t.Errorf("%+v and %+v are the same route to the kernel", a.ID(), b.ID())
	}
	if a.ProtocolOrDefault() != inet.ProtocolHalo || b.ProtocolOrDefault() != 9 {
		t.Error("the mark is halo's unless another is asked for")
	}
}

func TestRouteCheck(t *testing.T) {
	v4, v6 := prefix("203.0.113.0/24"), prefix("2001:db8::/32")
	hop := []inet.NextHop{{Link: "eth0"}}
	for name, r := range map[string]inet.Route{
		"nothing":           {},
		"from in IPv4":      {Destination: v4, NextHops: hop, From: prefix("192.0.2.0/24")},
		"from's family":     {Destination: v6, NextHops: hop, From: prefix("192.0.2.0/24")},
		"tos in IPv6":       {Destination: v6, NextHops: hop, TOS: 4},
		"scope in IPv6":     {Destination: v6, NextHops: hop, Scope: inet.Some(inet.ScopeLink)},
		"realms in IPv6":    {Destination: v6, NextHops: hop, Realms: 4},
		"source's family":   {Destination: v6, NextHops: hop, Source: addr("192.0.2.1")},
		"useless hop":       {Destination: v4, NextHops: hop, Type: inet.Throw},
		"no hop":            {Destination: v4},
		"empty hop":         {Destination: v4, NextHops: []inet.NextHop{{Weight: 1}}},
		"gateway's family":  {Destination: v6, NextHops: []inet.NextHop{{Gateway: addr("192.0.2.1")}}},
		"weight":            {Destination: v4, NextHops: []inet.NextHop{{Link: "eth0", Weight: 257}}},
		"link's name":       {Destination: v4, NextHops: []inet.NextHop{{Link: "0123456789abcdef"}}},
		"lock without MTU":  {Destination: v4, NextHops: hop, Metrics: inet.Metrics{MTULocked: true}},
		"hop limit":         {Destination: v4, NextHops: hop, Metrics: inet.Metrics{HopLimit: 256}},
		"time too fine":     {Destination: v4, NextHops: hop, Metrics: inet.Metrics{RTT: time.Microsecond}},
		"negative time":     {Destination: v4, NextHops: hop, Metrics: inet.Metrics{RTOMin: -time.Second}},
		"algorithm's name":  {Destination: v4, NextHops: hop, Metrics: inet.Metrics{CongestionControl: "0123456789abcdef"}},
		"variance too fine": {Destination: v4, NextHops: hop, Metrics: inet.Metrics{RTTVar: inet.RTTUnit}},
	} {
		if r.Check() == nil {
			t.Errorf("%s: %s is accepted", name, r)
		}
	}
	cross := inet.Route{Destination: v4, NextHops: []inet.NextHop{{Gateway: addr("fe80::1"), Link: "eth0"}}}
	if err := cross.Check(); err != nil {
		t.Errorf("an IPv6 gateway of an IPv4 route: %v", err)
	}
}

func TestRouteSatisfies(t *testing.T) {
	v4 := inet.Route{Destination: prefix("203.0.113.0/24"), NextHops: []inet.NextHop{{Gateway: addr("192.0.2.1"), Link: "eth0"}}}
	v6 := inet.Route{Destination: prefix("2001:db8::/32"), NextHops: []inet.NextHop{{Gateway: addr("fe80::1"), Link: "eth0", Weight: 1}, {Gateway: addr("fe80::2"), Link: "eth0", Weight: 2}}}
	change := func(r inet.Route, f func(*inet.Route)) inet.Route { f(&r); return r }
	hops := func(h ...inet.NextHop) func(*inet.Route) { return func(r *inet.Route) { r.NextHops = h } }
	for _, row := range []struct {
		name        string
		found, want inet.Route
		satisfied   bool
	}{
		{"the same", v4, v4, true},
		{"somebody else's", change(v4, func(r *inet.Route) { r.Protocol = 4 }), v4, true},
		{"any link", v4, change(v4, hops(inet.NextHop{Gateway: addr("192.0.2.1")})), true},
		{"another link", v4, change(v4, hops(inet.NextHop{Gateway: addr("192.0.2.1"), Link: "eth1"})), false},
		{"another gateway", v4, change(v4, hops(inet.NextHop{Gateway: addr("192.0.2.2"), Link: "eth0"})), false},
		{"onlink", v4, change(v4, hops(inet.NextHop{Gateway: addr("192.0.2.1"), Link: "eth0", OnLink: true})), false},
		{"weight of one", change(v4, hops(inet.NextHop{Gateway: addr("192.0.2.1"), Link: "eth0", Weight: 1})), change(v4, hops(inet.NextHop{Gateway: addr("192.0.2.1"), Weight: 9})), true},
		{"more hops", v6, change(v6, hops(v6.NextHops[0])), false},
		{"order of hops", v6, change(v6, hops(v6.NextHops[1], v6.NextHops[0])), true},
		{"weights", v6, change(v6, hops(inet.NextHop{Gateway: addr("fe80::1")}, inet.NextHop{Gateway: addr("fe80::2")})), false},
		{"dead", change(v4, hops(inet.NextHop{Gateway: addr("192.0.2.1"), Link: "eth0", Dead: true})), v4, true},
		{"metrics", v4, change(v4, func(r *inet.Route) { r.Metrics.MTU = 1400 }), false},
		{"source", v4, change(v4, func(r *inet.Route) { r.Source = addr("192.0.2.10") }), false},
		{"scope", v4, change(v4, func(r *inet.Route) { r.Scope = inet.Some(inet.ScopeSite) }), false},
		{"scope as derived", v4, change(v4, func(r *inet.Route) { r.Scope = inet.Some(inet.ScopeGlobal) }), true},
		{"realms", v4, change(v4, func(r *inet.Route) { r.Realms = 1 }), false},
		{"preference", v6, change(v6, func(r *inet.Route) { r.Preference = inet.PreferLow }), false},
		{"type", v4, change(v4, func(r *inet.Route) { r.Type, r.NextHops = inet.Throw, nil }), false},
		{"metric", v4, change(v4, func(r *inet.Route) { r.Metric = 1 }), false},
		{
			"link of a route that does not forward",
			inet.Route{Type: inet.Unreachable, Destination: prefix("2001:db8::/32"), NextHops: []inet.NextHop{{Link: "lo"}}},
			inet.Route{Type: inet.Unreachable, Destination: prefix("2001:db8::/32")},
			true,
		},
	} {
		if got := row.found.Satisfies(row.want); got != row.satisfied {
			t.Errorf("%s: satisfied is %v, want %v", row.name, got, row.satisfied)
		}
	}
}
