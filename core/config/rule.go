package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// rule reads one element of rules.
func (t *table) rule(of tenure) Rule {
	defer t.done()
	var r Rule
	r.Priority = ask(t, "priority", integers[uint32]{1, 1<<32 - 1}).required()
	r.From = ask(t, "from", networks{example: "192.0.2.10/32"}).optional()
	r.To = ask(t, "to", networks{example: "10.0.0.0/8"}).optional()
	family := ask(t, "family", words{allowed: []string{"ipv4", "ipv6"}}).optional()
	r.IPv6 = family == "ipv6" || r.From.Addr().Is6() || r.To.Addr().Is6()
	r.Not = ask(t, "not", booleans{}).or(false)
	r.IIF = ask(t, "iif", interfaceNames()).optional()
	r.OIF = ask(t, "oif", interfaceNames()).optional()
	mark := ask(t, "fwmark", markForm{}).optional()
	r.Mark, r.Mask = mark.mark, mark.mask
	r.TOS = ask(t, "tos", integers[uint8]{0, 255}).or(0)
	r.TunnelID = uint64(ask(t, "tunnel_id", integers[int64]{1, 1<<63 - 1}).optional()) //nolint:gosec // Positive.
	if users := ask(t, "uidrange", ranges{0, 1<<32 - 2, "1000-1999"}); users.readable {
		r.UIDs = inet.Some(users.optional())
	} else {
		users.optional()
	}
	r.IPProtocol = ask(t, "ipproto", ipProtocols()).optional()
	ports := ranges{1, 65535, "5060-5061"}
	r.SourcePorts = portsOf(ask(t, "sport", ports).optional())
	r.DestinationPorts = portsOf(ask(t, "dport", ports).optional())
	t.ruleTarget(&r)
	r.SuppressPrefixLength = some(ask(t, "suppress_prefixlength", integers[uint8]{0, 128}))
	r.SuppressGroup = some(ask(t, "suppress_ifgroup", integers[uint32]{0, 1<<32 - 2}))
	r.Realms = ask(t, "realms", realmsForm{}).optional()
	r.Protocol = t.mark()
	r.Required = t.required(of)
	t.ruleRules(r, family)
	return r
}

// some is a value whose absence has a meaning of its own.
func some[T comparable](a answer[T]) inet.Optional[T] {
	if v := a.optional(); a.readable {
		return inet.Some(v)
	}
	return inet.Optional[T]{}
}

// ruleTarget reads what a rule does.
func (t *table) ruleTarget(r *Rule) {
	actions := map[string]inet.RuleAction{}
	var names words
	for _, a := range []inet.RuleAction{inet.Lookup, inet.RuleBlackhole, inet.RuleUnreachable, inet.RuleProhibit, inet.NoOperation} {
		actions[a.String()] = a
		names.allowed = append(names.allowed, a.String())
	}
	r.Action = actions[ask(t, "action", names).or(inet.Lookup.String())]
	table := ask(t, "table", routingTables()).or(routingTable(inet.TableMain))
	r.L3MasterDevice = ask(t, "l3mdev", booleans{}).or(false)
	r.Goto = ask(t, "goto", integers[uint32]{1, 1<<32 - 1}).optional()
	switch {
	case r.Goto != 0 && t.written("action") && r.Action != inet.Lookup:
		t.wrong("goto", "the action is "+quoted(r.Action.String())+" already", "goto, or action", "")
	case r.Goto != 0:
		r.Action = inet.Goto
	}
	switch {
	case r.Action == inet.Lookup && !r.L3MasterDevice:
		r.Table = uint32(table)
	case t.written("table") && t.fine("table", "action", "goto", "l3mdev"):
		t.wrong("table", "the rule looks into no table of its own: "+t.instead(r), "no table", "")
	}
	if r.Goto != 0 && r.Goto <= r.Priority && t.fine("priority", "goto") {
		t.wrong("goto", fmt.Sprintf("rule %d is not behind this one, %d", r.Goto, r.Priority), "the priority of a later rule", "")
	}
}

// instead says what a rule does in place of looking into its table.
func (t *table) instead(r *Rule) string {
	switch {
	case r.Action == inet.Goto:
		return fmt.Sprintf("it has goto = %d", r.Goto)
	case r.Action != inet.Lookup:
		return "its action is " + quoted(r.Action.String())
	}
	return "l3mdev takes that of the VRF"
}

// ruleRules judges the keys of a rule against each other.
func (t *table) ruleRules(r Rule, family string) {
	for key, p := range map[string]netip.Prefix{"from": r.From, "to": r.To} {
		if p.IsValid() && t.fine(key, "family") && (family == "ipv4" && p.Addr().Is6() || family == "ipv6" && p.Addr().Is4()) {
			t.wrong(key, quoted(p.String())+" is not of the family "+quoted(family), "an address of the family, or no family", "")
		}
	}
	if r.From.IsValid() && r.To.IsValid() && r.From.Addr().Is4() != r.To.Addr().Is4() && t.fine("from", "to") {
		t.wrong("to", quoted(r.To.String())+" is not of the family of "+r.From.String(), "addresses of one family", "")
	}
	if r.IPv6 && r.Realms != 0 && t.fine("realms") {
		t.wrong("realms", "an IPv6 rule has no realms", "no realms", "")
	}
	if (r.SourcePorts != inet.PortRange{} || r.DestinationPorts != inet.PortRange{}) && r.IPProtocol == 0 && t.fine("ipproto") {
		for _, key := range []string{"sport", "dport"} {
			if t.written(key) && t.fine(key) {
				t.wrong(key, "ports are a protocol's", `ipproto beside it, such as ipproto = "tcp"`, "")
			}
		}
	}
	if len(t.bad) > 0 {
		return
	}
	if err := r.Check(); err != nil {
		t.about(err.Error(), "a rule that the kernel can have")
		return
	}
	said := false
	for _, key := range []string{"table", "action", "goto", "l3mdev", "suppress_prefixlength", "suppress_ifgroup", "realms"} {
		said = said || t.written(key)
	}
	if !said && t.reader.record == nil && !t.strange() {
		t.reader.report(SeverityWarning, t.node.key, Problem{
			Key: t.path, Message: "looks into the main table, as the kernel's own rule does for everything", Expected: "table, action or goto",
		})
	}
}

