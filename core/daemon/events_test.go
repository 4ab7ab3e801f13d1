package daemon

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/balance"
	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/pluginhost"
	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/core/track"
	"github.com/halo-ha/halo/core/vrrp"
)

// Everything that is told keeps its reason on the way into the journal.
func TestEventsInWords(t *testing.T) {
	at := time.Now()
	peer := netip.MustParseAddr("192.0.2.2")
	faults := vrrp.Faults(1<<vrrp.FaultLinkDown | 1<<vrrp.FaultTracker)
	for want, e := range map[string]journal.Event{
		"vrrp_instance VI_1 state backup -> active (active_down) priority 150 peer 192.0.2.2": stateEvent("VI_1", at, vrrp.StateChanged{
			From: vrrp.Backup, To: vrrp.Active, Reason: vrrp.ReasonActiveDown, Priority: 150, Peer: peer,
		}),
		"vrrp_instance VI_1 state active -> fault (link_down,tracker) priority 150: nginx": stateEvent("VI_1", at, vrrp.StateChanged{
			From: vrrp.Active, To: vrrp.Fault, Reason: vrrp.ReasonLinkDown, Faults: faults, Detail: "nginx", Priority: 150,
		}),
		"vrrp_instance VI_1 fault (tracker): nginx, load": faultEvent("VI_1", at, vrrp.FaultChanged{Reason: vrrp.ReasonTracker, Faults: 1 << vrrp.FaultTracker, Detail: "nginx, load"}),
		"vrrp_sync_group G1 fault (link_down): inside: link_down": groupFaultEvent("G1", at, vrrp.GroupFaultChanged{
			Cause: vrrp.Cause{Reason: vrrp.ReasonLinkDown, Member: "inside", Faults: 1 << vrrp.FaultLinkDown},
		}),
		"vrrp_instance VI_1 priority 150 -> 90 (tracker) priority 90: nginx -60": priorityEvent("VI_1", at, vrrp.EffectiveChanged{From: 150, To: 90, Detail: "nginx -60"}),
		"vrrp_instance VI_1 priority 150 -> 90 (configuration) priority 90":      priorityEvent("VI_1", at, vrrp.EffectiveChanged{From: 150, To: 90}),
		"vrrp_instance VI_1 mismatch (interval) peer 192.0.2.2: here 1s, there 2s": mismatchEvent("VI_1", at, vrrp.Mismatch{
			Kind: vrrp.MismatchInterval, Peer: peer, Ours: "1s", Theirs: "2s",
		}),
		"vrrp_sync_group G1 state backup -> fault (link_down) priority 100: inside: link_down": groupEvent("G1", at, vrrp.GroupStateChanged{
			From: vrrp.Backup, To: vrrp.Fault, Priority: 100, Cause: vrrp.Cause{Reason: vrrp.ReasonLinkDown, Member: "inside", Faults: 1 << vrrp.FaultLinkDown},
		}),
		"tracker nginx state up -> down (tracker down): quorum: 0 of 1": trackerEvent(track.TrackerChanged{
			Tracker: "nginx", From: track.Up, To: track.Down, Why: track.Why{Reason: track.ReasonDown, TrackerReason: "quorum", TrackerDetail: "0 of 1"},
		}),
		"interface eth0 state socket_open -> socket_lost: permission denied":           socketEvent("eth0", errors.New("permission denied")),
		"interface eth0 state socket_lost -> socket_open":                              socketEvent("eth0", nil),
		"vrrp_instance VI_1 conflict (claimed): 192.0.2.10 is also claimed by 02:00::": conflictEvent("VI_1", "192.0.2.10", "02:00::"),
		"vrrp_instance VI_1 drift lost (addresses_lost): no room":                      keepingEvent("VI_1", errors.New("no room")),
		"vrrp_instance VI_1 drift restored (addresses_lost)":                           keepingEvent("VI_1", nil),
		"real_server web 192.0.2.30:80 state up -> down (quorum lost) weight 0 out of service: tcp: refused": serverEvent("web", pool.ServerChanged{
			Server: netip.MustParseAddrPort("192.0.2.30:80"), From: pool.Up, To: pool.Down, WasInService: true, Why: pool.Why{Reason: pool.ReasonQuorumLost, Check: "tcp", CheckReason: "refused"},
		}),
		"virtual_server web state up -> down (quorum lost) weight 1: weight 1 of quorum 2, the sorry server serves": quorumEvent("web", pool.QuorumChanged{
			From: pool.Up, To: pool.Down, Reason: pool.ReasonQuorumLost, Weight: 1, Quorum: 2, Sorry: true,
		}),
		"plugin halo-check-tcp as nobody state running -> backoff: killed": pluginEvent(
			pluginhost.Identity{Plugin: "halo-check-tcp", User: "nobody"}, pluginhost.StateRunning, pluginhost.StateBackoff, "killed"),
		"halo reload applied: generation 2, 3 changes":   reloadEvent(2, 3, ""),
		"halo reload refused: halo.toml:1:1: is missing": reloadEvent(1, 0, "halo.toml:1:1: is missing"),
		"halo state running -> stopping":                 haloEvent(haloRunning, haloStopping),
		"halo state starting":                            haloEvent("", haloStarting),
	} {
		if got := e.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if e := stateEvent("VI_1", at, vrrp.StateChanged{}); !e.Time.Equal(at) {
		t.Errorf("recorded for %v, happened at %v", e.Time, at)
	}
	if events := driftEvents(balance.Drift{Total: 7}); len(events) != 1 || events[0].Detail != "7 more changes" {
		t.Errorf("%+v", events)
	}
}

// A removed instance is told once; one that is moved to another interface is not.
func TestRemovedIsToldOnce(t *testing.T) {
	j := journal.New(time.Now(), 8)
	e := &election{journal: j, places: newPlaces()}
	e.Removed("moved", time.Now())
	e.places.leave("gone")
	e.Removed("gone", time.Now())
	e.Removed("gone", time.Now())
	if p := j.After(0, 8); len(p.Events) != 1 || p.Events[0].Name != "gone" || p.Events[0].Kind != journal.Removed {
		t.Errorf("%+v", p.Events)
	}
}
