package vmac

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// membership keeps a parent in groups. The kernel reports memberships from the
// link that has joined; from a virtual interface they would tell switches that
// the virtual router is here, on every backup. Without any, a switch that goes by
// reports would keep from this port what the interface waits for.
type membership struct {
	parent int
	groups []netip.Addr
	// fds are sockets on which nothing ever arrives: they have no port.
	fds []int
}

// Join has the parent of an interface that Ensure has seen to belong to groups,
// until the interface is removed. Joining again replaces the groups.
func (k *Keeper) Join(name string, groups []netip.Addr) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.join(name, k.there[name].parent, groups); err != nil {
		return fmt.Errorf("join groups of virtual interface %s: %w", name, err)
	}
	return nil
}

func (k *Keeper) join(name string, parent int, groups []netip.Addr) error {
	if parent == 0 {
		return unix.ENODEV
	}
	if m := k.members[name]; m != nil && m.parent == parent && slices.Equal(m.groups, groups) {
		return nil
	}
	m := &membership{parent: parent, groups: slices.Clone(groups)}
	if err := m.join(); err != nil {
		m.close()
		return err
	}
	// Only now, so that what is in both is never left.
	k.leave(name)
	k.members[name] = m
	return nil
}

// leave ends a membership, if there is one.
func (k *Keeper) leave(name string) {
	if m := k.members[name]; m != nil {
		m.close()
		delete(k.members, name)
	}
}

func (m *membership) join() error {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		groups := slices.DeleteFunc(slices.Clone(m.groups), func(g netip.Addr) bool { return g.Is4() != (family == unix.AF_INET) })
		if len(groups) == 0 {
			continue
		}
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		m.fds = append(m.fds, fd)
		for _, group := range groups {
			if err := m.joinGroup(fd, group); err != nil && !errors.Is(err, unix.EADDRINUSE) {
				return fmt.Errorf("%s: %w", group, err)
			}
		}
	}
	return nil
}

func (m *membership) joinGroup(fd int, group netip.Addr) error {
	if group.Is4() {
		return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(m.parent)})
	}
	return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(m.parent)})
}

func (m *membership) close() {
	for _, fd := range m.fds {
		_ = unix.Close(fd) // It leaves the groups, whatever the kernel says.
	}
	m.fds = nil
}

// Close leaves all groups. Interfaces stay.
func (k *Keeper) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name := range k.members {
		k.leave(name)
	}
}

// SolicitedNode is the group in which an address is asked for (RFC 4291 section
// 2.7.1).
func SolicitedNode(a netip.Addr) netip.Addr {
	from, group := a.As16(), [16]byte{0: 0xff, 1: 0x02, 11: 0x01, 12: 0xff}
	copy(group[13:], from[13:])
	return netip.AddrFrom16(group)
}
