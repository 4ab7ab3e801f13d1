package peers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// form is one way of speaking VRRP. Whatever is added to the protocol here, an
// authentication, a family, virtual MACs, is one more line of forms, with what
// the peers of the table below cannot do of it.
type form struct {
	name    string
	version int
	auth    string // "pass" or "ah", version 2 only; empty = no authentication
	ipv6    bool   // version 3 only
	unicast bool
	vmac    bool // the virtual MAC address, on all but vrrpd, which has no other
	// interval is also the unit of all windows: long enough for a loaded machine.
	interval time.Duration
}

var forms = []form{
	{name: "v2", version: 2, interval: time.Second},
	{name: "v2pass", version: 2, auth: "pass", interval: time.Second},
	{name: "v2ah", version: 2, auth: "ah", interval: time.Second},
	{name: "v3", version: 3, interval: half},
	{name: "v3ipv6", version: 3, ipv6: true, interval: half},
	{name: "v2unicast", version: 2, unicast: true, interval: time.Second},
	{name: "v2passunicast", version: 2, auth: "pass", unicast: true, interval: time.Second},
	{name: "v2ahunicast", version: 2, auth: "ah", unicast: true, interval: time.Second},
	{name: "v3unicast", version: 3, unicast: true, interval: half},
	{name: "v3ipv6unicast", version: 3, ipv6: true, unicast: true, interval: half},
	{name: "v3vmac", version: 3, vmac: true, interval: half},
	{name: "v3ipv6vmac", version: 3, ipv6: true, vmac: true, interval: half},
}

// half a second is the interval of version 3, which has no shorter one in version 2.
const half = 500 * time.Millisecond

// password is that of all forms with an authentication.
const password = "s3cret"

// vips are the virtual addresses, with their prefix lengths; over IPv6 the first
// is link-local (RFC 9568 §5.2.9).
func (f form) vips() []string {
	if f.ipv6 {
		return []string{"fe80::10/64", "2001:db8::10/64"}
	}
	return []string{"192.0.2.10/24"}
}

// vip is the virtual address that the tests look for, the last one to come.
func (f form) vip() string {
	vips := f.vips()
	address, _, _ := strings.Cut(vips[len(vips)-1], "/")
	return address
}

// link is the interface that the virtual addresses are on.
func (f form) link() string {
	switch {
	case !f.vmac:
		return "eth0"
	case f.ipv6:
		return fmt.Sprintf("vrrp6.%d", vrid)
	}
	return fmt.Sprintf("vrrp.%d", vrid)
}

// virtualMAC is the MAC address of the virtual router (RFC 9568 §7.3).
func (f form) virtualMAC() string {
	if f.ipv6 {
		return fmt.Sprintf("00:00:5e:00:02:%02x", vrid)
	}
	return fmt.Sprintf("00:00:5e:00:01:%02x", vrid)
}

// source is the address that the router on the host with a number speaks from.
func (f form) source(host int) string {
	if f.ipv6 {
		return fmt.Sprintf("fe80::%x", host)
	}
	return fmt.Sprintf("192.0.2.%d", host)
}

// most is how many hosts a group has at most, all that join included.
const most = 5

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
	// cannotSpeakAtOnce: who becomes active says so before anybody else does. By
	// the form's name.
	cannotSpeakAtOnce map[string]string
	// cannotCompare: of equal active routers the one with the highest address
	// stays. By the form's name.
	cannotCompare map[string]string
}

var peerTable = map[string]peer{
	"halo": {start: startHalo},
	"keepalived": {
		start:            startKeepalived,
		cannotHearClaims: "Keepalived does not listen to ARP, and yields without a last advertisement",
	},
	"frr": {
		start: startFRR,
		cannotSpeak: map[string]string{
			"v2pass": vrrpdAuthentication, "v2ah": vrrpdAuthentication, "v2passunicast": vrrpdAuthentication, "v2ahunicast": vrrpdAuthentication,
			"v2unicast": vrrpdUnicast, "v3unicast": vrrpdUnicast, "v3ipv6unicast": vrrpdUnicast,
		},
		cannotReannounce:  "vrrpd announces only when it becomes active",
		cannotTidy:        "vrrpd does not wait until zebra has taken the macvlan down, and that request may get lost",
		cannotSpeakAtOnce: map[string]string{"v3ipv6": vrrpdLate, "v3ipv6vmac": vrrpdLate},
		cannotCompare:     map[string]string{"v3ipv6": vrrpdYields, "v3ipv6vmac": vrrpdYields},
		cannotSeeLink:     "vrrpd goes on while its interface has no carrier, and counts as silence what it could not hear",
	},
}

// What vrrpd has no words for: TestFRRCannot.
const (
	vrrpdAuthentication = "vrrpd has no authentication"
	vrrpdUnicast        = "vrrpd has no peers, only the group"
)

// What vrrpd does otherwise over IPv6.
const (
	vrrpdLate   = "vrrpd speaks from the macvlan, whose address it cannot use before zebra has taken it out of protodown: its first advertisement is lost"
	vrrpdYields = "vrrpd yields to any router of its priority"
)

// groups are who stands beside whom: the best router first, which is the
// active one while all is well. The joiner comes later and goes again; where
// it does not speak the form, halo comes in its stead.
var groups = []struct {
	routers []string
	joiner  string
	only    []string // the forms that are played; none = all
}{
	// What halo alone does to another transport, it does in one form of each version.
	{[]string{"halo", "halo"}, "frr", []string{"v2", "v2pass", "v2ah", "v3", "v3ipv6", "v2ahunicast", "v3unicast", "v3ipv6unicast", "v3vmac", "v3ipv6vmac"}},
	{[]string{"halo", "keepalived"}, "frr", nil},
	{[]string{"keepalived", "halo"}, "halo", nil},
	{[]string{"halo", "frr"}, "keepalived", nil},
	{[]string{"frr", "halo"}, "halo", nil},
	{[]string{"halo", "halo", "halo"}, "keepalived", []string{"v2", "v2pass", "v3", "v3ipv6"}},
	{[]string{"halo", "keepalived", "frr"}, "halo", nil},
	{[]string{"keepalived", "frr", "halo"}, "halo", nil},
	{[]string{"frr", "halo", "keepalived"}, "halo", nil},
	// For those that vrrpd does not speak.
	{[]string{"keepalived", "halo", "keepalived"}, "halo", []string{"v2pass", "v2ah", "v3unicast", "v3ipv6unicast"}},
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
			if silent || cast.only != nil && !slices.Contains(cast.only, f.name) {
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
