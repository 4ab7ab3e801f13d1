package kerneltest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
	"github.com/halo-ha/halo/core/vip"
)

// The owner of the addresses over the real edges: rtnl adds, deletes and
// watches, rawsock announces, in a namespace.

// machine is a namespace in which an Owner runs.
type machine struct {
	testing.TB
	*kerneltest.Namespace
	*vip.Owner
	events chan string
	kill   func() // ends everything at once, leaving the addresses there
	end    func() // ends the Owner in an orderly way
}

// announcer opens its senders, and reads settings, inside the namespace.
type announcer struct {
	in *kerneltest.Namespace
	*rawsock.Announcer
}

func (a announcer) Announce(link string, addresses []netip.Addr) error {
	return a.in.Do(func() error { return a.Announcer.Announce(link, addresses) })
}

// cut is a kernel that can be taken away from its user, as by SIGKILL.
type cut struct {
	*rtnl.Handle
	ctx context.Context //nolint:containedctx // its end is the event that the test makes
}

var errKilled = errors.New("killed")

func (c cut) PutAddresses(link string, addresses []inet.Address) error {
	return c.do(func() error { return c.Handle.PutAddresses(link, addresses) })
}

func (c cut) DelAddresses(link string, addresses []netip.Prefix) error {
	return c.do(func() error { return c.Handle.DelAddresses(link, addresses) })
}

func (c cut) PutRoutes(routes []inet.Route) error {
	return c.do(func() error { return c.Handle.PutRoutes(routes) })
}

func (c cut) DelRoutes(routes []inet.Route) error {
	return c.do(func() error { return c.Handle.DelRoutes(routes) })
}

func (c cut) PutRules(rules []inet.Rule) error {
	return c.do(func() error { return c.Handle.PutRules(rules) })
}

func (c cut) DelRules(rules []inet.Rule) error {
	return c.do(func() error { return c.Handle.DelRules(rules) })
}

func (c cut) do(change func() error) error {
	if c.ctx.Err() != nil {
		return errKilled
	}
	return change()
}

func (m *machine) Drifted(d vip.Drift) {
	m.events <- fmt.Sprintf("drift %s %s %v %v", d.Instance, d.Cause, d.Err, d.Entries())
}

func (m *machine) Lost(instance string, reason error) {
	m.events <- fmt.Sprintf("lost %s %v", instance, reason)
}
func (m *machine) Restored(instance string) { m.events <- "restored " + instance }

