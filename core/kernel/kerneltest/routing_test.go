package kerneltest_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// routingKernel is what the kernel in memory and the real one have in common
// beyond plain addresses.
type routingKernel interface {
	addressKernel
	ListAddresses(link string) ([]inet.Address, error)
	PutAddresses(link string, addresses []inet.Address) error
	Routes(filter inet.RouteFilter) ([]inet.Route, error)
	PutRoutes(routes []inet.Route) error
	ReplaceRoutes(routes []inet.Route) error
	DelRoutes(routes []inet.Route) error
	Rules(protocol inet.Protocol) ([]inet.Rule, error)
	PutRules(rules []inet.Rule) error
	DelRules(rules []inet.Rule) error
	AddMacvlan(m inet.Macvlan) error
}

// world is a kernel with the links eth0 and eth1 and somebody else's hand.
type world struct {
	kernel       routingKernel
	setDown      func(link string)
	delLink      func(link string)
	delMacvlan   func(link string)
	foreignRoute func() // to 198.51.100.0/24 via 192.0.2.9, static
}

func memoryWorld(*testing.T) world {
	k := kerneltest.NewKernel()
	k.AddLink("eth0")
	k.AddLink("eth1")
	return world{
		kernel:  k,
		setDown: func(link string) { k.SetLink(link, false) },
		delLink: k.DelLink,
		delMacvlan: func(link string) {
			if err := k.DelMacvlan(link); err != nil {
				panic(err)
			}
		},
		foreignRoute: func() {
			k.PlaceRoutes(inet.Route{
				Destination: netip.MustParsePrefix("198.51.100.0/24"), Protocol: inet.ProtocolStatic,
				NextHops: []inet.NextHop{{Gateway: netip.MustParseAddr("192.0.2.9"), Link: "eth0"}},
			})
		},
	}
}

func realWorld(t *testing.T) world {
	t.Helper()
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	a.Sysctl("ipv6/conf/default/addr_gen_mode", "1") // Its own addresses come and go.
	var k *rtnl.Handle
	if err := a.Do(func() (err error) { k, err = rtnl.Open(); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	kerneltest.Veth(a, "eth0", b, "eth0")
	kerneltest.Veth(a, "eth1", b, "eth1")
	return world{
		kernel:     k,
		setDown:    a.SetDown,
		delLink:    a.DeleteLink,
		delMacvlan: a.DeleteLink,
		foreignRoute: func() {
			err := k.PutRoutes([]inet.Route{{
				Destination: netip.MustParsePrefix("198.51.100.0/24"), Protocol: inet.ProtocolStatic,
				NextHops: []inet.NextHop{{Gateway: netip.MustParseAddr("192.0.2.9")}},
			}})
			if err != nil {
				t.Fatal(err)
			}
		},
	}
}

// state is what halo has in a kernel, as text.
func (w world) state(t *testing.T) string {
	t.Helper()
	var lines []string
	for _, link := range []string{"eth0", "eth1", "vrrp.51"} {
		addresses, err := w.kernel.ListAddresses(link)
		if errors.Is(err, unix.ENODEV) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addresses {
			if a.Label == link {
				a.Label = ""
			}
			lines = append(lines, link+" "+a.String())
		}
	}
	routes, err := w.kernel.Routes(inet.RouteFilter{Protocol: inet.ProtocolHalo})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		r.Scope, r.Table, r.Metric = inet.Optional[inet.Scope]{}, 0, 0
		lines = append(lines, strings.Replace(r.String(), " proto halo", "", 1))
	}
	slices.Sort(lines)
	rules, err := w.kernel.Rules(inet.ProtocolHalo)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		lines = append(lines, strings.Replace(r.String(), " proto halo", "", 1))
	}
	return strings.Join(lines, "\n")
}

func via(destination, gateway string) inet.Route {
	return inet.Route{Destination: netip.MustParsePrefix(destination), NextHops: []inet.NextHop{{Gateway: netip.MustParseAddr(gateway)}}}
}

