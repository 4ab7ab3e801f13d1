package vip

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// claim is an address on an interface, for addresses that several instances
// share.
type claim struct {
	iface  string
	prefix netip.Prefix
}

// seenLink is a Link prepared for comparing.
type seenLink struct {
	index     int
	addresses map[netip.Prefix]bool
}

// linksPause is the least time between two comparisons with what the kernel
// shows, so that thousands of changes by others cost little. Within the second
// in which drift is to be repaired it does not matter.
const linksPause = 20 * time.Millisecond

// Run does the work until ctx ends. Then it releases every address that is
// held, except those that AddressOwner spares, and returns nil. Addresses that
// the kernel refuses to delete are given up after a few attempts.
func (o *Owner) Run(ctx context.Context) error {
	var keepers, lanes sync.WaitGroup
	laneCtx, stopLanes := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLanes()

	timer := time.NewTimer(0)
	defer timer.Stop()
	var compared time.Time
	for armed := true; ctx.Err() == nil; {
		if due := o.start(laneCtx, &keepers, &lanes); due && !armed {
			timer.Reset(time.Until(compared.Add(linksPause)))
			armed = true
		}
		select {
		case <-o.wake:
		case <-timer.C:
			armed, compared = false, time.Now()
			o.compare()
		case <-ctx.Done():
		}
	}
	o.mu.Lock()
	o.stop = true
	for _, k := range o.keepers {
		k.tell(func(n *notes) { n.final = true })
	}
	o.mu.Unlock()
	keepers.Wait()
	stopLanes()
	lanes.Wait()
	return nil
}

// start starts what was added since the last time. It is due when links wait
// to be compared.
func (o *Owner) start(laneCtx context.Context, keepers, lanes *sync.WaitGroup) (due bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range o.keepers {
		if !k.started {
			k.started = true
			keepers.Go(k.run)
		}
	}
	for _, l := range o.lanes {
		if !l.started {
			l.started = true
			lanes.Go(func() { l.run(laneCtx) })
		}
	}
	return o.news
}

// compare wakes the instances that differ from what the links show.
func (o *Owner) compare() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.news {
		return
	}
	o.news = false
	used := make(map[string]bool)
	for _, k := range o.keepers {
		used[k.believes().iface] = true
	}
	clear(o.seen)
	for _, l := range o.links {
		if !used[l.Name] {
			continue
		}
		s := seenLink{index: l.Index, addresses: make(map[netip.Prefix]bool, len(l.Addresses))}
		for _, p := range l.Addresses {
			s.addresses[p] = true
		}
		o.seen[l.Name] = s
	}
	for _, k := range o.keepers {
		if o.differs(k, k.believes()) {
			k.tell(func(n *notes) { n.look = true })
		}
	}
}

// differs tells whether what an instance believes disagrees with what the links
// show, so that it should look for itself. The Owner's lock is held.
func (o *Owner) differs(k *keeper, b belief) bool {
	link, ok := o.seen[b.iface]
	switch {
	case b.idle:
		return false
	case !b.holding:
		return slices.ContainsFunc(b.addresses, func(p netip.Prefix) bool {
			return link.addresses[p] && !o.heldByOthers(k, b.iface, p)
		})
	case ok && link.index != b.index:
		return true
	}
	return slices.ContainsFunc(b.addresses, func(p netip.Prefix) bool { return !link.addresses[p] })
}

// index is the interface's index as last seen, 0 when it was not.
func (o *Owner) index(iface string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen[iface].index
}

// heldByOthers tells whether another instance holds the same address on the
// same interface. The Owner's lock is held.
func (o *Owner) heldByOthers(k *keeper, iface string, p netip.Prefix) bool {
	holders := o.claims[claim{iface, p}]
	return len(holders) > 1 || (len(holders) == 1 && !holders[k])
}

// unshared are the addresses that no other instance holds.
func (o *Owner) unshared(k *keeper, iface string, addresses []netip.Prefix) []netip.Prefix {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(addresses), func(p netip.Prefix) bool {
		return o.heldByOthers(k, iface, p)
	})
}

// exchangeClaims notes that an instance holds other addresses than before. An
// instance that left an address alone because of the claim has to look again.
func (o *Owner) exchangeClaims(k *keeper, before, after []claim) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(before) > 0 {
		o.news = true
		poke(o.wake)
	}
	for _, c := range before {
		if delete(o.claims[c], k); len(o.claims[c]) == 0 {
			delete(o.claims, c)
		}
	}
	for _, c := range after {
		if o.claims[c] == nil {
			o.claims[c] = make(map[*keeper]bool, 1)
		}
		o.claims[c][k] = true
	}
}

// lane is the announcer's goroutine for an interface.
func (o *Owner) lane(iface string) *lane {
	o.mu.Lock()
	defer o.mu.Unlock()
	l, ok := o.lanes[iface]
	if !ok {
		l = newLane(iface, o.announcer, o.log)
		o.lanes[iface] = l
		poke(o.wake)
	}
	return l
}

// silence drops what is waiting to be announced for an instance, on whatever
// interface.
func (o *Owner) silence(name string) {
	o.mu.Lock()
	lanes := slices.Collect(maps.Values(o.lanes))
	o.mu.Unlock()
	for _, l := range lanes {
		l.drop(name)
	}
}

// forget removes a keeper that has ended, unless it has been given work in the
// meantime.
func (o *Owner) forget(k *keeper) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !k.ended() {
		return false
	}
	if o.keepers[k.name] == k && !o.stop {
		delete(o.keepers, k.name)
	}
	return true
}

// poke wakes whoever waits on a channel of capacity one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
