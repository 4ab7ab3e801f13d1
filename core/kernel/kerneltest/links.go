package kerneltest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// AddMacvlan makes a macvlan link, down, on a link that exists.
func (k *Kernel) AddMacvlan(m inet.Macvlan) error {
	k.enter(CallMacvlan)
	k.journal = append(k.journal, "make "+m.String())
	err := k.fails(CallMacvlan)
	switch {
	case err != nil:
	case k.find(m.Parent) == nil:
		err = unix.ENODEV
	case k.find(m.Name) != nil:
		err = unix.EEXIST
	}
	if err != nil {
		k.mu.Unlock()
		return fmt.Errorf("make link %s on %s: %w", m.Name, m.Parent, err)
	}
	k.index++
	k.links = append(k.links, &memoryLink{LinkState: LinkState{Name: m.Name, Index: k.index}, macvlan: &m})
	k.leave()
	return nil
}

// DelMacvlan deletes a macvlan link. What is missing counts as deleted; another
// kind of link is EOPNOTSUPP.
func (k *Kernel) DelMacvlan(name string) error {
	k.enter(CallMacvlan)
	k.journal = append(k.journal, "delete link "+name)
	err := k.fails(CallMacvlan)
	l := k.find(name)
	if err == nil && l != nil && l.macvlan == nil {
		err = unix.EOPNOTSUPP
	}
	if err != nil {
		k.mu.Unlock()
		return fmt.Errorf("delete link %s: %w", name, err)
	}
	k.dropLink(name)
	k.leave()
	return nil
}

// AddLink makes a link, up, with addresses that are somebody else's.
func (k *Kernel) AddLink(name string, addresses ...string) {
	k.mu.Lock()
	k.index++
	l := &memoryLink{LinkState: LinkState{Name: name, Index: k.index, Up: true}}
	for _, a := range addresses {
		l.place(netip.MustParsePrefix(a), inet.ProtocolNone)
	}
	k.links = append(k.links, l)
	k.leave()
}

// DelLink deletes a link with its addresses, its routes and the macvlan links
// on it.
func (k *Kernel) DelLink(name string) {
	k.mu.Lock()
	k.dropLink(name)
	k.leave()
}

func (k *Kernel) dropLink(name string) {
	gone := func(l *memoryLink) bool { return l.Name == name || l.macvlan != nil && l.macvlan.Parent == name }
	k.links = slices.DeleteFunc(k.links, gone)
	k.settleRoutes(func(_ inet.Route, hop inet.NextHop) bool { return k.find(hop.Link) == nil })
}

// SetLink sets a link up or down. Routes go with a link that is set down.
func (k *Kernel) SetLink(name string, up bool) {
	k.mu.Lock()
	if l := k.find(name); l != nil {
		l.Up = up
		if !up {
			k.settleRoutes(func(_ inet.Route, hop inet.NextHop) bool { return hop.Link == name })
		}
	}
	k.leave()
}

// String is the state as text, in a stable order, without the loopback:
//
//	link eth0 2 up
//	address eth0 192.0.2.1/24
//	link vrrp.51 3 up macvlan private on eth0 00:00:5e:00:01:33
//	address vrrp.51 2001:db8::10/128 preferred_lft 0
//	route 203.0.113.0/24 via 192.0.2.254 dev eth0 proto halo
//	rule priority 100 from 192.0.2.0/24 lookup 100 proto halo
//	announced eth0 192.0.2.10 x5
//
// Addresses, routes and rules are in the words of iproute2, an IPv6 rule with
// the word inet6.
func (k *Kernel) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	for _, l := range k.links {
		if l.Name != "lo" {
			l.text(&b)
		}
	}
	k.routing.text(&b)
	counts := make(map[string]int)
	var order []string
	for _, s := range k.sent {
		key := s.Link + " " + s.Address.String()
		if counts[key]++; counts[key] == 1 {
			order = append(order, key)
		}
	}
	slices.Sort(order)
	for _, key := range order {
		fmt.Fprintf(&b, "announced %s x%d\n", key, counts[key])
	}
	return b.String()
}
