package daemon

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/vip"
)

// presence tells the neighbours of an interface which hardware address this
// machine's own addresses have, as soon as it is there to be spoken to.
//
// A peer that speaks to this machine alone may have lost that while the cable was
// out. It asks once a second, and what it advertises meanwhile waits: long enough
// at a short interval for a router that has returned to believe itself alone. A
// neighbour that is told sends what waits at once.
type presence struct {
	announcer vip.Announcer
	logger    *slog.Logger
	wake      chan struct{}

	mu       sync.Mutex
	view     *rtnl.View // nil before the kernel was first looked at
	wanted   []claimant
	virtual  map[located]place        // never this machine's own
	standing map[string]standing      // by interface, as far as it has been announced
	waiting  map[string]*introduction // by interface
}

// claimant is a unicast router: the address it speaks from, invalid where that is
// the first of its interface.
type claimant struct {
	place
	source netip.Addr
}

// standing is what there is to announce of an interface.
type standing struct {
	index   int
	sources []netip.Addr
}

// introduction is what is being announced: the first round at once, and more of
// them, since a port that has just come up may pass nothing yet.
type introduction struct {
	sources []netip.Addr
	round   int
	due     time.Time
}

// rounds are the times between the announcements of an introduction. They begin
// well within the down interval of a router that advertises every 10 ms, and go
// on for as long as a switch usually takes.
var rounds = [...]time.Duration{0, 10 * time.Millisecond, 40 * time.Millisecond, 200 * time.Millisecond, 750 * time.Millisecond} //nolint:gochecknoglobals // a constant

func newPresence(announcer vip.Announcer, logger *slog.Logger) *presence {
	return &presence{
		announcer: announcer, logger: logger, wake: make(chan struct{}, 1),
		standing: map[string]standing{}, waiting: map[string]*introduction{},
	}
}

// apply takes over the routers of a generation.
func (p *presence) apply(next electorate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted, p.virtual = nil, map[located]place{}
	for _, r := range next.routers {
		for _, a := range r.located() {
			p.virtual[a] = place{}
		}
		if r.unicast != nil {
			p.wanted = append(p.wanted, claimant{r.place(), r.vrrp.Source})
		}
	}
	p.compare()
}

// linksChanged takes another view of the links.
func (p *presence) linksChanged(view *rtnl.View) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.view = view
	p.compare()
}

// compare introduces what has come since the last time.
func (p *presence) compare() {
	if p.view == nil {
		return
	}
	now := map[string]standing{}
	for _, c := range p.wanted {
		link := linkOf(p.view, c.place, p.virtual)
		source := c.source
		if !source.IsValid() && len(link.Addresses) > 0 {
			source = link.Addresses[0]
		}
		if !link.Up || !slices.Contains(link.Addresses, source) {
			continue
		}
		s := now[c.iface]
		s.index = link.Index
		if !slices.Contains(s.sources, source) {
			s.sources = append(s.sources, source)
		}
		now[c.iface] = s
	}
	for iface := range p.waiting {
		if _, there := now[iface]; !there {
			delete(p.waiting, iface)
		}
	}
	for iface, s := range now {
		before := p.standing[iface]
		news := slices.ContainsFunc(s.sources, func(a netip.Addr) bool { return !slices.Contains(before.sources, a) })
		if before.index != s.index || news {
			p.waiting[iface] = &introduction{sources: s.sources, due: time.Now()}
		}
	}
	p.standing = now
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run announces until ctx ends.
func (p *presence) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
		next := p.announce(time.Now())
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// announce makes all rounds that are due and tells when the next one is; the zero
// time is never.
func (p *presence) announce(now time.Time) (next time.Time) {
	due := map[string][]netip.Addr{}
	last := map[string]bool{}
	p.mu.Lock()
	for iface, i := range p.waiting {
		if !i.due.After(now) {
			due[iface] = i.sources
			if i.round++; i.round == len(rounds) {
				last[iface] = true
				delete(p.waiting, iface)
				continue
			}
			i.due = now.Add(rounds[i.round])
		}
		if next.IsZero() || i.due.Before(next) {
			next = i.due
		}
	}
	p.mu.Unlock()
	for iface, sources := range due {
		if err := p.announcer.Announce(iface, sources); err != nil && last[iface] {
			p.logger.Warn("neighbours were not told of this machine's address", "iface", iface, "addresses", sources, "reason", err)
		}
	}
	return next
}
