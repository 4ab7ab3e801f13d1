package peers

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// form is one way of speaking VRRP. Whatever is added to the protocol here, an
// authentication, a family, unicast, virtual MACs, is one more line of forms,
// with what the peers of the table below cannot do of it.
type form struct {
	name     string
	version  int
	password string // PASS, version 2 only; empty = no authentication
	// interval is also the unit of all windows: long enough for a loaded machine.
	interval time.Duration
}

var forms = []form{
	{name: "v2", version: 2, interval: time.Second},
	{name: "v2pass", version: 2, password: "s3cret", interval: time.Second},
	{name: "v3", version: 3, interval: 500 * time.Millisecond},
}

// peer is one implementation, and what cannot be asked of it. A reason that is
// not empty takes from the scenes what it names, and nothing else.
type peer struct {
	start func(r *router) // for the first time; again is for later ones
	// speaks tells why it does not speak a form, by the form's name.
	cannotSpeak map[string]string
	// cannotReannounce: an active router that was contradicted, and stays
	// active, has to say again where the address is.
	cannotReannounce string
	// cannotHearClaims: a rival that yields without an advertisement is heard by
	// its announcements alone.
	cannotHearClaims string
	// cannotSeeLink: a router whose link is down knows nothing of the network,
	// and has to start from there when it is up again.
	cannotSeeLink string
	// cannotTidy: a router that is told to stop gives up the address.
	cannotTidy string
}

var peerTable = map[string]peer{
	"halo": {start: startHalo},
	"keepalived": {
		start:            startKeepalived,
		cannotHearClaims: "Keepalived does not listen to ARP, and yields without a last advertisement",
	},
	"frr": {
		start:            startFRR,
		cannotSpeak:      map[string]string{"v2pass": "vrrpd has no authentication"},
		cannotReannounce: "vrrpd announces only when it becomes active",
		cannotTidy:       "vrrpd does not wait until zebra has taken the macvlan down, and that request may get lost",
		cannotSeeLink:    "vrrpd goes on while its interface has no carrier, and counts as silence what it could not hear",
	},
}

// groups are who stands beside whom: the best router first, which is the
// active one while all is well. The joiner comes later and goes again; where
// it does not speak the form, halo comes in its stead.
var groups = []struct {
	routers []string
	joiner  string
	only    string // the one form that others do not cover in this size; empty = all
}{
	{[]string{"halo", "halo"}, "frr", ""},
	{[]string{"halo", "keepalived"}, "frr", ""},
	{[]string{"keepalived", "halo"}, "halo", ""},
	{[]string{"halo", "frr"}, "keepalived", ""},
	{[]string{"frr", "halo"}, "halo", ""},
	{[]string{"halo", "halo", "halo"}, "keepalived", ""},
	{[]string{"halo", "keepalived", "frr"}, "halo", ""},
	{[]string{"keepalived", "frr", "halo"}, "halo", ""},
	{[]string{"frr", "halo", "keepalived"}, "halo", ""},
	{[]string{"keepalived", "halo", "keepalived"}, "halo", "v2pass"},
}

// scene is something that happens to a group. It begins and ends with all
// routers of the group running and the best one active, unless it is the last
// of its act.
type scene struct {
	name string
	play func(t *testing.T, g *group)
}

// acts are scenes that are played one after the other by one group.
var acts = []struct {
	name   string
	scenes []scene
}{
	{"routers", []scene{
		{"sole owner", soleOwner},
		{"kill", kill},
		{"terminate", terminate},
		{"freeze the active", freezeActive},
		{"freeze a backup", freezeBackup},
	}},
	{"network", []scene{
		{"link of the active", linkOfActive},
		{"link of a backup", linkOfBackup},
		{"one-way loss", oneWayLoss},
	}},
	{"priorities", []scene{
		{"a worse router joins", worseJoins},
		{"a better router joins", betterJoins},
		{"no preemption", noPreemption},
		{"equal priorities", equalPriorities},
	}},
}

// TestPeers plays all acts with all groups in all forms that they can speak.
func TestPeers(t *testing.T) {
	t.Parallel()
	for _, f := range forms {
		for _, cast := range groups {
			silent := slices.ContainsFunc(cast.routers, func(name string) bool { return !speaks(name, f) })
			if silent || cast.only != "" && cast.only != f.name {
				continue
			}
			joiner := cast.joiner
			if !speaks(joiner, f) {
				joiner = "halo"
			}
			for _, act := range acts {
				t.Run(f.name+"/"+strings.Join(cast.routers, "+")+"/"+act.name, func(t *testing.T) {
					t.Parallel()
					g := newGroup(t, f, cast.routers, joiner)
					for _, s := range act.scenes {
						if !g.play(s) {
							t.Fatalf("%q failed, and with it what was to come", s.name)
						}
					}
					g.play(scene{"the capture", verify})
				})
			}
		}
	}
}

// speaks tells whether a peer of the table knows a form.
func speaks(name string, f form) bool { return peerTable[name].cannotSpeak[f.name] == "" }
