package speaker

import (
	"net/netip"
	"slices"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// set adds or changes a router.
func (l *loop) set(now time.Time, name string, config vrrp.Config) {
	r, ok := l.byName[name]
	if ok && r.config.VRID != config.VRID {
		l.remove(now, name)
		ok = false
	}
	l.stale = true
	if !ok {
		r = &router{
			name: name, config: config, machine: vrrp.New(config), index: -1,
			lateness: newHistogram(latenessBounds()), gap: newHistogram(gapBounds()),
		}
		r.expect = r.machine.Expect()
		l.byName[name] = r
		// A router that still has this VRID is about to get another one: the
		// notes of a reload come in no particular order.
		l.byVRID[config.VRID] = r
		return
	}
	if r.config.Equal(&config) {
		return
	}
	r.config = config
	l.handle(now, r, vrrp.Reconfigured{Config: config})
	r.expect = r.machine.Expect()
}

func (l *loop) remove(now time.Time, name string) {
	r, ok := l.byName[name]
	if !ok {
		return
	}
	l.handle(now, r, vrrp.Stopped{})
	delete(l.byName, name)
	if l.byVRID[r.config.VRID] == r {
		l.byVRID[r.config.VRID] = nil
	}
	l.stale = true
}

func (l *loop) post(now time.Time, name string, event vrrp.Event) {
	if r, ok := l.byName[name]; ok {
		l.handle(now, r, event)
	}
}

// setLink takes note of a changed interface. A new one of the same name gets a
// new socket before the routers hear of it.
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
	renewed := !l.known || l.link.Exists != link.Exists
	l.link, l.known, l.stale = link, true, true
	if renewed {
		l.reopen(now)
	}
}

// tellAll tells every router what has changed for it.
func (l *loop) tellAll(now time.Time) {
	if !l.known {
		return
	}
	usual := l.usualSource()
	for _, r := range l.byName {
		l.tellSocket(now, r)
		change := vrrp.InterfaceChanged{Exists: l.link.Exists, Up: l.link.Up}
		if l.link.Exists {
			change.Source = l.source(&r.config, usual)
		}
		if r.introduced && r.told == change {
			continue
		}
		r.told, r.introduced = change, true
		l.handle(now, r, change)
	}
}

// tellSocket tells a router whether there is a socket. While the interface is
// missing nobody misses one.
func (l *loop) tellSocket(now time.Time, r *router) {
	missing := l.link.Exists && l.conn == nil
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

// usualSource is the interface's first address that is not virtual. A left-over
// of a crash must not be chosen: it is about to be removed, and it would win
// ties it has no right to.
func (l *loop) usualSource() netip.Addr {
	virtual := make(map[netip.Addr]bool)
	for _, r := range l.byName {
		for _, a := range r.config.Addresses {
			virtual[a] = true
		}
	}
	for _, a := range l.link.Addresses {
		if !virtual[a] {
			return a
		}
	}
	return netip.Addr{}
}

// source is the address a router advertises from, invalid if there is none.
func (l *loop) source(config *vrrp.Config, usual netip.Addr) netip.Addr {
	switch {
	case config.Source.IsValid():
		if slices.Contains(l.link.Addresses, config.Source) {
			return config.Source
		}
		return netip.Addr{}
	case usual.IsValid() || config.Priority != wire.PriorityOwner:
		return usual
	}
	// The owner's virtual addresses are its real ones.
	for _, a := range l.link.Addresses {
		if slices.Contains(config.Addresses, a) {
			return a
		}
	}
	return netip.Addr{}
}
