package ipvs_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// keys is few enough for two drawn tables to have some in common.
func drawKey(t *rapid.T) ipvs.ServiceKey {
	n := rapid.IntRange(0, 5).Draw(t, "service")
	switch {
	case n == 4:
		return ipvs.MarkKey(rapid.Uint32Range(1, 2).Draw(t, "mark"), rapid.SampledFrom([]ipvs.Family{ipvs.IPv4, ipvs.IPv6}).Draw(t, "family"))
	case n == 5:
		return ipvs.AddressKey(ipvs.TCP, netip.MustParseAddrPort("[2001:db8::10]:80"))
	default:
		p := rapid.SampledFrom([]ipvs.Protocol{ipvs.TCP, ipvs.UDP, ipvs.SCTP}).Draw(t, "protocol")
		return ipvs.AddressKey(p, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 80))
	}
}

func drawTable(t *rapid.T) ipvs.Table {
	services := rapid.SliceOfNDistinct(rapid.Custom(drawKey), 0, 6, rapid.ID[ipvs.ServiceKey]).Draw(t, "services")
	table := make(ipvs.Table, 0, len(services))
	for _, k := range services {
		s := ipvs.Service{
			Key:       k,
			Scheduler: rapid.SampledFrom(ipvs.Schedulers()).Draw(t, "scheduler"),
			Flags:     ipvs.Flags(rapid.Uint8Range(0, 15).Draw(t, "flags")),
		}
		if rapid.Bool().Draw(t, "persistent") {
			s.Persistence = ipvs.Persistence{Timeout: rapid.Uint32Range(1, 400).Draw(t, "timeout"), PrefixLength: rapid.Uint8Range(0, 32).Draw(t, "prefix")}
		}
		for _, n := range rapid.SliceOfNDistinct(rapid.Uint8Range(1, 5), 0, 5, rapid.ID[uint8]).Draw(t, "destinations") {
			s.Destinations = append(s.Destinations, ipvs.Destination{
				Address:    netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 100 + n}), 80),
				Forwarding: rapid.SampledFrom([]ipvs.Forwarding{ipvs.Masquerade, ipvs.DirectRoute, ipvs.Tunnel}).Draw(t, "forward"),
				Weight:     rapid.Uint32Range(0, 3).Draw(t, "weight"),
			})
		}
		table = append(table, s)
	}
	table.Sort()
	return table
}

func kernelWith(table ipvs.Table) *kerneltest.IPVS {
	k := kerneltest.NewIPVS()
	for _, s := range table {
		k.Put(s)
	}
	return k
}

func TestDiffProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		actual, wanted := drawTable(t), drawTable(t)
		ours := map[ipvs.ServiceKey]bool{}
		for _, s := range actual {
			ours[s.Key] = rapid.Bool().Draw(t, "ours")
		}
		owned := func(k ipvs.ServiceKey) bool { return ours[k] }

		// Every operation is one that the kernel accepts at that moment, and
		// what comes out is what was wanted, beside what is not ours.
		k := kernelWith(actual)
		for _, op := range ipvs.Diff(nil, actual, wanted, owned) {
			before, _, err := k.Read(op.Service.Key)
			if err != nil {
				t.Fatal(err)
			}
			if err := k.Apply(op); err != nil {
				t.Fatalf("the kernel refuses %v", err)
			}
			after, there, err := k.Read(op.Service.Key)
			if err != nil {
				t.Fatal(err)
			}
			if w := wanted.Find(op.Service.Key); there && serving(before) && w != nil && serving(*w) && !serving(after) {
				t.Fatalf("%s leaves a service that has servers, and will have, without any", op.String())
			}
		}
		want := wanted.Clone()
		for _, s := range actual {
			if wanted.Find(s.Key) == nil && !ours[s.Key] {
				want = append(want, s)
			}
		}
		want.Sort()
		got, err := k.Dump(nil)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Equal(want) {
			t.Fatalf("after the operations:\n%swant:\n%s", got, want)
		}
		if ops := ipvs.Diff(nil, got, wanted, owned); len(ops) != 0 {
			t.Fatalf("a second difference is not empty:\n%s", lines(ops))
		}
	})
}

// serving reports whether a service can give a new connection to somebody.
func serving(s ipvs.Service) bool {
	return slices.ContainsFunc(s.Destinations, func(d ipvs.Destination) bool { return d.Weight > 0 })
}

func TestEqualTablesHaveEqualText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawTable(t), drawTable(t)
		if a.Equal(b) != (a.String() == b.String()) {
			t.Fatalf("Equal says %v about\n%sand\n%s", a.Equal(b), a, b)
		}
		if c := a.Clone(); !c.Equal(a) {
			t.Fatal("a clone differs")
		}
	})
}

func TestServiceKeyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKey(t)
		got, err := ipvs.ParseServiceKey(k.String())
		if err != nil || got != k {
			t.Fatalf("%v reads back as %v (%v)", k, got, err)
		}
	})
}

func TestNoAllocationWhenEqual(t *testing.T) {
	table := make(ipvs.Table, 0, 50)
	for i := range 50 {
		s := ipvs.Service{Key: ipvs.AddressKey(ipvs.TCP, netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:80", i))), Scheduler: "wrr"}
		for j := range 10 {
			s.Destinations = append(s.Destinations, ipvs.Destination{Address: netip.MustParseAddrPort(fmt.Sprintf("198.51.100.%d:80", j)), Weight: 1})
		}
		table = append(table, s)
	}
	table.Sort()
	other := table.Clone()
	owned := func(ipvs.ServiceKey) bool { return true }
	ops := make([]ipvs.Op, 0, 1)
	allocations := testing.AllocsPerRun(100, func() {
		ops = ipvs.Diff(ops[:0], table, other, owned)
	})
	if allocations != 0 || len(ops) != 0 {
		t.Errorf("%v allocations, %d operations", allocations, len(ops))
	}
}

func BenchmarkDiffEqual(b *testing.B) {
	table := make(ipvs.Table, 0, 1000)
	for i := range 1000 {
		a := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		s := ipvs.Service{Key: ipvs.AddressKey(ipvs.TCP, netip.AddrPortFrom(a, 80)), Scheduler: "wrr"}
		for j := range 10 {
			a := netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(j)})
			s.Destinations = append(s.Destinations, ipvs.Destination{Address: netip.AddrPortFrom(a, 80), Weight: 1})
		}
		table = append(table, s)
	}
	table.Sort()
	other := table.Clone()
	b.ReportAllocs()
	for b.Loop() {
		if ops := ipvs.Diff(nil, table, other, nil); len(ops) != 0 {
			b.Fatal(len(ops))
		}
	}
}
