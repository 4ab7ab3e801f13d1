package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
// both are told about. Its fields are guarded by mu; what the drivers do among
// themselves never passes through here.
type election struct {
	sockets   sockets
	addresses *vip.Owner
	logger    *slog.Logger

	mu       sync.Mutex
	speakers map[string]*running         // by interface
	routers  map[string]*config.Instance // by name
	view     *rtnl.View
	closed   bool
	ending   sync.WaitGroup // speakers that have been told to end
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
		sockets: s, logger: logger, view: &rtnl.View{},
		speakers: make(map[string]*running), routers: make(map[string]*config.Instance),
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
	for name, old := range e.routers {
		next, stays := routers[name]
		if stays && next.instance.Interface == old.Interface {
			continue
		}
		e.speakers[old.Interface].Remove(name)
		if !stays {
			e.addresses.Remove(name)
		}
		delete(e.routers, name)
	}
	var failures []error
	for name, r := range routers {
		e.addresses.Set(addressConfig(r.instance))
		e.routers[name] = r.instance
		if err := e.speakerOf(r.instance.Interface).Set(name, r.vrrp); err != nil {
			failures = append(failures, err)
			delete(e.routers, name)
		}
	}
	used := make(map[string]bool)
	for _, i := range e.routers {
		used[i.Interface] = true
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
	s.SetLink(linkOf(e.view, iface))
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
	e.mu.Lock()
	defer e.mu.Unlock()
	e.view = view
	for iface, s := range e.speakers {
		s.SetLink(linkOf(view, iface))
	}
	links := make([]vip.Link, len(view.Links))
	for n, l := range view.Links {
		links[n] = vip.Link{Name: l.Name, Index: l.Index, Addresses: make([]netip.Prefix, len(l.Addresses))}
		for m, a := range l.Addresses {
			links[n].Addresses[m] = a.Prefix
		}
	}
	e.addresses.LinksChanged(links)
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
	e.closed = true
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
	speakers := make(map[string]*running, len(e.speakers))
	for iface, s := range e.speakers {
		speakers[iface] = s
	}
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

// post hands an event to an instance's router.
func (e *election) post(instance string, event vrrp.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i, ok := e.routers[instance]; ok && !e.closed {
		e.speakers[i.Interface].Post(instance, event)
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
	h.election.mu.Lock()
	defer h.election.mu.Unlock()
	i, ok := h.election.routers[instance]
	return ok && i.Interface == h.iface
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
