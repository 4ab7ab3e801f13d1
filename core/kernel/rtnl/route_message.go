package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// featureECN is RTAX_FEATURE_ECN.
const featureECN = 1

// routeHeader is a struct rtmsg. Only small table numbers fit into it, so the
// attribute has the number.
func routeHeader(r inet.Route) []byte {
	header := make([]byte, routeHeaderSize)
	header[0] = family(r.Destination.Addr())
	header[1] = byte(r.Destination.Bits())
	if r.From.IsValid() {
		header[2] = byte(r.From.Bits())
	}
	header[3] = r.TOS
	header[4] = unix.RT_TABLE_UNSPEC
	header[5] = byte(r.ProtocolOrDefault())
	return header
}

// routeKey are the attributes that tell a route from others.
func routeKey(a *netlink.AttributeEncoder, id inet.RouteID) {
	if id.Destination.Bits() > 0 {
		a.Bytes(unix.RTA_DST, id.Destination.Addr().AsSlice())
	}
	if id.From.IsValid() {
		a.Bytes(unix.RTA_SRC, id.From.Addr().AsSlice())
	}
	a.Uint32(unix.RTA_TABLE, id.Table)
	if id.Metric != 0 {
		a.Uint32(unix.RTA_PRIORITY, id.Metric)
	}
}

// newRoute asks for a route whose links have the given indices.
func newRoute(r inet.Route, index func(link string) (int, error), flags netlink.HeaderFlags) request {
	if err := r.Check(); err != nil {
		return request{err: err}
	}
	header := routeHeader(r)
	header[6], header[7] = byte(r.ScopeOrDefault()), byte(r.Type)+unix.RTN_UNICAST
	var hops []byte
	var single inet.NextHop
	oif := 0
	var err error
	if len(r.NextHops) == 1 {
		if single = r.NextHops[0]; single.Link != "" {
			oif, err = index(single.Link)
		}
		if single.OnLink {
			binary.NativeEndian.PutUint32(header[8:], unix.RTNH_F_ONLINK)
		}
	} else {
		hops, err = multipath(r, index)
	}
	if err != nil {
		return request{err: err}
	}
	message, err := body(header, func(a *netlink.AttributeEncoder) {
		routeKey(a, r.ID())
		if r.Source.IsValid() {
			a.Bytes(unix.RTA_PREFSRC, r.Source.AsSlice())
		}
		gateway(a, r, single.Gateway)
		if oif != 0 {
			a.Uint32(unix.RTA_OIF, uint32(oif))
		}
		if len(hops) > 0 {
			a.Bytes(unix.RTA_MULTIPATH, hops)
		}
		if r.Realms != 0 {
			a.Uint32(unix.RTA_FLOW, r.Realms)
		}
		if r.Metrics != (inet.Metrics{}) {
			nested(a, unix.RTA_METRICS, func(m *netlink.AttributeEncoder) { routeMetrics(m, r.Metrics) })
		}
		if r.Preference != inet.PreferMedium {
			a.Uint8(unix.RTA_PREF, uint8(r.Preference))
		}
	})
	return request{kind: unix.RTM_NEWROUTE, flags: flags, body: message, err: err}
}

// gateway appends the next router: of the route's family, or an IPv6 one of an
// IPv4 route, which has its family written in front.
func gateway(a *netlink.AttributeEncoder, r inet.Route, via netip.Addr) {
	switch {
	case !via.IsValid():
	case via.Is4() == r.Is4():
		a.Bytes(unix.RTA_GATEWAY, via.AsSlice())
	default:
		a.Bytes(unix.RTA_VIA, append(binary.NativeEndian.AppendUint16(nil, unix.AF_INET6), via.AsSlice()...))
	}
}

// multipath is a list of struct rtnexthop with attributes.
func multipath(r inet.Route, index func(string) (int, error)) ([]byte, error) {
	var list []byte
	for _, hop := range r.NextHops {
		header := make([]byte, unix.SizeofRtNexthop)
		if hop.OnLink {
			header[2] = unix.RTNH_F_ONLINK
		}
		header[3] = byte(max(hop.Weight, 1) - 1)
		if hop.Link != "" {
			i, err := index(hop.Link)
			if err != nil {
				return nil, err
			}
			binary.NativeEndian.PutUint32(header[4:], uint32(i))
		}
		encoded, err := body(header, func(a *netlink.AttributeEncoder) { gateway(a, r, hop.Gateway) })
		if err != nil {
			return nil, err
		}
		binary.NativeEndian.PutUint16(encoded, uint16(len(encoded)))
		list = append(list, encoded...)
	}
	return list, nil
}

