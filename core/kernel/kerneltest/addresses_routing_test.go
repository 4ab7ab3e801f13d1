package kerneltest_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
	"github.com/halo-ha/halo/core/vip"
)

// The owner of the addresses with everything that an instance may have, over the
// real edges in a namespace.

// ways are routes and rules of an instance, of both families, with some of what
// the kernel is silent about.
func ways() ([]vip.Route, []vip.Rule) {
	via := func(gateway, link string) []inet.NextHop {
		hop := inet.NextHop{Link: link}
		if gateway != "" {
			hop.Gateway = netip.MustParseAddr(gateway)
		}
		return []inet.NextHop{hop}
	}
	routes := []vip.Route{
		{Route: inet.Route{
			Destination: netip.MustParsePrefix("203.0.113.0/24"), NextHops: via("192.0.2.254", "eth0"),
			Source: netip.MustParseAddr("192.0.2.10"), Metric: 7,
		}},
		{Route: inet.Route{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHops: via("192.0.2.254", ""), Table: 100}},
		{Route: inet.Route{Destination: netip.MustParsePrefix("198.51.100.0/24"), Type: inet.Blackhole}},
		{Route: inet.Route{Destination: netip.MustParsePrefix("2001:db8:1::/48"), NextHops: via("2001:db8::fe", "eth0")}},
	}
	rules := []vip.Rule{
		{Rule: inet.Rule{Priority: 100, From: netip.MustParsePrefix("192.0.2.10/32"), Table: 100}},
		{Rule: inet.Rule{Priority: 101, IPv6: true, From: netip.MustParsePrefix("2001:db8::10/128"), Table: 100}},
	}
	return routes, rules
}

// everything is an instance that has some of all.
func everything() vip.Instance {
	i := vip.Instance{
		Name: "VI_1", Interface: "eth0", Repeat: 3,
		Addresses: []vip.Address{{Address: inet.Address{Prefix: netip.MustParsePrefix("192.0.2.10/24"), Label: "eth0:vip", Broadcast: netip.MustParseAddr("192.0.2.255")}}},
		Excluded: []vip.Address{
			{Address: inet.Address{Prefix: netip.MustParsePrefix("2001:db8::10/64")}},
			{Address: inet.Address{Prefix: netip.MustParsePrefix("2001:db8::11/128"), Deprecated: true}},
			{Address: inet.Address{Prefix: netip.MustParsePrefix("198.51.100.10/32")}, Interface: "eth1"},
		},
	}
	i.Routes, i.Rules = ways()
	return i
}

// inspector reads and changes a namespace as somebody else.
type inspector struct {
	testing.TB
	*rtnl.Handle
}

func inspect(tb testing.TB, n *kerneltest.Namespace) inspector {
	tb.Helper()
	i := inspector{TB: tb}
	if err := n.Do(func() (err error) { i.Handle, err = rtnl.Open(); return err }); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = i.Close() })
	return i
}

// halos is everything that carries halo's mark, in words.
func (i inspector) halos() []string {
	i.Helper()
	var all []string
	links, err := i.Links()
	if err != nil {
		i.Fatal(err)
	}
	for _, l := range links {
		for _, a := range l.Addresses {
			if a.Protocol == inet.ProtocolHalo {
				all = append(all, a.String()+" on "+l.Name)
			}
		}
	}
	routes, err := i.Routes(inet.RouteFilter{Protocol: inet.ProtocolHalo})
	if err != nil {
		i.Fatal(err)
	}
	for _, r := range routes {
		all = append(all, r.String())
	}
	rules, err := i.Rules(inet.ProtocolHalo)
	if err != nil {
		i.Fatal(err)
	}
	for _, r := range rules {
		all = append(all, r.String())
	}
	slices.Sort(all)
	return all
}