// Each step goes on from where the step before ended, in memory and in the real
// kernel alike.
func TestRoutingInMemoryBehavesLikeTheRealOne(t *testing.T) {
	from := via("203.0.113.0/24", "192.0.2.254")
	from.Source = netip.MustParseAddr("10.0.0.1")
	stranger := from
	stranger.Source = netip.MustParseAddr("10.9.9.9")
	ways := via("203.0.113.0/24", "192.0.2.254")
	ways.NextHops = append(ways.NextHops, inet.NextHop{Link: "eth1", Weight: 2})
	noLink := inet.Route{Destination: netip.MustParsePrefix("10.0.0.0/8"), NextHops: []inet.NextHop{{Link: "eth7"}}}
	rule := inet.Rule{Priority: 100, From: netip.MustParsePrefix("192.0.2.0/24"), Table: 100}
	rule6 := inet.Rule{IPv6: true, Priority: 100, Action: inet.RuleProhibit}
	vip := func(p string, f func(*inet.Address)) []inet.Address {
		a := inet.Address{Prefix: netip.MustParsePrefix(p)}
		if f != nil {
			f(&a)
		}
		return []inet.Address{a}
	}
	const base = "eth0 192.0.2.1/24\neth0 2001:db8::1/64\neth1 10.0.0.1/32\n"
	type step struct {
		name  string
		do    func(world) error
		err   error
		state string
	}
	k := func(f func(routingKernel) error) func(world) error { return func(w world) error { return f(w.kernel) } }
	put := func(r ...inet.Route) func(world) error {
		return k(func(k routingKernel) error { return k.PutRoutes(r) })
	}
	del := func(r ...inet.Route) func(world) error {
		return k(func(k routingKernel) error { return k.DelRoutes(r) })
	}
	on := func(link string, a []inet.Address) func(world) error {
		return k(func(k routingKernel) error { return k.PutAddresses(link, a) })
	}
	and := func(f ...func(world) error) func(world) error {
		return func(w world) error {
			var errs []error
			for _, f := range f {
				errs = append(errs, f(w))
			}
			return errors.Join(errs...)
		}
	}
	steps := []step{
		{"addresses", and(on("eth0", vip("192.0.2.1/24", nil)), on("eth0", vip("2001:db8::1/64", nil)), on("eth1", vip("10.0.0.1/32", nil))), nil, base},
		{"no such link", on("eth7", vip("192.0.2.1/24", nil)), unix.ENODEV, base},
		{"other length in IPv6", on("eth0", vip("2001:db8::1/128", nil)), unix.EEXIST, base},
		{"deprecated", on("eth0", vip("2001:db8::1/64", func(a *inet.Address) { a.Deprecated = true })), nil, strings.Replace(base, "/64", "/64 preferred_lft 0", 1)},
		{"not any more", on("eth0", vip("2001:db8::1/64", nil)), nil, base},
		{"route", put(from), nil, base + "203.0.113.0/24 via 192.0.2.254 dev eth0 src 10.0.0.1"},
		{"route again", put(from), nil, base + "203.0.113.0/24 via 192.0.2.254 dev eth0 src 10.0.0.1"},
		{"route and what cannot be", put(noLink, via("10.0.0.0/8", "10.99.9.9"), ways), unix.ENODEV, base + "203.0.113.0/24 nexthop via 192.0.2.254 dev eth0 weight 1 nexthop dev eth1 weight 2"},
		{"unreachable gateway", put(via("10.0.0.0/8", "10.99.9.9")), unix.ENETUNREACH, base + "203.0.113.0/24 nexthop via 192.0.2.254 dev eth0 weight 1 nexthop dev eth1 weight 2"},
		{"source that is not there", put(stranger), unix.EINVAL, base + "203.0.113.0/24 nexthop via 192.0.2.254 dev eth0 weight 1 nexthop dev eth1 weight 2"},
		{"somebody else's", and(func(w world) error { w.foreignRoute(); return nil }, put(via("198.51.100.0/24", "192.0.2.254"))), unix.EEXIST, base + "203.0.113.0/24 nexthop via 192.0.2.254 dev eth0 weight 1 nexthop dev eth1 weight 2"},
		{"somebody else's stays", del(via("198.51.100.0/24", "192.0.2.254"), ways), nil, base},
		{"still there", put(via("198.51.100.0/24", "192.0.2.254")), unix.EEXIST, base},
		{"taken over", k(func(k routingKernel) error {
			return k.ReplaceRoutes([]inet.Route{via("198.51.100.0/24", "192.0.2.254")})
		}), nil, "198.51.100.0/24 via 192.0.2.254 dev eth0\n" + base},
		{"deleted", del(via("198.51.100.0/24", "192.0.2.254")), nil, base},
		{"deleted again", del(via("198.51.100.0/24", "192.0.2.254")), nil, base},
		{"IPv6 and blackholes", put(via("2001:db8:5::/48", "2001:db8::254"), inet.Route{Type: inet.Blackhole, Destination: netip.MustParsePrefix("203.0.113.9/32")}), nil, "2001:db8:5::/48 via 2001:db8::254 dev eth0\nblackhole 203.0.113.9/32\n" + base},
		{"without the blackhole", and(del(inet.Route{Type: inet.Blackhole, Destination: netip.MustParsePrefix("203.0.113.9/32")}), put(from)), nil, "2001:db8:5::/48 via 2001:db8::254 dev eth0\n203.0.113.0/24 via 192.0.2.254 dev eth0 src 10.0.0.1\n" + base},
		{"source goes", k(func(k routingKernel) error { return k.DelAddresses("eth1", prefixes("10.0.0.1/32")) }), nil, "2001:db8:5::/48 via 2001:db8::254 dev eth0\neth0 192.0.2.1/24\neth0 2001:db8::1/64"},
		{"rules", k(func(k routingKernel) error { return k.PutRules([]inet.Rule{rule6, rule, rule}) }), nil, "2001:db8:5::/48 via 2001:db8::254 dev eth0\neth0 192.0.2.1/24\neth0 2001:db8::1/64\npriority 100 from 192.0.2.0/24 lookup 100\npriority 100 inet6 prohibit"},
		{"bad rule", k(func(k routingKernel) error { return k.PutRules([]inet.Rule{{Action: 99, Table: 5}}) }), nil, "2001:db8:5::/48 via 2001:db8::254 dev eth0\neth0 192.0.2.1/24\neth0 2001:db8::1/64\npriority 100 from 192.0.2.0/24 lookup 100\npriority 100 inet6 prohibit"},
		{"one rule less", k(func(k routingKernel) error { return k.DelRules([]inet.Rule{rule6}) }), nil, "2001:db8:5::/48 via 2001:db8::254 dev eth0\neth0 192.0.2.1/24\neth0 2001:db8::1/64\npriority 100 from 192.0.2.0/24 lookup 100"},
		{"macvlan", and(k(func(k routingKernel) error {
			return k.AddMacvlan(inet.Macvlan{Name: "vrrp.51", Parent: "eth0", MAC: "00:00:5e:00:01:33"})
		}), on("vrrp.51", vip("192.0.2.10/32", nil))), nil, "2001:db8:5::/48 via 2001:db8::254 dev eth0\neth0 192.0.2.1/24\neth0 2001:db8::1/64\nvrrp.51 192.0.2.10/32\npriority 100 from 192.0.2.0/24 lookup 100"},
		{"macvlan twice", k(func(k routingKernel) error {
			return k.AddMacvlan(inet.Macvlan{Name: "vrrp.51", Parent: "eth0", MAC: "00:00:5e:00:01:33"})
		}), unix.EEXIST, "2001:db8:5::/48 via 2001:db8::254 dev eth0\neth0 192.0.2.1/24\neth0 2001:db8::1/64\nvrrp.51 192.0.2.10/32\npriority 100 from 192.0.2.0/24 lookup 100"},
		{"macvlan without parent", k(func(k routingKernel) error {
			return k.AddMacvlan(inet.Macvlan{Name: "vrrp.52", Parent: "eth7", MAC: "00:00:5e:00:01:34"})
		}), unix.ENODEV, "2001:db8:5::/48 via 2001:db8::254 dev eth0\neth0 192.0.2.1/24\neth0 2001:db8::1/64\nvrrp.51 192.0.2.10/32\npriority 100 from 192.0.2.0/24 lookup 100"},
		{"link goes with all", func(w world) error { w.delLink("eth0"); return nil }, nil, "priority 100 from 192.0.2.0/24 lookup 100"},
	}
	for _, kind := range []struct {
		name string
		make func(*testing.T) world
	}{{"in memory", memoryWorld}, {"real", realWorld}} {
		t.Run(kind.name, func(t *testing.T) {
			w := kind.make(t)
			for _, s := range steps {
				err := s.do(w)
				if s.name == "bad rule" {
					if err == nil {
						t.Errorf("%s: accepted", s.name)
					}
				} else if !errors.Is(err, s.err) {
					t.Errorf("%s: error %v, want %v", s.name, err, s.err)
				}
				want := strings.Split(strings.TrimSpace(s.state), "\n")
				sortAddressesAndRoutes(want)
				if got := w.state(t); got != strings.Join(want, "\n") {
					t.Errorf("%s: state\n%s\nwant\n%s", s.name, got, strings.Join(want, "\n"))
				}
			}
		})
	}
}

