package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// drawRoute draws the i-th route of an instance.
func drawRoute(t *rapid.T, number, i int) Route {
	r := Route{Required: rapid.Bool().Draw(t, "required"), Route: inet.Route{
		Destination: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 20 + byte(number), byte(i), 0}), 24),
		Metric:      rapid.Uint32().Draw(t, "metric"), Table: rapid.Uint32Range(0, 300).Draw(t, "table"),
		Protocol: inet.Protocol(rapid.SampledFrom([]uint8{0, 3, 44, 255}).Draw(t, "protocol")),
		TOS:      rapid.Uint8().Draw(t, "tos"),
		Realms:   rapid.SampledFrom([]uint32{0, 7, 3<<16 | 7}).Draw(t, "realms"),
		Metrics: inet.Metrics{
			MTU: 1000 + rapid.Uint32Range(0, 9).Draw(t, "mtu"), MTULocked: rapid.Bool().Draw(t, "lock"),
			RTT: time.Duration(rapid.IntRange(0, 1000).Draw(t, "rtt")) * inet.RTTUnit, ECN: rapid.Bool().Draw(t, "ecn"),
		},
	}}
	if rapid.Bool().Draw(t, "scoped") {
		r.Scope = inet.Some(inet.Scope(rapid.Uint8().Draw(t, "scope")))
	}
	gateway := netip.AddrFrom4([4]byte{10, 9, 9, 1})
	switch rapid.IntRange(0, 3).Draw(t, "hops") {
	case 0:
		r.Type = rapid.SampledFrom([]inet.RouteType{inet.Blackhole, inet.Unreachable, inet.Prohibit, inet.Throw}).Draw(t, "type")
	case 1:
		r.NextHops = []inet.NextHop{{Link: "eth7"}}
	case 2:
		r.NextHops = []inet.NextHop{{Gateway: gateway, Link: "eth7", OnLink: rapid.Bool().Draw(t, "onlink")}}
	case 3:
		r.NextHops = []inet.NextHop{{Gateway: gateway, Weight: 1}, {Link: "eth7", Weight: rapid.IntRange(1, 256).Draw(t, "weight")}}
	}
	return r
}

// drawRule draws the i-th rule of an instance.
func drawRule(t *rapid.T, number, i int) Rule {
	r := Rule{Required: rapid.Bool().Draw(t, "required"), Rule: inet.Rule{
		Priority: uint32(1 + 10*number + i), Not: rapid.Bool().Draw(t, "not"),
		From: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 30 + byte(number), 0, 0}), 16), IPProtocol: 17,
		Mark:        rapid.Uint32Range(0, 3).Draw(t, "mark"),
		UIDs:        inet.Some(inet.Range{First: rapid.Uint32Range(0, 9).Draw(t, "first"), Last: 9}),
		SourcePorts: inet.PortRange{First: 7, Last: 7 + rapid.Uint16Range(0, 9).Draw(t, "last")},
	}}
	if r.Mark != 0 && rapid.Bool().Draw(t, "masked") {
		r.Mask = 0xff
	}
	switch rapid.IntRange(0, 2).Draw(t, "does") {
	case 0:
		r.Table = rapid.Uint32Range(1, 300).Draw(t, "table")
		r.SuppressPrefixLength = inet.Some(rapid.Uint8Range(0, 128).Draw(t, "suppressed"))
	case 1:
		r.Action, r.Goto = inet.Goto, 1000
	case 2:
		r.Action = rapid.SampledFrom([]inet.RuleAction{inet.NoOperation, inet.RuleBlackhole, inet.RuleProhibit}).Draw(t, "action")
	}
	return r
}

// routing writes routes and rules.
func (w *writer) routing(in *Instance) {
	for _, key := range []string{"routes", "rules"} {
		elements := make([]string, 0, 3)
		for _, r := range in.Routes {
			elements = append(elements, strings.Join(w.routeKeys(r), ", "))
		}
		if key == "rules" {
			elements = elements[:0]
			for _, r := range in.Rules {
				elements = append(elements, strings.Join(ruleKeys(r), ", "))
			}
		}
		if len(elements) > 0 {
			fmt.Fprintf(&w.b, "%s = [{ %s }]\n", key, strings.Join(elements, " }, { "))
		}
	}
}

