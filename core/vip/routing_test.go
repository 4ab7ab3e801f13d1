package vip

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// A route that sends from the virtual address, and a rule.
var (
	vroute = inet.Route{
		Destination: netip.MustParsePrefix("203.0.113.0/24"), Source: netip.MustParseAddr("192.0.2.10"),
		NextHops: []inet.NextHop{{Gateway: netip.MustParseAddr("192.0.2.254"), Link: "eth0"}},
	}
	vrule = inet.Rule{Priority: 100, From: netip.MustParsePrefix("192.0.2.10/32"), Table: 7}
)

const (
	routeLine   = "route 203.0.113.0/24 via 192.0.2.254 dev eth0 src 192.0.2.10 proto halo"
	ruleLine    = "rule priority 100 from 192.0.2.10/32 lookup 7 proto halo"
	routeName   = "route 203.0.113.0/24 via 192.0.2.254 dev eth0 src 192.0.2.10"
	ruleName    = "rule priority 100 from 192.0.2.10/32 lookup 7"
	vip1Changed = "address eth0 192.0.2.10/24 label eth0:1"
)

// routed is an instance with an address, a route and a rule.
func routed(isRequired bool) Instance {
	return Instance{
		Name: "VI_1", Interface: "eth0", Addresses: plain("192.0.2.10/24"), Repeat: 2,
		Routes: []Route{{vroute, isRequired}}, Rules: []Rule{{vrule, isRequired}},
	}
}

// holdRouted has VI_1 hold what routed says, with nothing recorded so far.
func holdRouted(b *bench, isRequired bool) {
	b.Helper()
	b.Set(routed(isRequired))
	b.Release("VI_1")
	b.settle()
	b.Acquire("VI_1")
	b.settle()
	b.want(eth0, own, vip1, routeLine, ruleLine)
	b.wantEvents()
	b.kernel.Forget()
}

func TestRoutesAndRulesFollowTheAddressesAndGoBeforeThem(t *testing.T) {
	run(t, func(b *bench) {
		b.Set(routed(false))
		b.Release("VI_1")
		b.settle()
		b.wantJournal()
		b.Acquire("VI_1")
		b.settle()
		b.want(eth0, own, vip1, routeLine, ruleLine)
		b.wantJournal("put eth0 192.0.2.10/24", "put route 203.0.113.0/24 via 192.0.2.254 dev eth0 src 192.0.2.10 proto halo",
			"put rule priority 100 from 192.0.2.10/32 lookup 7 proto halo")
		s := b.Snapshot()["VI_1"]
		if len(s.Routes) != 1 || !s.Routes[0].Present || s.Routes[0].Route.Destination != vroute.Destination ||
			len(s.Rules) != 1 || !s.Rules[0].Present || s.Rules[0].Rule.Priority != 100 {
			b.Errorf("status %+v", s)
		}
		b.Release("VI_1")
		b.settle()
		b.want(eth0, own)
		b.wantJournal("delete rule priority 100 from 192.0.2.10/32 lookup 7 proto halo",
			"delete route 203.0.113.0/24 via 192.0.2.254 dev eth0 src 192.0.2.10 proto halo", "delete eth0 192.0.2.10/24")
		b.Acquire("VI_1")
		b.settle()
		b.end()
		b.want(eth0, own)
		b.wantEvents()
		if logs := b.logs.take(); logs != "" {
			b.Errorf("ordinary work was logged:\n%s", logs)
		}
	})
}

func TestRoutesAndRulesThatOthersRemoveAreRestored(t *testing.T) {
	for name, row := range map[string]struct {
		hand  func(*kerneltest.Kernel)
		event string
	}{
		"route": {func(k *kerneltest.Kernel) { k.DropRoutes(vroute) }, "drift VI_1 removed [" + routeName + "] <nil>"},
		"rule":  {func(k *kerneltest.Kernel) { k.DropRules(vrule) }, "drift VI_1 removed [" + ruleName + "] <nil>"},
		// Who takes the address takes the route that sends from it.
		"address": {
			func(k *kerneltest.Kernel) { k.Take("eth0", "192.0.2.10/24") },
			"drift VI_1 removed [192.0.2.10/24] <nil>\ndrift VI_1 removed [" + routeName + "] <nil>",
		},
		"route changed": {
			func(k *kerneltest.Kernel) {
				k.DropRoutes(vroute)
				other := vroute
				other.Source, other.Protocol = netip.Addr{}, inet.ProtocolHalo
				k.PlaceRoutes(other)
			},
			"drift VI_1 changed [" + routeName + "] <nil>",
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				holdRouted(b, false)
				row.hand(b.kernel)
				b.settle()
				b.kernel.Forget()
				b.want(eth0, own, vip1, routeLine, ruleLine)
				b.wantEvents(row.event)
				if s := b.Snapshot()["VI_1"]; s.Lost || s.Error != "" {
					b.Errorf("status %+v", s)
				}
			})
		})
	}
}

