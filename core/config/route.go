package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// routeTypes are what becomes of packets, in the kernel's words.
func routeTypes() (names words, types map[string]inet.RouteType) {
	types = map[string]inet.RouteType{}
	for _, t := range []inet.RouteType{
		inet.Unicast, inet.Local, inet.Broadcast, inet.Anycast, inet.Multicast, inet.Blackhole, inet.Unreachable, inet.Prohibit, inet.Throw,
	} {
		names.allowed = append(names.allowed, t.String())
		types[t.String()] = t
	}
	return names, types
}

// route reads one element of routes.
func (t *table) route(of tenure) Route {
	defer t.done()
	names, types := routeTypes()
	r := Route{Route: inet.Route{Type: types[ask(t, "type", names).or("unicast")]}}
	hops := t.nextHops()
	six := slices.ContainsFunc(hops, func(h inet.NextHop) bool { return h.Gateway.Is6() })
	r.Destination = ask(t, "destination", networks{example: "10.0.0.0/8", everything: true, ipv6: six}).required()
	r.NextHops = hops
	r.Source = ask(t, "source", hosts{"192.0.2.10"}).optional()
	r.Metric = ask(t, "metric", integers[uint32]{0, 1<<32 - 1}).or(0)
	r.Table = uint32(ask(t, "table", routingTables()).optional())
	if scope := ask(t, "scope", scopes()); scope.readable {
		r.Scope = inet.Some(scope.optional())
	} else {
		scope.optional()
	}
	r.From = ask(t, "from", networks{example: "2001:db8:1::/48"}).optional()
	r.TOS = ask(t, "tos", integers[uint8]{0, 255}).or(0)
	r.Realms = ask(t, "realms", realmsForm{}).optional()
	r.Preference = preferences()[ask(t, "preference", words{allowed: []string{"low", "medium", "high"}}).or("medium")]
	r.Protocol = t.mark()
	r.Metrics = t.metrics()
	r.Required = t.required(of)
	t.routeRules(r)
	return r
}

func preferences() map[string]inet.Preference {
	return map[string]inet.Preference{"low": inet.PreferLow, "medium": inet.PreferMedium, "high": inet.PreferHigh}
}

// nextHops reads where packets go: one way in the table itself, or several in
// nexthops.
func (t *table) nextHops() []inet.NextHop {
	single := t.nextHop()
	elements := t.tables("nexthops", routeHints())
	several := make([]inet.NextHop, 0, len(elements))
	for _, e := range elements {
		several = append(several, e.weighedHop())
		t.spoiled("nexthops", e)
	}
	switch {
	case !t.written("nexthops") && single == (inet.NextHop{}):
		return nil
	case !t.written("nexthops"):
		return []inet.NextHop{single}
	}
	for _, key := range []string{"via", "interface", "onlink"} {
		if t.written(key) && t.fine(key) {
			t.wrong(key, "nexthops say where packets go", key+" in each of nexthops", "")
		}
	}
	return several
}

// weighedHop reads one element of nexthops.
func (t *table) weighedHop() inet.NextHop {
	defer t.done()
	hop := t.nextHop()
	hop.Weight = ask(t, "weight", integers[int]{1, 256}).or(1)
	if !hop.Gateway.IsValid() && hop.Link == "" && t.fine("via", "interface") && !t.strange() {
		t.about("says nothing of where packets go", "via, interface, or both")
	}
	return hop
}

// nextHop reads one way.
func (t *table) nextHop() inet.NextHop {
	hop := inet.NextHop{
		Gateway: ask(t, "via", hosts{"192.0.2.254"}).optional(),
		Link:    ask(t, "interface", interfaceNames()).optional(),
		OnLink:  ask(t, "onlink", booleans{}).or(false),
	}
	if !t.fine("via", "interface", "onlink") {
		return hop
	}
	switch {
	case hop.OnLink && (!hop.Gateway.IsValid() || hop.Link == ""):
		t.wrong("onlink", "it takes a gateway and the interface that it is on", "via and interface beside it", "")
	case hop.Gateway.IsLinkLocalUnicast() && hop.Link == "":
		t.wrong("via", quoted(hop.Gateway.String())+" is link-local, and may be on any interface", "interface beside it", "")
	}
	return hop
}

