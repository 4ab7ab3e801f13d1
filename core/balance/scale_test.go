package balance

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/pool"
)

// big is a configuration of 1,000 virtual servers with 10 real servers each.
func big() Wanted {
	w := Wanted{Services: map[string]pool.Config{}}
	for i := range 1000 {
		a := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		c := pool.Config{Service: ipvs.Service{Key: ipvs.AddressKey(ipvs.TCP, netip.AddrPortFrom(a, 80)), Scheduler: "wrr"}, Quorum: 1}
		for j := range 10 {
			a := netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(j)})
			c.Servers = append(c.Servers, pool.RealServer{
				Address: netip.AddrPortFrom(a, 80), Weight: 1,
				Checks: []pool.Check{{Name: "tcp", Definition: "1", Rise: 2, Fall: 3}},
			})
		}
		w.Services[fmt.Sprint("service-", i)] = c
	}
	return w
}

type deaf struct{}

func (deaf) Changed(string, pool.Action) {}
func (deaf) Drifted(Drift)               {}

// steps is a Balancer whose loop is driven by hand, all servers in service.
func steps(tb testing.TB, w Wanted) *Balancer {
	tb.Helper()
	b := New(Config{
		Kernel: kerneltest.NewIPVS(), Observer: deaf{}, Record: filepath.Join(tb.TempDir(), "ipvs"),
		Log: slog.New(slog.DiscardHandler),
	})
	b.loadRecord()
	b.Apply(w)
	postAll(b, w)
	postAll(b, w)
	b.takeMail()
	b.sync(context.Background())
	if v := b.snapshot(); !v.Synced || v.Error != "" || v.Services["service-7"].Weight != 10 {
		tb.Fatalf("synced %v, error %q", v.Synced, v.Error)
	}
	return b
}

func postAll(b *Balancer, w Wanted) {
	for name, c := range w.Services {
		for _, r := range c.Servers {
			b.Post(name, pool.CheckResult{Server: r.Address, Check: "tcp", Definition: "1", Outcome: pool.OutcomePass})
		}
	}
}

// Results that change nothing cost no memory and no question to the kernel.
func TestSteadyStateIsFree(t *testing.T) {
	w := big()
	b := steps(t, w)
	kernel, _ := b.config.Kernel.(*kerneltest.IPVS)
	r := pool.CheckResult{Server: w.Services["service-7"].Servers[3].Address, Check: "tcp", Definition: "1", Outcome: pool.OutcomePass}
	round := func() {
		b.Post("service-7", r)
		b.takeMail()
		b.reachDeadlines()
		b.sync(t.Context())
	}
	round()
	dumps, reads := kernel.Calls()
	if n := testing.AllocsPerRun(100, round); n > 0 {
		t.Errorf("%v allocations for a result that changes nothing", n)
	}
	if d, r := kernel.Calls(); d != dumps || r != reads {
		t.Errorf("%d dumps, %d reads", d-dumps, r-reads)
	}
}

// A comparison that finds nothing allocates what the dump does and a constant
// more.
func TestComparisonIsCheap(t *testing.T) {
	b := steps(t, big())
	dump := testing.AllocsPerRun(3, func() {
		if _, err := b.config.Kernel.Dump(nil); err != nil {
			t.Fatal(err)
		}
	})
	whole := testing.AllocsPerRun(3, func() { b.syncAll(t.Context()) })
	if whole-dump > 20 {
		t.Errorf("%v allocations, %v of them the dump's", whole, dump)
	}
	if b.status.err != nil || len(b.ops) != 0 {
		t.Errorf("%v, %d operations", b.status.err, len(b.ops))
	}
}

func BenchmarkResult(b *testing.B) {
	w := big()
	bal := steps(b, w)
	b.ReportAllocs()
	for b.Loop() { // One round of 10,000 results.
		postAll(bal, w)
		bal.takeMail()
		bal.sync(b.Context())
	}
}

func BenchmarkCompare(b *testing.B) {
	bal := steps(b, big())
	b.ReportAllocs()
	for b.Loop() {
		bal.syncAll(b.Context())
	}
}

func BenchmarkReloadUnchanged(b *testing.B) {
	bal := steps(b, big())
	for b.Loop() {
		bal.Apply(big())
		bal.takeMail()
		bal.sync(b.Context())
	}
}

// slowKernel takes 10 ms to list a service's destinations.
type slowKernel struct {
	*kerneltest.IPVS
	lists atomic.Int64
}

func (k *slowKernel) Dump(interest func(ipvs.ServiceKey) bool) (ipvs.Table, error) {
	t, err := k.IPVS.Dump(nil)
	for i := range t {
		if !interest(t[i].Key) {
			t[i].Destinations = nil
			continue
		}
		time.Sleep(10 * time.Millisecond)
		k.lists.Add(1)
	}
	return t, err
}

// A table too big for one per cent of the time is looked at in parts: services
// that are gone are found by the next comparison, other changes in their turn.
func TestBigTableIsComparedInParts(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		kernel := &slowKernel{IPVS: s.kernel}
		s.run()
		s.b.config.Kernel = kernel
		w := Wanted{Services: map[string]pool.Config{}}
		for i := range 50 {
			w.Services[fmt.Sprint("s", i)] = unchecked(virtual(fmt.Sprintf("198.51.100.%d:80", i), "30", "31"))
		}
		s.apply(w)
		time.Sleep(defaultInterval)
		synctest.Wait()
		want := s.kernel.String()
		for range 30 {
			before := kernel.lists.Load()
			time.Sleep(defaultInterval)
			synctest.Wait()
			// 50 ms are enough for five, and the one that ends them.
			if n := kernel.lists.Load() - before; n < 1 || n > 6 {
				t.Fatalf("%d lists of destinations in one interval", n)
			}
		}

		// All 50 are looked at within ten intervals, so within twenty after any moment.
		victim := s.b.services["s33"].applied
		s.kernel.Outside(ipvs.Op{Verb: ipvs.DeleteDestination, Service: victim, Destination: ipvs.Destination{Address: addr("31")}})
		time.Sleep(20 * defaultInterval)
		synctest.Wait()
		if s.kernel.String() != want || len(s.seen.driftsSoFar()) != 1 {
			t.Errorf("%d drifts", len(s.seen.driftsSoFar()))
		}
		s.kernel.Outside(ipvs.Op{Verb: ipvs.DeleteService, Service: s.b.services["s0"].applied}, ipvs.Op{Verb: ipvs.DeleteService, Service: s.b.services["s49"].applied})
		time.Sleep(defaultInterval + time.Second)
		synctest.Wait()
		if s.kernel.String() != want {
			t.Errorf("the table is\n%s", s.kernel)
		}
		// A service that is to change does not wait for its turn.
		c := unchecked(virtual("198.51.100.7:80", "31"))
		w.Services["s7"] = c
		s.apply(w)
		time.Sleep(time.Second)
		if v := s.snapshot(); !v.Synced {
			t.Error("the change waits")
		}
	})
}
