package inet

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// labelSize is the longest label and link name (IFNAMSIZ without its end).
const labelSize = 15

// Address is an address of a link.
type Address struct {
	netip.Prefix
	// Peer is the other end of a point-to-point link, and the prefix length is
	// then that of the peer's subnet.
	Peer netip.Addr
	// Broadcast is the subnet's broadcast address (IPv4). Not set is none.
	Broadcast netip.Addr
	// Label is the name that old programs see instead of the link's (IPv4), at
	// most 15 bytes. Empty means the link's name.
	Label string
	// Scope limits the use of the address (IPv4); the kernel takes IPv6
	// scopes from the addresses.
	Scope Scope
	// Deprecated means that the address answers and is never picked as the
	// source of a new connection: its preferred lifetime is over.
	Deprecated bool
	// PreferredFor is the time in whole seconds until the address becomes
	// Deprecated by itself. Zero is for ever. As observed, it counts down.
	PreferredFor time.Duration
	// NoPrefixRoute keeps the kernel from making a route to the subnet.
	NoPrefixRoute bool
	// DetectDuplicates lets the kernel look for another owner before the
	// address is used (IPv6). Off, since an address that moves must work at
	// once, and its former owner may still have it for a moment.
	DetectDuplicates bool
	// Home, ManageTemporary and AutoJoin are the kernel's flags of these names:
	// Mobile IPv6, a template of temporary addresses, joining a multicast
	// address.
	Home            bool
	ManageTemporary bool
	AutoJoin        bool

	// Protocol is who added the address. Addresses of halo carry ProtocolHalo,
	// whatever is asked for; on kernels before 5.18 nobody's has a mark.
	Protocol Protocol
	// Secondary is observed: the kernel counts an IPv4 address to an earlier
	// one of the same subnet, does not use it as a source and deletes it along
	// with the earlier one, unless the link's promote_secondaries is set.
	Secondary bool
	// Tentative is observed: an IPv6 address whose owner the kernel is still
	// looking for, which cannot be used yet.
	Tentative bool
	// Duplicate is observed: an IPv6 address that somebody else has, which is
	// not used for that reason.
	Duplicate bool
}

// AddressID is what the kernel tells the addresses of one link apart by.
type AddressID struct {
	netip.Prefix
	Peer netip.Addr
}

// ID is the address's identity. The kernel would not have the same IPv6
// address twice on a link, even with another prefix length; yet it deletes an
// address only by its own length, so they are two identities here.
func (a Address) ID() AddressID { return AddressID{a.Prefix, a.Peer} }

// Satisfies tells whether an address that was found is as wanted. What is
// observed does not count, nor does who added it; a preferred lifetime that has
// been running for a while is the one that was asked for, and an empty label is
// satisfied by any, since the link's name is not known here.
func (a Address) Satisfies(want Address) bool {
	if a.ID() != want.ID() || a.NoPrefixRoute != want.NoPrefixRoute || a.AutoJoin != want.AutoJoin {
		return false
	}
	switch {
	case want.Deprecated:
		if !a.Deprecated {
			return false
		}
	case want.PreferredFor == 0:
		if a.Deprecated || a.PreferredFor != 0 {
			return false
		}
	case !a.Deprecated && (a.PreferredFor == 0 || a.PreferredFor > want.PreferredFor):
		return false
	}
	if a.Addr().Is4() {
		return a.Scope == want.Scope && a.Broadcast == want.Broadcast && (want.Label == "" || a.Label == want.Label)
	}
	return a.Home == want.Home && a.ManageTemporary == want.ManageTemporary
}

// Check tells what is wrong with an address that is wanted.
func (a Address) Check() error {
	is4 := a.Addr().Is4()
	switch {
	case !a.IsValid():
		return errors.New("address is not valid")
	case a.Addr().Zone() != "" || a.Addr().Is4In6():
		return fmt.Errorf("address %s has a zone or is an IPv4 address in IPv6 form", a.Prefix)
	case a.Peer.IsValid() && a.Peer.Is4() != is4:
		return fmt.Errorf("address %s has a peer of the other family", a.Prefix)
	case len(a.Label) > labelSize:
		return fmt.Errorf("address %s has a label of more than %d bytes", a.Prefix, labelSize)
	case !is4 && (a.Label != "" || a.Broadcast.IsValid() || a.Scope != ScopeGlobal):
		return fmt.Errorf("address %s has a label, a broadcast address or a scope, which IPv6 does not know", a.Prefix)
	case a.Broadcast.IsValid() && !a.Broadcast.Is4():
		return fmt.Errorf("address %s has a broadcast address of the other family", a.Prefix)
	case is4 && (a.Home || a.ManageTemporary || a.DetectDuplicates):
		return fmt.Errorf("address %s has a flag that IPv4 does not know", a.Prefix)
	case a.PreferredFor < 0 || a.PreferredFor%time.Second != 0:
		return fmt.Errorf("address %s has a preferred lifetime that is not in whole seconds", a.Prefix)
	}
	return nil
}

// String is the address in the words of `ip address add`, without what is
// observed.
func (a Address) String() string {
	var w words
	if a.Peer.IsValid() {
		w.add("%s peer %s/%d", a.Addr(), a.Peer, a.Bits())
	} else {
		w.add("%s", a.Prefix)
	}
	if a.Broadcast.IsValid() {
		w.add("brd %s", a.Broadcast)
	}
	if a.Label != "" {
		w.add("label %s", a.Label)
	}
	if a.Scope != ScopeGlobal {
		w.add("scope %s", a.Scope)
	}
	switch {
	case a.Deprecated:
		w.add("preferred_lft 0")
	case a.PreferredFor != 0:
		w.add("preferred_lft %d", a.PreferredFor/time.Second)
	}
	w.flag("noprefixroute", a.NoPrefixRoute)
	w.flag("dad", a.DetectDuplicates)
	w.flag("home", a.Home)
	w.flag("mngtmpaddr", a.ManageTemporary)
	w.flag("autojoin", a.AutoJoin)
	return w.String()
}