func TestChangedAttributesOfAnAddressArePutRight(t *testing.T) {
	labelled := Address{Address: inet.Address{Prefix: netip.MustParsePrefix("192.0.2.10/24"), Label: "eth0:1"}}
	altered := labelled.Address
	altered.Label = "eth0:2"
	run(t, func(b *bench) {
		b.Set(Instance{Name: "VI_1", Interface: "eth0", Addresses: []Address{labelled}})
		b.Acquire("VI_1")
		b.settle()
		b.want(eth0, own, vip1Changed)
		b.kernel.Alter("eth0", altered)
		b.settle()
		b.want(eth0, own, vip1Changed)
		b.wantEvents("drift VI_1 changed [192.0.2.10/24] <nil>")
		if s := b.Snapshot()["VI_1"].Addresses[0]; s.Restores != 1 || !s.Present {
			b.Errorf("status %+v", s)
		}
		// By a reload it is no drift.
		b.kernel.Forget()
		b.instance("VI_1", "192.0.2.10/24")
		b.settle()
		b.want(eth0, own, vip1, "announced eth0 192.0.2.10 x2")
		b.wantEvents()
	})
	t.Run("unless it is somebody else's", func(t *testing.T) {
		run(t, func(b *bench) {
			b.kernel.Put("eth0", "192.0.2.10/24")
			b.Set(Instance{Name: "VI_1", Interface: "eth0", Addresses: []Address{labelled}, AddressOwner: true})
			b.Acquire("VI_1")
			time.Sleep(time.Minute)
			b.want(eth0, own, vip1)
			b.wantJournal()
			b.wantEvents()
		})
	})
}

func TestARouteThatCannotBeKept(t *testing.T) {
	t.Run("costs nothing", func(t *testing.T) {
		run(t, func(b *bench) {
			b.Set(routed(false))
			b.kernel.Fail(kerneltest.CallPutRoutes, -1, errRefused)
			b.Acquire("VI_1")
			b.Announce("VI_1", Burst{Repeat: 1})
			time.Sleep(time.Hour)
			b.want(eth0, own, vip1, ruleLine, "announced eth0 192.0.2.10 x1")
			b.wantEvents()
			if s := b.Snapshot()["VI_1"]; s.Lost || !strings.Contains(s.Error, "refused") || s.Routes[0].Present || !s.Rules[0].Present {
				b.Errorf("status %+v", s)
			}
			if n := strings.Count(b.logs.take(), "cannot keep what is optional"); n != 1 {
				b.Errorf("logged %d times, want once", n)
			}
			b.kernel.Fail(kerneltest.CallPutRoutes, 0, nil)
			time.Sleep(optionalPauseMax)
			b.kernel.Forget()
			b.want(eth0, own, vip1, routeLine, ruleLine)
			if s := b.Snapshot()["VI_1"]; s.Error != "" {
				b.Errorf("status %+v", s)
			}
		})
	})
	t.Run("costs everything where it is required", func(t *testing.T) {
		run(t, func(b *bench) {
			b.Set(routed(true))
			b.kernel.Fail(kerneltest.CallPutRoutes, -1, errRefused)
			b.Acquire("VI_1")
			time.Sleep(time.Second)
			b.wantEvents("lost VI_1: put routes: refused")
			b.kernel.Fail(kerneltest.CallPutRoutes, 0, nil)
			time.Sleep(holdDown)
			b.wantEvents("restored VI_1")
		})
	})
	t.Run("since somebody else has it", func(t *testing.T) {
		run(t, func(b *bench) {
			foreign := vroute
			foreign.Source, foreign.Protocol = netip.Addr{}, inet.ProtocolStatic
			b.kernel.PlaceRoutes(foreign)
			b.Set(routed(false))
			b.Acquire("VI_1")
			time.Sleep(time.Minute)
			b.want(eth0, own, vip1, "route 203.0.113.0/24 via 192.0.2.254 dev eth0 proto static", ruleLine)
			if s := b.Snapshot()["VI_1"]; !strings.Contains(s.Error, "file exists") {
				b.Errorf("status %+v", s)
			}
			b.Release("VI_1")
			b.settle()
			b.want(eth0, own, "route 203.0.113.0/24 via 192.0.2.254 dev eth0 proto static")
		})
	})
	t.Run("is left alone for a while where it is fought over", func(t *testing.T) {
		run(t, func(b *bench) {
			holdRouted(b, false)
			for range restoreLimit {
				b.kernel.DropRoutes(vroute)
				time.Sleep(time.Second)
			}
			repaired := "drift VI_1 removed [" + routeName + "] <nil>"
			b.wantEvents(repaired, repaired, repaired, repaired,
				"drift VI_1 removed ["+routeName+"] routes were removed 5 times within 10s, last ["+routeName+"]: left alone for 30s")
			b.want(eth0, own, vip1, ruleLine)
			time.Sleep(truce)
			b.want(eth0, own, vip1, routeLine, ruleLine)
			// The address has been there all the time.
			b.wantJournal(strings.Split(strings.Repeat("\nput "+routeLine, restoreLimit)[1:], "\n")...)
		})
	})
	t.Run("is given up where it is fought over and required", func(t *testing.T) {
		run(t, func(b *bench) {
			holdRouted(b, true)
			for range restoreLimit {
				b.kernel.DropRoutes(vroute)
				time.Sleep(time.Second)
			}
			if events := b.events.take(); !strings.Contains(events, "lost VI_1: routes were removed 5 times within 10s") {
				b.Errorf("observer heard %s", events)
			}
		})
	})
}

