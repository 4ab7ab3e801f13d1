package rtnl

import (
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Link is a network interface with its addresses.
type Link struct {
	Index int
	Name  string
	// MAC is the hardware address, empty where the link has none.
	MAC string
	// Up means that the link is set up and can carry traffic: IFF_UP, and
	// IFF_RUNNING for the carrier.
	Up bool
	// AdminUp means that the link is set up, with or without a carrier.
	AdminUp bool
	// Kind is the kind of virtual link, such as "macvlan". Empty for others.
	Kind string
	// Parent is the index of the link below a virtual one, 0 for none. The
	// link may be in another namespace.
	Parent int
	// Master is the index of the bridge, bond or VRF that the link belongs to,
	// 0 for none.
	Master int
	MTU    uint32
	// Group is the number of the administrator's group of links.
	Group uint32
	// Alias is the administrator's remark.
	Alias string
	// VRFTable is the routing table of a link of kind "vrf".
	VRFTable uint32
	// Mode is that of a link of kind "macvlan"; KnownMode is whether it is one
	// of the modes that have a name here.
	Mode      inet.MacvlanMode
	KnownMode bool
	// Addresses are in the kernel's order, primary ones first. The slice is
	// shared and must not be changed.
	Addresses []inet.Address
}

// sameAs tells whether two links are alike but for their addresses.
func (l *Link) sameAs(o *Link) bool {
	return l.Index == o.Index && l.Name == o.Name && l.MAC == o.MAC && l.Up == o.Up && l.AdminUp == o.AdminUp &&
		l.Kind == o.Kind && l.Parent == o.Parent && l.Master == o.Master && l.MTU == o.MTU && l.Group == o.Group &&
		l.Alias == o.Alias && l.VRFTable == o.VRFTable && l.Mode == o.Mode && l.KnownMode == o.KnownMode
}

// Links lists all links with all their addresses, by ascending index.
func (h *Handle) Links() ([]Link, error) {
	var links []Link
	err := h.read(func(s *socket) (err error) {
		links, err = s.dumpLinks()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return links, nil
}

// AddMacvlan makes a macvlan link on a parent. It is down, and never makes an
// IPv6 address of its own: halo's links have the addresses that they are given.
// A link of that name that exists is an error that wraps EEXIST, whatever it
// is; a parent that does not exist is one that wraps ENODEV.
func (h *Handle) AddMacvlan(m inet.Macvlan) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	parent, err := h.changes.linkIndex(m.Parent)
	if err != nil {
		return fmt.Errorf("make link %s on %s: %w", m.Name, m.Parent, err)
	}
	// One system call, so that a process that is killed leaves nothing that is
	// half made.
	results := h.changes.execute([]request{newMacvlan(parent, m), aliasByName(m.Name, m.Alias), noIPv6Addresses(m.Name)})
	if results[0] == nil {
		results[0] = results[1]
	}
	// A kernel without IPv6 makes no IPv6 addresses either.
	if results[0] == nil && !isAny(results[2], []unix.Errno{unix.EAFNOSUPPORT}) {
		results[0] = results[2]
	}
	if results[0] != nil {
		return fmt.Errorf("make link %s on %s: %w", m.Name, m.Parent, explain(results[0]))
	}
	return nil
}

// DelLink deletes a virtual link. A link that does not exist counts as deleted.
// It goes by index, so that it cannot be a later link of the same name.
func (h *Handle) DelLink(index int) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	err := h.changes.execute([]request{{kind: unix.RTM_DELLINK, body: linkHeader(index)}})[0]
	if err != nil && !isAny(err, []unix.Errno{unix.ENODEV}) {
		return fmt.Errorf("delete link %d: %w", index, explain(err))
	}
	return nil
}

// DelLinks deletes virtual links as DelLink does, all of them at once. The kernel
// waits for each link that it deletes by itself until nobody can be using it any
// more, and only once for those of a group. So they are put into one of their own.
func (h *Handle) DelLinks(indices []int) error {
	if len(indices) == 1 {
		return h.DelLink(indices[0])
	}
	if len(indices) == 0 {
		return nil
	}
	links, err := h.Links()
	if err != nil {
		return err
	}
	group := unusedGroup(links)
	requests := make([]request, len(indices))
	for i, index := range indices {
		requests[i] = setLink(index, LinkChange{Group: inet.Some(group)})
	}
	message, err := body(linkHeader(0), func(a *netlink.AttributeEncoder) { a.Uint32(unix.IFLA_GROUP, group) })
	if err != nil {
		return err
	}
	h.changing.Lock()
	defer h.changing.Unlock()
	for i, err := range h.changes.execute(requests) {
		if err != nil && !isAny(err, []unix.Errno{unix.ENODEV}) {
			return fmt.Errorf("delete link %d: %w", indices[i], explain(err))
		}
	}
	// Nobody is left in the group when all were gone already.
	err = h.changes.execute([]request{{kind: unix.RTM_DELLINK, body: message}})[0]
	if err != nil && !isAny(err, []unix.Errno{unix.ENODEV}) {
		return fmt.Errorf("delete %d links: %w", len(indices), explain(err))
	}
	return nil
}

// unusedGroup is the number of a group that no link belongs to.
func unusedGroup(links []Link) uint32 {
	used := make(map[uint32]bool, len(links))
	for _, l := range links {
		used[l.Group] = true
	}
	group := uint32(0x68616c6f) // Any number that people hardly choose.
	for used[group] {
		group++
	}
	return group
}

// LinkChange is what is to be changed of a link: what is set.
type LinkChange struct {
	Up     inet.Optional[bool]
	Alias  inet.Optional[string]
	MAC    inet.Optional[string]
	MTU    inet.Optional[uint32]
	Group  inet.Optional[uint32]
	Master inet.Optional[int] // index, 0 to leave the present one
	// IPv4 are settings of /proc/sys/net/ipv4/conf.
	IPv4 map[IPv4Setting]uint32
}

// SetLink changes a link.
func (h *Handle) SetLink(index int, change LinkChange) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	if err := h.changes.execute([]request{setLink(index, change)})[0]; err != nil {
		return fmt.Errorf("change link %d: %w", index, explain(err))
	}
	return nil
}

// IPv4Setting is a setting of a link below /proc/sys/net/ipv4/conf. Over
// rtnetlink it is reached in the Handle's namespace and with a read-only /proc.
type IPv4Setting int

// The settings that a virtual router cares for, with the kernel's numbers
// (linux/ip.h).
const (
	Forwarding         IPv4Setting = 1
	RPFilter           IPv4Setting = 8
	ARPFilter          IPv4Setting = 13
	ARPAnnounce        IPv4Setting = 18
	ARPIgnore          IPv4Setting = 19
	PromoteSecondaries IPv4Setting = 20
	AcceptLocal        IPv4Setting = 23
)

// IPv4Settings reads all settings of a link. A link that does not exist is an
// error that wraps ENODEV.
func (h *Handle) IPv4Settings(index int) (map[IPv4Setting]uint32, error) {
	var settings map[IPv4Setting]uint32
	err := h.read(func(s *socket) (err error) {
		settings, err = s.ipv4Settings(index)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read settings of link %d: %w", index, err)
	}
	return settings, nil
}
