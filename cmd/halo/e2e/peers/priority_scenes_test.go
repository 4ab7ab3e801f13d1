package peers

import (
	"slices"
	"testing"
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
	better.terminate()
	g.awaitSole(g.second())
	better.noPreempt = true
	better.comeBack()
	g.holdsSole(g.second(), g.window()+g.form.interval)
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

// equalPriorities: equal routers that start together make out one of them, and
// that one stays. Equal routers that could not hear each other are all active,
// and the highest address prevails when they can.
func equalPriorities(_ *testing.T, g *group) {
	for _, r := range slices.Backward(g.routers) {
		r.terminate()
	}
	for _, r := range g.routers {
		r.priority, r.noPreempt = 100, false
		r.comeBack()
	}
	g.eventually("exactly one owner", func() bool { return len(g.owners()) == 1 })
	first := g.routers[slices.IndexFunc(g.routers, func(r *router) bool { return r.owns() })]
	g.holdsSole(first, g.window())
	heal := g.drop("")
	g.eventually("everybody owns the address", func() bool { return len(g.owners()) == len(g.routers) })
	heal()
	highest := g.routers[len(g.routers)-1]
	// Who yields at the first advertisement it hears may not have sent one itself
	// since the network is whole. halo does, for those who hear nothing else.
	allTell := !slices.ContainsFunc(g.routers[:len(g.routers)-1], func(r *router) bool { return r.halo == nil })
	if highest.cannotHearClaims == "" || allTell {
		g.awaitSoleSeen(highest)
	}
	g.awaitSole(highest)
	g.holdsSole(highest, g.window())
}
