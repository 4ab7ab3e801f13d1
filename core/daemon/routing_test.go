package daemon

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
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