// sortAddressesAndRoutes puts what stands before the rules in order.
func sortAddressesAndRoutes(lines []string) {
	end := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "priority ") })
	if end < 0 {
		end = len(lines)
	}
	slices.Sort(lines[:end])
}

func TestRoutesGoWithALinkThatIsSetDown(t *testing.T) {
	for name, make := range map[string]func(*testing.T) world{"in memory": memoryWorld, "real": realWorld} {
		t.Run(name, func(t *testing.T) {
			w := make(t)
			if err := errors.Join(
				w.kernel.AddAddresses("eth0", prefixes("192.0.2.1/24")), w.kernel.AddAddresses("eth1", prefixes("198.51.100.1/24")),
				w.kernel.PutRoutes([]inet.Route{via("203.0.113.0/24", "192.0.2.254"), via("203.0.114.0/24", "198.51.100.254")}),
				w.kernel.AddMacvlan(inet.Macvlan{Name: "vrrp.51", Parent: "eth1", MAC: "00:00:5e:00:01:33"}),
			); err != nil {
				t.Fatal(err)
			}
			w.setDown("eth0")
			w.delMacvlan("vrrp.51")
			if got, want := w.state(t), "203.0.114.0/24 via 198.51.100.254 dev eth1\neth0 192.0.2.1/24\neth1 198.51.100.1/24"; got != want {
				t.Errorf("state\n%s\nwant\n%s", got, want)
			}
			if err := w.kernel.PutRoutes([]inet.Route{{Destination: netip.MustParsePrefix("203.0.113.0/24"), NextHops: []inet.NextHop{{Link: "eth0"}}}}); !errors.Is(err, unix.ENETDOWN) {
				t.Errorf("route by a link that is down: %v, want ENETDOWN", err)
			}
		})
	}
}

