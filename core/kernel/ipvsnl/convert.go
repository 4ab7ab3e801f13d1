package ipvsnl

import (
	"net/netip"
	"slices"

	lvs "github.com/cloudflare/ipvs"
	"github.com/cloudflare/ipvs/netmask"

	"github.com/halo-ha/halo/core/ipvs"
)

// flagPairs are the flags that both sides know. The kernel's hashed flag is its
// own business, and persistence is a field of its own on our side.
func flagPairs() [4]flagPair {
	return [...]flagPair{
		{ipvs.OnePacket, lvs.ServiceOnePacket},
		{ipvs.SchedulerFlag1, lvs.ServiceSchedulerOpt1},
		{ipvs.SchedulerFlag2, lvs.ServiceSchedulerOpt2},
		{ipvs.SchedulerFlag3, lvs.ServiceSchedulerOpt3},
	}
}

type flagPair struct {
	ours   ipvs.Flags
	theirs lvs.Flags
}

// noPrefix is the prefix length of a mask that is none, such as 255.0.255.0,
// or lets all clients be one, 0.0.0.0. ipvsadm lets one write both. It is equal to
// no other length, so an edit follows.
const noPrefix = 255

func toService(s *ipvs.Service) lvs.Service {
	family, bits := toFamily(s.Key.Family())
	out := lvs.Service{
		Family:    family,
		Scheduler: s.Scheduler,
		// The kernel refuses a service without a mask, and without the
		// persistence flag it has no use for one.
		Netmask: netmask.MaskFrom(int(s.ClientPrefix()), bits),
		FWMark:  s.Key.Mark,
	}
	if s.Key.Mark == 0 {
		out.Protocol = lvs.Protocol(s.Key.Protocol)
		out.Address = s.Key.Address.Addr()
		out.Port = s.Key.Address.Port()
	}
	if s.Persistence.Timeout != 0 {
		out.Flags |= lvs.ServicePersistent
		out.Timeout = s.Persistence.Timeout
	}
	for _, p := range flagPairs() {
		if s.Flags&p.ours != 0 {
			out.Flags |= p.theirs
		}
	}
	return out
}

func fromService(s *lvs.Service) ipvs.Service {
	out := ipvs.Service{Scheduler: s.Scheduler}
	if s.FWMark != 0 {
		out.Key = ipvs.MarkKey(s.FWMark, fromFamily(s.Family))
	} else {
		out.Key = ipvs.AddressKey(ipvs.Protocol(s.Protocol), netip.AddrPortFrom(s.Address, s.Port))
	}
	if s.Flags&lvs.ServicePersistent != 0 {
		out.Persistence.Timeout = s.Timeout
		_, whole := toFamily(out.Key.Family())
		switch bits := s.Netmask.Bits(); {
		case bits <= 0:
			out.Persistence.PrefixLength = noPrefix
		case bits < whole:
			out.Persistence.PrefixLength = uint8(bits)
		}
	}
	for _, p := range flagPairs() {
		if s.Flags&p.theirs != 0 {
			out.Flags |= p.ours
		}
	}
	return out
}

func toDestination(d *ipvs.Destination) lvs.Destination {
	family, _ := toFamily(ipvs.FamilyOf(d.Address.Addr()))
	return lvs.Destination{
		Family:         family,
		Address:        d.Address.Addr(),
		Port:           d.Address.Port(),
		FwdMethod:      lvs.ForwardType(d.Forwarding),
		Weight:         d.Weight,
		UpperThreshold: d.UpperThreshold,
		LowerThreshold: d.LowerThreshold,
	}
}

func fromDestination(d *lvs.Destination) ipvs.Destination {
	return ipvs.Destination{
		Address:        netip.AddrPortFrom(d.Address, d.Port),
		Forwarding:     ipvs.Forwarding(d.FwdMethod),
		Weight:         d.Weight,
		UpperThreshold: d.UpperThreshold,
		LowerThreshold: d.LowerThreshold,
	}
}

// toFamily returns the kernel's number of a family and the length of its addresses.
func toFamily(f ipvs.Family) (lvs.AddressFamily, int) {
	if f == ipvs.IPv6 {
		return lvs.INET6, 128
	}
	return lvs.INET, 32
}

func fromFamily(f lvs.AddressFamily) ipvs.Family {
	if f == lvs.INET6 {
		return ipvs.IPv6
	}
	return ipvs.IPv4
}

func compact(t ipvs.Table) ipvs.Table {
	return slices.CompactFunc(t, func(a, b ipvs.Service) bool { return a.Key == b.Key })
}

func compactDestinations(d []ipvs.Destination) []ipvs.Destination {
	return slices.CompactFunc(d, func(a, b ipvs.Destination) bool { return a.Address == b.Address })
}