// complete tells whether everything of the instance is there.
func (m *machine) complete() bool {
	s := m.Snapshot()["VI_1"]
	for _, a := range s.Addresses {
		if !a.Present {
			return false
		}
	}
	for _, r := range s.Routes {
		if !r.Present {
			return false
		}
	}
	for _, r := range s.Rules {
		if !r.Present {
			return false
		}
	}
	return s.Holding && len(s.Addresses) > 0
}

// afresh makes the instance hold everything as if for the first time: what has
// been repaired before does not count.
func (m *machine) afresh() {
	m.Helper()
	m.Release("VI_1")
	m.eventually("everything is released", func() bool { return !m.Snapshot()["VI_1"].Holding })
	m.Acquire("VI_1")
	m.eventually("everything is there", m.complete)
}

// crossroads is a machine on two cables, with addresses of its own.
func crossroads(tb testing.TB) (n, client *kerneltest.Namespace) {
	tb.Helper()
	s := kerneltest.NewSwitch(tb, "lan")
	n, client = kerneltest.NewNamespace(tb, "lb"), kerneltest.NewNamespace(tb, "client")
	s.Attach(n, "eth0", "192.0.2.1/24", "2001:db8::1/64")
	s.Attach(client, "eth0", "192.0.2.3/24", "2001:db8::3/64")
	other := kerneltest.NewNamespace(tb, "other")
	kerneltest.Veth(n, "eth1", other, "eth1")
	return n, client
}

func TestEverythingComesAndGoes(t *testing.T) {
	n, _ := crossroads(t)
	m, look := start(t, n), inspect(t, n)
	before := look.halos()
	m.Set(everything())
	m.Release("VI_1")
	for range 3 {
		m.Acquire("VI_1")
		m.Announce("VI_1", vip.Burst{Repeat: 2})
		m.eventually("everything is there", m.complete)
		want := []string{
			"192.0.2.10/24 brd 192.0.2.255 label eth0:vip on eth0", "2001:db8::10/64 on eth0", "2001:db8::11/128 preferred_lft 0 on eth0",
			"198.51.100.10/32 label eth1 on eth1",
		}
		got := look.halos()
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%q is not among %q", w, got)
			}
		}
		if len(got) != 4+4+2 {
			t.Errorf("there are %q", got)
		}
		m.Release("VI_1")
		// The kernel shows it before the snapshot does, which the next round reads.
		m.eventually("everything is gone", func() bool {
			return !m.Snapshot()["VI_1"].Holding && slices.Equal(look.halos(), before)
		})
	}
	m.Acquire("VI_1")
	m.eventually("everything is there", m.complete)
	m.end()
	if got := look.halos(); !slices.Equal(got, before) {
		t.Errorf("left: %q", got)
	}
	if len(m.events) != 0 {
		t.Errorf("observer heard %q, want nothing: all of this was halo's doing", <-m.events)
	}
}

