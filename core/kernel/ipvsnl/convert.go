package ipvsnl

import (
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

// noPrefix is the prefix length of a mask that is none, such as 255.0.255.0, or
// that makes all clients one, 0.0.0.0. ipvsadm lets one write both. It is equal to
// no length that can be wanted, so an edit follows.
const noPrefix = 255

func toService(s *ipvs.Service) lvs.Service {
	family, whole := toFamily(s.Key.Family())
	out := lvs.Service{
		Family:    family,
		Scheduler: s.Scheduler,
		// The kernel refuses a service without a mask, and without the
		// persistence flag it has no use for one.
		Netmask: netmask.MaskFrom(int(s.ClientPrefix()), whole),
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

// fromFlags separates our flags from persistence, whose timeout the kernel also
// keeps where it is not used.
func fromFlags(flags, timeout uint32) (ipvs.Flags, uint32) {
	var ours ipvs.Flags
	for _, p := range flagPairs() {
		if lvs.Flags(flags)&p.theirs != 0 {
			ours |= p.ours
		}
	}
	if lvs.Flags(flags)&lvs.ServicePersistent == 0 {
		timeout = 0
	}
	return ours, timeout
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

// toFamily returns the kernel's number of a family and the length of its addresses.
func toFamily(f ipvs.Family) (lvs.AddressFamily, int) {
	if f == ipvs.IPv6 {
		return lvs.INET6, 128
	}
	return lvs.INET, 32
}
