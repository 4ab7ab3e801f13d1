package speaker

import (
	"net/netip"
	"slices"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// set adds or changes a router.
func (l *loop) set(now time.Time, name string, config vrrp.Config, unicast *Unicast) {
	r, ok := l.byName[name]
	if ok && r.config.VRID != config.VRID {
		l.remove(now, name)
		ok = false
	}
	l.stale, l.virtual = true, nil
	if !ok {
		r = &router{
			name: name, config: config, machine: vrrp.New(config),
			lateness: newHistogram(latenessBounds()), gap: newHistogram(gapBounds()),
		}
		r.due.Owner = r
		r.speakTo(unicast)
		r.learn()
		l.byName[name] = r
		// A router that still has this VRID may be about to get another one: the
		// notes of a reload come in no particular order.
		l.byVRID[config.VRID] = slices.Insert(l.byVRID[config.VRID], 0, r)
		return
	}
	if !r.unicast.equal(unicast) {
		r.speakTo(unicast)
		r.learn()
	}
	if r.config.Equal(&config) {
		return
	}
	r.config = config
	l.handle(now, r, vrrp.Reconfigured{Config: config})
	r.learn()
}

// learn takes over what the router expects to hear.
func (r *router) learn() {
	r.expect = r.machine.Expect()
	r.expectV2, r.alsoV2 = r.machine.ExpectV2()
	r.mark()
	r.expect.Sequence = &r.sequence
	r.expect.Marks, r.expectV2.Marks = r.marks, r.marks
}

// mark makes room for the marks of everybody who may send. What was heard is kept
// through every change, also of keys: see wire.Marks.
func (r *router) mark() {
	if !r.config.HMAC.Configured() {
		return
	}
	room := wire.MulticastSenders
	if r.unicast != nil {
		room = len(r.unicast.Peers)
		if r.unicast.open() {
			room += wire.MulticastSenders
		}
	}
	if r.marks == nil {
		r.marks = wire.NewMarks(room)
	}
	r.marks.Resize(room)
}

// remove ends a router and says whether there was one.
func (l *loop) remove(now time.Time, name string) bool {
	r, ok := l.byName[name]
	if !ok {
		return false
	}
	l.handle(now, r, vrrp.Stopped{})
	delete(l.byName, name)
	list := &l.byVRID[r.config.VRID]
	*list = slices.DeleteFunc(*list, func(x *router) bool { return x == r })
	l.stale, l.virtual = true, nil
	return true
}

func (l *loop) post(now time.Time, name string, event vrrp.Event) {
	if r, ok := l.byName[name]; ok {
		l.handle(now, r, event)
	}
}

// setLink takes note of a changed interface. A new one of the same name gets new
// sockets before the routers hear of it.
func (l *loop) setLink(now time.Time, link Link) {
	if l.known && l.link.equal(&link) {
		return
	}
	if l.link.Exists && link.Exists && l.link.Index != link.Index {
		// Another interface took the name so fast that its absence was not
		// seen. It was absent all the same, and its addresses are gone.
		l.setLink(now, Link{})
		l.tellAll(now)
	}
	if l.link.Exists != link.Exists {
		l.closeSockets()
	}
	l.link, l.known, l.stale = link, true, true
}

// tellAll tells every router what has changed for it.
func (l *loop) tellAll(now time.Time) {
	if !l.known {
		return
	}
	usual := l.usualSources()
	for _, r := range l.byName {
		l.tellSocket(now, r)
		change := vrrp.InterfaceChanged{Exists: l.link.Exists, Up: l.link.Up}
		if l.link.Exists {
			change.Source = l.source(r, &usual)
		}
		if r.introduced && r.told == change {
			continue
		}
		r.told, r.introduced = change, true
		l.handle(now, r, change)
	}
}

// tellSocket tells a router whether there is a socket for it. While the interface
// is missing nobody misses one.
func (l *loop) tellSocket(now time.Time, r *router) {
	missing := l.link.Exists && !l.channel(r).serves(r)
	if missing == r.noSocket {
		return
	}
	r.noSocket = missing
	if missing {
		l.handle(now, r, vrrp.FaultRaised{Cause: vrrp.FaultNoSocket})
		return
	}
	l.handle(now, r, vrrp.FaultCleared{Cause: vrrp.FaultNoSocket})
}

// sources are the first addresses of the interface that are not virtual.
type sources struct{ any, linkLocal, routed netip.Addr }

// usualSources leaves out what is virtual. A left-over of a crash must not be
// chosen: it is about to be removed, and it would win ties it has no right to.
func (l *loop) usualSources() sources {
	if l.virtual == nil {
		l.virtual = make(map[netip.Addr]bool)
		for _, r := range l.byName {
			for _, a := range r.config.Addresses {
				l.virtual[a] = true
			}
		}
	}
	var usual sources
	for _, a := range l.link.Addresses {
		if l.virtual[a] {
			continue
		}
		for _, place := range []struct {
			at   *netip.Addr
			fits bool
		}{
			{&usual.any, true}, {&usual.linkLocal, a.IsLinkLocalUnicast()}, {&usual.routed, !a.IsLinkLocalUnicast()},
		} {
			if place.fits && !place.at.IsValid() {
				*place.at = a
			}
		}
	}
	return usual
}

// source is the address a router advertises from, invalid if there is none. Over
// IPv6 that is a link-local one (RFC 9568 §5.1.2.1), unless it speaks to peers that
// have others.
func (l *loop) source(r *router, usual *sources) netip.Addr {
	config := &r.config
	if config.Source.IsValid() {
		if slices.Contains(l.link.Addresses, config.Source) {
			return config.Source
		}
		return netip.Addr{}
	}
	address, linkLocal, routed := usual.any, false, false
	if l.speaker.options.Family == wire.IPv6 {
		linkLocal = r.unicast == nil || r.unicast.Peers[0].Address.IsLinkLocalUnicast()
		routed = !linkLocal
		address = usual.routed
		if linkLocal {
			address = usual.linkLocal
		}
	}
	if address.IsValid() || config.Priority != wire.PriorityOwner {
		return address
	}
	// The owner's virtual addresses are its real ones.
	for _, a := range l.link.Addresses {
		if slices.Contains(config.Addresses, a) && (!linkLocal || a.IsLinkLocalUnicast()) && (!routed || !a.IsLinkLocalUnicast()) {
			return a
		}
	}
	return netip.Addr{}
}
