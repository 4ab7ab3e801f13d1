package daemon

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/radvspeaker"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// A router that a reload has moved to another interface may be active there before
// its end on the first one is told: that is not the end of what is done for it.
func TestLateWordsOfARouterThatHasMoved(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	here, there := place{iface: "eth0", family: wire.IPv6}, place{iface: "eth1", family: wire.IPv6}
	e := &election{
		journal: journal.New(time.Now(), 8), logger: logger, places: newPlaces(),
		conflicts: newConflicts(nil, nil, logger), advertising: radvspeaker.New(radvspeaker.Options{}),
	}
	e.places.put("VI_1", &running{place: there}, []located{{"eth1", netip.MustParseAddr("fe80::10")}})
	say := func(from place, state vrrp.State) (held bool) {
		witness{e, from}.Changed("VI_1", time.Now(), vrrp.StateChanged{To: state})
		return e.conflicts.holders["VI_1"] != nil
	}
	for _, step := range []struct {
		from  place
		state vrrp.State
		held  bool
	}{
		{here, vrrp.Active, false},
		{there, vrrp.Backup, false},
		{there, vrrp.Active, true},
		{here, vrrp.Initialize, true},
		{there, vrrp.Backup, false},
		{there, vrrp.Active, true},
	} {
		if say(step.from, step.state) != step.held {
			t.Errorf("%v on %v: held is not %t", step.state, step.from, step.held)
		}
	}
	// One that is gone is not active anywhere.
	e.places.forget("VI_1")
	if say(there, vrrp.Initialize) {
		t.Error("a router that is gone holds addresses")
	}
	if n := len(e.journal.After(0, 8).Events); n != 7 {
		t.Errorf("%d events are recorded, want all 7", n)
	}
}
