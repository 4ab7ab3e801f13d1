package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// TestRoundTrip draws generations, writes each as a file in one of the ways
// that TOML allows, with defaults left out or written, and reads it back.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	catalogue, m := testCatalogue(t), testMachine()
	rapid.Check(t, func(t *rapid.T) {
		want := drawGeneration(t)
		text := (&writer{t: t}).generation(want)
		got, problems := parse("drawn.toml", []byte(text), catalogue, m)
		if problems.HasErrors() {
			t.Fatalf("problems:\n%s\nin:\n%s", problems, text)
		}
		if diff := compare(want, got); diff != "" {
			t.Fatalf("generation (-drawn +read):\n%s\nof:\n%s", diff, text)
		}
		if d := Diff(want, got); !d.Empty() {
			t.Fatalf("Diff says:\n%s", d)
		}
	})
}

func drawGeneration(t *rapid.T) *Generation {
	g := &Generation{
		File: "drawn.toml",
		Global: Global{
			RouterID: "lb1", RuntimeDir: "/run/halo", PluginUser: "halo",
			PluginDirs: []string{"/opt/halo/bin/plugins", "/usr/lib/halo/plugins"},
			LogLevel:   rapid.SampledFrom([]string{"debug", "info", "warn", "error"}).Draw(t, "log_level"),
		},
		IPVS:           IPVS{ResyncInterval: time.Duration(rapid.IntRange(1, 3600).Draw(t, "resync")) * time.Second},
		Control:        Control{Socket: "/run/halo/halo.sock"},
		Instances:      map[string]*Instance{},
		SyncGroups:     map[string]*SyncGroup{},
		Trackers:       map[string]*Tracker{},
		VirtualServers: map[string]*VirtualServer{},
		Plugins:        map[string]*Plugin{},
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "instances") {
		in := drawInstance(t, i)
		g.Instances[in.Name] = in
		k := drawTracker(t, i)
		g.Trackers[k.Name] = k
		in.Track = drawUses(t, g)
	}
	drawGroup(t, g)
	for i := range rapid.IntRange(0, 4).Draw(t, "services") {
		vs := drawService(t, i)
		g.VirtualServers[vs.Name] = vs
	}
	return g
}

// drawName draws the name of the number-th object, some with dots.
func drawName(t *rapid.T, number int) string {
	return rapid.StringMatching(`[A-Za-z0-9_.-]{0,20}`).Draw(t, "name") + strconv.Itoa(number)
}

