package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Route is an element of routes.
type Route struct {
	inet.Route
	// Required says that an instance which cannot keep it gives up; default
	// false, in [static] always.
	Required bool
}

// String is the route in the words of `ip route`, as a Difference shows it.
func (r Route) String() string { return r.Route.String() + isRequired(r.Required) }

// Rule is an element of rules.
type Rule struct {
	inet.Rule
	// Required is as for a Route.
	Required bool
}

// String is the rule in the words of `ip rule`, as a Difference shows it.
func (r Rule) String() string { return r.Rule.String() + isRequired(r.Required) }

func isRequired(required bool) string {
	if required {
		return " (required)"
	}
	return ""
}

// routeKey is what there can be but one of: the identity of a route that
// somebody made.
type routeKey struct {
	inet.RouteID
	inet.Protocol
}

func (r Route) key() routeKey { return routeKey{r.ID(), r.ProtocolOrDefault()} }

// ruleKey is a rule in the form of its identity, with who made it.
func (r Rule) key() inet.Rule {
	key := r.ID()
	key.Protocol = r.ProtocolOrDefault()
	return key
}

// routeName tells a route apart from the others of its list.
func routeName(r Route) string {
	return inet.Route{
		Destination: r.Destination, From: r.From, TOS: r.TOS, Table: r.Table, Metric: r.Metric, Protocol: r.Protocol,
	}.String()
}

// ruleName is the whole rule: with another attribute it is another one.
func ruleName(r Rule) string { return r.Rule.String() }

// routingTable is the number of a routing table.
type routingTable uint32

// String is the table as a file has it.
func (n routingTable) String() string {
	for _, known := range routingTables().names {
		if known.number == n {
			return known.word
		}
	}
	return strconv.FormatUint(uint64(n), 10)
}

// routingTables are all that there can be: by number, or those that every
// machine has by name.
func routingTables() numbered[routingTable] {
	return numbered[routingTable]{
		names: []named[routingTable]{
			{"main", routingTable(inet.TableMain)}, {"local", routingTable(inet.TableLocal)}, {"default", routingTable(inet.TableDefault)},
		},
		low: 1, high: 1<<32 - 1, what: "a routing table",
	}
}

// protocolMarks are who an entry may be marked as made by. The kernel's own
// marks are none of them: halo would take the kernel's entries for its own.
func protocolMarks() numbered[inet.Protocol] {
	f := numbered[inet.Protocol]{low: 3, high: 255, what: "a routing protocol"}
	for _, p := range []inet.Protocol{
		inet.ProtocolHalo, inet.ProtocolKeepalived, inet.ProtocolBoot, inet.ProtocolStatic, inet.ProtocolRA, inet.ProtocolZebra, inet.ProtocolBIRD, inet.ProtocolDHCP,
	} {
		f.names = append(f.names, named[inet.Protocol]{p.String(), p})
	}
	return f
}

// mark reads the key protocol. Halo's own is left out of the value, as where
// the key is absent.
func (t *table) mark() inet.Protocol {
	if p := ask(t, "protocol", protocolMarks()).or(inet.ProtocolHalo); p != inet.ProtocolHalo {
		return p
	}
	return inet.ProtocolNone
}

// networks takes an address with or without the length of its network, and no
// bits beyond it. The words for everything are taken where they are wanted.
type networks struct {
	example string
	// everything says that "default" is taken, and ipv6 what it means.
	everything, ipv6 bool
}

func (f networks) expected() string {
	if f.everything {
		return `"default", or a network such as ` + strconv.Quote(f.example)
	}
	return "a network such as " + strconv.Quote(f.example)
}

func (f networks) read(v value) (netip.Prefix, bool) {
	word, ok := v.node.value.(string)
	if !ok {
		v.wrongType(f.expected(), "")
		return netip.Prefix{}, false
	}
	switch {
	case f.everything && (word == "default6" || word == "default" && f.ipv6):
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0), true
	case f.everything && word == "default":
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), true
	}
	p, wrong := parsePrefix(word)
	suggestion := ""
	if f.everything && wrong != "" {
		suggestion = suggest(word, []string{"default", "default6"})
	}
	switch {
	case wrong != "":
	case p.Addr().Zone() != "" || p.Addr().Is4In6():
		wrong = "is not a network"
	case p != p.Masked():
		wrong, suggestion = "has bits beyond its length", strconv.Quote(p.Masked().String())
	default:
		return p, true
	}
	v.wrong(v.show()+" "+wrong, f.expected(), suggestion)
	return netip.Prefix{}, false
}

