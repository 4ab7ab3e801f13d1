package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/halo-ha/halo/core/radv"
)

// RouterAdvertisement is [vrrp_instance.NAME.router_advertisement]: what hosts are
// told while the instance is active.
type RouterAdvertisement struct {
	MaxInterval     time.Duration `json:"max_interval"`     // default 10m, 4s..30m
	MinInterval     time.Duration `json:"min_interval"`     // default a third of MaxInterval, 3s..three quarters of it
	Lifetime        time.Duration `json:"lifetime"`         // default 3 times MaxInterval; 0 = no default router, else MaxInterval..9000s
	Preference      string        `json:"preference"`       // "low", "medium" (default) or "high"
	Managed         bool          `json:"managed"`          // default false: addresses by DHCPv6
	OtherConfig     bool          `json:"other_config"`     // default false: all but addresses by DHCPv6
	HopLimit        uint8         `json:"hop_limit"`        // default 64; 0 = for hosts to decide
	ReachableTime   time.Duration `json:"reachable_time"`   // default 0 = for hosts to decide; at most 1h
	RetransmitTimer time.Duration `json:"retransmit_timer"` // default 0 = for hosts to decide; at most 1h
	MTU             uint16        `json:"mtu"`              // 0 (absent) = not told, else at least 1280
	// Prefixes are those of the link; none is told of without being listed.
	Prefixes    []AdvertisedPrefix `json:"prefixes"`
	DNSServers  []netip.Addr       `json:"dns_servers"`
	DNSSearch   []string           `json:"dns_search"`
	DNSLifetime time.Duration      `json:"dns_lifetime"` // default 3 times MaxInterval; at most 24h
}

// AdvertisedPrefix is an element of prefixes: a network, or a table.
type AdvertisedPrefix struct {
	Prefix            netip.Prefix
	OnLink            bool          // default true
	Autonomous        bool          // default true: hosts make themselves addresses in it
	ValidLifetime     time.Duration // default 30 days
	PreferredLifetime time.Duration // default 7 days, or ValidLifetime if that is shorter
}

// String is the prefix with what differs from the usual.
func (p AdvertisedPrefix) String() string {
	words := []string{p.Prefix.String()}
	if !p.OnLink {
		words = append(words, "off-link")
	}
	if !p.Autonomous {
		words = append(words, "not autonomous")
	}
	return strings.Join(append(words, "for "+spell(p.ValidLifetime), "preferred for "+spell(p.PreferredLifetime)), " ")
}

// Radv is what the advertisements of the instance are.
func (a *RouterAdvertisement) Radv() radv.Config {
	preference, _ := radv.ParsePreference(a.Preference) // One of three words.
	c := radv.Config{
		MinInterval: a.MinInterval, MaxInterval: a.MaxInterval, Lifetime: a.Lifetime, Preference: preference,
		Managed: a.Managed, OtherConfig: a.OtherConfig, HopLimit: a.HopLimit,
		ReachableTime: a.ReachableTime, RetransmitTimer: a.RetransmitTimer, MTU: uint32(a.MTU),
		DNSServers: a.DNSServers, DNSSearch: a.DNSSearch, DNSLifetime: a.DNSLifetime,
	}
	for _, p := range a.Prefixes {
		c.Prefixes = append(c.Prefixes, radv.Prefix{
			Prefix: p.Prefix, OnLink: p.OnLink, Autonomous: p.Autonomous, Valid: p.ValidLifetime, Preferred: p.PreferredLifetime,
		})
	}
	return c
}

const (
	// probing bounds what hosts are told of probing their neighbours (RFC 4861
	// §6.2.1).
	probing = time.Hour
	// longestPrefix is long enough for ever.
	longestPrefix = 10 * 365 * day
)