func drawInstance(t *rapid.T, number int) *Instance {
	in := &Instance{
		Name: drawName(t, number), Interface: "eth" + strconv.Itoa(number%2), VRID: uint8(number + 1),
		Version:  rapid.SampledFrom([]uint8{2, 3}).Draw(t, "version"),
		Priority: rapid.Uint8Range(1, 255).Draw(t, "priority"),
		Preempt:  true, Checksum: "pseudo-header",
		GARP: GARP{
			Repeat: rapid.IntRange(1, 100).Draw(t, "repeat"), RefreshRepeat: rapid.IntRange(1, 100).Draw(t, "refresh_repeat"),
			LowerPriorityRepeat: rapid.IntRange(0, 100).Draw(t, "lower_priority_repeat"),
			Delay:               drawDuration(t, 0, time.Hour), LowerPriorityDelay: drawDuration(t, 0, time.Hour),
			Refresh: time.Duration(rapid.IntRange(0, 86400).Draw(t, "refresh")) * time.Second,
		},
	}
	if in.Priority != 255 {
		in.Preempt = rapid.Bool().Draw(t, "preempt")
		in.PreemptDelay = drawDuration(t, 0, 1000*time.Second)
	}
	switch in.Version {
	case 2:
		in.Interval = time.Duration(rapid.IntRange(1, 255).Draw(t, "interval")) * time.Second
		if rapid.Bool().Draw(t, "authentication") {
			in.Auth = &Auth{Type: rapid.SampledFrom([]string{"pass", "ah"}).Draw(t, "auth type"), Password: NewSecret(rapid.StringMatching(`[ -~]{1,8}`).Draw(t, "password"))}
		}
	default:
		in.Interval = time.Duration(rapid.IntRange(1, 4095).Draw(t, "interval")) * 10 * time.Millisecond
		in.Checksum = rapid.SampledFrom([]string{"pseudo-header", "plain"}).Draw(t, "checksum")
	}
	if in.Auth == nil && rapid.Bool().Draw(t, "hmac") {
		in.Auth = drawSigned(t, in.Interval)
	}
	for i := range rapid.IntRange(1, 5).Draw(t, "addresses") {
		address := netip.AddrFrom4([4]byte{10, byte(number), byte(i), 77})
		in.Addresses = append(in.Addresses, drawAddress(t, netip.PrefixFrom(address, rapid.IntRange(1, 32).Draw(t, "bits"))))
	}
	if in.Version == 3 && rapid.Bool().Draw(t, "ipv6") {
		in.Addresses = append(in.Addresses, drawAddress(t, netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(number + 1)}), rapid.IntRange(1, 128).Draw(t, "bits6"))))
		in.AlsoV2 = rapid.Bool().Draw(t, "also_version_2")
		in.RouterAdvertisement = drawRouterAdvertisement(t)
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "excluded") {
		in.Excluded = append(in.Excluded, drawAddress(t, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 14: byte(number), 15: byte(i + 1)}), 64)))
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "routes") {
		in.Routes = append(in.Routes, drawRoute(t, number, i))
		in.Rules = append(in.Rules, drawRule(t, number, i))
	}
	if rapid.Bool().Draw(t, "unicast") {
		in.UnicastAnySource = rapid.Bool().Draw(t, "any")
		in.UnicastPeers = []UnicastPeer{{netip.AddrFrom4([4]byte{10, 9, 9, 9}), 0, 0}, {netip.AddrFrom4([4]byte{10, 9, 9, 8}), rapid.Uint8().Draw(t, "min"), 255}}
		if slices.ContainsFunc(in.Addresses, func(p Address) bool { return p.Addr().Is6() }) {
			in.UnicastPeers = append(in.UnicastPeers, UnicastPeer{netip.MustParseAddr("2001:db8::9"), 1, 0})
		}
	}
	if rapid.Bool().Draw(t, "source") {
		in.SourceAddress = netip.AddrFrom4([4]byte{192, 0, 2, byte(number)})
	}
	in.IgnoreLinkDown = rapid.Bool().Draw(t, "ignore_link_down")
	in.Accept = in.Priority == 255 || rapid.Bool().Draw(t, "accept")
	if rapid.Bool().Draw(t, "vmac") {
		in.VMAC = &VMAC{Name: "v4." + strconv.Itoa(number), XmitBase: rapid.Bool().Draw(t, "xmit_base")}
		if slices.ContainsFunc(in.Addresses, func(a Address) bool { return a.Addr().Is6() }) {
			in.VMAC.IPv6Name = "vrrp6." + strconv.Itoa(int(in.VRID))
		}
	}
	return in
}

// drawAddress draws what else is said of an address.
func drawAddress(t *rapid.T, p netip.Prefix) Address {
	a := Address{Address: inet.Address{Prefix: p, Deprecated: deprecated(p)}}
	if rapid.Bool().Draw(t, "plain") {
		return a
	}
	a.Interface = rapid.SampledFrom([]string{"", "eth7"}).Draw(t, "elsewhere")
	a.Optional, a.NoPrefixRoute = rapid.Bool().Draw(t, "optional"), rapid.Bool().Draw(t, "noprefixroute")
	lifetime := rapid.IntRange(0, 9).Draw(t, "preferred")
	a.Deprecated, a.PreferredFor = lifetime == 0, time.Duration(lifetime)*time.Minute
	if p.Addr().Is6() {
		a.Home, a.ManageTemporary, a.DetectDuplicates = rapid.Bool().Draw(t, "home"), rapid.Bool().Draw(t, "mngtmpaddr"), rapid.Bool().Draw(t, "dad")
		return a
	}
	a.Label = rapid.SampledFrom([]string{"", "eth7:1"}).Draw(t, "label")
	a.Scope = inet.Scope(rapid.Uint8().Draw(t, "scope"))
	a.Broadcast = netip.AddrFrom4([4]byte{10, 255, 255, rapid.Uint8().Draw(t, "broadcast")})
	a.Peer = netip.AddrFrom4([4]byte{10, 254, 254, rapid.Uint8().Draw(t, "peer")})
	return a
}

