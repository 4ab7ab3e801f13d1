package ipvsnl

import (
	"net/netip"
	"testing"

	lvs "github.com/cloudflare/ipvs"
	"github.com/cloudflare/ipvs/netmask"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/ipvs"
)

func drawAddress(t *rapid.T, f ipvs.Family) netip.AddrPort {
	n := rapid.Uint8().Draw(t, "host")
	port := rapid.Uint16().Draw(t, "port")
	if f == ipvs.IPv6 {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: n}), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), port)
}

func drawService(t *rapid.T) ipvs.Service {
	f := rapid.SampledFrom([]ipvs.Family{ipvs.IPv4, ipvs.IPv6}).Draw(t, "family")
	s := ipvs.Service{
		Key:       ipvs.MarkKey(rapid.Uint32Min(1).Draw(t, "mark"), f),
		Scheduler: rapid.SampledFrom(ipvs.Schedulers()).Draw(t, "scheduler"),
		Flags:     ipvs.Flags(rapid.Uint8Range(0, 15).Draw(t, "flags")),
	}
	if rapid.Bool().Draw(t, "has address") {
		p := rapid.SampledFrom([]ipvs.Protocol{ipvs.TCP, ipvs.UDP, ipvs.SCTP}).Draw(t, "protocol")
		s.Key = ipvs.AddressKey(p, drawAddress(t, f))
	}
	if rapid.Bool().Draw(t, "persistent") {
		s.Persistence.Timeout = rapid.Uint32Min(1).Draw(t, "timeout")
		s.Persistence.PrefixLength = rapid.Uint8Range(0, 31).Draw(t, "prefix")
	}
	return s
}

func drawDestination(t *rapid.T) ipvs.Destination {
	return ipvs.Destination{
		Address:        drawAddress(t, rapid.SampledFrom([]ipvs.Family{ipvs.IPv4, ipvs.IPv6}).Draw(t, "family")),
		Forwarding:     ipvs.Forwarding(rapid.Uint8Range(0, 4).Draw(t, "forwarding")),
		Weight:         rapid.Uint32Max(ipvs.MaxWeight).Draw(t, "weight"),
		UpperThreshold: rapid.Uint32().Draw(t, "upper"),
		LowerThreshold: rapid.Uint32().Draw(t, "lower"),
	}
}

func TestToService(t *testing.T) {
	equal := cmpopts.EquateComparable(netip.Addr{}, netmask.Mask{})
	s := ipvs.Service{
		Key:         ipvs.AddressKey(ipvs.UDP, netip.MustParseAddrPort("192.0.2.10:53")),
		Scheduler:   "sh",
		Flags:       ipvs.OnePacket | ipvs.SchedulerFlag2,
		Persistence: ipvs.Persistence{Timeout: 50, PrefixLength: 24},
	}
	want := lvs.Service{
		Address: netip.MustParseAddr("192.0.2.10"), Port: 53, Family: lvs.INET, Protocol: lvs.UDP, Scheduler: "sh",
		Flags:   lvs.ServicePersistent | lvs.ServiceOnePacket | lvs.ServiceSchedulerOpt2,
		Timeout: 50, Netmask: netmask.MaskFrom4([4]byte{255, 255, 255, 0}),
	}
	if d := cmp.Diff(want, toService(&s), equal); d != "" {
		t.Error(d)
	}
	mark := ipvs.Service{Key: ipvs.MarkKey(7, ipvs.IPv6), Scheduler: "rr"}
	want = lvs.Service{FWMark: 7, Family: lvs.INET6, Scheduler: "rr", Netmask: netmask.MaskFrom(128, 128)}
	if d := cmp.Diff(want, toService(&mark), equal); d != "" {
		t.Error(d)
	}
}

// The kernel wants a mask of the right family with every service.
func TestEveryServiceHasAMask(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawService(t)
		wire := toService(&s)
		if !wire.Netmask.IsValid() || wire.Netmask.Is4() != (wire.Family == lvs.INET) {
			t.Fatalf("mask %v for family %v", wire.Netmask, wire.Family)
		}
		flags, timeout := fromFlags(uint32(wire.Flags|lvs.ServiceHashed), wire.Timeout)
		if flags != s.Flags || timeout != s.Persistence.Timeout {
			t.Fatalf("flags %v and timeout %d of %+v", flags, timeout, s)
		}
	})
}

func TestToDestination(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDestination(t)
		wire := toDestination(&d)
		back := ipvs.Destination{
			Address: netip.AddrPortFrom(wire.Address, wire.Port), Forwarding: ipvs.Forwarding(wire.FwdMethod),
			Weight: wire.Weight, UpperThreshold: wire.UpperThreshold, LowerThreshold: wire.LowerThreshold,
		}
		if back != d || (wire.Family == lvs.INET) != wire.Address.Is4() {
			t.Fatalf("%+v becomes %+v", d, wire)
		}
	})
}