func TestWhatOthersDoToRoutesAndRulesIsPutRight(t *testing.T) {
	n, _ := crossroads(t)
	m, look := start(t, n), inspect(t, n)
	m.Set(everything())
	m.Acquire("VI_1")
	m.eventually("everything is there", m.complete)
	want := look.halos()
	routes, rules := ways()
	do := func(what, event string, hand func() error) {
		t.Helper()
		m.afresh()
		if err := hand(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		m.event(event)
		m.eventually(what+" is put right", func() bool { return m.complete() && slices.Equal(look.halos(), want) })
	}
	for _, r := range routes {
		do("route deleted", "drift VI_1 removed <nil>", func() error { return look.DelRoutes([]inet.Route{r.Route}) })
	}
	for _, r := range rules {
		do("rule deleted", "drift VI_1 removed <nil>", func() error { return look.DelRules([]inet.Rule{r.Rule}) })
	}
	do("route changed", "drift VI_1 changed <nil>", func() error {
		changed := routes[0].Route
		changed.Metrics.MTU = 1400
		return look.PutRoutes([]inet.Route{changed})
	})
	// The kernel takes the route that sends from the address along, and says
	// nothing.
	do("address deleted", "drift VI_1 removed <nil>", func() error {
		return look.DelAddresses("eth0", []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")})
	})
	if s := m.Snapshot()["VI_1"]; s.Lost {
		t.Errorf("status %+v", s)
	}
}

func TestCrashLeavesEverythingForTheNextRun(t *testing.T) {
	n, _ := crossroads(t)
	look := inspect(t, n)
	crashed := start(t, n)
	crashed.Set(everything())
	crashed.Acquire("VI_1")
	crashed.eventually("everything is there", crashed.complete)
	want := look.halos()
	crashed.kill()
	if got := look.halos(); !slices.Equal(got, want) {
		t.Fatalf("%q went with the process", got)
	}

	active := start(t, n)
	active.Set(everything())
	active.Acquire("VI_1")
	active.eventually("everything is adopted", active.complete)
	if len(active.events) != 0 {
		t.Errorf("observer heard %q", <-active.events)
	}
	active.kill()

	backup := start(t, n)
	other := everything()
	other.Routes, other.Rules = other.Routes[:1], nil
	backup.Set(other)
	backup.Release("VI_1")
	backup.event("drift VI_1 left_over <nil>")
	if got := look.halos(); len(got) != 3+2 {
		t.Errorf("left of what is not configured any more: %q", got)
	}
	backup.eventually("the links are known", func() bool {
		if err := backup.Sweep(); err != nil {
			t.Fatal(err)
		}
		return len(look.halos()) == 0
	})
	backup.event("drift  left_over <nil>")
}

func TestIPv6AddressMovesBetweenMachinesAndAThirdHostFollows(t *testing.T) {
	s := kerneltest.NewSwitch(t, "lan")
	client := kerneltest.NewNamespace(t, "client")
	s.Attach(client, "eth0", "2001:db8::3/64")
	var machines [2]*machine
	for i := range machines {
		n := kerneltest.NewNamespace(t, fmt.Sprintf("lb%d", i+1))
		s.Attach(n, "eth0", fmt.Sprintf("2001:db8::%d/64", i+1))
		machines[i] = start(t, n)
		machines[i].set("2001:db8::10/64")
		machines[i].Release("VI_1")
	}
	learnt := func(m *machine) func() bool {
		return func() bool {
			return client.Neighbour("eth0", "2001:db8::10").String() == m.MAC("eth0").String()
		}
	}
	machines[0].Acquire("VI_1")
	machines[0].eventually("the first machine has the address", func() bool { return machines[0].Snapshot()["VI_1"].Addresses[0].Present })
	client.LearnNeighbour("2001:db8::10")
	machines[0].eventually("the client learns the first machine", learnt(machines[0]))
	for i := range 4 {
		from, to := machines[i%2], machines[(i+1)%2]
		from.Release("VI_1")
		to.Acquire("VI_1")
		to.Announce("VI_1", vip.Burst{Repeat: 5})
		to.eventually("the client turns to the other machine", learnt(to))
		from.eventually("the address has left", func() bool { return !from.Snapshot()["VI_1"].Addresses[0].Present })
	}
}

// The link is taken down and up under an active instance: the kernel deletes its
// IPv6 addresses and its routes, of which it does not tell all.
func TestLinkDownAndUpUnderEverything(t *testing.T) {
	n, _ := crossroads(t)
	m, look := start(t, n), inspect(t, n)
	m.Set(everything())
	m.afresh()
	want := look.halos()
	for range 3 {
		m.afresh()
		n.SetDown("eth0")
		m.eventually("it is noticed", func() bool { return !m.complete() })
		n.SetUp("eth0")
		m.eventually("everything is there again", func() bool { return m.complete() && slices.Equal(look.halos(), want) })
	}
	if s := m.Snapshot()["VI_1"]; s.Lost {
		t.Errorf("status %+v", s)
	}
}