// start runs an Owner in a namespace until the test ends.
func start(t testing.TB, n *kerneltest.Namespace) *machine {
	t.Helper()
	m := &machine{TB: t, Namespace: n, events: make(chan string, 1000)}
	var handle *rtnl.Handle
	var monitor *rtnl.Monitor
	var routing *rtnl.RoutingMonitor
	err := n.Do(func() (err error) {
		if handle, err = rtnl.Open(); err == nil {
			monitor, err = rtnl.Watch()
		}
		if err == nil {
			routing, err = rtnl.WatchRouting()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	arp := announcer{n, rawsock.NewAnnouncer()}
	alive, dead := context.WithCancel(context.Background())
	kernel := cut{handle, alive}
	m.Owner = vip.New(vip.Kernel{Addresses: kernel, Routes: kernel, Rules: kernel}, arp, m, slog.New(slog.DiscardHandler))

	ctx, stop := context.WithCancel(context.Background())
	watching, stopWatching := context.WithCancel(context.Background())
	var owner, watch sync.WaitGroup
	owner.Go(func() {
		if err := m.Owner.Run(ctx); err != nil {
			t.Errorf("owner: %v", err)
		}
	})
	watch.Go(func() {
		if err := monitor.Run(watching); err != nil {
			t.Errorf("monitor: %v", err)
		}
	})
	watch.Go(func() {
		if err := routing.Run(watching); err != nil {
			t.Errorf("routing monitor: %v", err)
		}
	})
	views, tables := monitor.Subscribe(), routing.Subscribe()
	watch.Go(func() {
		for {
			select {
			case <-views.Changed():
				view, _ := views.Next()
				m.LinksChanged(linksOf(view))
			case <-tables.Changed():
				view, _ := tables.Next()
				m.RoutingChanged(view.Routes, view.Rules)
			case <-watching.Done():
				return
			}
		}
	})
	m.end = sync.OnceFunc(func() {
		stop()
		owner.Wait()
		stopWatching()
		watch.Wait()
		dead()
		_ = arp.Close()
		_ = handle.Close()
	})
	m.kill = func() {
		dead()
		m.end()
	}
	t.Cleanup(m.end)
	return m
}

func linksOf(view *rtnl.View) []vip.Link {
	links := make([]vip.Link, len(view.Links))
	for i, l := range view.Links {
		links[i] = vip.Link{Name: l.Name, Index: l.Index, Addresses: l.Addresses}
	}
	return links
}

// eventually waits for what the kernel and the Owner bring about.
func (m *machine) eventually(what string, condition func() bool) {
	m.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			m.Fatalf("never happened: %s; status %+v", what, m.Snapshot())
		}
	}
}

// event waits for the observer to hear what begins with the words.
func (m *machine) event(words string) {
	m.Helper()
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	for {
		select {
		case e := <-m.events:
			if strings.HasPrefix(e, words) {
				return
			}
		case <-timeout.C:
			m.Fatalf("observer never heard %q; status %+v", words, m.Snapshot())
		}
	}
}

func (m *machine) set(addresses ...string) {
	m.Helper()
	m.Set(vip.Instance{Name: "VI_1", Interface: "eth0", Addresses: vip.Plain(prefixes(addresses...)...), Repeat: 3})
}

// lan is a switch with a machine and a client on it.
func lan(t testing.TB) (n, client *kerneltest.Namespace) {
	t.Helper()
	s := kerneltest.NewSwitch(t, "lan")
	n, client = kerneltest.NewNamespace(t, "lb"), kerneltest.NewNamespace(t, "client")
	s.Attach(n, "eth0", "192.0.2.1/24")
	s.Attach(client, "eth0", "192.0.2.3/24")
	return n, client
}

func TestAddressMovesBetweenMachinesAndAThirdHostFollows(t *testing.T) {
	s := kerneltest.NewSwitch(t, "lan")
	client := kerneltest.NewNamespace(t, "client")
	s.Attach(client, "eth0", "192.0.2.3/24")
	var machines [2]*machine
	for i := range machines {
		n := kerneltest.NewNamespace(t, fmt.Sprintf("lb%d", i+1))
		s.Attach(n, "eth0", fmt.Sprintf("192.0.2.%d/24", i+1))
		machines[i] = start(t, n)
		machines[i].set("192.0.2.10/24")
		machines[i].Release("VI_1")
	}
	learnt := func(m *machine) func() bool {
		return func() bool {
			return client.Neighbour("eth0", "192.0.2.10").String() == m.MAC("eth0").String()
		}
	}
	machines[0].Acquire("VI_1")
	machines[0].eventually("the first machine has the address", func() bool { return machines[0].HasAddress("eth0", "192.0.2.10") })
	client.LearnNeighbour("192.0.2.10")
	machines[0].eventually("the client learns the first machine", learnt(machines[0]))
	for i := range 4 {
		from, to := machines[i%2], machines[(i+1)%2]
		from.Release("VI_1")
		to.Acquire("VI_1")
		to.Announce("VI_1", vip.Burst{Repeat: 5})
		to.eventually("the client turns to the other machine", learnt(to))
		from.eventually("the address has left", func() bool { return !from.HasAddress("eth0", "192.0.2.10") })
		if !to.HasAddress("eth0", "192.0.2.10") {
			t.Fatal("nobody has the address")
		}
	}
}

func TestAddressDeletedByHandIsRestored(t *testing.T) {
	n, _ := lan(t)
	m := start(t, n)
	m.set("192.0.2.10/24", "192.0.2.11/32")
	m.Acquire("VI_1")
	// Until it has looked after adding, what goes is part of the adding.
	m.eventually("the addresses are there, and known to be", func() bool {
		held := m.Snapshot()["VI_1"].Addresses
		return len(held) == 2 && held[0].Present && held[1].Present
	})
	for range 3 {
		n.DelAddress("eth0", "192.0.2.10/24")
		m.event("drift VI_1 removed <nil>")
		if !n.HasAddress("eth0", "192.0.2.10") {
			t.Fatal("the address is not there, although it was reported as restored")
		}
	}
	// The machine's own address is not halo's business, whoever removes it.
	n.DelAddress("eth0", "192.0.2.1/24")
	m.end()
	if got := n.Addresses("eth0"); len(got) != 0 {
		t.Errorf("addresses %v are left", got)
	}
}

func TestRepeatedDeletionIsGivenUp(t *testing.T) {
	n, _ := lan(t)
	m := start(t, n)
	m.set("192.0.2.10/24")
	m.Acquire("VI_1")
	for lost := false; !lost; {
		m.eventually("the address is there or given up", func() bool {
			lost = m.Snapshot()["VI_1"].Lost
			return lost || n.HasAddress("eth0", "192.0.2.10")
		})
		if !lost {
			n.DelAddress("eth0", "192.0.2.10/24")
		}
		// Deleted and not yet noticed is neither.
		m.eventually("the deletion is noticed", func() bool {
			s := m.Snapshot()["VI_1"]
			lost = s.Lost
			return lost || !s.Addresses[0].Present || s.Addresses[0].Restores > 0 && n.HasAddress("eth0", "192.0.2.10")
		})
	}
	m.event("lost VI_1 addresses of eth0 were removed 5 times within 10s")
}

func TestInterfaceDeletedAndRecreatedTwentyTimes(t *testing.T) {
	s := kerneltest.NewSwitch(t, "lan")
	n := kerneltest.NewNamespace(t, "lb")
	m := start(t, n)
	// Absent at first.
	m.set("192.0.2.10/24")
	m.Acquire("VI_1")
	m.eventually("the interface is missed", func() bool { return m.Snapshot()["VI_1"].Error != "" })
	descriptors := 0
	for round := range 20 {
		s.Attach(n, "eth0", "192.0.2.1/24")
		m.eventually("the address is there", func() bool { return n.HasAddress("eth0", "192.0.2.10") })
		m.Announce("VI_1", vip.Burst{Repeat: 1})
		n.DeleteLink("eth0")
		m.eventually("the loss is noticed", func() bool { return !m.Snapshot()["VI_1"].Addresses[0].Present })
		if round == 5 {
			descriptors = kerneltest.OpenDescriptors(t)
		}
	}
	// One that is just being used is no leak.
	m.eventually("all descriptors are closed", func() bool { return kerneltest.OpenDescriptors(t) <= descriptors })
	if s := m.Snapshot()["VI_1"]; s.Lost {
		t.Errorf("an interface that comes and goes was taken for lost addresses: %+v", s)
	}
}

func TestManyAddresses(t *testing.T) {
	for _, count := range []int{200, 1000} {
		t.Run(fmt.Sprintf("%d addresses", count), func(t *testing.T) {
			n, client := lan(t)
			m := start(t, n)
			addresses := make([]string, count)
			for i := range addresses {
				addresses[i] = fmt.Sprintf("10.0.%d.%d/16", i/250, i%250+1)
			}
			m.set(addresses...)
			m.Release("VI_1")
			client.AddAddress("eth0", "10.0.255.1/16")
			// One neighbour is enough: the kernel's table of them is small and
			// shared by all namespaces.
			last := strings.TrimSuffix(addresses[count-1], "/16")
			client.LearnNeighbour(last)
			m.Acquire("VI_1")
			m.Announce("VI_1", vip.Burst{Repeat: 2})
			m.eventually("everything is announced", func() bool {
				return m.Snapshot()["VI_1"].Announced == uint64(2*count)
			})
			m.eventually("the client knows the last address", func() bool {
				return client.Neighbour("eth0", last).String() == n.MAC("eth0").String()
			})
			if got := len(n.Addresses("eth0")); got != count+1 {
				t.Errorf("%d addresses, want %d", got, count+1)
			}
			// A reload touches the difference alone.
			m.set(append(slices.Clone(addresses[1:]), "10.1.0.1/16")...)
			m.eventually("the difference is applied", func() bool {
				return n.HasAddress("eth0", "10.1.0.1") && !n.HasAddress("eth0", "10.0.0.1")
			})
			if got := len(n.Addresses("eth0")); got != count+1 {
				t.Errorf("%d addresses after the reload, want %d", got, count+1)
			}
			m.end()
			if got := n.Addresses("eth0"); len(got) != 1 || got[0].String() != "192.0.2.1/24" {
				t.Errorf("%d addresses are left", len(got))
			}
		})
	}
}

func TestCrashLeavesAddressesForTheNextRun(t *testing.T) {
	n, _ := lan(t)
	crashed := start(t, n)
	crashed.set("192.0.2.10/24")
	crashed.Acquire("VI_1")
	crashed.eventually("the address is there", func() bool { return n.HasAddress("eth0", "192.0.2.10") })
	crashed.kill()
	if !n.HasAddress("eth0", "192.0.2.10") {
		t.Fatal("the address went with the process")
	}

	active := start(t, n)
	active.set("192.0.2.10/24")
	active.Acquire("VI_1")
	active.eventually("the address is adopted", func() bool { return active.Snapshot()["VI_1"].Addresses[0].Present })
	active.kill()

	backup := start(t, n)
	backup.set("192.0.2.10/24")
	backup.Release("VI_1")
	backup.event("drift VI_1 left_over <nil>")
	if got := n.Addresses("eth0"); len(got) != 1 || got[0].String() != "192.0.2.1/24" {
		t.Errorf("addresses %v, want the machine's own alone", got)
	}
}

// The machine gets its own address after the virtual one, which makes it a
// secondary address that would go with the virtual one.
func TestReleasingDoesNotTakeTheMachinesAddressAlong(t *testing.T) {
	n, _ := lan(t)
	n.Sysctl("ipv4/conf/all/promote_secondaries", "0")
	n.Sysctl("ipv4/conf/eth0/promote_secondaries", "0")
	n.DelAddress("eth0", "192.0.2.1/24")
	m := start(t, n)
	m.set("192.0.2.10/24", "192.0.2.11/24")
	m.Acquire("VI_1")
	m.eventually("the addresses are there", func() bool { return len(n.Addresses("eth0")) == 2 })
	n.AddAddress("eth0", "192.0.2.1/24")
	m.Release("VI_1")
	m.eventually("the addresses are gone", func() bool { return len(n.Addresses("eth0")) < 2 })
	if !n.HasAddress("eth0", "192.0.2.1") {
		t.Error("the machine's own address went with the virtual one")
	}
}

func TestManyInstancesTakeOverTogether(t *testing.T) {
	n, client := lan(t)
	client.AddAddress("eth0", "10.0.255.1/16")
	m := start(t, n)
	const instances, repeat = 255, 2
	for i := range instances {
		name := fmt.Sprintf("VI_%d", i)
		m.Set(vip.Instance{Name: name, Interface: "eth0", Addresses: vip.Plain(prefixes(
			fmt.Sprintf("10.0.%d.1/32", i), fmt.Sprintf("10.0.%d.2/32", i),
			fmt.Sprintf("10.0.%d.3/32", i), fmt.Sprintf("10.0.%d.4/32", i),
		)...)})
		m.Release(name)
	}
	for i := range instances {
		name := fmt.Sprintf("VI_%d", i)
		m.Acquire(name)
		m.Announce(name, vip.Burst{Repeat: repeat})
	}
	m.eventually("everything is there and announced", func() bool {
		for _, s := range m.Snapshot() {
			if s.Announced != 4*repeat {
				return false
			}
		}
		return len(n.Addresses("eth0")) == 1+4*instances
	})
	client.LearnNeighbour("10.0.254.4")
	m.eventually("the client reaches the last address", func() bool {
		return client.Neighbour("eth0", "10.0.254.4").String() == n.MAC("eth0").String()
	})
	m.end()
	if got := len(n.Addresses("eth0")); got != 1 {
		t.Errorf("%d addresses are left, want the machine's own", got)
	}
	if len(m.events) != 0 {
		t.Errorf("observer heard %q, want nothing: all of this was halo's doing", <-m.events)
	}
}
