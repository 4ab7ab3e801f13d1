package speaker

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Snapshot is the state of a Speaker at one time. It shares nothing with it.
type Snapshot struct {
	Interface string
	Family    wire.Family
	// Link is what it was told of the interface, Known whether it was.
	Link  Link
	Known bool
	// SocketError says why there is no socket, empty if there is one or none is
	// needed.
	SocketError string
	Counters    Counters
	// Foreign counts the packets for virtual routers that are not configured
	// here, by VRID.
	Foreign map[uint8]uint64
	// ForeignBySource is the same, for each address that speaks for one, as far
	// as there is room.
	ForeignBySource []Foreign
	// Routers are by instance name.
	Routers map[string]RouterSnapshot
}

// RouterSnapshot is the state of one router.
type RouterSnapshot struct {
	vrrp.Snapshot

	Version   wire.Version
	VRID      uint8
	Interval  time.Duration
	Preempt   bool
	Addresses []netip.Addr
	Auth      wire.AuthType
	HMAC      wire.HMAC
	Counters  RouterCounters
	// SendError is the last one, empty if there was none.
	SendError string
	// Unicast says that it speaks to Peers and not to the group.
	Unicast bool
	Peers   []PeerSnapshot
	// Intruder is who sent to it last without being a peer, invalid if nobody
	// did: see RouterCounters.NotPeer.
	Intruder netip.Addr
	// Lateness is how late deadlines were served.
	Lateness Histogram
	// Gap is the time between an advertisement and the next while active.
	Gap Histogram
}

func (l *loop) snapshot() Snapshot {
	s := Snapshot{
		Interface: l.speaker.options.Interface, Family: l.speaker.options.Family,
		Link: l.link, Known: l.known, Counters: l.counters,
		Foreign: make(map[uint8]uint64), Routers: make(map[string]RouterSnapshot, len(l.byName)),
	}
	s.Link.Addresses = slices.Clone(l.link.Addresses)
	s.Counters.EventsDropped = l.speaker.events.Drops()
	if err := l.socketError(); err != nil {
		s.SocketError = err.Error()
	}
	for vrid, n := range &l.foreign {
		if n > 0 {
			s.Foreign[uint8(vrid)] = n
		}
	}
	for _, f := range l.bySource {
		s.ForeignBySource = append(s.ForeignBySource, *f)
	}
	slices.SortFunc(s.ForeignBySource, func(a, b Foreign) int {
		return cmp.Or(cmp.Compare(a.VRID, b.VRID), a.Source.Compare(b.Source))
	})
	for name, r := range l.byName {
		s.Routers[name] = RouterSnapshot{
			Snapshot: r.machine.Snapshot(),
			Version:  r.config.Version, VRID: r.config.VRID, Interval: r.config.Interval,
			Preempt: r.config.Preempt, Addresses: slices.Clone(r.config.Addresses), Auth: r.config.Auth.Type, HMAC: r.config.HMAC,
			Counters: r.counters, SendError: r.sendError,
			Unicast: r.unicast != nil, Peers: slices.Clone(r.peers), Intruder: r.intruder,
			Lateness: r.lateness.clone(), Gap: r.gap.clone(),
		}
	}
	return s
}
