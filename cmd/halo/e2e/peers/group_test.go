package peers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// group is the routers of one network.
type group struct {
	stage   *stage
	form    form
	network *lab.Network
	capture *capture
	routers []*router // best first; a joiner is appended while it is there
	joiner  string
	hosts   int               // that routers were given so far
	halos   map[string]string // hardware addresses by source address, of all that ever were
}

// pace is how often ownership is looked at. Shorter lapses show in the capture.
const pace = 20 * time.Millisecond

// newGroup starts the routers and waits until the best one is active.
func newGroup(t *testing.T, f form, cast []string, joiner string) *group {
	t.Helper()
	machine.run()
	kerneltest.RequireTool(t, "tshark")
	kerneltest.RequireTool(t, "nft")
	g := &group{stage: &stage{TB: t}, form: f, joiner: joiner, halos: map[string]string{}}
	g.network = lab.New(g.stage)
	g.capture = newCapture(g.stage, g.network, lab.Addr(g.stage, f.vip()))
	for i, name := range cast {
		g.add(name, 200-50*i)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last advertisements:\n%s", g.capture.tail(60))
		}
	})
	g.awaitSole(g.best())
	return g
}

// add starts one more router, on a host of its own.
func (g *group) add(name string, priority int) *router {
	g.stage.Helper()
	g.hosts++
	if g.hosts > most {
		g.stage.Fatalf("there are more than %d hosts", most)
	}
	r := &router{
		peer: peerTable[name], kind: name, settings: settings{form: g.form, host: g.hosts, priority: priority}, t: g.stage,
		host: g.network.Host(fmt.Sprintf("%s%d", name, g.hosts)), source: g.form.source(g.hosts),
	}
	length := "/24"
	if g.form.ipv6 {
		// The one that the kernel makes would be another source, and nobody could
		// tell beforehand whose is the higher one.
		r.host.GivenAddressesOnly("eth0")
		length = "/64"
	}
	r.host.AddAddress("eth0", r.source+length)
	r.start(r)
	g.routers = append(g.routers, r)
	if r.halo != nil {
		g.halos[r.source] = r.mac().String()
	}
	return r
}

// play plays a scene as a subtest.
func (g *group) play(s scene) bool {
	t := g.stage.TB.(*testing.T)
	return t.Run(s.name, func(t *testing.T) {
		g.stage.scene = t
		defer func() { g.stage.scene = nil }()
		s.play(t, g)
	})
}

func (g *group) best() *router     { return g.routers[0] }
func (g *group) second() *router   { return g.routers[1] }
func (g *group) others() []*router { return g.routers[1:] }
func (g *group) window() time.Duration {
	// Three intervals and the skew, which is less than one, and one to be sure.
	return 5 * g.form.interval
}

func (g *group) eventually(what string, condition func() bool) {
	g.stage.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(pace) {
		if time.Now().After(end) {
			g.stage.Fatalf("waited %s in vain for: %s; owners: %q", patience, what, g.owners())
		}
	}
}

// patience bounds every wait for what must happen; a passing test never uses
// it up. The machines are shared, and have been seen to hang for a minute.
const patience = 3 * time.Minute

// owners are the routers that own the address and whose program runs: what a
// dead or a frozen one has left on its interface is not its doing.
func (g *group) owners() []string {
	g.stage.Helper()
	var owners []string
	for _, r := range g.routers {
		if r.condition == running && r.owns() {
			owners = append(owners, r.host.Label())
		}
	}
	return owners
}

func (g *group) sole(r *router) bool { return slices.Equal(g.owners(), []string{r.host.Label()}) }

// awaitSole waits until r alone owns the address, and where its first words were
// lost, until the others have heard more of it.
func (g *group) awaitSole(r *router) {
	g.stage.Helper()
	if r.cannotSpeakAtOnce[g.form.name] != "" {
		g.eventually(r.host.Label()+" owns the address", r.owns)
		g.awaitHeard(r)
	}
	g.eventually(g.form.vip()+" on "+r.host.Label()+" alone", func() bool { return g.sole(r) })
}

// awaitSoleSeen is awaitSole, and waits until the last announcement has told
// the neighbours so, where r can be asked for that: for a moment another router
// may have been active, and have announced itself later than r.
func (g *group) awaitSoleSeen(r *router) {
	g.stage.Helper()
	g.awaitSole(r)
	if r.cannotReannounce != "" {
		return
	}
	mac := r.mac().String()
	g.eventually(g.form.vip()+" announced by "+r.host.Label(), func() bool { return g.capture.announced() == mac })
}

// holdsSole asserts that during the whole window r alone owns the address, and
// that nobody else claims it on the wire.
func (g *group) holdsSole(r *router, window time.Duration) {
	g.stage.Helper()
	g.during(window, g.isSole(r), r)
}

// holdsStaged is holdsSole where nothing brings the address back to who has lost it
// because the machine stood still: everything is staged anew then.
func (g *group) holdsStaged(window time.Duration, stage func() *router) {
	g.stage.Helper()
	for attempt := 1; ; attempt++ {
		r := stage()
		start := time.Now()
		fault := g.observe(start, window, g.isSole(r), []*router{r})
		if fault == "" {
			return
		}
		g.excused(r, start, attempt, fault)
	}
}

// isSole is for during: r alone owns the address.
func (g *group) isSole(r *router) func() (fault string) {
	return func() string {
		if owners := g.owners(); !slices.Equal(owners, []string{r.host.Label()}) {
			return fmt.Sprintf("%s is on %q, want it on %s alone", g.form.vip(), owners, r.host.Label())
		}
		return ""
	}
}

