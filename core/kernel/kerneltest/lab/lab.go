// Package lab builds small networks of real hosts for tests of whole
// programs: a switch, hosts on it, and on the hosts halo, Keepalived or
// anything else as separate processes.
//
// It is imported by tests only. Hosts are network namespaces; processes are
// ended with the test, and what they said is printed when the test fails.
// Assertions wait for facts (who owns an address, what a neighbour cache
// holds) with generous deadlines; none asserts how fast something was.
//
// Read Network first, then Process and Halo.
package lab

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// patience bounds every wait for something that must happen. It is long
// because machines are shared; a passing test never uses it up.
const patience = 60 * time.Second

// Network is one switch with hosts around it.
type Network struct {
	*kerneltest.Switch
	t     testing.TB
	hosts []*Host
}

// Host is a machine on the network, with the interface eth0.
type Host struct {
	*kerneltest.Namespace
	network *Network
	label   string
	// Port is the switch's end of the host's cable: Network.SetDown(h.Port)
	// pulls it.
	Port string
}

// New makes a network without hosts.
func New(t testing.TB) *Network {
	t.Helper()
	kerneltest.RequireRoot(t)
	return &Network{Switch: kerneltest.NewSwitch(t, "switch"), t: t}
}

// Host adds a machine with addresses ("192.0.2.1/24") on eth0.
func (n *Network) Host(label string, addresses ...string) *Host {
	n.t.Helper()
	h := &Host{Namespace: kerneltest.NewNamespace(n.t, label), network: n, label: label}
	h.Port = n.Attach(h.Namespace, "eth0", addresses...)
	n.hosts = append(n.hosts, h)
	return h
}

// Label is the host's name as the test calls it.
func (h *Host) Label() string { return h.label }

// Watch runs a program in the switch until the test ends.
func (n *Network) Watch(name string, args ...string) *Process {
	n.t.Helper()
	h := &Host{Namespace: n.Namespace, network: n, label: "the switch"}
	return h.Start(name, args...)
}

// Pull takes the host's cable out of the switch.
func (h *Host) Pull() { h.network.SetDown(h.Port) }

// Plug puts it back.
func (h *Host) Plug() { h.network.SetUp(h.Port) }

// Owners lists the labels of the hosts whose eth0 has address, in order.
func (n *Network) Owners(address string) []string {
	n.t.Helper()
	var owners []string
	for _, h := range n.hosts {
		if h.HasLink("eth0") && h.HasAddress("eth0", address) {
			owners = append(owners, h.label)
		}
	}
	slices.Sort(owners)
	return owners
}

// WaitOwner waits until host, and nobody else, owns address.
func (n *Network) WaitOwner(address string, host *Host) {
	n.t.Helper()
	Eventually(n.t, address+" on "+host.label+" alone", func() bool {
		return slices.Equal(n.Owners(address), []string{host.label})
	})
}

// WaitSomeOwner waits until exactly one host owns address and returns it.
func (n *Network) WaitSomeOwner(address string) *Host {
	n.t.Helper()
	var owner *Host
	Eventually(n.t, "exactly one owner of "+address, func() bool {
		owners := n.Owners(address)
		if len(owners) != 1 {
			return false
		}
		owner = n.hosts[slices.IndexFunc(n.hosts, func(h *Host) bool { return h.label == owners[0] })]
		return true
	})
	return owner
}

// HoldsOwner asserts that host alone owns address during the whole of window.
// The window is in real time: it is about what does not happen.
func (n *Network) HoldsOwner(address string, host *Host, window time.Duration) {
	n.t.Helper()
	for end := time.Now().Add(window); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if owners := n.Owners(address); !slices.Equal(owners, []string{host.label}) {
			n.t.Fatalf("%s is on %q within the window, want it on %s alone", address, owners, host.label)
		}
	}
}

// WaitNeighbour waits until h believes that address is at the MAC of owner's
// eth0. It sends nothing: what h believes must come from announcements.
func (h *Host) WaitNeighbour(address string, owner *Host) {
	h.network.t.Helper()
	want := owner.MAC("eth0").String()
	Eventually(h.network.t, h.label+" finds "+address+" at "+owner.label, func() bool {
		return h.Neighbour("eth0", address).String() == want
	})
}

// Eventually waits until condition is true and fails the test with what when
// it never becomes so.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		if condition() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited %s in vain for: %s", patience, what)
		}
	}
}

// Addr parses an address for tests that compare values.
func Addr(t testing.TB, s string) netip.Addr {
	t.Helper()
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil {
		t.Fatal(err)
	}
	return a
}
