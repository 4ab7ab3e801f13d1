package daemon

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/radv"
	"github.com/halo-ha/halo/core/radvspeaker"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// What hosts of IPv6 are told of active routers, and of that, what people are.

// hostsKernel implements radvspeaker.Kernel: it is the machine.
type hostsKernel struct{}

// Open implements radvspeaker.Kernel.
func (hostsKernel) Open(at radvspeaker.Place, source netip.Addr, heard func([]byte, radv.Meta)) (radvspeaker.Conn, error) {
	c, err := rawsock.OpenRA(rawsock.RALink{Name: at.Link, Index: at.Index, Source: source}, heard)
	if err != nil {
		return nil, err // and not a nil *RA in an interface
	}
	return c, nil
}

// Forwards implements radvspeaker.Kernel.
func (hostsKernel) Forwards(link string) bool { return rawsock.ForwardsIPv6(link) }

// hostsLinks implements radvspeaker.Links.
type hostsLinks struct{ view *rtnl.View }

// Find implements radvspeaker.Links.
func (h hostsLinks) Find(iface string, address netip.Addr) (radvspeaker.Place, bool) {
	l, ok := h.view.Link(iface)
	if !ok || !l.Up {
		return radvspeaker.Place{}, false
	}
	for _, a := range l.Addresses {
		if a.Addr() == address && !a.Tentative && !a.Duplicate {
			hardware, _ := net.ParseMAC(l.MAC) // None is empty, as it should be.
			return radvspeaker.Place{Link: l.Name, Index: l.Index, Hardware: string(hardware)}, true
		}
	}
	return radvspeaker.Place{}, false
}

// advertised are the routers of IPv6, with what hosts are to be told of them.
func advertised(routers map[string]router) map[string]radvspeaker.Router {
	all := make(map[string]radvspeaker.Router)
	for name, r := range routers {
		if r.family != wire.IPv6 {
			continue
		}
		first := r.located()[0]
		told := radvspeaker.Router{Interface: first.iface, Source: first.Addr}
		if a := r.instance.RouterAdvertisement; a != nil {
			c := a.Radv()
			told.Config = &c
		}
		all[name] = told
	}
	return all
}

// describeAdvertisements adds to the instances what hosts are told of them.
func (d *Daemon) describeAdvertisements(ctx context.Context, s *control.Status) {
	all, err := d.election.advertising.Snapshots(ctx)
	if err != nil {
		s.Degraded = append(s.Degraded, err.Error())
		return
	}
	for name, a := range all {
		v, ok := s.VRRPInstances[name]
		if !ok {
			continue
		}
		v.RouterAdvertisement = advertisementStatus(a)
		v.Counters["router_advertisements_sent"] = a.Sent
		v.Counters["router_advertisement_errors"] = a.SendErrors
		v.Counters["router_solicitations"] = a.Heard[radv.DropNone]
		for reason, n := range a.Heard {
			if reason != int(radv.DropNone) {
				v.Counters["dropped_solicitation_"+radv.DropReason(reason).String()] = n
			}
		}
		s.VRRPInstances[name] = v
		if a.Error != "" {
			s.Degraded = append(s.Degraded, fmt.Sprintf("vrrp_instance %s: hosts are not told of it: %s", name, a.Error))
		}
		if a.Idle != "" {
			s.Degraded = append(s.Degraded, fmt.Sprintf("vrrp_instance %s: hosts are told that it is no default router: %s", name, a.Idle))
		}
	}
}

func advertisementStatus(a radvspeaker.Snapshot) *control.RouterAdvertisement {
	return &control.RouterAdvertisement{
		State: a.Phase.String(), Source: a.Source.String(), Interface: a.Link, DefaultRouter: a.Phase == radv.Advertising && a.Idle == "" && a.Lifetime > 0,
		Last: a.Last, Next: a.Next, Sent: a.Sent, Solicitations: a.Heard[radv.DropNone],
	}
}