// A link that is missing or down is nobody's fault.
func TestARouteWaitsForItsLink(t *testing.T) {
	for _, isRequired := range []bool{false, true} {
		t.Run(fmt.Sprintf("required %v", isRequired), func(t *testing.T) {
			run(t, func(b *bench) {
				instance := routed(isRequired)
				instance.Routes[0].Source = netip.Addr{}
				instance.Routes[0].NextHops = []inet.NextHop{{Link: "eth1"}}
				b.Set(instance)
				b.Acquire("VI_1")
				time.Sleep(time.Minute + missingPause/2)
				b.want(eth0, own, vip1, ruleLine)
				if s := b.Snapshot()["VI_1"]; s.Lost || !strings.Contains(s.Error, syscall.ENODEV.Error()) {
					b.Errorf("status %+v", s)
				}
				b.kernel.AddLink("eth1")
				b.kernel.SetLink("eth1", false)
				time.Sleep(time.Minute + missingPause/2)
				if s := b.Snapshot()["VI_1"]; s.Lost || !strings.Contains(s.Error, syscall.ENETDOWN.Error()) {
					b.Errorf("status %+v", s)
				}
				b.kernel.SetLink("eth1", true)
				time.Sleep(missingPause)
				b.settle()
				b.want(eth0, own, vip1, "link eth1 3 up", "route 203.0.113.0/24 dev eth1 proto halo", ruleLine)
				b.wantEvents()
				// Made again many times, it costs nothing either.
				for range 2 * restoreLimit {
					b.kernel.DelLink("eth1")
					b.settle()
					b.kernel.AddLink("eth1")
					time.Sleep(missingPause)
					b.settle()
				}
				events := b.events.take()
				if n := strings.Count(events, "drift VI_1 interface_recreated [route 203.0.113.0/24 dev eth1] <nil>"); n != 2*restoreLimit || strings.Contains(events, "lost") {
					b.Errorf("observer heard\n%s", events)
				}
			})
		})
	}
}

func TestInterfaceRecreatedUnderRoutesAndRules(t *testing.T) {
	run(t, func(b *bench) {
		holdRouted(b, true)
		for range 20 {
			b.kernel.DelLink("eth0")
			b.settle()
			b.kernel.AddLink("eth0", "192.0.2.1/24")
			time.Sleep(missingPause)
			b.settle()
			if got := b.kernel.String(); !strings.Contains(got, vip1) || !strings.Contains(got, routeLine) {
				b.Fatalf("kernel is\n%s", got)
			}
		}
		if events := b.events.take(); strings.Contains(events, "lost") || strings.Contains(events, " removed ") {
			b.Errorf("observer heard\n%s", events)
		}
	})
}