// keeps is for during: r owns the address, whoever else does.
func (g *group) keeps(r *router, despite string) func() (fault string) {
	return func() string {
		if r.owns() {
			return ""
		}
		return fmt.Sprintf("%s let go of the address %s", r.host.Label(), despite)
	}
}

// during looks at what must be all through a window, in which nobody but the
// given routers, the first of which is the active one, may send an
// advertisement, and they no release.
//
// Who is not let run for longer than routers wait for each other is rightly
// replaced, and that proves nothing: then the window begins anew, some times,
// once the group has calmed down.
func (g *group) during(window time.Duration, look func() (fault string), speakers ...*router) {
	g.stage.Helper()
	for attempt := 1; ; attempt++ {
		start := time.Now()
		fault := g.observe(start, window, look, speakers)
		if fault == "" {
			return
		}
		g.excused(speakers[0], start, attempt, fault)
		g.awaitHeard(speakers[0])
		g.eventually("all is well again", func() bool { return look() == "" })
	}
}

// attempts is how often a window may begin.
const attempts = 5

// excused ends the test unless there is an excuse for what was seen in a window.
func (g *group) excused(active *router, start time.Time, attempt int, fault string) {
	g.stage.Helper()
	excuse := g.excuse(active, start.Add(-g.form.interval))
	if excuse == "" || attempt == attempts {
		g.stage.Fatalf("within the window, attempt %d: %s", attempt, fault)
	}
	g.stage.Logf("%s, and %s", excuse, fault)
}

// excuse tells why the active router may have been replaced since a time: the
// whole machine was held up, or the router, unless it is halo, has fallen silent.
func (g *group) excuse(active *router, since time.Time) string {
	if machine.stoodStill(since, g.form.interval) {
		return "the machine stood still"
	}
	last := since
	for _, a := range append(g.capture.since(since), advert{at: time.Now(), source: active.source}) {
		if a.source != active.source {
			continue
		}
		if gap := a.at.Sub(last); gap > 5*g.form.interval/2 && active.halo == nil {
			return fmt.Sprintf("%s was silent for %s", active.host.Label(), gap)
		}
		last = a.at
	}
	return ""
}

func (g *group) observe(start time.Time, window time.Duration, look func() string, speakers []*router) (fault string) {
	for end := start.Add(window); time.Now().Before(end); time.Sleep(pace) {
		if fault := look(); fault != "" {
			return fault
		}
	}
	for _, a := range g.capture.since(start) {
		allowed := slices.ContainsFunc(speakers, func(r *router) bool { return r.source == a.source })
		if !allowed || a.priority == 0 {
			return a.String()
		}
	}
	return ""
}

// pull takes a router's cable out of the switch, plug puts it back.
func (g *group) pull(r *router) { r.host.Pull() }
func (g *group) plug(r *router) { r.host.Plug() }

// flap takes a router's cable out and puts it back 20 times.
func (g *group) flap(r *router) {
	for range 20 {
		g.pull(r)
		time.Sleep(pause)
		g.plug(r)
		time.Sleep(pause)
	}
}

// pause is half a flap: 20 of them in two seconds.
const pause = 50 * time.Millisecond

// awaitHeard waits until everybody who can hear r has heard it twice from now
// on: whoever was about to take over because of its silence has done so.
func (g *group) awaitHeard(r *router) {
	g.stage.Helper()
	start := time.Now()
	g.eventually("two advertisements of "+r.host.Label(), func() bool {
		heard := map[string]int{}
		for _, a := range g.capture.since(start) {
			if a.source == r.source {
				if heard[a.destination]++; heard[a.destination] == 2 {
					return true
				}
			}
		}
		return false
	})
}

// awaitAnyHeard waits until there have been two more advertisements of one router.
func (g *group) awaitAnyHeard() {
	g.stage.Helper()
	start := time.Now()
	g.eventually("two advertisements", func() bool {
		heard := map[string]int{}
		for _, a := range g.capture.since(start) {
			if heard[a.source+a.destination]++; heard[a.source+a.destination] == 2 {
				return true
			}
		}
		return false
	})
}

// hears tells whether an advertisement is for a router to hear.
func (g *group) hears(r *router, a advert) bool {
	return a.source != r.source && (!g.form.unicast || a.destination == r.source)
}

// from is a rule's words for what a router sends.
func (g *group) from(r *router) string {
	if g.form.ipv6 {
		return "ip6 saddr " + r.source
	}
	return "ip saddr " + r.source
}

// drop has the switch lose the advertisements that a rule's words match, and
// returns what heals it.
func (g *group) drop(match string) (heal func()) {
	g.stage.Helper()
	g.nft("add table bridge loss; add chain bridge loss forward { type filter hook forward priority 0; }; " +
		"add rule bridge loss forward meta l4proto { 112, 51 } " + match + " counter drop")
	return func() {
		g.stage.Helper()
		if list := g.nft("list table bridge loss"); strings.Contains(list, "packets 0 ") {
			g.stage.Errorf("nothing was lost: %s", list)
		}
		g.nft("delete table bridge loss")
	}
}

func (g *group) nft(commands string) string {
	g.stage.Helper()
	out, err := g.network.Output("nft", commands)
	if err != nil {
		g.stage.Fatalf("nft %s: %v\n%s", commands, err, out)
	}
	return out
}
