package rtnl

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// watchRoutingIn runs a routing monitor inside a namespace until the test ends.
func watchRoutingIn(t *testing.T, n *kerneltest.Namespace, buffer int, prepare func(*RoutingMonitor)) *RoutingMonitor {
	t.Helper()
	var m *RoutingMonitor
	if err := n.Do(func() (err error) { m, err = watchRouting(buffer, 77); return err }); err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(m)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("monitor ended with %v", err)
		}
	})
	return m
}

// routing is a view in words, a line each.
func routing(v *RoutingView) string {
	var lines []string
	for _, r := range v.Routes {
		r.Scope = inet.Optional[inet.Scope]{}
		lines = append(lines, r.String())
	}
	for _, r := range v.Rules {
		lines = append(lines, "rule "+r.String())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// awaitRouting waits for a view, and returns the events on the way to it.
func awaitRouting(t *testing.T, s *RoutingSubscription, want ...string) []string {
	t.Helper()
	slices.Sort(want)
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	var events []string
	for {
		select {
		case <-s.Changed():
			view, more := s.Next()
			for _, e := range more {
				switch e := e.(type) {
				case RouteRemoved:
					events = append(events, "removed "+e.Route.Destination.String())
				case RouteChanged:
					events = append(events, "changed "+e.Before.Destination.String())
				case RuleRemoved:
					events = append(events, fmt.Sprintf("removed rule %d", e.Rule.Priority))
				}
			}
			if routing(view) == strings.Join(want, "\n") {
				slices.Sort(events)
				return events
			}
		case <-timeout.C:
			view, _ := s.Next()
			t.Fatalf("view is\n%s, want\n%s", routing(view), strings.Join(want, "\n"))
		}
	}
}

func wantEvents(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

func (f *routingFixture) ip(args ...string) {
	f.t.Helper()
	if out, err := f.n.Output("ip", args...); err != nil {
		f.t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

// routingFixture has routes and rules of halo's, and somebody else's hand.
type routingFixture struct {
	t *testing.T
	n *kerneltest.Namespace
	h *Handle
}

const (
	line4    = "203.0.113.0/24 via 192.0.2.254 dev eth0 table 254 proto halo"
	line6    = "2001:db8:5::/48 via 2001:db8::254 dev eth0 table 254 metric 1024 proto halo"
	lineSrc  = "203.0.114.0/24 via 198.51.100.254 dev eth1 table 254 src 192.0.2.1 proto halo"
	lineRule = "rule priority 100 from 192.0.2.0/24 lookup 100 proto halo"
)

func newRoutingFixture(t *testing.T) *routingFixture {
	t.Helper()
	kerneltest.RequireTool(t, "ip")
	n := routed(t)
	return &routingFixture{t, n, openIn(t, n)}
}

func (f *routingFixture) put() {
	f.t.Helper()
	if err := f.h.PutRoutes([]inet.Route{
		{Destination: prefix("203.0.113.0/24"), NextHops: []inet.NextHop{{Gateway: addr("192.0.2.254")}}},
		{Destination: prefix("2001:db8:5::/48"), NextHops: []inet.NextHop{{Gateway: addr("2001:db8::254")}}},
		{Destination: prefix("203.0.114.0/24"), NextHops: []inet.NextHop{{Gateway: addr("198.51.100.254")}}, Source: addr("192.0.2.1")},
	}); err != nil {
		f.t.Fatal(err)
	}
	if err := f.h.PutRules([]inet.Rule{{Priority: 100, From: prefix("192.0.2.0/24"), Table: 100}}); err != nil {
		f.t.Fatal(err)
	}
}

func TestRoutingMonitorFollowsTheKernel(t *testing.T) {
	f := newRoutingFixture(t)
	f.ip("route", "add", "10.0.0.0/8", "via", "192.0.2.9", "proto", "77")
	s := watchRoutingIn(t, f.n, receiveBuffer, nil).Subscribe()
	const watched = "10.0.0.0/8 via 192.0.2.9 dev eth0 table 254 proto 77"
	wantEvents(t, awaitRouting(t, s, watched))
	f.put()
	wantEvents(t, awaitRouting(t, s, line4, line6, lineSrc, lineRule, watched))

	f.ip("route", "del", "203.0.113.0/24")
	wantEvents(t, awaitRouting(t, s, line6, lineSrc, lineRule, watched), "removed 203.0.113.0/24")
	f.ip("rule", "del", "pref", "100")
	wantEvents(t, awaitRouting(t, s, line6, lineSrc, watched), "removed rule 100")
	f.ip("-6", "route", "del", "2001:db8:5::/48")
	wantEvents(t, awaitRouting(t, s, lineSrc, watched), "removed 2001:db8:5::/48")
	f.put()
	wantEvents(t, awaitRouting(t, s, line4, line6, lineSrc, lineRule, watched))

	f.ip("route", "replace", "203.0.113.0/24", "via", "192.0.2.7", "proto", "104")
	wantEvents(t, awaitRouting(t, s, strings.Replace(line4, "254", "7", 1), line6, lineSrc, lineRule, watched), "changed 203.0.113.0/24")
	// Taken over by somebody else.
	f.ip("route", "replace", "203.0.113.0/24", "via", "192.0.2.8", "proto", "static")
	wantEvents(t, awaitRouting(t, s, line6, lineSrc, lineRule, watched), "removed 203.0.113.0/24")
	f.ip("route", "del", "10.0.0.0/8")
	wantEvents(t, awaitRouting(t, s, line6, lineSrc, lineRule), "removed 10.0.0.0/8")
}

// The kernel tells nobody of IPv4 routes that go with a source address or with
// a link.
func TestRoutingMonitorNoticesWhatTheKernelDoesNotTell(t *testing.T) {
	f := newRoutingFixture(t)
	s := watchRoutingIn(t, f.n, receiveBuffer, nil).Subscribe()
	f.put()
	awaitRouting(t, s, line4, line6, lineSrc, lineRule)
	f.n.DelAddress("eth0", "192.0.2.1/24")
	wantEvents(t, awaitRouting(t, s, line6, lineRule), "removed 203.0.113.0/24", "removed 203.0.114.0/24")
	f.n.AddAddress("eth0", "192.0.2.1/24")
	f.put()
	awaitRouting(t, s, line4, line6, lineSrc, lineRule)
	f.n.SetDown("eth1")
	wantEvents(t, awaitRouting(t, s, line4, line6, lineRule), "removed 203.0.114.0/24")
	f.n.DeleteLink("eth0")
	wantEvents(t, awaitRouting(t, s, lineRule), "removed 2001:db8:5::/48", "removed 203.0.113.0/24")
}

// Next hops of an IPv6 route come and go one by one.
func TestRoutingMonitorSeesAWayOfAnIPv6RouteGo(t *testing.T) {
	f := newRoutingFixture(t)
	s := watchRoutingIn(t, f.n, receiveBuffer, nil).Subscribe()
	if err := f.h.PutRoutes([]inet.Route{{Destination: prefix("2001:db8:5::/48"), NextHops: []inet.NextHop{{Gateway: addr("2001:db8::254")}, {Gateway: addr("2001:db8:1::254")}}}}); err != nil {
		t.Fatal(err)
	}
	awaitRouting(t, s, "2001:db8:5::/48 table 254 metric 1024 proto halo nexthop via 2001:db8::254 dev eth0 weight 1 nexthop via 2001:db8:1::254 dev eth1 weight 1")
	f.ip("-6", "route", "del", "2001:db8:5::/48", "via", "2001:db8:1::254")
	wantEvents(t, awaitRouting(t, s, line6), "changed 2001:db8:5::/48")
}

// The queue is too small for the storm, so most notifications are lost.
func TestRoutingMonitorSurvivesOverrun(t *testing.T) {
	f := newRoutingFixture(t)
	f.put()
	m := watchRoutingIn(t, f.n, 4096, nil)
	s := m.Subscribe()
	awaitRouting(t, s, line4, line6, lineSrc, lineRule)
	var storm []inet.Route
	for _, p := range many(3000, 32) {
		storm = append(storm, inet.Route{Destination: p, NextHops: []inet.NextHop{{Link: "eth1"}}, Protocol: inet.ProtocolBIRD})
	}
	// A fast reader may keep up with a storm.
	for deadline := time.Now().Add(patience); m.View().Overruns == 0; {
		if time.Now().After(deadline) {
			t.Fatal("no overrun was noticed, so nothing was tested")
		}
		if err := f.h.PutRoutes(storm); err != nil {
			t.Fatal(err)
		}
		if err := f.h.DelRoutes(storm); err != nil {
			t.Fatal(err)
		}
	}
	f.ip("route", "del", "203.0.113.0/24")
	wantEvents(t, awaitRouting(t, s, line6, lineSrc, lineRule), "removed 203.0.113.0/24")
	f.put()
	for routing(m.View()) != strings.Join([]string{line6, line4, lineSrc, lineRule}, "\n") {
		select {
		case <-s.Changed():
			s.Next()
		case <-time.After(patience):
			t.Fatalf("after the storm:\n%s", routing(m.View()))
		}
	}
}

// Should a notification ever be missing without a word, the audit finds out.
func TestRoutingMonitorAudits(t *testing.T) {
	f := newRoutingFixture(t)
	m := watchRoutingIn(t, f.n, receiveBuffer, func(m *RoutingMonitor) {
		m.audit = 10 * time.Millisecond
		for _, group := range []uint32{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE} {
			if err := m.events.conn.LeaveGroup(group); err != nil {
				t.Fatal(err)
			}
		}
	})
	s := m.Subscribe()
	awaitRouting(t, s)
	f.put()
	awaitRouting(t, s, line4, line6, lineSrc, lineRule)
}

func TestRoutingMonitorRunReportsAClosedSocket(t *testing.T) {
	m, err := WatchRouting(inet.ProtocolNone, inet.ProtocolHalo)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.protocols) != 1 {
		t.Errorf("watches %v, want halo's alone", m.protocols)
	}
	if err := m.events.close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "watch routes and rules") {
		t.Errorf("Run on a closed socket: %v, want an error", err)
	}
}