func drawTracker(t *rapid.T, number int) *Tracker {
	k := &Tracker{
		Name: drawName(t, number), Type: rapid.SampledFrom([]string{"address", "interface"}).Draw(t, "tracker"),
		Weight: rapid.IntRange(-253, 253).Draw(t, "weight"), Reverse: rapid.Bool().Draw(t, "reverse"), Interface: "eth" + strconv.Itoa(number),
	}
	if k.Type == "address" {
		k.Address = netip.AddrFrom4([4]byte{10, 3, 0, byte(number + 1)})
	}
	return k
}

// drawUses draws what some of the trackers weigh for somebody.
func drawUses(t *rapid.T, g *Generation) []TrackUse {
	var uses []TrackUse
	for _, name := range slices.Sorted(maps.Keys(g.Trackers)) {
		k := g.Trackers[name]
		switch rapid.IntRange(0, 2).Draw(t, "use") {
		case 0:
			uses = append(uses, TrackUse{name, k.Weight, k.Reverse})
		case 1:
			uses = append(uses, TrackUse{name, rapid.IntRange(-253, 253).Draw(t, "weight here"), rapid.Bool().Draw(t, "reverse here")})
		}
	}
	return uses
}

// drawGroup makes a sync group of two instances, if there are any that agree.
func drawGroup(t *rapid.T, g *Generation) {
	all := slices.Sorted(maps.Keys(g.Instances))
	if len(all) < 2 || !rapid.Bool().Draw(t, "group") {
		return
	}
	a, b := g.Instances[all[0]], g.Instances[all[1]]
	b.Priority, b.Preempt, b.PreemptDelay = a.Priority, a.Preempt, a.PreemptDelay
	a.Track, b.Track = nil, nil // What members track in different ways is refused.
	group := &SyncGroup{Name: drawName(t, 0), Members: []string{b.Name, a.Name}, Track: drawUses(t, g)}
	g.SyncGroups[group.Name] = group
}

func drawDuration(t *rapid.T, low, high time.Duration) time.Duration {
	return time.Duration(rapid.Int64Range(int64(low), int64(high)).Draw(t, "duration"))
}

func drawService(t *rapid.T, number int) *VirtualServer {
	vs := &VirtualServer{
		Name: drawName(t, number), Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(number/2+1)),
		Protocol:    []string{"tcp", "udp"}[number%2],
		Scheduler:   rapid.SampledFrom(schedulers()).Draw(t, "scheduler"),
		Forward:     rapid.SampledFrom(forwards().allowed).Draw(t, "forward"),
		OnFailure:   rapid.SampledFrom(failures().allowed).Draw(t, "on_failure"),
		Quorum:      rapid.IntRange(1, 1<<31-1).Draw(t, "quorum"),
		Persistence: time.Duration(rapid.IntRange(0, 31*86400).Draw(t, "persistence")) * time.Second,
	}
	checks := drawChecks(t)
	for i := range rapid.IntRange(0, 5).Draw(t, "servers") {
		rs := &RealServer{
			Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i + 1)}), vs.Address.Port()),
			Weight:  rapid.IntRange(0, 1<<31-1).Draw(t, "weight"), Forward: rapid.SampledFrom(forwards().allowed).Draw(t, "forward"),
			OnFailure: rapid.SampledFrom(failures().allowed).Draw(t, "on_failure"), Checks: checks,
		}
		if rapid.Bool().Draw(t, "own checks") {
			rs.Checks = drawChecks(t)
		}
		vs.Servers = append(vs.Servers, rs)
	}
	return vs
}

func drawChecks(t *rapid.T) []*Check {
	checks := []*Check{}
	for i := range rapid.IntRange(0, 3).Draw(t, "checks") {
		c := &Check{
			Name: "check-" + strconv.Itoa(i), Type: "tcp", Plugin: "halo-check-tcp", User: "halo", Settings: json.RawMessage("{}"),
			Interval: drawDuration(t, 10*time.Millisecond, day), Timeout: drawDuration(t, 10*time.Millisecond, time.Hour),
			RetryInterval: drawDuration(t, 10*time.Millisecond, day),
			Rise:          rapid.IntRange(1, 1000).Draw(t, "rise"), Fall: rapid.IntRange(1, 1000).Draw(t, "fall"),
			ConnectPort: rapid.Uint16().Draw(t, "connect_port"),
		}
		if rapid.Bool().Draw(t, "stub") {
			question := rapid.String().Draw(t, "question")
			encoded, err := json.Marshal(map[string]any{"question": question, "codes": []int{1, i}})
			if err != nil {
				t.Fatal(err)
			}
			c.Type, c.Plugin, c.Settings, c.Sensitive = "stub", "halo-check-stub", encoded, []string{"token"}
		}
		checks = append(checks, c)
	}
	return checks
}