// metricNumbers are the metrics that are plain numbers, by the kernel's number.
func metricNumbers(m *inet.Metrics) map[uint16]*uint32 {
	return map[uint16]*uint32{
		unix.RTAX_MTU: &m.MTU, unix.RTAX_WINDOW: &m.Window, unix.RTAX_SSTHRESH: &m.SlowStartThreshold,
		unix.RTAX_CWND: &m.CongestionWindow, unix.RTAX_ADVMSS: &m.AdvMSS, unix.RTAX_REORDERING: &m.Reordering,
		unix.RTAX_HOPLIMIT: &m.HopLimit, unix.RTAX_INITCWND: &m.InitialCongestionWindow, unix.RTAX_INITRWND: &m.InitialReceiveWindow,
	}
}

// metricTime is a metric that is a time, and its unit.
type metricTime struct {
	value *time.Duration
	unit  time.Duration
}

func metricTimes(m *inet.Metrics) map[uint16]metricTime {
	return map[uint16]metricTime{
		unix.RTAX_RTT: {&m.RTT, inet.RTTUnit}, unix.RTAX_RTTVAR: {&m.RTTVar, inet.RTTVarUnit}, unix.RTAX_RTO_MIN: {&m.RTOMin, time.Millisecond},
	}
}

func routeMetrics(a *netlink.AttributeEncoder, m inet.Metrics) {
	for kind, value := range metricNumbers(&m) {
		if *value != 0 {
			a.Uint32(kind, *value)
		}
	}
	for kind, t := range metricTimes(&m) {
		if *t.value != 0 {
			a.Uint32(kind, uint32(*t.value/t.unit))
		}
	}
	if m.MTULocked {
		a.Uint32(unix.RTAX_LOCK, 1<<unix.RTAX_MTU)
	}
	if m.ECN {
		a.Uint32(unix.RTAX_FEATURES, featureECN)
	}
	if m.QuickACK {
		a.Uint32(unix.RTAX_QUICKACK, 1)
	}
	if m.FastOpenNoCookie {
		a.Uint32(unix.RTAX_FASTOPEN_NO_COOKIE, 1)
	}
	if m.CongestionControl != "" {
		a.String(unix.RTAX_CC_ALGO, m.CongestionControl)
	}
}

// delRoute names a route by its identity and its maker alone, which deletes it
// whole, whatever its next hops have become.
func delRoute(r inet.Route) request {
	if !r.Destination.IsValid() {
		return request{err: r.Check()}
	}
	header := routeHeader(r)
	header[6] = unix.RT_SCOPE_NOWHERE // Any scope.
	message, err := body(header, func(a *netlink.AttributeEncoder) { routeKey(a, r.ID()) })
	return request{kind: unix.RTM_DELROUTE, body: message, err: err}
}

