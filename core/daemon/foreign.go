package daemon

import (
	"cmp"
	"slices"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// router numbers are unique on an interface and in a family.
type routerNumber struct {
	iface  string
	family wire.Family
	vrid   uint8
}

// foreignRouters lists who speaks for ids that are not ours. Several speakers may
// be on one interface, each of which hears what is for the others as well; what
// more than one has heard counts as the one has it that has heard most.
func foreignRouters(speakers map[place]speaker.Snapshot) []control.ForeignRouter {
	own := map[routerNumber]bool{}
	for p, line := range speakers {
		for _, r := range line.Routers {
			own[routerNumber{p.base(), p.family, r.VRID}] = true
		}
	}
	type sender struct {
		routerNumber
		source string
	}
	found := map[sender]control.ForeignRouter{}
	for p, line := range speakers {
		for _, f := range line.ForeignBySource {
			s := sender{routerNumber{p.base(), p.family, f.VRID}, f.Source.String()}
			if own[s.routerNumber] || found[s].Packets >= f.Packets {
				continue
			}
			found[s] = control.ForeignRouter{
				Interface: s.iface, Family: s.family.String(), VirtualRouterID: s.vrid, Source: s.source, Packets: f.Packets, Last: f.Last,
			}
		}
	}
	list := make([]control.ForeignRouter, 0, len(found))
	for _, f := range found {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b control.ForeignRouter) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), cmp.Compare(a.Family, b.Family),
			cmp.Compare(a.VirtualRouterID, b.VirtualRouterID), cmp.Compare(a.Source, b.Source))
	})
	return list
}