// realmsForm takes routing realms as iproute2 writes them: "from/to", or to.
type realmsForm struct{}

func (realmsForm) expected() string {
	return `a realm such as 7, or two such as "3/7", each from 1 to 65535`
}

func (f realmsForm) read(v value) (uint32, bool) {
	switch got := v.node.value.(type) {
	case int64:
		if got >= 1 && got <= 65535 {
			return uint32(got), true
		}
	case string:
		from, to, two := strings.Cut(got, "/")
		if !two {
			from, to = "0", got
		}
		a, errA := strconv.ParseUint(from, 10, 16)
		b, errB := strconv.ParseUint(to, 10, 16)
		if errA == nil && errB == nil && b > 0 && (a > 0 || !two) {
			return uint32(a<<16 | b), true
		}
	default:
		v.wrongType(f.expected(), "")
		return 0, false
	}
	v.wrong(v.show()+" is not a realm", f.expected(), "")
	return 0, false
}

// strange tells whether the table has keys that nobody has asked for: what seems
// to be missing may be what one of them means.
func (t *table) strange() bool {
	return slices.ContainsFunc(t.node.names, func(name string) bool { return !slices.Contains(t.asked, name) })
}

// required reads whether an instance gives up without a route or rule.
func (t *table) required(of tenure) bool {
	return of == moving && ask(t, "required", booleans{}).or(false)
}

// about reports what is wrong with the whole of a table.
func (t *table) about(message, expected string) {
	t.bad = append(t.bad, "")
	t.reader.report(SeverityError, t.node.key, Problem{Key: t.path, Message: message, Expected: expected})
}

// routingLists reads the routes and the rules of an instance, or of [static].
func (t *table) routingLists(of tenure) (routes []Route, rules []Rule) {
	for _, element := range t.tables("routes", routeHints()) {
		routes = append(routes, element.route(of))
		t.spoiled("routes", element)
	}
	for _, element := range t.tables("rules", ruleHints()) {
		rules = append(rules, element.rule(of))
		t.spoiled("rules", element)
	}
	lines := map[any]int{}
	for i, n := range t.elements("routes") {
		if t.fine("routes") {
			t.once("routes", i, n, lines, routes[i].key(), "another metric, table or tos; or one route with nexthops")
		}
	}
	for i, n := range t.elements("rules") {
		if t.fine("rules") {
			t.once("rules", i, n, lines, rules[i].key(), "each rule once")
		}
	}
	return routes, rules
}

// spoiled notes that an element of a list is wrong, so that no rule is applied
// to the list.
func (t *table) spoiled(key string, element *table) {
	if len(element.bad) > 0 {
		t.bad = append(t.bad, key)
	}
}

// once reports an element that is the same thing as one before it.
func (t *table) once(list string, i int, n *node, lines map[any]int, key any, expected string) {
	line, twice := lines[key]
	if !twice {
		lines[key] = t.reader.source.line(n.start)
		return
	}
	t.reader.report(SeverityError, n.start, Problem{
		Key:      index(join(t.path, list), i),
		Message:  fmt.Sprintf("to the kernel it is the one on line %d", line),
		Expected: expected,
	})
}

// placedRoute is where a route was seen first.
type placedRoute struct {
	place
	words string
}

// addRoutes compares routes with those before. Several may want the same route,
// which is there while one of them is active; but there cannot be two.
func (s *routerSet) addRoutes(t *table, routes []Route) {
	nodes := t.elements("routes")
	if !t.fine("routes") || len(nodes) != len(routes) {
		return
	}
	for i, r := range routes {
		first, taken := s.routes[r.key()]
		switch words := r.Route.String(); {
		case !taken:
			s.routes[r.key()] = placedRoute{place{t.path, nodes[i].start}, words}
		case first.path != t.path && first.words != words:
			t.reader.report(SeverityError, nodes[i].start, Problem{
				Key: index(join(t.path, "routes"), i),
				Message: fmt.Sprintf("differs from the route of %s on line %d, which is the same one to the kernel: %s",
					first.path, t.reader.source.line(first.offset), first.words),
				Expected: "equal routes, or another metric or table",
			})
		}
	}
}
