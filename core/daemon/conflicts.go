package daemon

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/vrrp"
)

// conflicts hears who else claims an address that is active here. That is what
// neighbours go by, whatever the election says: a router that did not stand
// down, a machine that was given the address by hand.
type conflicts struct {
	post    func(instance string, event vrrp.Event)
	journal *journal.Journal
	logger  *slog.Logger
	reports chan rawsock.Conflict
	// wake has a value when there may be something else to listen for.
	wake chan struct{}
	// watches belong to run, by interface.
	watches map[string]*listening

	mu      sync.Mutex
	view    *rtnl.View
	holders map[string]*holding
}

// listening is one interface that is listened on, and what for.
type listening struct {
	*rawsock.ConflictWatch
	index     int
	addresses []netip.Addr
	// failed is why the last attempt to listen ended, told once.
	failed string
}

// holding is an instance that is active.
type holding struct {
	addresses []located
	claims    map[netip.Addr]*claim
	total     uint64
}

// located is an address with the interface that it is on.
type located struct {
	iface string
	netip.Addr
}

// claim is the last thing that somebody said of an address.
type claim struct {
	mac     net.HardwareAddr
	at      time.Time
	packets uint64
}

func newConflicts(post func(string, vrrp.Event), j *journal.Journal, logger *slog.Logger) *conflicts {
	return &conflicts{
		post: post, journal: j, logger: logger, reports: make(chan rawsock.Conflict, 16), wake: make(chan struct{}, 1),
		watches: map[string]*listening{}, holders: map[string]*holding{},
	}
}

// hold says that an instance is active.
func (c *conflicts) hold(instance string, addresses []located) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &holding{addresses: addresses, claims: map[netip.Addr]*claim{}}
	if old := c.holders[instance]; old != nil {
		h.total = old.total
		for _, a := range addresses {
			if k := old.claims[a.Addr]; k != nil && slices.Contains(old.addresses, a) {
				h.claims[a.Addr] = k
			}
		}
	}
	c.holders[instance] = h
	c.changed()
}

// release says that an instance is not active.
func (c *conflicts) release(instance string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.holders, instance)
	c.changed()
}

// renew takes over what a reload has made of an instance, if it is active.
func (c *conflicts) renew(instance string, addresses []located) {
	c.mu.Lock()
	h := c.holders[instance]
	same := h != nil && slices.Equal(h.addresses, addresses)
	c.mu.Unlock()
	if h != nil && !same {
		c.hold(instance, addresses)
	}
}

// linksChanged takes another view of the links: an interface that was made anew
// has to be listened on anew.
func (c *conflicts) linksChanged(view *rtnl.View) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.view = view
	c.changed()
}

func (c *conflicts) changed() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// listenPause is how long more changes are waited for before the kernel is told.
// Who claims an address does so again and again.
const listenPause = 20 * time.Millisecond

// run listens until ctx ends. Telling the kernel what for takes it milliseconds,
// so hundreds of instances that become active together are a few changes, and
// none of those who tell of them waits for it.
func (c *conflicts) run(ctx context.Context) error {
	defer c.close()
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case report := <-c.reports:
			c.claimed(report)
		case <-c.wake:
			if due == nil {
				due = time.After(listenPause)
			}
		case <-due:
			due = nil
			c.listen()
		}
	}
}

// listen makes the watches look for what is held.
func (c *conflicts) listen() {
	view, held := c.wanted()
	for iface := range held {
		if c.watches[iface] == nil {
			c.watches[iface] = &listening{}
		}
	}
	for iface, w := range c.watches {
		index := w.index
		if view != nil {
			if l, ok := view.Link(iface); ok {
				index = l.Index
			}
		}
		if w.ConflictWatch != nil && w.failed == "" && w.index == index && slices.Equal(w.addresses, held[iface]) {
			continue
		}
		w.index, w.addresses = index, held[iface]
		err := c.aim(w, iface)
		switch {
		case err == nil:
			w.failed = ""
		case w.failed != err.Error():
			w.failed = err.Error()
			c.logger.Warn("nobody listens for address conflicts", "iface", iface, "error", err)
		}
	}
}

// wanted is what is held on each interface, in a certain order.
func (c *conflicts) wanted() (view *rtnl.View, held map[string][]netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held = map[string][]netip.Addr{}
	for _, h := range c.holders {
		for _, a := range h.addresses {
			held[a.iface] = append(held[a.iface], a.Addr)
		}
	}
	for _, addresses := range held {
		slices.SortFunc(addresses, netip.Addr.Compare)
	}
	return c.view, held
}

func (c *conflicts) aim(w *listening, iface string) (err error) {
	if w.ConflictWatch == nil {
		if w.ConflictWatch, err = rawsock.OpenConflictWatch(iface, c.reports); err != nil {
			w.ConflictWatch = nil
			return err
		}
	}
	return w.Watch(rawsock.Watched{Index: w.index, Addresses: w.addresses})
}

// close ends all listening.
func (c *conflicts) close() {
	// The kernel waits for each until nobody can be using it any more.
	var closing sync.WaitGroup
	defer closing.Wait()
	for _, w := range c.watches {
		if w.ConflictWatch != nil {
			closing.Go(func() { _ = w.Close() }) // Nothing is lost.
		}
	}
}

// claimed takes one report: the log has the first of a machine's, the status all,
// and the router wins the neighbours back.
func (c *conflicts) claimed(report rawsock.Conflict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mac := net.HardwareAddr(report.MAC[:])
	for name, h := range c.holders {
		at := slices.IndexFunc(h.addresses, func(a located) bool { return a.Addr == report.Address })
		if at < 0 {
			continue
		}
		k := h.claims[report.Address]
		if k == nil || !slices.Equal(k.mac, mac) {
			k = &claim{mac: slices.Clone(mac)}
			h.claims[report.Address] = k
			c.journal.Record(conflictEvent(name, report.Address.String(), mac.String()))
			c.logger.Warn("somebody else claims a virtual address", "instance", name, "iface", h.addresses[at].iface, "address", report.Address, "mac", mac.String())
		}
		k.at = report.At
		k.packets += uint64(max(report.Packets, 0)) //nolint:gosec // Not negative.
		h.total += uint64(max(report.Packets, 0))   //nolint:gosec // As above.
		c.post(name, vrrp.AddressClaimed{})
	}
}

// claimSnapshot is a claim for people.
type claimSnapshot struct {
	address netip.Addr
	claim
}

// snapshot is who claims what an instance holds, and how often anybody did.
func (c *conflicts) snapshot(instance string) (claims []claimSnapshot, total uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.holders[instance]
	if h == nil {
		return nil, 0
	}
	for address, k := range h.claims {
		claims = append(claims, claimSnapshot{address, *k})
	}
	slices.SortFunc(claims, func(a, b claimSnapshot) int { return a.address.Compare(b.address) })
	return claims, h.total
}