// metrics reads what a route tells the transport protocols.
func (t *table) metrics() inet.Metrics {
	number := integers[uint32]{1, 1<<32 - 1}
	m := inet.Metrics{
		MTU:                     ask(t, "mtu", integers[uint32]{68, 1<<32 - 1}).optional(), // RFC 791 §3.1: the least that every module takes.
		MTULocked:               ask(t, "mtu_lock", booleans{}).or(false),
		AdvMSS:                  ask(t, "advmss", number).optional(),
		HopLimit:                ask(t, "hoplimit", integers[uint32]{1, 255}).optional(),
		RTT:                     ask(t, "rtt", durations{low: inet.RTTUnit, high: time.Hour, step: inet.RTTUnit}).optional(),
		RTTVar:                  ask(t, "rttvar", durations{low: inet.RTTVarUnit, high: time.Hour, step: inet.RTTVarUnit}).optional(),
		RTOMin:                  ask(t, "rto_min", durations{low: time.Millisecond, high: time.Hour, step: time.Millisecond}).optional(),
		Window:                  ask(t, "window", number).optional(),
		CongestionWindow:        ask(t, "cwnd", number).optional(),
		InitialCongestionWindow: ask(t, "initcwnd", number).optional(),
		InitialReceiveWindow:    ask(t, "initrwnd", number).optional(),
		SlowStartThreshold:      ask(t, "ssthresh", number).optional(),
		Reordering:              ask(t, "reordering", number).optional(),
		ECN:                     ask(t, "ecn", booleans{}).or(false),
		QuickACK:                ask(t, "quickack", booleans{}).or(false),
		FastOpenNoCookie:        ask(t, "fastopen_no_cookie", booleans{}).or(false),
		CongestionControl:       ask(t, "congctl", congestionControls()).optional(),
	}
	if m.MTULocked && m.MTU == 0 && t.fine("mtu", "mtu_lock") {
		t.wrong("mtu_lock", "there is no mtu to lock", "mtu beside it", "")
	}
	return m
}

func congestionControls() text {
	return text{
		what: `the name of a congestion control such as "cubic"`,
		test: func(word string) string {
			switch {
			case word == "":
				return "is empty"
			case len(word) > 15: // TCP_CA_NAME_MAX less its terminating NUL.
				return "is longer than 15 bytes"
			case strings.ContainsFunc(word, unicode.IsSpace):
				return "holds a space"
			}
			return unprintable(word)
		},
	}
}

// routeRules judges the keys of a route against each other.
func (t *table) routeRules(r Route) {
	if !t.fine("destination", "type", "via", "interface", "nexthops") || !r.Destination.IsValid() {
		return
	}
	t.routeTarget(r)
	t.routeFamily(r)
	if err := r.Check(); err != nil && len(t.bad) == 0 && !t.strange() {
		t.about(err.Error(), "a route that the kernel can have")
	}
}

// routeTarget judges where a route leads.
func (t *table) routeTarget(r Route) {
	if r.Type.Forwards() {
		if len(r.NextHops) == 0 && !t.strange() {
			t.about("says nothing of where packets go", `via, interface or nexthops, or a type such as "blackhole"`)
		}
		return
	}
	for _, key := range []string{"via", "interface", "nexthops"} {
		if t.written(key) {
			t.wrong(key, "a route of the type "+quoted(r.Type.String())+" leads nowhere", "no "+key, "")
		}
	}
}

// routeFamily judges what only one family has, and that the addresses are of one.
func (t *table) routeFamily(r Route) {
	family, alien := "IPv4", []string{"from"}
	if !r.Is4() {
		family, alien = "IPv6", []string{"tos", "scope", "realms"}
	}
	for _, key := range alien {
		if t.written(key) && t.fine(key) && (key != "tos" || r.TOS != 0) {
			t.wrong(key, "an "+family+" route has no "+key, "no "+key, "")
		}
	}
	if r.Is4() && r.Preference != inet.PreferMedium {
		t.wrong("preference", "an IPv4 route has no preference", "metric, of which the least is used", "")
	}
	other := func(a netip.Addr) bool { return a.IsValid() && a.Is4() != r.Is4() }
	if other(r.Source) {
		t.wrong("source", quoted(r.Source.String())+" is not of the family of the destination", "an "+family+" address", "")
	}
	if !r.Is4() && slices.ContainsFunc(r.NextHops, func(h inet.NextHop) bool { return h.Gateway.Is4() }) {
		key := "via"
		if t.written("nexthops") {
			key = "nexthops"
		}
		t.wrong(key, "an IPv6 route cannot lead to an IPv4 gateway", "an IPv6 gateway", "")
	}
}

func routeHints() map[string]hint {
	return map[string]hint{
		"required":      {why: "nothing depends on what is static"},
		"to":            {key: "destination"},
		"dst":           {key: "destination"},
		"gw":            {key: "via"},
		"gateway":       {key: "via"},
		"or":            {write: "nexthops = [{ via = \"192.0.2.254\" }, { via = \"192.0.2.253\" }]"},
		"dev":           {key: "interface"},
		"oif":           {key: "interface"},
		"src":           {key: "source"},
		"priority":      {key: "metric"},
		"dsfield":       {key: "tos"},
		"pref":          {key: "preference"},
		"nexthop":       {key: "nexthops"},
		"next_hops":     {key: "nexthops"},
		"proto":         {key: "protocol"},
		"hop_limit":     {key: "hoplimit"},
		"features":      {write: "ecn = true"},
		"lock":          {write: "mtu_lock = true"},
		"no_track":      {why: "losing a route moves nothing unless required = true"},
		"track_group":   {why: "what must be there for the instance says required = true"},
		"vrf":           {write: "table = NUMBER, that of the VRF"},
		"expires":       {why: "a route is there as long as the instance is active"},
		"encap":         {why: "halo makes no encapsulating routes"},
		"ttl_propagate": {why: "halo makes no encapsulating routes"},
		"append":        {why: "of routes with the same destination the least metric is used"},
		"prepend":       {why: "of routes with the same destination the least metric is used"},
	}
}