// writer writes a generation as TOML, in ways that it draws.
type writer struct {
	t *rapid.T
	b strings.Builder
}

func (w *writer) draws(what string) bool { return rapid.Bool().Draw(w.t, what) }

func (w *writer) generation(g *Generation) string {
	fmt.Fprintf(&w.b, "global.log_level = %q # drawn\n", g.Global.LogLevel)
	fmt.Fprintf(&w.b, "[ipvs]\n  resync_interval = %q\n", g.IPVS.ResyncInterval)
	for name, in := range g.Instances {
		w.instance(quotedKey(w, name), in, g)
	}
	for name, group := range g.SyncGroups {
		fmt.Fprintf(&w.b, "[vrrp_sync_group.%s]\nmembers = [%q, %q]\n", quotedKey(w, name), group.Members[0], group.Members[1])
		w.uses(group.Track, g)
	}
	for name, k := range g.Trackers {
		fmt.Fprintf(&w.b, "[tracker.%s]\ntype = %q\nweight = %d\nreverse = %t\ninterface = %q\n", quotedKey(w, name), k.Type, k.Weight, k.Reverse, k.Interface)
		if k.Type == "address" {
			fmt.Fprintf(&w.b, "address = %q\n", k.Address)
		}
	}
	for name, vs := range g.VirtualServers {
		w.service(quotedKey(w, name), vs)
	}
	return w.b.String()
}

// quotedKey writes a key in one of the ways that fit it.
func quotedKey(w *writer, name string) string {
	switch {
	case isBareWord(name) && w.draws("bare key"):
		return name
	case w.draws("literal key"):
		return "'" + name + "'"
	}
	return strconv.Quote(name)
}

// uses writes what is tracked: by name where that says it all.
func (w *writer) uses(uses []TrackUse, g *Generation) {
	if len(uses) == 0 {
		return
	}
	w.b.WriteString("track = [")
	for i, u := range uses {
		k := g.Trackers[u.Tracker]
		if i > 0 {
			w.b.WriteString(", ")
		}
		if u.Weight == k.Weight && u.Reverse == k.Reverse && w.draws("by name") {
			fmt.Fprintf(&w.b, "%q", u.Tracker)
			continue
		}
		fmt.Fprintf(&w.b, "{ tracker = %q, weight = %d, reverse = %t }", u.Tracker, u.Weight, u.Reverse)
	}
	w.b.WriteString("]\n")
}

// peers writes who is told one by one.
func (w *writer) peers(in *Instance) {
	if in.AlsoV2 || w.draws("also_version_2 written") {
		fmt.Fprintf(&w.b, "also_version_2 = %t\n", in.AlsoV2)
	}
	if len(in.UnicastPeers) == 0 {
		return
	}
	fmt.Fprintf(&w.b, "unicast_any_source = %t\nunicast_peers = [", in.UnicastAnySource)
	for _, p := range in.UnicastPeers {
		if p.MinTTL == 0 && p.MaxTTL == 0 && w.draws("by address") {
			fmt.Fprintf(&w.b, "%q, ", p.Address)
			continue
		}
		fmt.Fprintf(&w.b, "{ address = %q, min_ttl = %d, max_ttl = %d }, ", p.Address, p.MinTTL, p.MaxTTL)
	}
	w.b.WriteString("]\n")
}

// addresses writes a list of addresses: alone where that says it all.
func (w *writer) addresses(key string, list []Address) {
	fmt.Fprintf(&w.b, "%s = [\n", key)
	for _, a := range list {
		if a == (Address{Address: inet.Address{Prefix: a.Prefix, Deprecated: deprecated(a.Prefix)}}) && w.draws("alone") {
			fmt.Fprintf(&w.b, "\t'%s', # an address\n", a.Prefix)
			continue
		}
		w.b.WriteString("\t{ " + strings.Join(addressKeys(a), ", ") + " },\n")
	}
	w.b.WriteString("]\n")
}