func (w *writer) routeKeys(r Route) []string {
	keys := []string{
		fmt.Sprintf("destination = %q", r.Destination), fmt.Sprintf("metric = %d", r.Metric), fmt.Sprintf("tos = %d", r.TOS),
		fmt.Sprintf("type = %q", r.Type), fmt.Sprintf("required = %t", r.Required), fmt.Sprintf("mtu = %d", r.Metrics.MTU),
		fmt.Sprintf("mtu_lock = %t", r.Metrics.MTULocked), fmt.Sprintf("ecn = %t", r.Metrics.ECN),
	}
	if r.Table != 0 {
		keys = append(keys, fmt.Sprintf("table = %d", r.Table))
	}
	if r.Protocol != 0 {
		keys = append(keys, fmt.Sprintf("protocol = %d", r.Protocol))
	}
	if r.Realms != 0 {
		keys = append(keys, fmt.Sprintf("realms = \"%d/%d\"", r.Realms>>16, r.Realms&0xffff))
		if r.Realms>>16 == 0 {
			keys[len(keys)-1] = fmt.Sprintf("realms = %d", r.Realms)
		}
	}
	if r.Metrics.RTT != 0 {
		keys = append(keys, fmt.Sprintf("rtt = %q", r.Metrics.RTT))
	}
	if r.Scope.Set {
		keys = append(keys, fmt.Sprintf("scope = %d", r.Scope.Value))
	}
	hops := make([]string, 0, len(r.NextHops))
	for _, h := range r.NextHops {
		var hop []string
		if h.Gateway.IsValid() {
			hop = append(hop, fmt.Sprintf("via = %q", h.Gateway))
		}
		if h.Link != "" {
			hop = append(hop, fmt.Sprintf("interface = %q", h.Link))
		}
		if h.OnLink {
			hop = append(hop, "onlink = true")
		}
		if h.Weight > 1 || h.Weight == 1 && w.draws("weight written") {
			hop = append(hop, fmt.Sprintf("weight = %d", h.Weight))
		}
		if len(r.NextHops) == 1 {
			return slices.Concat(keys, hop)
		}
		hops = append(hops, "{ "+strings.Join(hop, ", ")+" }")
	}
	if len(hops) > 0 {
		keys = append(keys, "nexthops = ["+strings.Join(hops, ", ")+"]")
	}
	return keys
}

func ruleKeys(r Rule) []string {
	keys := []string{
		fmt.Sprintf("priority = %d", r.Priority), fmt.Sprintf("not = %t", r.Not), fmt.Sprintf("from = %q", r.From), "ipproto = \"udp\"",
		fmt.Sprintf("required = %t", r.Required), fmt.Sprintf("uidrange = \"%d-%d\"", r.UIDs.Value.First, r.UIDs.Value.Last),
		fmt.Sprintf("sport = \"%d-%d\"", r.SourcePorts.First, r.SourcePorts.Last),
	}
	switch {
	case r.Mask != 0:
		keys = append(keys, fmt.Sprintf("fwmark = \"%#x/%#x\"", r.Mark, r.Mask))
	case r.Mark != 0:
		keys = append(keys, fmt.Sprintf("fwmark = %#x", r.Mark))
	}
	if r.SuppressPrefixLength.Set {
		keys = append(keys, fmt.Sprintf("suppress_prefixlength = %d", r.SuppressPrefixLength.Value))
	}
	switch r.Action {
	case inet.Goto:
		return append(keys, fmt.Sprintf("goto = %d", r.Goto))
	case inet.Lookup:
		return append(keys, fmt.Sprintf("table = %d", r.Table))
	case inet.NoOperation, inet.RuleBlackhole, inet.RuleUnreachable, inet.RuleProhibit:
	}
	return append(keys, fmt.Sprintf("action = %q", r.Action))
}
