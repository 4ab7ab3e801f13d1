package peers

import "testing"

// soleOwner: a settled group stays as it is, longer than the down interval.
func soleOwner(_ *testing.T, g *group) {
	g.holdsSole(g.best(), g.window())
}

// kill: the active router dies at once and leaves its address behind; the next
// takes over, not before its time, and the best one takes the address back.
func kill(t *testing.T, g *group) {
	g.best().kill()
	g.awaitSoleSeen(g.second())
	var last, first advert
	g.eventually("somebody else advertises", func() bool {
		last, first = g.capture.takeover(g.best().source)
		return first.source != ""
	})
	if silence := first.at.Sub(last.at); silence < 3*g.form.interval {
		t.Errorf("%s after %s: silence for %s, less than three intervals", first, last, silence)
	}
	g.best().comeBack()
	g.awaitSoleSeen(g.best())
	g.holdsSole(g.best(), 2*g.form.interval)
}

// terminate: the active router is told to stop, and says so; the next takes
// over because of that, and not because of the silence.
func terminate(t *testing.T, g *group) {
	before := g.releasesHeard(t)
	g.best().terminate()
	g.awaitSoleSeen(g.second())
	if last, _ := g.capture.takeover(g.best().source); last.priority != 0 {
		t.Errorf("the last word of a router that was told to stop is %s, want priority 0", last)
	}
	if after := g.releasesHeard(t); g.second().halo != nil && after == before {
		t.Errorf("halo has not heard the release")
	}
	g.best().comeBack()
	g.awaitSoleSeen(g.best())
	g.holdsSole(g.best(), 2*g.form.interval)
}

// releasesHeard is how many releases the second router has heard, where it is halo.
func (g *group) releasesHeard(t *testing.T) uint64 {
	if g.second().halo == nil {
		return 0
	}
	return g.second().halo.Status(t).VRRPInstances["VI_1"].Counters["priority_zero_received"]
}

// freezeActive: the active router stands still while another takes over, and
// goes on as if nothing had happened. One remains, and all know which.
func freezeActive(_ *testing.T, g *group) {
	g.best().freeze()
	g.awaitSoleSeen(g.second())
	g.best().thaw()
	g.awaitSoleSeen(g.best())
	g.holdsSole(g.best(), g.window())
}

// freezeBackup: a backup sleeps for longer than the down interval. The
// advertisements it has missed wait for it: it takes nothing over.
func freezeBackup(_ *testing.T, g *group) {
	sleeper := g.second()
	sleeper.freeze()
	g.holdsSole(g.best(), g.window())
	sleeper.thaw()
	g.during(2*g.form.interval, g.keeps(g.best(), "because another woke up"), g.best())
	g.awaitSole(g.best())
	g.holdsSole(g.best(), 2*g.form.interval)
}
