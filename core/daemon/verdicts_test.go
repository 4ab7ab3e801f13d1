package daemon

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/core/checks"
	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/track"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
)

const scriptedFile = `
[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
priority = 150
addresses = ["192.0.2.10/24"]
track = ["nginx"]

[tracker.nginx]
type = "script"
command = ["/usr/local/bin/check-nginx"]
weight = -60
fall = 2
`

// TestVerdictsOfPlugins holds what a router is told of what a plugin finds out.
func TestVerdictsOfPlugins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		routers := &told{}
		k := newTracking(routers, journal.New(time.Now(), journal.Limit), slog.New(slog.DiscardHandler))
		v := verdicts{tracking: k}
		want := func(lines ...string) {
			t.Helper()
			synctest.Wait()
			k.mu.Lock() // The end of a grace tells from a goroutine of its own.
			defer k.mu.Unlock()
			routers.want(t, lines...)
		}
		g := generationOf(t, scriptedFile)
		k.apply(g)
		want("VI_1 priority 150: ")
		definition := g.Trackers["nginx"].Definition()
		saw := func(s track.State) {
			v.PostTrack(track.Observed{Tracker: "nginx", Definition: definition, State: s, Reason: "exit", Detail: "exit code 1"})
		}

		v.PostTrack(track.Lost{Tracker: "nginx"})
		saw(track.Unknown)
		saw(track.Down)
		want() // Once is not enough.
		saw(track.Down)
		want("VI_1 priority 90: tracker down: nginx: exit: exit code 1")

		// Without its plugin the verdict holds, for as long as it takes, and so it
		// does when a look at links or a reload comes between.
		v.PostTrack(track.Lost{Tracker: "nginx"})
		time.Sleep(time.Hour)
		k.linksChanged(nil)
		want()
		k.apply(g)
		want("VI_1 priority 90: tracker down: nginx: exit: exit code 1")
		if s := k.snapshot().Trackers[0]; s.State != track.Unknown || s.Verdict != track.Down {
			t.Errorf("without its plugin it is %+v", s)
		}
		saw(track.Up)
		want("VI_1 priority 150: tracker up: nginx: exit: exit code 1")

		// What was found under other terms is about something else.
		v.PostTrack(track.Observed{Tracker: "nginx", Definition: "another program", State: track.Down})
		v.PostTrack(track.Observed{Tracker: "nginx", Definition: "another program", State: track.Down})
		want()

		// If the file wants it so, a plugin that stays away is as bad as a bad result.
		failing := generationOf(t, scriptedFile+"init_fail = true\n[plugin.halo-track-script]\non_plugin_loss = \"fail\"\nplugin_grace = \"10s\"\n")
		for _, tracker := range failing.Trackers {
			tracker.Probe.Plugin = "halo-track-script" // As the catalogue would say.
		}
		k.apply(failing)
		want("VI_1 priority 150: tracker up: nginx: exit: exit code 1")
		v.PostTrack(track.Lost{Tracker: "nginx"})
		time.Sleep(9 * time.Second)
		want()
		time.Sleep(2 * time.Second)
		want("VI_1 priority 90: observer lost: nginx")

		// Plugins end after the election. That is no news for anybody.
		k.close()
		saw(track.Up)
		want()
	})
}

// TestObservations holds what the status says of the last result of a plugin: of
// trackers that one observes, and of nothing that a plugin away once said.
func TestObservations(t *testing.T) {
	g := generationOf(t, scriptedFile+"[tracker.uplink]\ntype = \"interface\"\ninterface = \"eth1\"\n")
	g.Trackers["nginx"].Probe.Plugin = "halo-track-script"
	found := host.ProbeResult{Result: check.Result{
		Outcome: check.Fail, Reason: check.ReasonExit, Detail: "exit code 1", Took: 250 * time.Millisecond, Metrics: map[string]float64{"load": 3},
	}}
	service := checks.ProbeSnapshot{Service: "web", Check: "nginx", Last: found, At: time.Now()}
	for name, tc := range map[string]struct {
		probe checks.ProbeSnapshot
		want  control.Observation
	}{
		"nobody asked yet":   {service, control.Observation{Outcome: "unknown", Age: -1}},
		"no answer yet":      {checks.ProbeSnapshot{Tracker: "nginx"}, control.Observation{Outcome: "unknown", Age: -1}},
		"away":               {checks.ProbeSnapshot{Tracker: "nginx", Away: true, Last: found, At: time.Now()}, control.Observation{Outcome: "unknown", Reason: "plugin_lost", Age: -1}},
		"of another tracker": {checks.ProbeSnapshot{Tracker: "apache", Last: found, At: time.Now()}, control.Observation{Outcome: "unknown", Age: -1}},
		"an answer": {
			checks.ProbeSnapshot{Tracker: "nginx", Last: found, At: time.Now()},
			control.Observation{Outcome: "fail", Reason: "exit", Detail: "exit code 1", Took: 0.25, Metrics: map[string]float64{"load": 3}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := observations(g, []checks.ProbeSnapshot{service, tc.probe})
			got := all["nginx"]
			if len(all) != 1 || got == nil {
				t.Fatalf("%v, want the one tracker that a plugin observes", all)
			}
			if got.Age >= 0 {
				got.Age = 0 // It depends on the clock.
			}
			tc.want.Plugin = "halo-track-script"
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
