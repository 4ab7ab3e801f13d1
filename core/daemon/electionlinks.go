package daemon

import (
	"context"
	"net/netip"
	"sync"

	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vip"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

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
