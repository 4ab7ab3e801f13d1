package kerneltest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Addresses lists a link's addresses, and those that drivers added.
func (k *Kernel) Addresses(link string) (all, marked []netip.Prefix, err error) {
	entries, err := k.ListAddresses(link)
	for _, a := range entries {
		all = append(all, a.Prefix)
		if a.Protocol == inet.ProtocolHalo {
			marked = append(marked, a.Prefix)
		}
	}
	return all, marked, err
}

// ListAddresses lists a link's addresses with all their attributes.
func (k *Kernel) ListAddresses(link string) ([]inet.Address, error) {
	k.enter(CallList)
	defer k.mu.Unlock()
	if err := k.fails(CallList); err != nil {
		return nil, fmt.Errorf("list addresses of %s: %w", link, err)
	}
	l := k.find(link)
	if l == nil {
		return nil, fmt.Errorf("list addresses of %s: %w", link, unix.ENODEV)
	}
	return slices.Clone(l.entries), nil
}

// AddAddresses adds addresses to a link.
func (k *Kernel) AddAddresses(link string, addresses []netip.Prefix) error {
	k.enter(CallAdd)
	k.journal = append(k.journal, fmt.Sprintf("add %s %s", link, join(addresses)))
	if err := k.fails(CallAdd); err != nil {
		k.mu.Unlock()
		return fmt.Errorf("add addresses to %s: %w", link, err)
	}
	l := k.find(link)
	if l == nil {
		k.mu.Unlock()
		return fmt.Errorf("add addresses to %s: %w", link, unix.ENODEV)
	}
	for _, p := range addresses {
		_ = k.put(l, inet.Address{Prefix: p}, false)
	}
	k.leave()
	return nil
}

// PutAddresses makes addresses of a link be there as given.
func (k *Kernel) PutAddresses(link string, addresses []inet.Address) error {
	k.enter(CallAdd)
	k.journal = append(k.journal, fmt.Sprintf("put %s %s", link, join(addresses)))
	if err := k.fails(CallAdd); err != nil {
		k.mu.Unlock()
		return fmt.Errorf("put addresses on %s: %w", link, err)
	}
	l := k.find(link)
	if l == nil {
		k.mu.Unlock()
		return fmt.Errorf("put addresses on %s: %w", link, unix.ENODEV)
	}
	var failed []inet.Failure
	for i, a := range addresses {
		if err := k.put(l, a, true); err != nil {
			failed = append(failed, inet.Failure{Index: i, Err: fmt.Errorf("put address %s on %s: %w", a, link, err)})
		}
	}
	k.leave()
	return batchError(failed)
}

func batchError(failed []inet.Failure) error {
	if failed == nil {
		return nil
	}
	return &inet.BatchError{Failures: failed}
}

// put adds one address, or gives one of halo's other attributes.
func (k *Kernel) put(l *memoryLink, a inet.Address, adapt bool) error {
	if err := a.Check(); err != nil {
		return err
	}
	if k.fleeting[a.Prefix] > 0 {
		k.fleeting[a.Prefix]--
		return nil // Added, and deleted by somebody before anyone could look.
	}
	if !k.unmarked {
		a.Protocol = inet.ProtocolHalo
	}
	if a.Label == "" && a.Addr().Is4() {
		a.Label = l.Name
	}
	i := slices.IndexFunc(l.entries, func(o inet.Address) bool { return o.ID() == a.ID() })
	switch {
	case i < 0 && a.Addr().Is6() && slices.ContainsFunc(l.entries, func(o inet.Address) bool { return o.Addr() == a.Addr() }):
		return unix.EEXIST // IPv6 has an address once, whatever its prefix length.
	case i < 0:
		l.entries = append(l.entries, a)
	case adapt && l.entries[i].Protocol == inet.ProtocolHalo:
		l.entries[i] = a
	}
	return nil
}

// DelAddresses deletes addresses from a link.
func (k *Kernel) DelAddresses(link string, addresses []netip.Prefix) error {
	k.enter(CallDelete)
	k.journal = append(k.journal, fmt.Sprintf("delete %s %s", link, join(addresses)))
	if err := k.fails(CallDelete); err != nil {
		k.mu.Unlock()
		return fmt.Errorf("delete addresses from %s: %w", link, err)
	}
	if l := k.find(link); l != nil {
		k.remove(l, addresses)
	}
	k.leave()
	return nil
}

// Put adds addresses by somebody else's hand.
func (k *Kernel) Put(link string, addresses ...string) {
	k.place(link, inet.ProtocolNone, addresses)
}

// PutMarked adds addresses as an earlier run of a driver left them.
func (k *Kernel) PutMarked(link string, addresses ...string) {
	k.place(link, inet.ProtocolHalo, addresses)
}

func (k *Kernel) place(link string, protocol inet.Protocol, addresses []string) {
	k.mu.Lock()
	if l := k.find(link); l != nil {
		for _, a := range addresses {
			l.place(netip.MustParsePrefix(a), protocol)
		}
	}
	k.leave()
}

func (l *memoryLink) place(p netip.Prefix, protocol inet.Protocol) {
	a := inet.Address{Prefix: p, Protocol: protocol}
	if p.Addr().Is4() {
		a.Label = l.Name
	}
	l.entries = append(l.entries, a)
}

// Alter gives an address other attributes by somebody else's hand. It keeps its
// mark.
func (k *Kernel) Alter(link string, address inet.Address) {
	k.mu.Lock()
	if l := k.find(link); l != nil {
		for i, a := range l.entries {
			if a.ID() == address.ID() {
				address.Protocol = a.Protocol
				l.entries[i] = address
			}
		}
	}
	k.leave()
}

// ForgetMarks makes the kernel one before 5.18, which stores no marks.
func (k *Kernel) ForgetMarks() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unmarked = true
}

// Take deletes addresses by somebody else's hand.
func (k *Kernel) Take(link string, addresses ...string) {
	k.mu.Lock()
	if l := k.find(link); l != nil {
		for _, a := range addresses {
			k.remove(l, []netip.Prefix{netip.MustParsePrefix(a)})
		}
	}
	k.leave()
}

// remove deletes addresses, with the routes that need them.
func (k *Kernel) remove(l *memoryLink, addresses []netip.Prefix) {
	had4 := l.hasIPv4()
	l.entries = slices.DeleteFunc(l.entries, func(a inet.Address) bool { return slices.Contains(addresses, a.Prefix) })
	k.settleRoutes(func(r inet.Route, hop inet.NextHop) bool {
		return hop.Link == l.Name && r.Is4() && had4 && !l.hasIPv4()
	})
}

func (l *memoryLink) hasIPv4() bool {
	return slices.ContainsFunc(l.entries, func(a inet.Address) bool { return a.Addr().Is4() })
}

// text is the link and its addresses, a line each.
func (l *memoryLink) text(b *strings.Builder) {
	state := "down"
	if l.Up {
		state = "up"
	}
	fmt.Fprintf(b, "link %s %d %s", l.Name, l.Index, state)
	if m := l.macvlan; m != nil {
		fmt.Fprintf(b, " macvlan %s on %s %s", m.Mode, m.Parent, m.MAC)
	}
	b.WriteByte('\n')
	entries := slices.Clone(l.entries)
	slices.SortFunc(entries, func(a, b inet.Address) int { return a.Compare(b.Prefix) })
	for _, a := range entries {
		if a.Label == l.Name {
			a.Label = ""
		}
		fmt.Fprintf(b, "address %s %s\n", l.Name, a)
	}
}