// parseRoute reads a route message: struct rtmsg and attributes. A cloned route
// is not an entry of a table but the kernel's note of a decision.
func parseRoute(body []byte, name func(index int) string) (r inet.Route, cloned bool, err error) {
	if len(body) < routeHeaderSize {
		return inet.Route{}, false, fmt.Errorf("route message of %d bytes is too short", len(body))
	}
	kind, flags := body[7], uint32At(body, 8)
	if body[0] != unix.AF_INET && body[0] != unix.AF_INET6 || kind < unix.RTN_UNICAST {
		return inet.Route{}, false, fmt.Errorf("route message of family %d and type %d", body[0], kind)
	}
	attributes, err := netlink.NewAttributeDecoder(body[routeHeaderSize:])
	if err != nil {
		return inet.Route{}, false, fmt.Errorf("route message: %w", err)
	}
	r = inet.Route{
		Type: inet.RouteType(kind - unix.RTN_UNICAST), TOS: body[3], Table: uint32(body[4]), Protocol: inet.Protocol(body[5]),
	}
	everything := netip.IPv6Unspecified()
	if body[0] == unix.AF_INET {
		everything = netip.IPv4Unspecified()
		r.Scope = inet.Some(inet.Scope(body[6]))
	}
	destination, from := everything, netip.Addr{}
	hop := inet.NextHop{OnLink: flags&unix.RTNH_F_ONLINK != 0, Dead: flags&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN) != 0}
	for attributes.Next() {
		switch attributes.Type() {
		case unix.RTA_DST:
			destination = address(attributes.Bytes())
		case unix.RTA_SRC:
			from = address(attributes.Bytes())
		case unix.RTA_TABLE:
			r.Table = attributes.Uint32()
		case unix.RTA_PRIORITY:
			r.Metric = attributes.Uint32()
		case unix.RTA_PREFSRC:
			r.Source = address(attributes.Bytes())
		case unix.RTA_GATEWAY, unix.RTA_VIA:
			hop.Gateway = parseGateway(attributes)
		case unix.RTA_OIF:
			hop.Link = name(int(int32(attributes.Uint32())))
		case unix.RTA_MULTIPATH:
			r.NextHops, err = parseMultipath(attributes.Bytes(), name)
		case unix.RTA_FLOW:
			r.Realms = attributes.Uint32()
		case unix.RTA_PREF:
			r.Preference = inet.Preference(attributes.Uint8())
		case unix.RTA_METRICS:
			attributes.Nested(func(m *netlink.AttributeDecoder) error {
				parseMetrics(m, &r.Metrics)
				return nil
			})
		}
	}
	if err == nil {
		err = attributes.Err()
	}
	if err != nil {
		return inet.Route{}, false, fmt.Errorf("route message: %w", err)
	}
	r.Destination = netip.PrefixFrom(destination, int(body[1]))
	if from.IsValid() {
		r.From = netip.PrefixFrom(from, int(body[2]))
	}
	if !r.Destination.IsValid() || destination.Is4() != everything.Is4() {
		return inet.Route{}, false, fmt.Errorf("route message has no destination of family %d", body[0])
	}
	if len(r.NextHops) == 0 && (hop.Link != "" || hop.Gateway.IsValid()) {
		r.NextHops = []inet.NextHop{hop}
	}
	return r, flags&unix.RTM_F_CLONED != 0, nil
}

func parseGateway(attributes *netlink.AttributeDecoder) netip.Addr {
	b := attributes.Bytes()
	if attributes.Type() == unix.RTA_VIA && len(b) > 2 {
		b = b[2:]
	}
	return address(b)
}

func parseMultipath(list []byte, name func(int) string) ([]inet.NextHop, error) {
	var hops []inet.NextHop
	for len(list) >= unix.SizeofRtNexthop {
		length := int(binary.NativeEndian.Uint16(list))
		if length < unix.SizeofRtNexthop || length > len(list) {
			return nil, fmt.Errorf("next hop says it has %d of %d bytes", length, len(list))
		}
		hop := inet.NextHop{
			Link: name(int(int32(uint32At(list, 4)))), Weight: int(list[3]) + 1,
			OnLink: list[2]&unix.RTNH_F_ONLINK != 0, Dead: list[2]&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN) != 0,
		}
		attributes, err := netlink.NewAttributeDecoder(list[unix.SizeofRtNexthop:length])
		if err != nil {
			return nil, err
		}
		for attributes.Next() {
			if t := attributes.Type(); t == unix.RTA_GATEWAY || t == unix.RTA_VIA {
				hop.Gateway = parseGateway(attributes)
			}
		}
		if err := attributes.Err(); err != nil {
			return nil, err
		}
		hops = append(hops, hop)
		list = list[min(len(list), (length+alignment-1)&^(alignment-1)):]
	}
	return hops, nil
}

func parseMetrics(attributes *netlink.AttributeDecoder, m *inet.Metrics) {
	numbers, times := metricNumbers(m), metricTimes(m)
	for attributes.Next() {
		kind := attributes.Type()
		if value, ok := numbers[kind]; ok {
			*value = attributes.Uint32()
			continue
		}
		if t, ok := times[kind]; ok {
			*t.value = time.Duration(attributes.Uint32()) * t.unit
			continue
		}
		switch kind {
		case unix.RTAX_LOCK:
			m.MTULocked = attributes.Uint32()&(1<<unix.RTAX_MTU) != 0
		case unix.RTAX_FEATURES:
			m.ECN = attributes.Uint32()&featureECN != 0
		case unix.RTAX_QUICKACK:
			m.QuickACK = attributes.Uint32() != 0
		case unix.RTAX_FASTOPEN_NO_COOKIE:
			m.FastOpenNoCookie = attributes.Uint32() != 0
		case unix.RTAX_CC_ALGO:
			m.CongestionControl = attributes.String()
		}
	}
}
