package config

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Address is an element of addresses or excluded_addresses, or of [static]: an
// address as text, or a table.
type Address struct {
	inet.Address
	// Interface is where it goes. Empty is the instance's.
	Interface string
	// Optional says that losing it is no reason to give up the others; it is
	// put back all the same. Default false.
	Optional bool
}

// On is where an address goes of an instance that is on the given interface.
func (a Address) On(instance string) string {
	if a.Interface != "" {
		return a.Interface
	}
	return instance
}

// String is the address in the words of `ip address`, as a Difference shows it.
func (a Address) String() string {
	text := a.Address.String()
	if a.Interface != "" {
		text += " dev " + a.Interface
	}
	if a.Optional {
		text += " (optional)"
	}
	return text
}

// addressForm takes an address, or a table that says more of it.
type addressForm struct{}

func (addressForm) expected() string {
	return `an IP address such as "192.0.2.10/24", or a table such as { address = "192.0.2.10/24", interface = "eth1" }`
}

func (f addressForm) read(v value) (Address, bool) {
	if v.node.shape == dictionary {
		t := v.reader.table(v.path, v.node, addressHints())
		a := t.address(moving)
		return a, len(t.bad) == 0
	}
	if _, ok := v.node.value.(string); !ok {
		v.wrongType(f.expected(), "")
		return Address{}, false
	}
	prefix, ok := prefixes{}.read(v)
	return Address{Address: inet.Address{Prefix: prefix, Deprecated: deprecated(prefix)}}, ok
}

// deprecated is the default for an address of which nothing else is said: a
// single IPv6 address is not picked as the source of connections, which would
// break when it moves. In IPv4 the primary address of the subnet is picked.
func deprecated(p netip.Prefix) bool { return p.Addr().Is6() && p.Bits() == p.Addr().BitLen() }

// forever is how a preferred lifetime that does not end is read.
const forever = time.Duration(-1)

// tenure is whose an entry is: an instance's, or this machine's as long as halo
// runs, which nothing depends on.
type tenure bool

const (
	moving tenure = false
	static tenure = true
)

// address reads the table of one address.
func (t *table) address(of tenure) Address {
	defer t.done()
	a := Address{Optional: bool(of)}
	a.Prefix = ask(t, "address", prefixes{}).required()
	if place := ask(t, "interface", interfaceNames()); of == static {
		a.Interface = place.required()
	} else {
		a.Interface = place.optional()
		a.Optional = !ask(t, "required", booleans{}).or(true)
	}
	a.Label = ask(t, "label", addressLabels()).optional()
	a.Scope = ask(t, "scope", scopes()).or(inet.ScopeGlobal)
	a.Broadcast = ask(t, "broadcast", broadcasts{a.Prefix}).optional()
	a.Peer = ask(t, "peer", hosts{"192.0.2.11"}).optional()
	preferred := ask(t, "preferred_lifetime", lifetimes{})
	switch lifetime := preferred.optional(); {
	case !preferred.readable:
		a.Deprecated = of == moving && deprecated(a.Prefix)
	case lifetime == 0:
		a.Deprecated = true
	case lifetime != forever:
		a.PreferredFor = lifetime
	}
	a.NoPrefixRoute = ask(t, "noprefixroute", booleans{}).or(false)
	a.DetectDuplicates = ask(t, "dad", booleans{}).or(false)
	a.Home = ask(t, "home", booleans{}).or(false)
	a.ManageTemporary = ask(t, "mngtmpaddr", booleans{}).or(false)
	t.addressFamily(a)
	return a
}

// addressFamily judges what only one family has.
func (t *table) addressFamily(a Address) {
	if !t.fine("address") || !a.IsValid() {
		return
	}
	family, alien := "IPv4", map[string]bool{"dad": a.DetectDuplicates, "home": a.Home, "mngtmpaddr": a.ManageTemporary}
	if a.Addr().Is6() {
		family, alien = "IPv6", map[string]bool{"label": t.written("label"), "scope": t.written("scope"), "broadcast": t.written("broadcast")}
	}
	for key, used := range alien {
		if used && t.fine(key) {
			t.wrong(key, "an "+family+" address has no "+key, "no "+key, "")
		}
	}
	switch {
	case !a.Peer.IsValid() || !t.fine("peer"):
	case a.Peer.Is4() != a.Addr().Is4():
		t.wrong("peer", quoted(a.Peer.String())+" is not of the family of "+a.Addr().String(), "an address of the same family", "")
	case a.Peer == a.Addr():
		t.wrong("peer", quoted(a.Peer.String())+" is the address itself", "the address of the other end", "")
	}
}

