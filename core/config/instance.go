package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// instance reads one [vrrp_instance.NAME].
func (r *reader) instance(t *table) *Instance {
	defer t.done()
	in := &Instance{
		Name:      t.name,
		Interface: ask(t, "interface", interfaceNames()).required(),
		VRID:      ask(t, "virtual_router_id", integers[uint8]{1, 255}).required(),
		Version:   ask(t, "version", integers[uint8]{2, 3}).or(3),
		Priority:  ask(t, "priority", integers[uint8]{1, 255}).or(100),
		Preempt:   ask(t, "preempt", booleans{}).or(true),
		// The upper bound is Keepalived's.
		PreemptDelay: ask(t, "preempt_delay", durations{high: 1000 * time.Second}).or(0),
		// RFC 9568 §5.2.5: the count of addresses is one octet, and not 0.
		Addresses:     ask(t, "addresses", lists[Address]{addressForm{}, 1, 255, "addresses"}).required(),
		SourceAddress: ask(t, "source_address", hosts{"192.0.2.2"}).optional(),
		Checksum:      ask(t, "checksum", words{allowed: []string{"pseudo-header", "plain"}}).or("pseudo-header"),
	}
	in.Excluded = ask(t, "excluded_addresses", lists[Address]{addressForm{}, 1, maxEntries, "addresses"}).optional()
	if r.record != nil {
		r.table(join(t.path, "addresses")+"[]", newTable(0), nil).address(moving)
	}
	in.Routes, in.Rules = t.routingLists(moving)
	in.UnicastPeers = ask(t, "unicast_peers", lists[UnicastPeer]{peerForm{}, 1, 64, "peers"}).optional()
	in.UnicastAnySource = ask(t, "unicast_any_source", booleans{}).or(false)
	in.AlsoV2 = ask(t, "also_version_2", booleans{}).or(false)
	in.Interval = ask(t, "advert_interval", t.intervals(in.Version)).or(time.Second)
	in.GARP = r.garp(t.child("garp", nil))
	in.Track = ask(t, "track", r.uses()).optional()
	in.TrackInterfaces = ask(t, "track_interfaces", lists[string]{interfaceNames(), 1, 64, "interfaces"}).optional()
	in.IgnoreLinkDown = ask(t, "ignore_link_down", booleans{}).or(false)
	in.Auth = r.auth(t, in.Interval)
	in.VMAC = ask(t, "vmac", vmacForm{}).optional()
	in.Accept = ask(t, "accept", booleans{}).or(true)
	in.RouterAdvertisement = r.routerAdvertisement(t)
	t.versionRules(in)
	t.preemptRules(in)
	t.addressRules(in)
	t.unicastRules(in)
	t.vmacRules(in)
	t.advertisingRules(in)
	return in
}

// intervals is the form of advert_interval, which depends on the version.
func (t *table) intervals(version uint8) durations {
	switch {
	case !t.fine("version"):
		return durations{low: 10 * time.Millisecond, high: 255 * time.Second}
	case version == 2:
		// RFC 3768 §5.3.7: one octet of whole seconds.
		return durations{low: time.Second, high: 255 * time.Second, step: time.Second, note: " (version 3 takes shorter steps)"}
	}
	// RFC 9568 §5.2.7: twelve bits of centiseconds, and not 0.
	return durations{low: 10 * time.Millisecond, high: 40950 * time.Millisecond, step: 10 * time.Millisecond}
}

// garp reads [vrrp_instance.NAME.garp].
func (r *reader) garp(t *table) GARP {
	defer t.done()
	repeat := integers[int]{1, 100}
	delay := durations{high: time.Hour}
	g := GARP{
		Repeat:        ask(t, "repeat", repeat).or(5),
		Delay:         ask(t, "delay", delay).or(5 * time.Second),
		Refresh:       ask(t, "refresh", durations{high: day}).or(0),
		RefreshRepeat: ask(t, "refresh_repeat", repeat).or(1),
	}
	g.LowerPriorityRepeat = ask(t, "lower_priority_repeat", integers[int]{0, 100}).or(g.Repeat)
	g.LowerPriorityDelay = ask(t, "lower_priority_delay", delay).or(g.Delay)
	if g.Refresh > 0 && g.Refresh < time.Second && t.fine("refresh") {
		t.wrong("refresh", quoted(spell(g.Refresh))+" would flood the network", `"0s" for off, or at least "1s"`, "")
	}
	return g
}

