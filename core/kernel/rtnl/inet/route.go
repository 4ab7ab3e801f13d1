package inet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// RouteType is what becomes of packets to a destination.
type RouteType uint8

// The kernel's types. The zero value is Unicast.
const (
	Unicast RouteType = iota
	Local
	Broadcast
	Anycast
	Multicast
	Blackhole
	Unreachable
	Prohibit
	Throw
)

func (t RouteType) String() string {
	switch t {
	case Unicast:
		return "unicast"
	case Local:
		return "local"
	case Broadcast:
		return "broadcast"
	case Anycast:
		return "anycast"
	case Multicast:
		return "multicast"
	case Blackhole:
		return "blackhole"
	case Unreachable:
		return "unreachable"
	case Prohibit:
		return "prohibit"
	case Throw:
		return "throw"
	}
	return strconv.Itoa(int(t))
}

// Forwards tells whether packets leave by a link, so that next hops mean
// something.
func (t RouteType) Forwards() bool { return t < Blackhole }

// The tables that exist by themselves.
const (
	TableDefault uint32 = 253
	TableMain    uint32 = 254
	TableLocal   uint32 = 255
)

// metricIPv6 is what the kernel makes of an IPv6 route's metric of zero.
const metricIPv6 = 1024

// Preference is how much an IPv6 router is preferred to others (RFC 4191
// section 2.1). The zero value is medium.
type Preference uint8

// The preferences, as the kernel numbers them.
const (
	PreferMedium Preference = 0
	PreferHigh   Preference = 1
	PreferLow    Preference = 3
)

func (p Preference) String() string {
	switch p {
	case PreferMedium:
		return "medium"
	case PreferHigh:
		return "high"
	case PreferLow:
		return "low"
	}
	return strconv.Itoa(int(p))
}

// Route is an entry of a routing table.
type Route struct {
	Type RouteType
	// Destination is what the route leads to, and its family the route's.
	// 0.0.0.0/0 and ::/0 are the default routes.
	Destination netip.Prefix
	// From limits the route to packets from there (IPv6). Not set is all.
	From netip.Prefix
	// TOS limits the route to packets of that type of service (IPv4).
	TOS uint8
	// Table is the routing table. Zero is the main one, or the local one for
	// the types that belong there.
	Table uint32
	// Metric orders routes to the same destination, smallest first. Zero is
	// the kernel's choice: none in IPv4, 1024 in IPv6.
	Metric uint32
	// Scope is the distance to the destination (IPv4). Not set, it follows
	// from type and next hop, as with iproute2.
	Scope Optional[Scope]
	// Source is the address from which packets are sent by this route.
	Source netip.Addr
	// NextHops are where the packets go: none for types that do not forward,
	// one usually, several to spread the load.
	NextHops []NextHop
	// Realms are the routing realms, from in the upper and to in the lower 16
	// bits (IPv4). Zero is none.
	Realms     uint32
	Metrics    Metrics
	Preference Preference
	// Protocol is who made the route. Zero is halo for what is wanted.
	Protocol Protocol
}

// NextHop is one way of a route.
type NextHop struct {
	// Gateway is the next router. It may be an IPv6 one for an IPv4 route.
	// Not set means that the destination is on the link.
	Gateway netip.Addr
	// Link is the link's name. Empty leaves it to the kernel, which takes the
	// one that leads to the gateway.
	Link string
	// Weight is the share of this way among several, 1 to 256. Zero is 1.
	Weight int
	// OnLink says that the gateway is on the link, whatever the addresses say.
	OnLink bool
	// Dead is observed: the link cannot carry traffic.
	Dead bool
}

// RouteID is what the kernel tells routes apart by. In IPv4 others may add
// routes of the same identity behind the first one.
type RouteID struct {
	Destination, From netip.Prefix
	TOS               uint8
	Table, Metric     uint32
}

// ID is the route's identity.
func (r Route) ID() RouteID {
	return RouteID{r.Destination.Masked(), whole(r.From), r.TOS, r.TableOrDefault(), r.MetricOrDefault()}
}

// RouteFilter says which routes are of interest. Zero is all.
type RouteFilter struct {
	Protocol Protocol
	Table    uint32
}

// Matches tells whether a route that was found is of interest.
func (f RouteFilter) Matches(r Route) bool {
	return (f.Protocol == ProtocolNone || f.Protocol == r.Protocol) && (f.Table == 0 || f.Table == r.TableOrDefault())
}

// Is4 tells whether it is an IPv4 route.
func (r Route) Is4() bool { return r.Destination.Addr().Is4() }

// TableOrDefault is the number of the table, with zero resolved.
func (r Route) TableOrDefault() uint32 {
	switch {
	case r.Table != 0:
		return r.Table
	case r.Type == Local || r.Type == Broadcast || r.Type == Anycast:
		return TableLocal
	}
	return TableMain
}

// MetricOrDefault is the metric, with zero resolved.
func (r Route) MetricOrDefault() uint32 {
	if r.Metric == 0 && !r.Is4() {
		return metricIPv6
	}
	return r.Metric
}

// ScopeOrDefault is the scope, as iproute2 derives it where it is not set. IPv6
// knows none.
func (r Route) ScopeOrDefault() Scope {
	switch {
	case !r.Is4():
		return ScopeGlobal
	case r.Scope.Set:
		return r.Scope.Value
	case r.Type == Local:
		return ScopeHost
	case r.Type == Broadcast || r.Type == Multicast || r.Type == Anycast:
		return ScopeLink
	case r.Type == Unicast && len(r.NextHops) == 1 && !r.NextHops[0].Gateway.IsValid():
		return ScopeLink
	}
	return ScopeGlobal
}

