package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/kernel/rtnl"
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
	logger    *slog.Logger
	places    places
	groups    *syncGroups
	tracking  *tracking
	conflicts *conflicts

	// mu guards what follows. It is held over whole reloads, so nothing that
	// the election itself calls may take it.
	mu       sync.Mutex
	speakers map[string]*running // by interface
	view     *rtnl.View          // nil before the kernel was first looked at: nothing is known of links then
	ending   sync.WaitGroup      // speakers that have been started
}

// running is a speaker with its goroutine.
type running struct {
	*speaker.Speaker
	iface  string
	cancel context.CancelFunc
}

// sockets is what speakers reach the wire and the clock through.
type sockets struct {
	open  func(iface string, socket speaker.Socket, ready chan<- struct{}) (speaker.Conn, error)
	alarm func() (speaker.Alarm, error)
}

// realSockets are the machine's.
func realSockets() sockets {
	return sockets{
		open: func(iface string, socket speaker.Socket, ready chan<- struct{}) (speaker.Conn, error) {
			c, err := rawsock.OpenTransport(rawsock.Transport{
				Interface: iface, Index: socket.Index, Family: socket.Family, Group: socket.Group, AH: socket.AH,
			}, ready)
			if err != nil {
				return nil, err // and not a nil *VRRP in an interface
			}
			return c, nil
		},
		alarm: func() (speaker.Alarm, error) {
			a, err := rawsock.NewAlarm()
			if err != nil {
				return nil, err
			}
			return a, nil
		},
	}
}

// newElection makes an election without instances.
func newElection(kernel vip.Kernel, announcer vip.Announcer, s sockets, logger *slog.Logger) *election {
	e := &election{
		sockets: s, logger: logger,
		speakers: make(map[string]*running), places: places{speakers: make(map[string]*running), held: make(map[string][]netip.Addr)},
	}
	e.groups = newSyncGroups(e.post, logger)
	e.tracking = newTracking(e, logger)
	e.conflicts = newConflicts(e.post, logger)
	e.addresses = vip.New(kernel, announcer, e, logger)
	return e
}

// router is an instance with its translation.
type router struct {
	instance *config.Instance
	vrrp     vrrp.Config
}

// electorate is the election of a generation, translated.
type electorate struct {
	generation *config.Generation
	routers    map[string]router
	members    map[string][]vrrp.Member // by sync group
}

// prepare translates all instances of a generation; it changes nothing. A router
// that is new only listens for the time of hold.
func prepare(g *config.Generation, hold time.Duration) (electorate, error) {
	all := electorate{g, make(map[string]router, len(g.Instances)), make(map[string][]vrrp.Member, len(g.SyncGroups))}
	for name, i := range g.Instances {
		c, err := routerConfig(i)
		if err != nil {
			return electorate{}, err
		}
		c.Hold = hold
		all.routers[name] = router{i, c}
	}
	for name, group := range g.SyncGroups {
		members := make([]vrrp.Member, 0, len(group.Members))
		for _, member := range group.Members {
			members = append(members, vrrp.Member{Name: member, Config: all.routers[member].vrrp})
		}
		members = vrrp.Enroll(name, members)
		for _, m := range members {
			all.routers[m.Name] = router{all.routers[m.Name].instance, m.Config}
		}
		all.members[name] = members
	}
	return all, nil
}

// apply makes an electorate the one there is. Routers that are unchanged
// notice nothing: the speaker and the owner of addresses compare for
// themselves. One that moves to another interface ends on the old one first.
func (e *election) apply(next electorate) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.groups.apply(next.members)
	for name, s := range e.places.all() {
		r, stays := next.routers[name]
		if stays && r.instance.Interface == s.iface {
			continue
		}
		e.places.put(name, nil)
		s.Remove(name)
		if !stays {
			e.addresses.Remove(name)
		}
	}
	var failures []error
	for name, r := range next.routers {
		e.addresses.Set(addressConfig(r.instance))
		s := e.speakerOf(r.instance.Interface)
		e.places.put(name, s)
		e.places.hold(name, r.vrrp.Addresses)
		e.conflicts.renew(name, s.iface, r.vrrp.Addresses)
		if err := s.Set(name, r.vrrp); err != nil {
			failures = append(failures, err)
			e.places.put(name, nil)
		}
	}
	e.tracking.apply(next.generation)
	used := make(map[string]bool)
	for _, s := range e.places.all() {
		used[s.iface] = true
	}
	for iface, s := range e.speakers {
		if !used[iface] {
			s.cancel()
			delete(e.speakers, iface)
		}
	}
	return errors.Join(failures...)
}