// versionRules judges what only one version of the protocol has.
func (t *table) versionRules(in *Instance) {
	if !t.fine("version") {
		return
	}
	if in.Auth != nil && in.Auth.Type != "hmac" && in.Version != 2 {
		// RFC 9568 §9: authentication was removed; it protected nothing.
		t.wrong("authentication", "version 3 of VRRP has no authentication of type "+quoted(in.Auth.Type), `type = "hmac", no authentication, or version = 2`, "")
	}
	switch {
	case !in.AlsoV2:
	case in.Version == 2:
		t.wrong("also_version_2", "version is 2 already", "version = 3, or no also_version_2", "")
	case !slices.ContainsFunc(in.Addresses, func(p Address) bool { return p.Addr().Is4() }) && t.fine("addresses"):
		t.wrong("also_version_2", "version 2 of VRRP has no IPv6", "an IPv4 address, or no also_version_2", "")
	}
	if six := slices.IndexFunc(in.Addresses, func(p Address) bool { return p.Addr().Is6() }); six >= 0 && in.Version == 3 && t.fine("addresses") &&
		!in.Addresses[six].Addr().IsLinkLocalUnicast() {
		// RFC 9568 §5.2.9.
		n := t.addressNodes()[six]
		t.reader.report(SeverityWarning, n.start, Problem{
			Key:      index(join(t.path, "addresses"), six),
			Message:  quoted(in.Addresses[six].Prefix.String()) + " is the first IPv6 address and is not link-local: other implementations may drop such advertisements",
			Expected: `a link-local address in front of it, such as "fe80::10/64"`,
		})
	}
	if six := slices.IndexFunc(in.Addresses, func(p Address) bool { return p.Addr().Is6() }); six >= 0 && in.Version == 2 && t.fine("addresses") {
		t.wrong("version", "version 2 of VRRP has no IPv6, and "+in.Addresses[six].Addr().String()+" is", "version = 3", "3")
	}
	if a := in.SourceAddress; a.IsValid() && t.fine("source_address", "addresses") &&
		!slices.ContainsFunc(in.Addresses, func(p Address) bool { return p.Addr().Is4() == a.Is4() }) {
		t.wrong("source_address", quoted(a.String())+" is of a family of which there is no address", "an address of the family that moves", "")
	}
	if a := in.SourceAddress; a.Is6() && !a.IsLinkLocalUnicast() && len(in.UnicastPeers) == 0 && t.fine("source_address") {
		// RFC 9568 §5.1.2.1.
		t.wrong("source_address", quoted(a.String())+" is not link-local, which multicast over IPv6 is sent from", "a link-local address of the interface", "")
	}
	if in.Version == 2 && t.written("checksum") && t.fine("checksum") {
		t.wrong("checksum", "version 2 of VRRP has one form of checksum", "no checksum, or version = 3", "")
	}
}

// preemptRules judges preempt and preempt_delay.
func (t *table) preemptRules(in *Instance) {
	if !t.fine("priority", "preempt", "preempt_delay") {
		return
	}
	switch owner := in.Priority == 255; {
	case owner && !in.Preempt:
		// RFC 9568 §6.1, Preempt_Mode: the owner preempts whatever it says.
		t.wrong("preempt", "priority 255 is the address owner, which always preempts", "preempt = true, or a priority from 1 to 254", "")
	case owner && in.PreemptDelay > 0:
		t.wrong("preempt_delay", "priority 255 is the address owner, which preempts at once", "no preempt_delay, or a priority from 1 to 254", "")
	case !in.Preempt && in.PreemptDelay > 0:
		t.odd("preempt_delay", "has no effect with preempt = false", "no preempt_delay, or preempt = true")
	}
}

// addressRules judges addresses against each other and against the source.
func (t *table) addressRules(in *Instance) {
	type seen struct {
		list string
		line int
		bits int
	}
	before := map[addressPlace]seen{}
	for _, list := range t.addressLists(in) {
		for i, n := range list.nodes {
			a := list.addresses[i]
			place := placeOf(a, in.Interface)
			line := t.reader.source.line(n.start)
			// An advertisement from an address that moves would move with it.
			if in.SourceAddress == a.Addr() && in.Priority != 255 && t.fine("source_address", "priority") {
				t.wrong("source_address", quoted(a.Addr().String())+" is one of the addresses of this instance", "an address that stays on this machine", "")
			}
			first, twice := before[place]
			if !twice {
				before[place] = seen{list.key, line, a.Bits()}
				continue
			}
			where, how := "in the list", ""
			if first.list != list.key {
				where = "in " + first.list
			}
			if first.bits != a.Bits() {
				how = ", with another prefix length"
			}
			t.reader.report(SeverityError, n.start, Problem{
				Key:      index(join(t.path, list.key), i),
				Message:  fmt.Sprintf("%s is %s already, on line %d%s", a.Addr(), where, first.line, how),
				Expected: "each of the addresses once",
			})
			t.bad = append(t.bad, list.key)
		}
	}
}

