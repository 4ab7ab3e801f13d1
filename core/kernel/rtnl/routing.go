package rtnl

import (
	"context"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// RoutingMonitor keeps a RoutingView of halo's routes and rules up to date.
//
// Unlike a Monitor it never trusts a notification further than to look for
// itself. The kernel is silent about IPv4 routes that go with a link or with a
// source address, and tells of IPv6 routes one way at a time; a dump of the few
// routes that carry a mark is cheap and right.
type RoutingMonitor struct {
	feed
	*stream[RoutingView, RoutingEvent]
	protocols []inet.Protocol
	view      RoutingView
	ids       map[inet.RouteID]bool // of the routes in view
	doubt     bool
	changed   bool
	pending   []RoutingEvent
}

// RoutingView is the watched routes and rules at one time. It never changes.
type RoutingView struct {
	Routes []inet.Route
	Rules  []inet.Rule
	// Overruns is how many times notifications were lost and everything was
	// dumped again. Losses within a second of each other count once.
	Overruns uint64
}

// RoutingEvent is what became of a watched route or rule, whoever did it.
// Something that was removed and added again between two looks is no event.
//
//sumtype:decl
type RoutingEvent interface{ routingEvent() }

// RouteRemoved is a route that is not there any more.
type RouteRemoved struct{ Route inet.Route }

// RouteChanged is a route that has other attributes than before.
type RouteChanged struct{ Before, After inet.Route }

// RuleRemoved is a rule that is not there any more. A rule cannot change: with
// other attributes it is another one.
type RuleRemoved struct{ Rule inet.Rule }

func (RouteRemoved) routingEvent() {}
func (RouteChanged) routingEvent() {}
func (RuleRemoved) routingEvent()  {}

// RoutingSubscription is one subscriber's place in a RoutingMonitor's stream of
// views. A slow one skips views and delays nobody.
type RoutingSubscription = subscriber[RoutingView, RoutingEvent]

// WatchRouting prepares a RoutingMonitor for the calling thread's namespace. It
// watches the routes and rules that carry halo's mark or one of the others
// given. From here on no change is missed; Run delivers them.
func WatchRouting(others ...inet.Protocol) (*RoutingMonitor, error) {
	return watchRouting(receiveBuffer, others...)
}

func watchRouting(buffer int, others ...inet.Protocol) (*RoutingMonitor, error) {
	f, err := newFeed("routes and rules", buffer,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		return nil, err
	}
	protocols := []inet.Protocol{inet.ProtocolHalo}
	for _, p := range others {
		if p != inet.ProtocolNone && !slices.Contains(protocols, p) {
			protocols = append(protocols, p)
		}
	}
	return &RoutingMonitor{
		feed: f, stream: newStream[RoutingView, RoutingEvent](), protocols: protocols, changed: true,
	}, nil
}

// Run follows the kernel until ctx ends, and then returns nil. It survives
// lost notifications and interrupted dumps; it returns an error only when the
// socket itself is beyond use.
func (m *RoutingMonitor) Run(ctx context.Context) error { return m.run(ctx, routingFollower{m}) }

// routingFollower is the RoutingMonitor as its feed sees it.
type routingFollower struct{ *RoutingMonitor }

// apply looks at who a notification is about, which is all that it is good for.
func (m routingFollower) apply(h netlink.Header, body []byte) error {
	switch h.Type {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		m.doubt = m.doubt || m.concerns(h, body)
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		m.doubt = true
	case unix.RTM_DELADDR, unix.RTM_DELLINK, unix.RTM_NEWLINK:
		// Routes go silently with their link, or with the address that they
		// send from; a link that loses its carrier may take them as well.
		m.doubt = m.doubt || len(m.view.Routes) > 0
	}
	return nil
}

// concerns tells whether a message is about a watched route, or about one that
// took the place of a watched one.
func (m *RoutingMonitor) concerns(h netlink.Header, body []byte) bool {
	if len(body) < routeHeaderSize || body[0] != unix.AF_INET && body[0] != unix.AF_INET6 {
		return false
	}
	if slices.Contains(m.protocols, inet.Protocol(body[5])) {
		return true
	}
	if h.Flags&netlink.Replace == 0 {
		return false
	}
	r, _, err := parseRoute(body, func(int) string { return "" })
	return err != nil || m.ids[r.ID()]
}

func (m routingFollower) resync(s *socket) error {
	m.doubt = true // Until it has succeeded.
	names, err := s.linkNames()
	if err != nil {
		return err
	}
	fresh := RoutingView{Overruns: m.view.Overruns}
	for _, p := range m.protocols {
		routes, err := s.dumpRoutes(inet.RouteFilter{Protocol: p}, names)
		if err != nil {
			return err
		}
		fresh.Routes = append(fresh.Routes, routes...)
	}
	rules, err := s.dumpRules(inet.ProtocolNone)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if slices.Contains(m.protocols, r.Protocol) {
			fresh.Rules = append(fresh.Rules, r)
		}
	}
	m.doubt = false
	m.replace(fresh)
	return nil
}

// ownRouteID is a route's identity with its mark: in IPv4 two makers may have
// routes of one identity.
type ownRouteID struct {
	inet.RouteID
	inet.Protocol
}

func ownID(r inet.Route) ownRouteID { return ownRouteID{r.ID(), r.Protocol} }

// replace takes over what was found and notes what became of the old.
func (m *RoutingMonitor) replace(fresh RoutingView) {
	found := make(map[ownRouteID]inet.Route, len(fresh.Routes))
	m.ids = make(map[inet.RouteID]bool, len(fresh.Routes))
	for _, r := range fresh.Routes {
		m.ids[r.ID()] = true
		// The first one of an identity is the one in use.
		if _, ok := found[ownID(r)]; !ok {
			found[ownID(r)] = r
		}
	}
	for _, before := range m.view.Routes {
		after, ok := found[ownID(before)]
		switch {
		case !ok:
			m.pending = append(m.pending, RouteRemoved{before})
		case !sameRoute(before, after):
			m.pending = append(m.pending, RouteChanged{before, after})
		}
	}
	rules := make(map[inet.Rule]bool, len(fresh.Rules))
	for _, r := range fresh.Rules {
		rules[r] = true
	}
	for _, r := range m.view.Rules {
		if !rules[r] {
			m.pending = append(m.pending, RuleRemoved{r})
		}
	}
	if !slices.EqualFunc(m.view.Routes, fresh.Routes, sameRoute) || !slices.Equal(m.view.Rules, fresh.Rules) {
		m.changed = true
	}
	m.view = fresh
}

// sameRoute tells whether two routes that were found are alike in everything.
func sameRoute(a, b inet.Route) bool {
	hopsAlike := slices.Equal(a.NextHops, b.NextHops)
	a.NextHops, b.NextHops = nil, nil
	return hopsAlike && a.Satisfies(b) && b.Satisfies(a) && a.Protocol == b.Protocol
}

func (m routingFollower) overrun() {
	m.view.Overruns++
	m.changed = true
}

func (m routingFollower) doubtful() bool { return m.doubt }

func (m routingFollower) publish() {
	// Before the first dump nothing is known.
	if !m.changed || m.ids == nil {
		return
	}
	view := m.view
	m.stream.publish(&view, m.pending)
	m.pending, m.changed = nil, false
}