// speakerOf returns the speaker of an interface, started if it is new.
func (e *election) speakerOf(iface string) *running {
	if s, ok := e.speakers[iface]; ok {
		return s
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &running{iface: iface, cancel: cancel, Speaker: speaker.New(speaker.Options{
		Interface: iface, Alarm: e.sockets.alarm,
		Open: func(socket speaker.Socket, ready chan<- struct{}) (speaker.Conn, error) {
			return e.sockets.open(iface, socket, ready)
		},
		Addresses: holder{e, iface}, Observer: e, Groups: e.groups,
	})}
	e.speakers[iface] = s
	if e.view != nil {
		s.SetLink(linkOf(e.view, iface))
	}
	e.ending.Go(func() {
		if err := s.Run(ctx); err != nil {
			e.logger.Error("speaker ended", "iface", iface, "error", err)
		}
	})
	return s
}

// watch tells the drivers of every change of links and addresses until ctx
// ends.
func (e *election) watch(ctx context.Context, changes *rtnl.Subscription) {
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
		links[n] = vip.Link{Name: l.Name, Index: l.Index, Addresses: make([]netip.Prefix, len(l.Addresses))}
		for m, a := range l.Addresses {
			links[n].Addresses[m] = a.Prefix
		}
	}
	e.addresses.LinksChanged(links)
	e.tracking.linksChanged(view)
	e.conflicts.linksChanged(view)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.view != nil && view.Overruns > e.view.Overruns {
		e.logger.Warn("notifications of the kernel were lost; its links and addresses were read anew", "overruns", view.Overruns)
	}
	e.view = view
	for iface, s := range e.speakers {
		s.SetLink(linkOf(view, iface))
	}
}

// linkOf is what a speaker is told of its interface: IPv4 addresses only, the
// family it speaks.
func linkOf(view *rtnl.View, iface string) speaker.Link {
	l, ok := view.Link(iface)
	if !ok {
		return speaker.Link{}
	}
	link := speaker.Link{Exists: true, Index: l.Index, Up: l.Up}
	for _, a := range l.Addresses {
		if a.Addr().Is4() {
			link.Addresses = append(link.Addresses, a.Addr())
		}
	}
	return link
}

// close ends every speaker, which makes active routers resign, and waits for
// that. It ends the election before the addresses, so that no advertisement
// claims what is gone.
func (e *election) close() {
	e.mu.Lock()
	for _, s := range e.speakers {
		s.cancel()
	}
	e.mu.Unlock()
	e.tracking.close()
	e.ending.Wait()
	e.groups.close()
}

// snapshots are the states of all speakers by interface. One that does not
// answer within ctx is in the error and not among them.
func (e *election) snapshots(ctx context.Context) (map[string]speaker.Snapshot, error) {
	e.mu.Lock()
	speakers := maps.Clone(e.speakers)
	e.mu.Unlock()
	all := make(map[string]speaker.Snapshot, len(speakers))
	var failures []error
	for iface, s := range speakers {
		snapshot, err := s.Snapshot(ctx)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		all[iface] = snapshot
	}
	return all, errors.Join(failures...)
}

// post hands an event to an instance's router, if there is one. It never waits.
func (e *election) post(instance string, event vrrp.Event) {
	if s := e.places.of(instance); s != nil {
		s.Post(instance, event)
	}
}

// prioritize tells an instance's router, or its sync group, what the trackers
// make of its priority.
func (e *election) prioritize(instance string, priority uint8, detail string) {
	if !e.groups.prioritize(instance, priority, detail) {
		e.post(instance, vrrp.PriorityChanged{Priority: int(priority), Detail: detail})
	}
}

// holder lets the speaker of an interface give its orders to the owner of
// addresses. An order for an instance that has meanwhile moved to another
// interface, or is gone, comes too late and is dropped: the owner was told.
type holder struct {
	election *election
	iface    string
}

func (h holder) current(instance string) bool {
	s := h.election.places.of(instance)
	return s != nil && s.iface == h.iface
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