// ranges takes a number, or two with "-" between.
type ranges struct {
	low, high uint32
	example   string
}

func (f ranges) expected() string {
	return fmt.Sprintf("an integer from %d to %d, or two such as %q", f.low, f.high, f.example)
}

func (f ranges) read(v value) (inet.Range, bool) {
	var first, last uint64
	var err error
	switch got := v.node.value.(type) {
	case int64:
		if got < 0 {
			v.wrong(v.show()+" is out of range", f.expected(), "")
			return inet.Range{}, false
		}
		first, last = uint64(got), uint64(got)
	case string:
		from, to, two := strings.Cut(got, "-")
		if first, err = strconv.ParseUint(strings.TrimSpace(from), 10, 32); err == nil && two {
			last, err = strconv.ParseUint(strings.TrimSpace(to), 10, 32)
		} else {
			last = first
		}
		if err != nil {
			v.wrong(v.show()+" is not a range of numbers", f.expected(), "")
			return inet.Range{}, false
		}
	default:
		v.wrongType(f.expected(), "")
		return inet.Range{}, false
	}
	switch {
	case first > last:
		v.wrong(v.show()+" ends before it begins", f.expected(), "")
	case first < uint64(f.low) || last > uint64(f.high):
		v.wrong(v.show()+" is out of range", f.expected(), "")
	default:
		return inet.Range{First: uint32(first), Last: uint32(last)}, true
	}
	return inet.Range{}, false
}

func portsOf(r inet.Range) inet.PortRange {
	return inet.PortRange{First: uint16(r.First), Last: uint16(r.Last)} //nolint:gosec // At most 65535.
}

// firewallMark is a mark, and which of its bits are compared; a mask of zero is
// all.
type firewallMark struct{ mark, mask uint32 }

// markForm takes a firewall mark, with a mask behind "/" if need be.
type markForm struct{}

func (markForm) expected() string {
	return `a firewall mark such as 16 or 0x10, or with a mask "0x10/0xff"`
}

func (f markForm) read(v value) (firewallMark, bool) {
	const most = 1<<32 - 1
	switch got := v.node.value.(type) {
	case int64:
		if got >= 1 && got <= most {
			return firewallMark{mark: uint32(got)}, true
		}
		v.wrong(v.show()+" is out of range", f.expected(), "")
	case string:
		word, maskWord, masked := strings.Cut(got, "/")
		if !masked {
			maskWord = "0xffffffff"
		}
		mark, err := strconv.ParseUint(word, 0, 32)
		mask, maskErr := strconv.ParseUint(maskWord, 0, 32)
		switch {
		case err != nil || maskErr != nil || mask == 0:
			v.wrong(v.show()+" is not a firewall mark", f.expected(), "")
		case mark&^mask != 0:
			v.wrong(v.show()+" has bits outside its mask, and would match nothing", f.expected(), "")
		default:
			return firewallMark{uint32(mark), uint32(mask)}, true
		}
	default:
		v.wrongType(f.expected(), "")
	}
	return firewallMark{}, false
}

// ipProtocols are the protocols that rules are about, by the names of the
// Internet's list.
func ipProtocols() numbered[uint8] {
	return numbered[uint8]{
		names: []named[uint8]{{"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"gre", 47}, {"esp", 50}, {"ah", 51}, {"ipv6-icmp", 58}, {"vrrp", 112}, {"sctp", 132}},
		low:   1, high: 255, what: "a protocol",
	}
}

func ruleHints() map[string]hint {
	return map[string]hint{
		"required":     {why: "nothing depends on what is static"},
		"order":        {key: "priority"},
		"preference":   {key: "priority"},
		"pref":         {key: "priority"},
		"lookup":       {key: "table"},
		"dev":          {key: "iif"},
		"dsfield":      {key: "tos"},
		"tun_id":       {key: "tunnel_id"},
		"sup_pl":       {key: "suppress_prefixlength"},
		"sup_group":    {key: "suppress_ifgroup"},
		"ip_proto":     {key: "ipproto"},
		"proto":        {key: "protocol"},
		"blackhole":    {write: `action = "blackhole"`},
		"unreachable":  {write: `action = "unreachable"`},
		"prohibit":     {write: `action = "prohibit"`},
		"nop":          {write: `action = "nop"`},
		"no_track":     {why: "losing a rule moves nothing unless required = true"},
		"track_group":  {why: "what must be there for the instance says required = true"},
		"source":       {key: "from"},
		"destination":  {key: "to"},
		"fwmask":       {write: `fwmark = "0x10/0xff"`},
		"source_ports": {key: "sport"},
	}
}