// ProtocolOrDefault is the mark, with zero resolved.
func (r Route) ProtocolOrDefault() Protocol {
	if r.Protocol == ProtocolNone {
		return ProtocolHalo
	}
	return r.Protocol
}

// Satisfies tells whether a route that was found is as wanted, whoever made it.
func (r Route) Satisfies(want Route) bool {
	if r.ID() != want.ID() || r.Type != want.Type || r.Source != want.Source || r.Metrics != want.Metrics {
		return false
	}
	if r.Is4() {
		if r.ScopeOrDefault() != want.ScopeOrDefault() || r.Realms != want.Realms {
			return false
		}
	} else if r.Preference != want.Preference {
		return false
	}
	// The kernel shows the loopback link for IPv6 routes that do not forward.
	return !want.Type.Forwards() || sameHops(r.NextHops, want.NextHops)
}

// sameHops tells whether the next hops found are those wanted. The kernel keeps
// IPv6 ones in an order of its own.
func sameHops(found, wanted []NextHop) bool {
	if len(found) != len(wanted) {
		return false
	}
	left := slices.Clone(found)
	for _, w := range wanted {
		i := slices.IndexFunc(left, func(f NextHop) bool {
			return f.Gateway == w.Gateway && (w.Link == "" || f.Link == w.Link) &&
				f.OnLink == w.OnLink && (len(wanted) == 1 || max(f.Weight, 1) == max(w.Weight, 1))
		})
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return true
}

// Check tells what is wrong with a route that is wanted.
func (r Route) Check() error {
	is4 := r.Is4()
	switch {
	case !r.Destination.IsValid():
		return errors.New("route has no destination")
	case is4 && r.From.IsValid():
		return fmt.Errorf("route to %s is limited to a source, which IPv4 does by rules", r.Destination)
	case !is4 && (r.TOS != 0 || r.Scope.Set || r.Realms != 0):
		return fmt.Errorf("route to %s has a type of service, a scope or realms, which IPv6 routes do not know", r.Destination)
	case r.From.IsValid() && r.From.Addr().Is4(), r.Source.IsValid() && r.Source.Is4() != is4:
		return fmt.Errorf("route to %s has a source of the other family", r.Destination)
	case !r.Type.Forwards() && len(r.NextHops) > 0:
		return fmt.Errorf("%s route to %s has a next hop", r.Type, r.Destination)
	case r.Type.Forwards() && len(r.NextHops) == 0:
		return fmt.Errorf("route to %s has no next hop", r.Destination)
	}
	for _, hop := range r.NextHops {
		switch {
		case !hop.Gateway.IsValid() && hop.Link == "":
			return fmt.Errorf("route to %s has a next hop without gateway and link", r.Destination)
		case hop.Gateway.IsValid() && hop.Gateway.Is4() && !is4:
			return fmt.Errorf("route to %s has an IPv4 gateway, which IPv6 cannot use", r.Destination)
		case hop.Weight < 0 || hop.Weight > 256:
			return fmt.Errorf("route to %s has a next hop of weight %d, want 1 to 256", r.Destination, hop.Weight)
		case len(hop.Link) > labelSize:
			return fmt.Errorf("route to %s names the impossible link %q", r.Destination, hop.Link)
		}
	}
	return r.Metrics.check(r.Destination)
}

// String is the route in the words of `ip route add`.
func (r Route) String() string {
	var w words
	if r.Type != Unicast {
		w.add("%s", r.Type)
	}
	switch {
	case r.Destination.IsValid() && r.Destination.Bits() == 0 && r.Is4():
		w.add("default")
	case r.Destination.IsValid() && r.Destination.Bits() == 0:
		w.add("default6")
	default:
		w.add("%s", r.Destination)
	}
	if r.From.IsValid() {
		w.add("from %s", r.From)
	}
	if r.TOS != 0 {
		w.add("tos %#x", r.TOS)
	}
	if len(r.NextHops) == 1 {
		r.NextHops[0].words(&w, false)
	}
	w.number("table", uint64(r.Table))
	w.number("metric", uint64(r.Metric))
	if r.Scope.Set {
		w.add("scope %s", r.Scope.Value)
	}
	if r.Source.IsValid() {
		w.add("src %s", r.Source)
	}
	if r.Realms != 0 {
		w.add("realms %s", realms(r.Realms))
	}
	r.Metrics.words(&w)
	if r.Preference != PreferMedium {
		w.add("pref %s", r.Preference)
	}
	if r.Protocol != ProtocolNone {
		w.add("proto %s", r.Protocol)
	}
	if len(r.NextHops) > 1 {
		for _, hop := range r.NextHops {
			w.add("nexthop")
			hop.words(&w, true)
		}
	}
	return w.String()
}

func (h NextHop) words(w *words, several bool) {
	if h.Gateway.IsValid() {
		w.add("via %s", h.Gateway)
	}
	if h.Link != "" {
		w.add("dev %s", h.Link)
	}
	if several {
		w.add("weight %d", max(h.Weight, 1))
	}
	w.flag("onlink", h.OnLink)
}

// realms are written as iproute2 does: from/to, or to alone.
func realms(r uint32) string {
	if r>>16 == 0 {
		return strconv.Itoa(int(r))
	}
	return fmt.Sprintf("%d/%d", r>>16, r&0xffff)
}