func TestKernelPrintsRoutingAndMacvlan(t *testing.T) {
	k := kerneltest.NewKernel()
	k.AddLink("eth0", "192.0.2.1/24")
	route := via("203.0.113.0/24", "192.0.2.254")
	rule := inet.Rule{Priority: 100, From: netip.MustParsePrefix("192.0.2.0/24"), Table: 100}
	if err := errors.Join(
		k.AddMacvlan(inet.Macvlan{Name: "vrrp.51", Parent: "eth0", MAC: "00:00:5e:00:01:33"}),
		k.PutAddresses("vrrp.51", []inet.Address{{Prefix: netip.MustParsePrefix("2001:db8::10/128"), Deprecated: true}, {Prefix: netip.MustParsePrefix("192.0.2.10/24"), Label: "vrrp.51:1"}}),
		k.PutRoutes([]inet.Route{route}), k.PutRules([]inet.Rule{rule}),
	); err != nil {
		t.Fatal(err)
	}
	k.SetLink("vrrp.51", true)
	k.PlaceRules(inet.Rule{IPv6: true, Priority: 7, Action: inet.RuleProhibit})
	want := `link eth0 2 up
address eth0 192.0.2.1/24
link vrrp.51 3 up macvlan private on eth0 00:00:5e:00:01:33
address vrrp.51 192.0.2.10/24 label vrrp.51:1
address vrrp.51 2001:db8::10/128 preferred_lft 0
route 203.0.113.0/24 via 192.0.2.254 dev eth0 proto halo
rule priority 100 from 192.0.2.0/24 lookup 100 proto halo
rule priority 7 inet6 prohibit
`
	if got := k.String(); got != want {
		t.Errorf("kernel prints\n%swant\n%s", got, want)
	}
	k.DropRoutes(route)
	k.DropRules(rule)
	if err := errors.Join(k.DelRoutes([]inet.Route{route}), k.DelRules([]inet.Rule{rule}), k.DelMacvlan("vrrp.51"), k.DelMacvlan("vrrp.51")); err != nil {
		t.Error(err)
	}
	if err := k.DelMacvlan("eth0"); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("deleting a real interface: %v", err)
	}
	if got, want := k.Journal(), `make link eth0 name vrrp.51 address 00:00:5e:00:01:33 type macvlan mode private
put vrrp.51 2001:db8::10/128 preferred_lft 0 192.0.2.10/24 label vrrp.51:1
put route 203.0.113.0/24 via 192.0.2.254
put rule priority 100 from 192.0.2.0/24 lookup 100
delete route 203.0.113.0/24 via 192.0.2.254
delete rule priority 100 from 192.0.2.0/24 lookup 100
delete link vrrp.51
delete link vrrp.51
delete link eth0`; got != want {
		t.Errorf("journal\n%s\nwant\n%s", got, want)
	}
}

