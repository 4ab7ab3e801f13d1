package daemon

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
	"github.com/halo-ha/halo/core/vip"
)

// TestRoutingWatch changes what is watched while routes come and go: what is
// wanted is told, and what is not is not.
func TestRoutingWatch(t *testing.T) {
	t.Parallel()
	kerneltest.RequireRoot(t)
	ns := kerneltest.NewNamespace(t, "routing")
	views := make(chan *rtnl.RoutingView, 1)
	w := newRoutingWatch(func(v *rtnl.RoutingView) {
		select { // The latest is the one that counts.
		case <-views:
		default:
		}
		views <- v
	}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ns.Do(func() error { return w.run(ctx) }) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	put := func(destination string, mark inet.Protocol) {
		t.Helper()
		err := ns.Do(func() error {
			h, err := rtnl.Open()
			if err != nil {
				return err
			}
			defer func() { _ = h.Close() }()
			return h.PutRoutes([]inet.Route{{Destination: netip.MustParsePrefix(destination), Type: inet.Blackhole, Protocol: mark}})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	await := func(destinations ...string) {
		t.Helper()
		slices.Sort(destinations)
		var got []string
		for deadline := time.After(time.Minute); !slices.Equal(got, destinations); {
			select {
			case v := <-views:
				got = nil
				for _, r := range v.Routes {
					got = append(got, r.Destination.String())
				}
				slices.Sort(got)
			case <-deadline:
				t.Fatalf("told of %q, want %q", got, destinations)
			}
		}
	}

	w.set(marks{anything: true})
	await()
	put("10.0.0.0/8", inet.ProtocolHalo)
	put("10.1.0.0/16", inet.ProtocolStatic)
	await("10.0.0.0/8")
	w.set(marks{anything: true, others: []inet.Protocol{inet.ProtocolStatic}})
	await("10.0.0.0/8", "10.1.0.0/16")
	put("10.2.0.0/16", inet.ProtocolStatic)
	await("10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16")
	w.set(marks{})
	w.set(marks{anything: true})
	await("10.0.0.0/8")
	if err := w.failure(); err != nil {
		t.Errorf("failure: %v", err)
	}
}

// TestEntriesStatus holds that an address is told of with its interface where that
// is another than that of its instance, be it a virtual link; and that halo's own
// mark is not told of.
func TestEntriesStatus(t *testing.T) {
	on := func(iface string) vip.AddressStatus {
		return vip.AddressStatus{Address: vip.Address{Address: inet.Address{Prefix: netip.MustParsePrefix("192.0.2.10/24")}, Interface: iface}}
	}
	route := inet.Route{Destination: netip.MustParsePrefix("10.0.0.0/8"), Type: inet.Blackhole, Protocol: inet.ProtocolHalo}
	foreign := route
	foreign.Protocol = inet.ProtocolStatic
	got := entriesStatus(vip.Status{
		Interface: "vrrp.51", Addresses: []vip.AddressStatus{on("vrrp.51"), on("eth1")}, Error: "why",
		Routes: []vip.RouteStatus{{EntryStatus: vip.EntryStatus{Present: true, Restores: 2}, Route: route}, {Route: foreign}},
		Rules:  []vip.RuleStatus{{Rule: inet.Rule{Priority: 100, Table: 7, Protocol: inet.ProtocolHalo}}},
	})
	want := control.Entries{
		Addresses:  []control.VirtualAddress{{Address: "192.0.2.10/24"}, {Address: "192.0.2.10/24", Interface: "eth1"}},
		Routes:     []control.VirtualEntry{{Entry: "blackhole 10.0.0.0/8", Present: true, Restores: 2}, {Entry: "blackhole 10.0.0.0/8 proto static"}},
		Rules:      []control.VirtualEntry{{Entry: "priority 100 lookup 7"}},
		EntryError: "why",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}