func addressKeys(a Address) []string {
	keys := []string{fmt.Sprintf("address = %q", a.Prefix), fmt.Sprintf("required = %t", !a.Optional), fmt.Sprintf("noprefixroute = %t", a.NoPrefixRoute)}
	if a.Interface != "" {
		keys = append(keys, fmt.Sprintf("interface = %q", a.Interface))
	}
	switch {
	case a.Deprecated:
		keys = append(keys, `preferred_lifetime = "0s"`)
	case a.PreferredFor == 0:
		keys = append(keys, `preferred_lifetime = "forever"`)
	default:
		keys = append(keys, fmt.Sprintf("preferred_lifetime = %q", a.PreferredFor))
	}
	if a.Addr().Is6() {
		return append(keys, fmt.Sprintf("home = %t", a.Home), fmt.Sprintf("mngtmpaddr = %t", a.ManageTemporary), fmt.Sprintf("dad = %t", a.DetectDuplicates))
	}
	if a.Label != "" {
		keys = append(keys, fmt.Sprintf("label = %q", a.Label))
	}
	if a.Broadcast.IsValid() {
		keys = append(keys, fmt.Sprintf("broadcast = %q", a.Broadcast))
	}
	if a.Peer.IsValid() {
		keys = append(keys, fmt.Sprintf("peer = %q", a.Peer))
	}
	return append(keys, fmt.Sprintf("scope = %d", a.Scope))
}

func (w *writer) instance(name string, in *Instance, g *Generation) {
	garp := fmt.Sprintf("repeat = %d|delay = %q|refresh = %q|refresh_repeat = %d|lower_priority_repeat = %d|lower_priority_delay = %q",
		in.GARP.Repeat, in.GARP.Delay, in.GARP.Refresh, in.GARP.RefreshRepeat, in.GARP.LowerPriorityRepeat, in.GARP.LowerPriorityDelay)
	inline := w.draws("garp in braces")
	fmt.Fprintf(&w.b, "[vrrp_instance.%s]\ninterface = %q\nvirtual_router_id = %#x\n", name, in.Interface, in.VRID)
	fmt.Fprintf(&w.b, "version = %d\npriority = %d\nadvert_interval = %q\n", in.Version, in.Priority, spell(in.Interval))
	if !in.Preempt || w.draws("preempt written") {
		fmt.Fprintf(&w.b, "preempt = %t\n", in.Preempt)
	}
	if in.PreemptDelay > 0 || w.draws("preempt_delay written") {
		fmt.Fprintf(&w.b, "preempt_delay = %q\n", in.PreemptDelay)
	}
	w.addresses("addresses", in.Addresses)
	if len(in.Excluded) > 0 {
		w.addresses("excluded_addresses", in.Excluded)
	}
	w.routing(in)
	w.uses(in.Track, g)
	w.peers(in)
	if in.SourceAddress.IsValid() {
		fmt.Fprintf(&w.b, "source_address = %q\n", in.SourceAddress)
	}
	if in.Version == 3 {
		fmt.Fprintf(&w.b, "checksum = %q\n", in.Checksum)
	}
	if in.IgnoreLinkDown || w.draws("ignore_link_down written") {
		fmt.Fprintf(&w.b, "ignore_link_down = %t\n", in.IgnoreLinkDown)
	}
	if !in.Accept || w.draws("accept written") {
		fmt.Fprintf(&w.b, "accept = %t\n", in.Accept)
	}
	if in.VMAC != nil {
		fmt.Fprintf(&w.b, "vmac = { name = %q, xmit_base = %t }\n", in.VMAC.Name, in.VMAC.XmitBase)
	}
	switch {
	case in.Auth == nil:
	case in.Auth.Type == "hmac":
		w.signed(in.Auth)
	default:
		fmt.Fprintf(&w.b, "authentication = { type = %q, password = %q }\n", in.Auth.Type, in.Auth.Password.Reveal())
	}
	w.routerAdvertisement(in.RouterAdvertisement)
	if inline {
		fmt.Fprintf(&w.b, "garp = { %s }\n", strings.ReplaceAll(garp, "|", ", "))
	} else {
		fmt.Fprintf(&w.b, "[vrrp_instance.%s.garp]\n%s\n", name, strings.ReplaceAll(garp, "|", "\n"))
	}
}