// routerAdvertisement reads [vrrp_instance.NAME.router_advertisement].
func (r *reader) routerAdvertisement(parent *table) *RouterAdvertisement {
	t := parent.table("router_advertisement", nil)
	if t == nil {
		return nil
	}
	defer t.done()
	longest := ask(t, "max_interval", durations{low: radv.ShortestMaxInterval, high: radv.LongestMaxInterval}).or(radv.DefaultMaxInterval)
	// RFC 4861 §6.2.1 and RFC 8106 §5.1: two may be lost.
	threefold := (3 * longest).Truncate(time.Second)
	a := &RouterAdvertisement{
		MaxInterval: longest,
		MinInterval: ask(t, "min_interval", durations{low: radv.ShortestMinInterval, high: radv.LongestMaxInterval * 3 / 4}).
			or(radv.DefaultMinInterval(longest)),
		Lifetime:        ask(t, "lifetime", durations{high: radv.LongestLifetime, step: time.Second}).or(threefold),
		Preference:      ask(t, "preference", words{allowed: []string{"low", "medium", "high"}}).or("medium"),
		Managed:         ask(t, "managed", booleans{}).or(false),
		OtherConfig:     ask(t, "other_config", booleans{}).or(false),
		HopLimit:        ask(t, "hop_limit", integers[uint8]{0, 255}).or(radv.DefaultHopLimit),
		ReachableTime:   ask(t, "reachable_time", durations{high: probing, step: time.Millisecond}).or(0),
		RetransmitTimer: ask(t, "retransmit_timer", durations{high: probing, step: time.Millisecond}).or(0),
		MTU:             ask(t, "mtu", integers[uint16]{radv.LeastMTU, 65535}).optional(),
		Prefixes:        ask(t, "prefixes", lists[AdvertisedPrefix]{prefixForm{}, 1, 16, "prefixes"}).optional(),
		DNSServers:      ask(t, "dns_servers", lists[netip.Addr]{ipv6Hosts{}, 1, 8, "servers"}).optional(),
		DNSSearch:       ask(t, "dns_search", lists[string]{domains(), 1, 8, "domains"}).optional(),
		DNSLifetime:     ask(t, "dns_lifetime", durations{high: day, step: time.Second}).or(threefold),
	}
	t.advertisementRules(a)
	return a
}

// advertisementRules judges the keys by each other.
func (t *table) advertisementRules(a *RouterAdvertisement) {
	if !t.fine("max_interval") {
		return
	}
	if longest := a.MaxInterval * 3 / 4; a.MinInterval > longest && t.fine("min_interval") {
		// RFC 4861 §6.2.1.
		t.wrong("min_interval", quoted(spell(a.MinInterval))+" is more than three quarters of max_interval, "+spell(a.MaxInterval),
			`at most "`+spell(longest)+`"`, "")
	}
	if !t.fine("lifetime") {
		return
	}
	switch {
	case a.Lifetime != 0 && a.Lifetime < a.MaxInterval:
		t.wrong("lifetime", quoted(spell(a.Lifetime))+" is over before the next advertisement, after up to "+spell(a.MaxInterval),
			`at least max_interval, or "0s" for no default router`, "")
	case a.Lifetime == 0 && a.Preference != "medium" && t.fine("preference"):
		// RFC 4191 §2.2.
		t.wrong("preference", "a router with a lifetime of 0s is no default router", "no preference, or a lifetime", "")
	}
	if len(a.DNSServers)+len(a.DNSSearch) > 0 && a.DNSLifetime != 0 && a.DNSLifetime < a.MaxInterval && t.fine("dns_lifetime") {
		// RFC 8106 §5.1.
		t.odd("dns_lifetime", quoted(spell(a.DNSLifetime))+" is over before the next advertisement, after up to "+spell(a.MaxInterval), "at least max_interval")
	}
	t.prefixRules(a)
	c := a.Radv()
	if n := c.Length(); n > radv.Room && len(t.bad) == 0 {
		t.wrong("prefixes", fmt.Sprintf("with all that is listed the advertisement has %d bytes, and %d fit into a packet that passes every link", n, radv.Room),
			"fewer prefixes, servers or domains", "")
	}
}

// prefixRules judges prefixes.
func (t *table) prefixRules(a *RouterAdvertisement) {
	if !t.fine("prefixes") || len(a.Prefixes) == 0 {
		return
	}
	lines := map[netip.Prefix]int{}
	for i, n := range t.node.entries["prefixes"].items {
		p := a.Prefixes[i]
		at := Problem{Key: index(join(t.path, "prefixes"), i)}
		line, twice := lines[p.Prefix]
		lines[p.Prefix] = t.reader.source.line(n.start)
		switch {
		case twice:
			at.Message, at.Expected = fmt.Sprintf("%s is in the list already, on line %d", p.Prefix, line), "each prefix once"
			t.reader.report(SeverityError, n.start, at)
			t.bad = append(t.bad, "prefixes")
		case p.Autonomous && p.Prefix.Bits() != 64:
			// RFC 4862 §5.5.3, with the interface identifiers of RFC 2464 §4.
			at.Message = fmt.Sprintf("%s is not of 64 bits: hosts make themselves no address in it", p.Prefix)
			at.Expected = "a /64, or autonomous = false"
			t.reader.report(SeverityWarning, n.start, at)
		}
	}
}

