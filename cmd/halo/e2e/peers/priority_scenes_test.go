package peers

import (
	"slices"
	"testing"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// worseJoins: one more router, worse than all, changes nothing.
func worseJoins(_ *testing.T, g *group) {
	joiner := g.add(g.joiner, 50)
	g.holdsSole(g.best(), g.window()+g.form.interval)
	g.leave(joiner)
	g.holdsSole(g.best(), 2*g.form.interval)
}

// betterJoins: one more router, better than all, becomes active, and the best
// of the others is that again when it leaves.
func betterJoins(_ *testing.T, g *group) {
	joiner := g.add(g.joiner, 250)
	g.awaitSoleSeen(joiner)
	g.holdsSole(joiner, 2*g.form.interval)
	g.leave(joiner)
	g.awaitSoleSeen(g.best())
	g.holdsSole(g.best(), 2*g.form.interval)
}

// leave ends the router that joined last.
func (g *group) leave(joiner *router) {
	joiner.terminate()
	g.routers = g.routers[:len(g.routers)-1]
}

// noPreemption: a better router that may not preempt waits, but not when there
// is silence, and keeps what it has.
func noPreemption(_ *testing.T, g *group) {
	better := g.best()
	better.noPreempt = true
	g.holdsStaged(g.window()+g.form.interval, func() *router {
		better.terminate()
		g.awaitSole(g.second())
		better.comeBack()
		return g.second()
	})
	for _, r := range g.others() {
		r.kill()
	}
	g.awaitSoleSeen(better)
	for _, r := range g.others() {
		r.comeBack()
	}
	g.awaitSole(better)
	g.holdsSole(better, g.window())
}

// awaitAnySole waits until one router alone owns the address, and where there are
// routers whose first words are lost, until the others have heard more of it.
func (g *group) awaitAnySole() *router {
	g.stage.Helper()
	late := slices.ContainsFunc(g.routers, func(r *router) bool { return r.cannotSpeakAtOnce[g.form.name] != "" })
	for {
		var sole *router
		g.eventually("exactly one owner", func() bool {
			i := slices.IndexFunc(g.routers, g.sole)
			if i >= 0 {
				sole = g.routers[i]
			}
			return i >= 0
		})
		if late {
			g.awaitAnyHeard()
		}
		if !late || g.sole(sole) {
			return sole
		}
	}
}

// equalPriorities: equal routers that start together make out one of them, and
// that one stays. Equal routers that could not hear each other are all active,
// and the highest address prevails when they can, if it knows that.
func equalPriorities(_ *testing.T, g *group) {
	for _, r := range slices.Backward(g.routers) {
		r.terminate()
	}
	for _, r := range g.routers {
		r.priority, r.noPreempt = 100, false
		r.comeBack()
	}
	g.holdsStaged(g.window(), g.awaitAnySole)
	heal := g.drop("")
	g.eventually("everybody owns the address", func() bool { return len(g.owners()) == len(g.routers) })
	heal()
	highest := slices.MaxFunc(g.routers, func(a, b *router) int {
		return lab.Addr(g.stage, a.source).Compare(lab.Addr(g.stage, b.source))
	})
	if highest.cannotCompare[g.form.name] != "" {
		g.holdsStaged(g.window(), g.awaitAnySole)
		return
	}
	// Who yields at the first advertisement it hears may not have sent one itself
	// since the network is whole. halo does, for those who hear nothing else.
	allTell := !slices.ContainsFunc(g.routers, func(r *router) bool { return r != highest && r.halo == nil })
	if highest.cannotHearClaims == "" || allTell {
		g.awaitSoleSeen(highest)
	}
	g.awaitSole(highest)
	g.holdsSole(highest, g.window())
}
