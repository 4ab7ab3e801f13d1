package speaker

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Unicast is how a router speaks to a list of peers in place of its group.
type Unicast struct {
	// Peers are all other routers of the group, at least one. The own address
	// may be among them, so that all can have the same list: it is left out.
	Peers []Peer
	// AnySource accepts advertisements from addresses that are no peers. A peer
	// with a bound of its TTL overrules it.
	AnySource bool
}

// Peer is another router.
type Peer struct {
	Address netip.Addr
	// MinTTL and MaxTTL are the least and the greatest TTL or hop limit with
	// which its advertisements may arrive. Each router on the way takes one from
	// what the sender gave it: 255, but Keepalived's over IPv6, which is 64.
	// Zero is no bound.
	MinTTL, MaxTTL uint8
}

// PeerSnapshot is what is known of one peer.
type PeerSnapshot struct {
	Peer

	// Received is what came from its address, whether it counted or not.
	Received uint64
	// Sent is the advertisements that went out to it, SendErrors those that did
	// not, and SendError why the last of those.
	Sent, SendErrors uint64
	SendError        string
}

// validate wants a list that can be sent to. An empty one is an error, and not
// multicast: that would tell everybody on the link what was for a few.
func (u *Unicast) validate(family wire.Family) error {
	if len(u.Peers) == 0 {
		return errors.New("unicast needs at least one peer")
	}
	seen := make(map[netip.Addr]bool, len(u.Peers))
	for _, p := range u.Peers {
		switch {
		case !family.Has(p.Address) || p.Address.IsMulticast() || p.Address.IsUnspecified():
			return fmt.Errorf("peer %v is not a unicast address of %v", p.Address, family)
		case p.MaxTTL != 0 && p.MinTTL > p.MaxTTL:
			return fmt.Errorf("peer %v: least TTL %d is above the greatest, %d", p.Address, p.MinTTL, p.MaxTTL)
		case seen[p.Address.WithZone("")]:
			return fmt.Errorf("peer %v is there twice", p.Address)
		}
		seen[p.Address.WithZone("")] = true
	}
	return nil
}

// clone shares nothing. The interface says what zone the peers are in.
func (u *Unicast) clone() *Unicast {
	c := &Unicast{Peers: slices.Clone(u.Peers), AnySource: u.AnySource}
	for i := range c.Peers {
		c.Peers[i].Address = c.Peers[i].Address.WithZone("")
	}
	return c
}

// equal says whether two routers speak to the same peers; nil is the group.
func (u *Unicast) equal(other *Unicast) bool {
	if u == nil || other == nil {
		return u == other
	}
	return u.AnySource == other.AnySource && slices.Equal(u.Peers, other.Peers)
}

// open says whether anybody may send.
func (u *Unicast) open() bool {
	return u.AnySource && !slices.ContainsFunc(u.Peers, func(p Peer) bool { return p.MinTTL != 0 || p.MaxTTL != 0 })
}

// allows says whether an advertisement may arrive with the TTL.
func (p *Peer) allows(ttl uint8) bool {
	return ttl >= p.MinTTL && (p.MaxTTL == 0 || ttl <= p.MaxTTL)
}

// speakTo makes a router speak to these peers, nil for the group. What is known
// of a peer is kept.
func (r *router) speakTo(unicast *Unicast) {
	old := r.peers
	r.unicast, r.peers = unicast, nil
	if unicast == nil {
		return
	}
	for _, p := range unicast.Peers {
		s := PeerSnapshot{Peer: p}
		if i := slices.IndexFunc(old, func(o PeerSnapshot) bool { return o.Address == p.Address }); i >= 0 {
			s = old[i]
			s.Peer = p
		}
		r.peers = append(r.peers, s)
	}
}

// peer is the one with the address, nil if it is none.
func (r *router) peer(address netip.Addr) *PeerSnapshot {
	address = address.WithZone("")
	for i := range r.peers {
		if r.peers[i].Address == address {
			return &r.peers[i]
		}
	}
	return nil
}

// admit says whether a packet that was sent to this machine alone may be looked
// at. The receive checks know the TTL of the group only, so it is judged here and
// told to them in their terms.
func (r *router) admit(meta *wire.Meta) bool {
	p := r.peer(meta.Source)
	if p == nil {
		meta.TTL = wire.HopLimit
		return r.unicast.open()
	}
	p.Received++
	if p.allows(meta.TTL) {
		meta.TTL = wire.HopLimit
	} else {
		meta.TTL = 0
	}
	return true
}
