package daemon

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/track"
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