// addressLabels are the names that old programs see instead of an interface's.
func addressLabels() text {
	return text{
		what: `a label of 1 to 15 bytes such as "eth0:1"`,
		test: func(word string) string {
			switch {
			case word == "":
				return "is empty"
			case len(word) > 15: // IFNAMSIZ less its terminating NUL.
				return fmt.Sprintf("has %d bytes", len(word))
			case strings.ContainsFunc(word, unicode.IsSpace):
				return "holds a space"
			}
			return unprintable(word)
		},
	}
}

// broadcasts takes the broadcast address of a prefix, or how it is made of that.
type broadcasts struct{ prefix netip.Prefix }

func (broadcasts) expected() string {
	return `an IPv4 address such as "192.0.2.255", or "+" or "-" for the subnet's last or first address`
}

func (f broadcasts) read(v value) (netip.Addr, bool) {
	word, ok := v.node.value.(string)
	if !ok {
		v.wrongType(f.expected(), "")
		return netip.Addr{}, false
	}
	switch p := f.prefix; {
	case word != "+" && word != "-":
	case !p.IsValid() || !p.Addr().Is4():
		return netip.Addr{}, true // What is wrong is told of the address.
	case p.Bits() >= 31:
		// RFC 3021 §2.1.
		v.wrong("a subnet of the length "+strconv.Itoa(p.Bits())+" has no broadcast address", "an address with a length of at most 30, or no broadcast", "")
		return netip.Addr{}, false
	case word == "-":
		return p.Masked().Addr(), true
	default:
		octets := p.Addr().As4()
		binary.BigEndian.PutUint32(octets[:], binary.BigEndian.Uint32(octets[:])|(1<<(32-p.Bits())-1))
		return netip.AddrFrom4(octets), true
	}
	a, err := netip.ParseAddr(word)
	if err != nil || !a.Is4() {
		v.wrong(v.show()+" is not a broadcast address", f.expected(), "")
		return netip.Addr{}, false
	}
	return a, true
}

// lifetimes takes for how long new connections may come from an address.
type lifetimes struct{}

// longestLifetime is less than the kernel's 32 bits of seconds, and longer than
// anybody means.
const longestLifetime = 36500 * day

func (f lifetimes) expected() string {
	return `"forever", or a duration in whole seconds such as "0s" or "1h"`
}

func (f lifetimes) read(v value) (time.Duration, bool) {
	word, ok := v.node.value.(string)
	if word == "forever" {
		return forever, true
	}
	if meant := suggest(word, []string{"forever"}); ok && meant != "" {
		v.wrong(v.show()+" is not a word that this key takes", f.expected(), meant)
		return 0, false
	}
	return durations{high: longestLifetime, step: time.Second}.read(v)
}

func addressHints() map[string]hint {
	return map[string]hint{
		"required":        {why: "nothing depends on what is static"},
		"dev":             {key: "interface"},
		"brd":             {key: "broadcast"},
		"preferred_lft":   {key: "preferred_lifetime"},
		"nodad":           {why: "duplicates are not looked for unless dad = true"},
		"no_track":        {write: "required = false"},
		"no_prefix_route": {key: "noprefixroute"},
		"autojoin":        {why: "an address that moves is no multicast address"},
		"track_group":     {why: "what must be there for the instance says required = true"},
	}
}

// maxEntries bounds the lists that have no bound of the protocol's, so that a
// slip of a generator is told rather than carried out.
const maxEntries = 65535

// addressList is one of a table's lists of addresses, with its elements in the
// file.
type addressList struct {
	key       string
	addresses []Address
	nodes     []*node
}

// addressLists are the lists of an instance that can be judged.
func (t *table) addressLists(in *Instance) []addressList {
	var lists []addressList
	for _, l := range []addressList{{key: "addresses", addresses: in.Addresses}, {key: "excluded_addresses", addresses: in.Excluded}} {
		if l.nodes = t.elements(l.key); t.fine(l.key) && len(l.nodes) == len(l.addresses) {
			lists = append(lists, l)
		}
	}
	return lists
}

// addressPlace is where there can be but one address: on this machine, for a
// link-local one on its link.
type addressPlace struct {
	netip.Addr
	iface string
}

func placeOf(a Address, iface string) addressPlace {
	if a.Addr().IsLinkLocalUnicast() && a.Addr().Is6() {
		return addressPlace{a.Addr(), a.On(iface)}
	}
	return addressPlace{Addr: a.Addr()}
}
