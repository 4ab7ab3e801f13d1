package peers

import (
	"testing"
	"time"
)

// linkOfActive: the active router's cable is loose. When it is tight again,
// and also after it was out for long, all is as before.
func linkOfActive(_ *testing.T, g *group) {
	g.flap(g.best())
	g.awaitHeard(g.best())
	g.awaitSole(g.best())
	g.holdsSole(g.best(), g.window())
	g.pull(g.best())
	g.awaitSoleSeen(g.second())
	g.plug(g.best())
	g.awaitSoleSeen(g.best())
	g.holdsSole(g.best(), 2*g.form.interval)
}

// linkOfBackup: a backup's cable is loose, which is nobody else's business.
func linkOfBackup(_ *testing.T, g *group) {
	flapping, tight := g.second(), make(chan struct{})
	go func() {
		defer close(tight)
		g.flap(flapping)
	}()
	speakers := []*router{g.best()}
	if flapping.cannotSeeLink != "" {
		speakers = append(speakers, flapping)
	}
	g.during(42*pause+g.window(), g.keeps(g.best(), "because another's cable is loose"), speakers...)
	<-tight
	g.awaitSole(g.best())
	g.holdsSole(g.best(), g.form.interval)
}

// oneWayLoss: one router does not hear the active one, which hears it. There
// are two for as long as that lasts; but the better one never lets go, nobody
// else joins in, and two advertisements that arrive end it.
func oneWayLoss(t *testing.T, g *group) {
	best, deaf := g.best(), g.second()
	heal := g.drop(g.from(best) + " oifname " + deaf.host.Port)
	g.eventually("the deaf router owns the address, too", deaf.owns)
	keeps := g.keeps(best, "to a worse router")
	g.during(2*g.form.interval, keeps, best, deaf)
	heal()
	healed := time.Now()
	g.eventually(g.form.vip()+" on "+best.host.Label()+" alone", func() bool {
		if fault := keeps(); fault != "" {
			t.Error(fault)
		}
		return g.sole(best)
	})
	if best.cannotHearClaims != "" && deaf.cannotSpeakAtOnce[g.form.name] != "" {
		// The deaf one may have announced itself and not have been heard otherwise.
		g.awaitSole(best)
	} else {
		g.awaitSoleSeen(best)
	}
	g.holdsSole(best, 2*g.form.interval)
	var heard, said int
	for _, a := range g.capture.since(healed) {
		switch {
		case a.source == deaf.source:
			said++
			if heard > 2 && deaf.halo != nil && g.excuse(best, healed) == "" {
				t.Errorf("%s, though it was heard %d times that there is a better one", a, heard)
			}
		case a.source == best.source && g.hears(deaf, a):
			heard++
		}
	}
	t.Logf("after the loss %s said %d times that it is active", deaf.host.Label(), said)
}
