package daemon

import (
	"context"
	"errors"
	"fmt"
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

	// mu guards what follows. It is held over whole reloads, so nothing that
	// the election itself calls may take it.
	mu       sync.Mutex
	speakers map[string]*running // by interface
	view     *rtnl.View          // nil before the kernel was first looked at: nothing is known of links then
	ending   sync.WaitGroup      // speakers that have been started
}

// places is which interface each instance is on. Its lock is never held for
// longer than a look.
type places struct {
	mu     sync.Mutex
	ifaces map[string]string
}

// of returns an instance's interface, empty for an instance that is not there.
func (p *places) of(instance string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ifaces[instance]
}

// put says where an instance is; an empty interface forgets it.
func (p *places) put(instance, iface string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if iface == "" {
		delete(p.ifaces, instance)
		return
	}
	p.ifaces[instance] = iface
}

// all is a copy.
func (p *places) all() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.ifaces)
}

// running is a speaker with its goroutine.
type running struct {
	*speaker.Speaker
	cancel context.CancelFunc
}

// sockets is what speakers reach the wire and the clock through.
type sockets struct {
	open  func(iface string, index int, ready chan<- struct{}) (speaker.Conn, error)
	alarm func() (speaker.Alarm, error)
}

// realSockets are the machine's.
func realSockets() sockets {
	return sockets{
		open: func(iface string, index int, ready chan<- struct{}) (speaker.Conn, error) {
			c, err := rawsock.OpenVRRP(iface, index, ready)
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
		speakers: make(map[string]*running), places: places{ifaces: make(map[string]string)},
	}
	e.addresses = vip.New(kernel, announcer, e, logger)
	return e
}

// router is an instance with its translation.
type router struct {
	instance *config.Instance
	vrrp     vrrp.Config
}

// prepare translates all instances of a generation; it changes nothing.
func prepare(g *config.Generation) (map[string]router, error) {
	routers := make(map[string]router, len(g.Instances))
	for name, i := range g.Instances {
		c, err := routerConfig(i)
		if err != nil {
			return nil, err
		}
		routers[name] = router{i, c}
	}
	return routers, nil
}

// apply makes routers the ones that take part. Routers that are unchanged
// notice nothing: the speaker and the owner of addresses compare for
// themselves. One that moves to another interface ends on the old one first.
func (e *election) apply(routers map[string]router) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, iface := range e.places.all() {
		next, stays := routers[name]
		if stays && next.instance.Interface == iface {
			continue
		}
		e.places.put(name, "")
		e.speakers[iface].Remove(name)
		if !stays {
			e.addresses.Remove(name)
		}
	}
	var failures []error
	for name, r := range routers {
		e.addresses.Set(addressConfig(r.instance))
		e.places.put(name, r.instance.Interface)
		if err := e.speakerOf(r.instance.Interface).Set(name, r.vrrp); err != nil {
			failures = append(failures, err)
			e.places.put(name, "")
		}
	}
	used := make(map[string]bool)
	for _, iface := range e.places.all() {
		used[iface] = true
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
	s := &running{cancel: cancel, Speaker: speaker.New(speaker.Options{
		Interface: iface, Alarm: e.sockets.alarm,
		Open: func(index int, ready chan<- struct{}) (speaker.Conn, error) {
			return e.sockets.open(iface, index, ready)
		},
		Addresses: holder{e, iface}, Observer: e,
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
	e.ending.Wait()
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

// post hands an event to an instance's router, if there is one.
func (e *election) post(instance string, event vrrp.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, ok := e.speakers[e.places.of(instance)]; ok {
		s.Post(instance, event)
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
	return h.election.places.of(instance) == h.iface
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

// StateChanged implements speaker.Observer.
func (e *election) StateChanged(instance string, at time.Time, c vrrp.StateChanged) {
	attributes := []any{"instance", instance, "from", c.From.String(), "to", c.To.String(), "reason", c.Reason.String(), "priority", c.Priority}
	if c.Peer.IsValid() {
		attributes = append(attributes, "peer", c.Peer)
	}
	if c.To == vrrp.Fault {
		attributes = append(attributes, "faults", c.Faults.String())
	}
	level := slog.LevelInfo
	if c.To == vrrp.Fault {
		level = slog.LevelWarn
	}
	e.logger.Log(context.Background(), level, "virtual router changed state", append(attributes, "at", at)...)
}

// Mismatch implements speaker.Observer.
func (e *election) Mismatch(instance string, _ time.Time, m vrrp.Mismatch) {
	e.logger.Warn("peer disagrees", "instance", instance, "mismatch", m.Kind.String(), "peer", m.Peer, "ours", m.Ours, "theirs", m.Theirs)
}

// SocketChanged implements speaker.Observer.
func (e *election) SocketChanged(iface string, err error) {
	if err != nil {
		e.logger.Error("vrrp socket is not usable", "iface", iface, "error", err)
		return
	}
	e.logger.Info("vrrp socket is usable again", "iface", iface)
}

// Drifted implements vip.Observer.
func (e *election) Drifted(d vip.Drift) {
	attributes := []any{"instance", d.Instance, "iface", d.Interface, "drift", d.Cause.String(), "addresses", listed(d.Addresses)}
	if d.Err != nil {
		e.logger.Warn("address drift cannot be repaired", append(attributes, "error", d.Err)...)
		return
	}
	e.logger.Warn("address drift repaired", attributes...)
}

// listed shows a long list of addresses by its beginning.
func listed(addresses []netip.Prefix) string {
	const most = 5
	if len(addresses) <= most {
		return fmt.Sprint(addresses)
	}
	return fmt.Sprintf("%v and %d more", addresses[:most], len(addresses)-most)
}

// Lost implements vip.Observer: an instance that cannot hold its addresses
// leaves them to another router.
func (e *election) Lost(instance string, reason error) {
	e.logger.Error("virtual addresses cannot be kept", "instance", instance, "error", reason)
	e.post(instance, vrrp.FaultRaised{Cause: vrrp.FaultAddressesLost})
}

// Restored implements vip.Observer.
func (e *election) Restored(instance string) {
	e.logger.Info("virtual addresses may be held again", "instance", instance)
	e.post(instance, vrrp.FaultCleared{Cause: vrrp.FaultAddressesLost})
}
