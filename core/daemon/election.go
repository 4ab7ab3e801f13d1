package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"

	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/radvspeaker"
	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vip"
	"github.com/halo-ha/halo/core/vrrp"
)

// election is the VRRP side of the daemon: a speaker for each interface that
// has instances, one owner of addresses, and the kernel's view of links that
// both are told about.
type election struct {
	sockets   sockets
	addresses *vip.Owner
	journal   *journal.Journal
	logger    *slog.Logger
	places    places
	groups    *syncGroups
	tracking  *tracking
	conflicts *conflicts
	presence  *presence
	virtual   *virtualLinks
	// advertising tells hosts of the routers that are active.
	advertising *radvspeaker.Speaker
	routing     *routingWatch

	// looked is closed when the kernel's links are known, closing when the end
	// begins.
	looked, closing chan struct{}
	knows           sync.Once
	// changing is held by whoever changes which instances there are, or has to
	// know them all. It is taken before mu.
	changing sync.Mutex

	// mu guards what follows. It is held over whole reloads, so nothing that
	// the election itself calls may take it.
	mu       sync.Mutex
	speakers map[place]*running
	moving   map[located]place // addresses that move, with whom
	view     *rtnl.View        // nil before the kernel was first looked at: nothing is known of links then
	ending   sync.WaitGroup    // speakers that have been started
}

// newElection makes an election without instances.
func newElection(kernel *rtnl.Handle, announcer vip.Announcer, s sockets, j *journal.Journal, logger *slog.Logger) *election {
	e := &election{
		sockets: s, journal: j, logger: logger, looked: make(chan struct{}), closing: make(chan struct{}),
		speakers: make(map[place]*running), places: newPlaces(),
	}
	e.groups = newSyncGroups(e.post, j, logger)
	e.tracking = newTracking(tracked{e}, j, logger)
	e.conflicts = newConflicts(e.post, j, logger)
	e.presence = newPresence(announcer, logger)
	e.virtual = newVirtualLinks(kernel, e.virtualChanged, logger)
	e.advertising = radvspeaker.New(radvspeaker.Options{Kernel: hostsKernel{}, Log: logger})
	e.routing = newRoutingWatch(func(v *rtnl.RoutingView) { e.addresses.RoutingChanged(v.Routes, v.Rules) }, logger)
	e.addresses = vip.New(vip.Kernel{Addresses: kernel, Routes: kernel, Rules: kernel}, announcer, e, logger)
	return e
}

// apply makes an electorate the one there is. Routers that are unchanged
// notice nothing: the speaker and the owner of addresses compare for
// themselves. One that moves to another interface ends on the old one first.
func (e *election) apply(next electorate) error {
	e.changing.Lock()
	defer e.changing.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.virtual.apply(&next)
	e.groups.apply(next.members)
	e.moving = next.moving()
	e.routing.set(next.marks())
	if s := next.generation.Static; s.Empty() {
		e.addresses.Remove(staticName)
	} else {
		e.addresses.Set(staticConfig(s))
		e.addresses.Acquire(staticName)
	}
	// Before a router can become active that it does not know.
	failures := []error{e.advertising.Apply(advertised(next.routers))}
	for name, s := range e.places.all() {
		r, stays := next.routers[name]
		if stays && r.place() == s.place {
			continue
		}
		e.places.forget(name)
		if !stays {
			e.places.leave(name)
		}
		s.Remove(name)
		if !stays {
			e.addresses.Remove(name)
		}
	}
	e.tellLinks()
	for name, r := range next.routers {
		e.addresses.Set(addressConfig(name, &r))
		s := e.speakerOf(r.place())
		e.places.put(name, s, r.located())
		e.conflicts.renew(name, r.located())
		set := s.Set
		if r.unicast != nil {
			set = func(name string, c vrrp.Config) error { return s.SetUnicast(name, c, *r.unicast) }
		}
		if err := set(name, r.vrrp); err != nil {
			failures = append(failures, err)
			e.places.forget(name)
		}
	}
	e.tracking.apply(next.generation)
	e.presence.apply(next)
	used := make(map[place]bool)
	for _, s := range e.places.all() {
		used[s.place] = true
	}
	for p, s := range e.speakers {
		if !used[p] {
			s.cancel()
			delete(e.speakers, p)
		}
	}
	return errors.Join(failures...)
}

// speakerOf returns the speaker of a place, started if it is new.
func (e *election) speakerOf(p place) *running {
	if s, ok := e.speakers[p]; ok {
		return s
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &running{place: p, cancel: cancel, Speaker: speaker.New(speaker.Options{
		Interface: p.iface, Family: p.family, Alarm: e.sockets.alarm,
		Open: func(socket speaker.Socket, ready chan<- struct{}) (speaker.Conn, error) {
			return e.sockets.open(p, socket, ready)
		},
		Addresses: holder{e, p}, Observer: witness{e, p}, Groups: e.groups,
	})}
	e.speakers[p] = s
	e.tellLink(s)
	if p.virtual.Name != "" {
		e.virtual.hold(p.virtual.Name)
	}
	e.ending.Go(func() {
		if p.virtual.Name != "" {
			defer e.virtual.letGo(p.virtual.Name)
		}
		if err := s.Run(ctx); err != nil {
			e.logger.Error("speaker ended", "iface", p.iface, "family", p.family.String(), "error", err)
		}
	})
	return s
}

// close ends every speaker, which makes active routers resign, and waits for
// that. It ends the election before the addresses, so that no advertisement
// claims what is gone.
func (e *election) close() {
	close(e.closing)
	e.mu.Lock()
	for _, s := range e.speakers {
		s.cancel()
	}
	e.mu.Unlock()
	e.tracking.close()
	e.ending.Wait()
	e.groups.close()
}

// snapshots are the states of all speakers. One that does not
// answer within ctx is in the error and not among them.
func (e *election) snapshots(ctx context.Context) (map[place]speaker.Snapshot, error) {
	e.mu.Lock()
	speakers := maps.Clone(e.speakers)
	e.mu.Unlock()
	all := make(map[place]speaker.Snapshot, len(speakers))
	var failures []error
	for p, s := range speakers {
		snapshot, err := s.Snapshot(ctx)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		all[p] = snapshot
	}
	return all, errors.Join(failures...)
}

// post hands an event to a router, if it is there. It never waits.
func (e *election) post(name string, event vrrp.Event) {
	if s := e.places.of(name); s != nil {
		s.Post(name, event)
	}
}