func (w *writer) service(name string, vs *VirtualServer) {
	fmt.Fprintf(&w.b, "[virtual_server.%s]\naddress = %q\nprotocol = %q\nscheduler = %q\nforward = %q\n", name, vs.Address, vs.Protocol, vs.Scheduler, vs.Forward)
	fmt.Fprintf(&w.b, "persistence = %q\nquorum = %d\non_failure = %q\n", vs.Persistence, vs.Quorum, vs.OnFailure)
	// A server's checks are always its own here: what it inherits reads alike.
	for _, rs := range vs.Servers {
		fmt.Fprintf(&w.b, "[[virtual_server.%s.real_server]]\naddress = %q\nweight = %d\nforward = %q\non_failure = %q\n", name, rs.Address, rs.Weight, rs.Forward, rs.OnFailure)
		if len(rs.Checks) == 0 || w.draws("checks in brackets") {
			w.b.WriteString("check = [")
			for _, c := range rs.Checks {
				fmt.Fprintf(&w.b, "\n  { %s },", strings.Join(checkKeys(c), ", "))
			}
			w.b.WriteString("]\n")
			continue
		}
		for _, c := range rs.Checks {
			fmt.Fprintf(&w.b, "[[virtual_server.%s.real_server.check]]\n%s\n", name, strings.Join(checkKeys(c), "\n"))
		}
	}
}

func checkKeys(c *Check) []string {
	keys := []string{
		fmt.Sprintf("type = %q", c.Type), fmt.Sprintf("name = %q", c.Name),
		fmt.Sprintf("interval = %q", c.Interval), fmt.Sprintf("timeout = %q", c.Timeout), fmt.Sprintf("retry_interval = %q", c.RetryInterval),
		fmt.Sprintf("rise = %d", c.Rise), fmt.Sprintf("fall = %d", c.Fall),
	}
	if c.ConnectPort != 0 {
		keys = append(keys, fmt.Sprintf("connect_port = %d", c.ConnectPort))
	}
	for key, raw := range c.RedactedSettings() {
		// What JSON writes as a string or a list is TOML too, but for \/ which
		// encoding/json does not write and for U+007F, which it does not escape.
		keys = append(keys, key+" = "+strings.ReplaceAll(string(raw), "\x7f", `\u007f`))
	}
	return keys
}

// drawSigned draws authentication that no warning is about.
func drawSigned(t *rapid.T, interval time.Duration) *Auth {
	a := &Auth{
		Type: "hmac", Mode: "enforce", AntiReplay: rapid.SampledFrom([]string{"time", "monotonic"}).Draw(t, "anti_replay"),
		TimeWindow: wire.MinWindow * time.Duration(rapid.IntRange(1, 300).Draw(t, "time_window")),
	}
	for i, id := range rapid.SliceOfNDistinct(rapid.Uint8Range(1, 255), 1, 4, rapid.ID).Draw(t, "keys") {
		text := strconv.Itoa(i) + rapid.StringMatching(`[!-~]{31,63}`).Draw(t, "secret")
		if rapid.Bool().Draw(t, "hexadecimal") {
			text = fmt.Sprintf("hex:%x", text)
		}
		a.Keys = append(a.Keys, &AuthKey{ID: id, Secret: NewSecret(text)})
	}
	a.ActiveKey = rapid.SampledFrom(a.Keys).Draw(t, "active_key").ID
	if a.AntiReplay == "monotonic" {
		a.TimeWindow = wire.DefaultWindow(interval)
	}
	return a
}

func (w *writer) signed(a *Auth) {
	fmt.Fprintf(&w.b, "authentication.type = \"hmac\"\nauthentication.active_key = %d\nauthentication.anti_replay = %q\n", a.ActiveKey, a.AntiReplay)
	if a.AntiReplay == "time" {
		fmt.Fprintf(&w.b, "authentication.time_window = %q\n", a.TimeWindow)
	}
	w.b.WriteString("authentication.key = [\n")
	for _, k := range a.Keys {
		fmt.Fprintf(&w.b, "\t{ secret = %s, id = %d },\n", strconv.Quote(k.Secret.Reveal()), k.ID)
	}
	w.b.WriteString("]\n")
}
