package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"sync"

	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/vmac"
	"github.com/halo-ha/halo/core/radvspeaker"
	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vip"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
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

// place is where routers speak: their interface, and their family. A router with
// a virtual MAC address has one of its own.
type place struct {
	iface  string
	family wire.Family
	// virtual is the link with the virtual MAC address, the zero value without
	// one. The interface is that link, or its parent.
	virtual vmac.Interface
}

func (p place) String() string { return p.iface + " (" + p.family.String() + ")" }

// base is the network interface that a place is on.
func (p place) base() string {
	if p.virtual.Name != "" {
		return p.virtual.Parent
	}
	return p.iface
}

// holds is the link that the addresses go to.
func (p place) holds() string {
	if p.virtual.Name != "" {
		return p.virtual.Name
	}
	return p.iface
}

// running is a speaker with its goroutine.
type running struct {
	*speaker.Speaker
	place
	cancel context.CancelFunc
	// told says that it knows of its interface.
	told bool
}

// sockets is what speakers reach the wire and the clock through.
type sockets struct {
	open  func(p place, socket speaker.Socket, ready chan<- struct{}) (speaker.Conn, error)
	alarm func() (speaker.Alarm, error)
}

// realSockets are the machine's.
func realSockets() sockets {
	return sockets{
		open:  openConn,
		alarm: newAlarm,
	}
}

// newElection makes an election without instances.
func newElection(kernel *rtnl.Handle, announcer vip.Announcer, s sockets, j *journal.Journal, logger *slog.Logger) *election {
	e := &election{
		sockets: s, journal: j, logger: logger, looked: make(chan struct{}), closing: make(chan struct{}),
		speakers: make(map[place]*running), places: places{speakers: make(map[string]*running), held: make(map[string][]located)},
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
		e.places.put(name, nil)
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
		e.places.put(name, s)
		e.places.hold(name, r.located())
		e.conflicts.renew(name, r.located())
		set := s.Set
		if r.unicast != nil {
			set = func(name string, c vrrp.Config) error { return s.SetUnicast(name, c, *r.unicast) }
		}
		if err := set(name, r.vrrp); err != nil {
			failures = append(failures, err)
			e.places.put(name, nil)
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

// watch tells the drivers of every change of links and addresses until ctx
// ends.
func (e *election) watch(ctx context.Context, changes *rtnl.Subscription) {
	var introducing sync.WaitGroup
	introducing.Go(func() { e.presence.run(ctx) })
	defer introducing.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes.Changed():
			view, _ := changes.Next()
			e.linksChanged(view)
		}
	}
}

func (e *election) linksChanged(view *rtnl.View) {
	links := make([]vip.Link, len(view.Links))
	for n, l := range view.Links {
		links[n] = vip.Link{Name: l.Name, Index: l.Index, Addresses: l.Addresses}
	}
	e.addresses.LinksChanged(links)
	e.knows.Do(func() { close(e.looked) })
	e.tracking.linksChanged(view)
	e.conflicts.linksChanged(view)
	e.presence.linksChanged(view)
	e.virtual.linksChanged(view)
	e.advertising.SetLinks(hostsLinks{view})
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.view != nil && view.Overruns > e.view.Overruns {
		e.logger.Warn("notifications of the kernel were lost; its links and addresses were read anew", "overruns", view.Overruns)
	}
	e.view = view
	e.tellLinks()
}

// tellLinks tells every speaker of its interface. mu is held.
func (e *election) tellLinks() {
	for _, s := range e.speakers {
		e.tellLink(s)
	}
}

// tellLink tells a speaker of its interface, once that is known: a link that is
// only just being made is not missing. mu is held.
func (e *election) tellLink(s *running) {
	if e.view == nil {
		return
	}
	link := linkOf(e.view, s.place, e.moving)
	if !s.told && !link.Exists && s.virtual.Name != "" && !e.virtual.hasFailed(s.virtual.Name) {
		return
	}
	s.told = true
	s.SetLink(link)
}

// virtualChanged tells the speakers after an attempt to make their links.
func (e *election) virtualChanged() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tellLinks()
}

// linkOf is what a speaker is told of its interface: the addresses of the family
// it speaks, without those that move with others. IPv6 advertises from link-local
// ones (RFC 9568 §5.1.2.1), once the kernel is sure that nobody else has them.
func linkOf(view *rtnl.View, p place, moving map[located]place) speaker.Link {
	l, ok := view.Link(p.iface)
	addressed := l
	if p.virtual.Name != "" {
		l, addressed, ok = virtualLinkOf(view, p)
	}
	if !ok {
		return speaker.Link{}
	}
	link := speaker.Link{Exists: true, Index: l.Index, Up: l.Up && addressed.Up, Addresses: make([]netip.Addr, 0, len(addressed.Addresses))}
	for _, a := range addressed.Addresses {
		if !p.family.Has(a.Addr()) || a.Tentative || a.Duplicate || p.family == wire.IPv6 && !a.Addr().IsLinkLocalUnicast() {
			continue
		}
		if with, moves := moving[located{p.base(), a.Addr()}]; moves && with != p {
			continue
		}
		link.Addresses = append(link.Addresses, a.Addr())
	}
	return link
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

// tracked is how trackers reach the routers of an instance.
type tracked struct{ election *election }

// prioritize tells the instance's routers, or their group, what the trackers
// make of its priority.
func (t tracked) prioritize(instance string, priority uint8, detail string) {
	for _, name := range []string{instance, ipv6Name(instance)} {
		if !t.election.groups.prioritize(name, priority, detail) {
			t.election.post(name, vrrp.PriorityChanged{Priority: int(priority), Detail: detail})
		}
	}
}

func (t tracked) post(instance string, event vrrp.Event) {
	t.election.post(instance, event)
	t.election.post(ipv6Name(instance), event)
}

// holder lets the speaker of an interface give its orders to the owner of
// addresses. An order for an instance that has meanwhile moved to another
// interface, or is gone, comes too late and is dropped: the owner was told.
type holder struct {
	election *election
	place    place
}

func (h holder) current(instance string) bool {
	s := h.election.places.of(instance)
	return s != nil && s.place == h.place
}

func (h holder) Acquire(instance string) {
	if h.current(instance) {
		h.election.addresses.Acquire(instance)
	}
}

func (h holder) Release(instance string) {
	if h.current(instance) {
		h.election.addresses.Release(instance)
	}
}

func (h holder) Announce(instance string, a vrrp.Announce) {
	if h.current(instance) {
		h.election.addresses.Announce(instance, vip.Burst{Repeat: a.Repeat})
	}
}