func TestLeftOverRoutesAndRules(t *testing.T) {
	left := func(b *bench) {
		b.kernel.PutMarked("eth0", "192.0.2.10/24")
		r, u := vroute, vrule
		r.Protocol, u.Protocol = inet.ProtocolHalo, inet.ProtocolHalo
		b.kernel.PlaceRoutes(r)
		b.kernel.PlaceRules(u)
	}
	t.Run("are adopted by an active instance", func(t *testing.T) {
		run(t, func(b *bench) {
			left(b)
			b.Set(routed(false))
			b.Acquire("VI_1")
			b.settle()
			b.want(eth0, own, vip1, routeLine, ruleLine)
			b.wantJournal()
			b.wantEvents()
		})
	})
	t.Run("are removed by any other", func(t *testing.T) {
		run(t, func(b *bench) {
			left(b)
			b.Set(routed(false))
			b.Release("VI_1")
			b.settle()
			b.want(eth0, own)
			b.wantEvents("drift VI_1 left_over [192.0.2.10/24 " + routeName + " " + ruleName + "] <nil>")
			r := vroute
			r.Protocol, r.Source = inet.ProtocolHalo, netip.Addr{}
			b.kernel.PlaceRoutes(r)
			b.settle()
			b.want(eth0, own)
			b.wantEvents("drift VI_1 appeared [" + routeName + "] <nil>")
		})
	})
	t.Run("of nobody are swept", func(t *testing.T) {
		run(t, func(b *bench) {
			left(b)
			b.kernel.PutMarked("eth0", "192.0.2.11/24")
			foreign := vrule
			foreign.Priority, foreign.Protocol = 200, inet.ProtocolBoot
			b.kernel.PlaceRules(foreign)
			b.instance("VI_1", "192.0.2.11/24")
			b.settle()
			if err := b.Sweep(); err != nil {
				b.Error(err)
			}
			b.want(eth0, own, vip2, "rule priority 200 from 192.0.2.10/32 lookup 7 proto boot")
			b.wantEvents("drift  left_over [192.0.2.10/24 on eth0 " + routeName + " " + ruleName + "] <nil>")
			if err := b.Sweep(); err != nil {
				b.Error(err)
			}
			b.wantEvents()
			left(b)
			b.settle()
			b.kernel.Fail(kerneltest.CallDelete, 1, errRefused)
			if err := b.Sweep(); err == nil {
				b.Error("a refusal is no error")
			}
			b.want(eth0, own, vip1, vip2, "rule priority 200 from 192.0.2.10/32 lookup 7 proto boot")
		})
	})
}

func TestReloadOfRoutesAndRules(t *testing.T) {
	run(t, func(b *bench) {
		holdRouted(b, false)
		next := routed(false)
		next.Routes[0].Metric = 5
		next.Rules[0].Table = 8
		b.Set(next)
		b.settle()
		b.want(eth0, own, vip1, "route 203.0.113.0/24 via 192.0.2.254 dev eth0 metric 5 src 192.0.2.10 proto halo",
			"rule priority 100 from 192.0.2.10/32 lookup 8 proto halo")
		// What keeps its identity is changed in place.
		b.kernel.Forget()
		next = routed(false)
		next.Routes[0].Metric, next.Routes[0].Source = 5, netip.Addr{}
		next.Rules = nil
		b.Set(next)
		b.settle()
		b.want(eth0, own, vip1, "route 203.0.113.0/24 via 192.0.2.254 dev eth0 metric 5 proto halo")
		b.wantJournal("delete rule priority 100 from 192.0.2.10/32 lookup 8 proto halo",
			"put route 203.0.113.0/24 via 192.0.2.254 dev eth0 metric 5 proto halo")
		// Removed with the address that it sends from, it goes first.
		b.kernel.Forget()
		b.Set(Instance{Name: "VI_1", Interface: "eth0"})
		b.settle()
		b.want(eth0, own)
		b.wantJournal("delete route 203.0.113.0/24 via 192.0.2.254 dev eth0 metric 5 proto halo", "delete eth0 192.0.2.10/24")
		b.wantEvents()
	})
}

func TestRouteThatCannotBeDeletedHoldsUpNothingElse(t *testing.T) {
	run(t, func(b *bench) {
		b.Set(routed(false))
		b.Acquire("VI_1")
		b.settle()
		b.kernel.Fail(kerneltest.CallDeleteRules, 3, errRefused)
		b.Release("VI_1")
		b.settle()
		b.want(eth0, own, ruleLine)
		time.Sleep(time.Second)
		b.want(eth0, own)
	})
}

func TestReadingRoutesFails(t *testing.T) {
	run(t, func(b *bench) {
		b.Set(routed(true))
		b.kernel.Fail(kerneltest.CallListRoutes, -1, errRefused)
		b.kernel.Fail(kerneltest.CallListRules, -1, errRefused)
		b.Acquire("VI_1")
		time.Sleep(time.Minute)
		b.want(eth0, own, vip1, routeLine, ruleLine)
		if s := b.Snapshot()["VI_1"]; s.Lost || !strings.Contains(s.Error, "refused") {
			b.Errorf("status %+v", s)
		}
		b.Release("VI_1")
		b.settle()
		b.want(eth0, own)
		b.wantEvents()
	})
}

func TestSharedRoutesAndRules(t *testing.T) {
	run(t, func(b *bench) {
		first, second := routed(false), routed(false)
		first.Routes[0].Source = netip.Addr{}
		second.Routes[0].Source = netip.Addr{}
		second.Name, second.Addresses = "VI_2", plain("192.0.2.11/24")
		b.Set(first)
		b.Set(second)
		b.Acquire("VI_1")
		b.Acquire("VI_2")
		b.settle()
		b.Release("VI_1")
		b.settle()
		b.want(eth0, own, vip2, "route 203.0.113.0/24 via 192.0.2.254 dev eth0 proto halo", ruleLine)
		b.Release("VI_2")
		b.settle()
		b.want(eth0, own)
		b.wantEvents()
	})
}
