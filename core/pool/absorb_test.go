package pool_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/pool"
)

// Results that are absorbed together end in the same state, and in the same
// table, as the same results one by one.
func TestAbsorbedTogetherAsOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1000, 0)
		n := rapid.IntRange(1, 5).Draw(t, "servers")
		c := pool.Config{Quorum: rapid.IntRange(1, n).Draw(t, "quorum")}
		address := func(i int) netip.AddrPort { return netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:80", i+1)) }
		if rapid.Bool().Draw(t, "sorry") {
			c.SorryServer = netip.MustParseAddrPort("192.0.2.100:80")
		}
		for i := range n {
			c.Servers = append(c.Servers, pool.RealServer{Address: address(i), Weight: 1, Checks: []pool.Check{{
				Name: "tcp", Definition: "tcp", Rise: rapid.IntRange(1, 2).Draw(t, "rise"), Fall: rapid.IntRange(1, 2).Draw(t, "fall"),
			}}})
		}
		single, together := pool.New(now, c), pool.New(now, c)
		single.Handle(now, pool.Reconfigured{Config: c}, nil)
		together.Handle(now, pool.Reconfigured{Config: c}, nil)
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			now = now.Add(time.Second)
			unsettled := false
			for range rapid.IntRange(0, 20).Draw(t, "results") {
				r := pool.CheckResult{
					Server: address(rapid.IntRange(0, n-1).Draw(t, "server")), Check: "tcp",
					Outcome:  rapid.SampledFrom([]pool.Outcome{pool.OutcomeUnknown, pool.OutcomePass, pool.OutcomeFail}).Draw(t, "outcome"),
					Weighted: rapid.Bool().Draw(t, "weighted"), Weight: rapid.IntRange(0, 3).Draw(t, "weight"),
				}
				single.Handle(now, r, nil)
				unsettled = together.Absorb(&r) || unsettled
			}
			if unsettled {
				for _, a := range together.Settle(now, nil) {
					if set, ok := a.(pool.SetTable); ok {
						table := single.Snapshot().Service
						if !set.Service.Equal(&table) {
							t.Fatalf("one by one: %v\ntogether:   %v", table, set.Service)
						}
					}
				}
			}
			// What went to and fro within a batch has not happened for those who
			// look at its end: why and since when may differ, and a quorum that
			// was only lost in between is not decided yet.
			want, got := single.Snapshot(), together.Snapshot()
			if got.State == pool.Unknown {
				want.State, want.Reason = got.State, got.Reason
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(pool.ServerSnapshot{}, "Since", "Why"),
				cmpopts.IgnoreFields(pool.Snapshot{}, "Since"), cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})); diff != "" {
				t.Fatalf("(-one by one +together):\n%s", diff)
			}
		}
	})
}

// A result that changes nothing is absorbed without an allocation, and nothing
// is left to settle.
func TestAbsorbWithoutChangeIsFree(t *testing.T) {
	now := time.Unix(1000, 0)
	address := netip.MustParseAddrPort("192.0.2.1:80")
	c := pool.Config{Quorum: 1, Servers: []pool.RealServer{{Address: address, Weight: 1, Checks: []pool.Check{{Name: "tcp", Rise: 1, Fall: 1}}}}}
	s := pool.New(now, c)
	r := pool.CheckResult{Server: address, Check: "tcp", Outcome: pool.OutcomePass}
	if !s.Absorb(&r) {
		t.Fatal("the first pass leaves nothing to settle")
	}
	s.Settle(now, nil)
	if n := testing.AllocsPerRun(100, func() {
		if s.Absorb(&r) {
			t.Fatal("a pass like the one before leaves something to settle")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