// unicastRules judges the peers of a router that has no group.
func (t *table) unicastRules(in *Instance) {
	if in.UnicastAnySource && len(in.UnicastPeers) == 0 {
		t.odd("unicast_any_source", "has no effect without unicast_peers", "unicast_peers, or no unicast_any_source")
	}
	if len(in.UnicastPeers) == 0 || !t.fine("unicast_peers", "addresses", "excluded_addresses") {
		return
	}
	lines := map[netip.Addr]int{}
	for i, n := range t.node.entries["unicast_peers"].items {
		peer := in.UnicastPeers[i]
		line, twice := lines[peer.Address]
		lines[peer.Address] = t.reader.source.line(n.start)
		var message string
		switch {
		case twice:
			message = fmt.Sprintf("%s is in the list already, on line %d", peer.Address, line)
		case slices.ContainsFunc(slices.Concat(in.Addresses, in.Excluded), func(p Address) bool { return p.Addr() == peer.Address }):
			message = peer.Address.String() + " is one of the addresses that move"
		case !slices.ContainsFunc(in.Addresses, func(p Address) bool { return p.Addr().Is4() == peer.Address.Is4() }):
			message = peer.Address.String() + " is of a family of which there is no address"
		default:
			continue
		}
		t.reader.report(SeverityError, n.start, Problem{
			Key: index(join(t.path, "unicast_peers"), i), Message: message, Expected: "each other router of the group once",
		})
		t.bad = append(t.bad, "unicast_peers")
	}
	for _, p := range in.Addresses {
		if !t.fine("unicast_peers") {
			return
		}
		if !slices.ContainsFunc(in.UnicastPeers, func(peer UnicastPeer) bool { return peer.Address.Is4() == p.Addr().Is4() }) {
			t.wrong("unicast_peers", "there is none of the family of "+p.Addr().String()+": nobody would be told, and multicast is not fallen back to",
				"peers of each family that has addresses", "")
		}
	}
}

// peerForm takes the address of a router, or a table that bounds its distance.
type peerForm struct{}

func (peerForm) expected() string {
	return `an IP address such as "192.0.2.2", or a table such as { address = "192.0.2.2", min_ttl = 254 }`
}

func (f peerForm) read(v value) (UnicastPeer, bool) {
	if v.node.shape != dictionary {
		if _, ok := v.node.value.(string); !ok {
			v.wrongType(f.expected(), "")
			return UnicastPeer{}, false
		}
		address, ok := hosts{"192.0.2.2"}.read(v)
		return UnicastPeer{Address: address}, ok
	}
	t := v.reader.table(v.path, v.node, nil)
	defer t.done()
	p := UnicastPeer{
		Address: ask(t, "address", hosts{"192.0.2.2"}).required(),
		MinTTL:  ask(t, "min_ttl", integers[uint8]{0, 255}).or(0),
		MaxTTL:  ask(t, "max_ttl", integers[uint8]{0, 255}).or(0),
	}
	if t.fine("min_ttl", "max_ttl") && p.MaxTTL != 0 && p.MinTTL > p.MaxTTL {
		t.wrong("max_ttl", strconv.Itoa(int(p.MaxTTL))+" is less than min_ttl, "+strconv.Itoa(int(p.MinTTL)), "at least min_ttl, or 0 for no bound", "")
	}
	return p, len(t.bad) == 0
}

// addressNodes returns the elements of addresses in the file.
func (t *table) addressNodes() []*node { return t.elements("addresses") }

// elements returns those of a list in the file.
func (t *table) elements(key string) []*node {
	if n := t.node.entries[key]; n != nil {
		return n.items
	}
	return nil
}

// routerSet finds instances that would get in each other's way.
type routerSet struct {
	routers   map[router]*table
	addresses map[addressPlace]place
	links     linkSet
	routes    map[routeKey]placedRoute
}

func newRouterSet() *routerSet {
	return &routerSet{routers: map[router]*table{}, addresses: map[addressPlace]place{}, routes: map[routeKey]placedRoute{}}
}

// router is what must be unique on a network (RFC 9568 §5.2.3).
type router struct {
	iface string
	vrid  uint8
	ipv6  bool
}

// place is where an address was seen first.
type place struct {
	path   string
	offset int
}

// add compares an instance with those before it.
func (s *routerSet) add(t *table, in *Instance) {
	s.links.add(t, in)
	for _, six := range []bool{false, true} {
		if !t.fine("interface", "virtual_router_id", "addresses") ||
			!slices.ContainsFunc(in.Addresses, func(p Address) bool { return p.Addr().Is6() == six }) {
			continue
		}
		key := router{in.Interface, in.VRID, six}
		if first, taken := s.routers[key]; taken {
			t.wrong("virtual_router_id",
				fmt.Sprintf("%d on %s is taken by %s on line %d", in.VRID, in.Interface, first.path, t.reader.source.line(first.at("virtual_router_id"))),
				"each virtual_router_id once on an interface", "")
		} else {
			s.routers[key] = t
		}
	}
	for _, list := range t.addressLists(in) {
		s.addAddresses(t, list, in.Interface)
	}
	s.addRoutes(t, in.Routes)
}

// addAddresses compares addresses with those of the instances before.
func (s *routerSet) addAddresses(t *table, list addressList, iface string) {
	for i, n := range list.nodes {
		a := list.addresses[i]
		where := placeOf(a, iface)
		first, taken := s.addresses[where]
		switch {
		case !taken:
			s.addresses[where] = place{t.path, n.start}
		case first.path != t.path:
			t.reader.report(SeverityError, n.start, Problem{
				Key:      index(join(t.path, list.key), i),
				Message:  fmt.Sprintf("%s is an address of %s, on line %d", a.Addr(), first.path, t.reader.source.line(first.offset)),
				Expected: "each address in one instance",
			})
		}
	}
}