// advertisingRules judges whether an instance can advertise itself.
func (t *table) advertisingRules(in *Instance) {
	if in.RouterAdvertisement == nil || !t.fine("router_advertisement", "addresses") {
		return
	}
	six := slices.IndexFunc(in.Addresses, func(p Address) bool { return p.Addr().Is6() })
	switch {
	case six < 0:
		t.wrong("router_advertisement", "there is no IPv6 address that hosts could send to", "a link-local address in addresses, such as \"fe80::10/64\"", "")
	case !in.Addresses[six].Addr().IsLinkLocalUnicast():
		// RFC 4861 §4.2, RFC 9568 §5.2.9.
		t.wrong("router_advertisement", "hosts know a router by a link-local address, and the first IPv6 address is "+in.Addresses[six].Addr().String(),
			"a link-local address in front of it, such as \"fe80::10/64\"", "")
	}
}

// prefixForm takes a network, or a table that says more of it.
type prefixForm struct{}

func (prefixForm) expected() string {
	return `an IPv6 network such as "2001:db8::/64", or a table such as { prefix = "2001:db8::/64", autonomous = false }`
}

func (f prefixForm) read(v value) (AdvertisedPrefix, bool) {
	p := AdvertisedPrefix{OnLink: true, Autonomous: true, ValidLifetime: radv.DefaultValid, PreferredLifetime: radv.DefaultPreferred}
	var ok bool
	if v.node.shape != dictionary {
		if _, isText := v.node.value.(string); !isText {
			v.wrongType(f.expected(), "")
			return p, false
		}
		p.Prefix, ok = ipv6Networks{}.read(v)
		return p, ok
	}
	t := v.reader.table(v.path, v.node, nil)
	defer t.done()
	lifetime := durations{high: longestPrefix, step: time.Second}
	p.Prefix = ask(t, "prefix", ipv6Networks{}).required()
	p.OnLink = ask(t, "on_link", booleans{}).or(true)
	p.Autonomous = ask(t, "autonomous", booleans{}).or(true)
	p.ValidLifetime = ask(t, "valid_lifetime", lifetime).or(radv.DefaultValid)
	p.PreferredLifetime = ask(t, "preferred_lifetime", lifetime).or(min(radv.DefaultPreferred, p.ValidLifetime))
	if p.PreferredLifetime > p.ValidLifetime && t.fine("valid_lifetime", "preferred_lifetime") {
		// RFC 4861 §4.6.2.
		t.wrong("preferred_lifetime", quoted(spell(p.PreferredLifetime))+" is longer than valid_lifetime, "+spell(p.ValidLifetime), "at most valid_lifetime", "")
	}
	return p, len(t.bad) == 0
}

// ipv6Networks takes a prefix that hosts can be told of.
type ipv6Networks struct{}

func (ipv6Networks) expected() string { return `an IPv6 network such as "2001:db8::/64"` }

func (f ipv6Networks) read(v value) (netip.Prefix, bool) {
	word, ok := v.node.value.(string)
	if !ok {
		v.wrongType(f.expected(), "")
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(word)
	var wrong, suggestion string
	switch {
	case err != nil:
		wrong = "is not a network"
		if a, err := netip.ParseAddr(word); err == nil && a.Is6() {
			wrong, suggestion = "has no prefix length", strconv.Quote(netip.PrefixFrom(a, 64).Masked().String())
		}
	case !p.Addr().Is6() || p.Addr().Is4In6():
		wrong = "is not IPv6"
	case p != p.Masked():
		wrong, suggestion = "has bits behind its length", strconv.Quote(p.Masked().String())
	default:
		err = radv.Prefix{Prefix: p}.Validate()
		if err == nil {
			return p, true
		}
		wrong = "is not a network that hosts are told of"
	}
	v.wrong(v.show()+" "+wrong, f.expected(), suggestion)
	return netip.Prefix{}, false
}

// ipv6Hosts takes the address of a machine.
type ipv6Hosts struct{}

func (ipv6Hosts) expected() string { return `an IPv6 address such as "2001:db8::53"` }

func (f ipv6Hosts) read(v value) (netip.Addr, bool) {
	a, ok := hosts{"2001:db8::53"}.read(v)
	if ok && !a.Is6() {
		v.wrong(v.show()+" is not IPv6, and router advertisements tell of nothing else", f.expected(), "")
		return a, false
	}
	return a, ok
}

func domains() text {
	return text{what: `a domain name such as "example.com"`, test: func(word string) string {
		if radv.ValidateName(word) != nil {
			return "is not a domain name"
		}
		return ""
	}}
}