func TestKernelInMemoryFailsAndTellsOfRouting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := kerneltest.NewKernel()
		k.AddLink("eth0", "192.0.2.1/24")
		var heard []int
		k.WatchRouting(func(routes []inet.Route, rules []inet.Rule) { heard = append(heard, 10*len(routes)+len(rules)) })
		route, rule := []inet.Route{via("203.0.113.0/24", "192.0.2.254")}, []inet.Rule{{Priority: 100, Table: 100}}
		calls := map[kerneltest.Call]func() error{
			kerneltest.CallListRoutes:   func() error { _, err := k.Routes(inet.RouteFilter{}); return err },
			kerneltest.CallPutRoutes:    func() error { return k.PutRoutes(route) },
			kerneltest.CallDeleteRoutes: func() error { return k.DelRoutes(route) },
			kerneltest.CallListRules:    func() error { _, err := k.Rules(0); return err },
			kerneltest.CallPutRules:     func() error { return k.PutRules(rule) },
			kerneltest.CallDeleteRules:  func() error { return k.DelRules(rule) },
			kerneltest.CallMacvlan: func() error {
				return k.AddMacvlan(inet.Macvlan{Name: "vrrp.51", Parent: "eth0", MAC: "00:00:5e:00:01:33"})
			},
		}
		for name, call := range calls {
			k.Fail(name, 1, unix.ENOBUFS)
			if err := call(); !errors.Is(err, unix.ENOBUFS) {
				t.Errorf("%s: %v, want the failure", name, err)
			}
			if err := call(); err != nil {
				t.Errorf("%s after the failure: %v", name, err)
			}
		}
		k.Fail(kerneltest.CallMacvlan, 1, unix.ENOBUFS)
		if err := k.DelMacvlan("vrrp.51"); !errors.Is(err, unix.ENOBUFS) {
			t.Errorf("delete macvlan: %v, want the failure", err)
		}
		release := k.Hang(kerneltest.CallPutRoutes)
		go func() { time.Sleep(time.Hour); release() }()
		began := time.Now()
		if err := errors.Join(k.PutRoutes(route), k.PutRules(rule)); err != nil || time.Since(began) != time.Hour {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if last := heard[len(heard)-1]; heard[0] != 0 || last != 11 {
			t.Errorf("heard of %v routes and rules, want 00 at first and 11 at last", heard)
		}
	})
}
