package inet

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
)

// RuleAction is what a rule does with a packet that it matches.
type RuleAction uint8

// The kernel's actions. The zero value is Lookup.
const (
	Lookup          RuleAction = iota // look into a routing table
	Goto                              // go on with a later rule
	NoOperation                       // go on with the next rule
	RuleBlackhole                     // drop
	RuleUnreachable                   // refuse as unreachable
	RuleProhibit                      // refuse as prohibited
)

func (a RuleAction) String() string {
	switch a {
	case Lookup:
		return "lookup"
	case Goto:
		return "goto"
	case NoOperation:
		return "nop"
	case RuleBlackhole:
		return "blackhole"
	case RuleUnreachable:
		return "unreachable"
	case RuleProhibit:
		return "prohibit"
	}
	return strconv.Itoa(int(a))
}

// Rule is an entry of the list that decides which routing table is looked
// into. All rules that are alike but for Protocol are the same to the kernel,
// so a Rule without its Protocol is its own identity.
type Rule struct {
	// IPv6 says which of the two lists the rule belongs to; From and To may
	// both be empty.
	IPv6 bool
	// Priority is the place in the list, smallest first. There is no default:
	// a rule whose priority the kernel picks could not be found again.
	Priority uint32
	// Not turns the whole of the conditions around.
	Not bool
	// From and To are the packet's addresses. Not set is all.
	From, To netip.Prefix
	// TOS is the packet's type of service.
	TOS uint8
	// IIF and OIF are the links by which the packet comes and, if its socket
	// is bound to one, leaves. "lo" as IIF means packets from this machine.
	IIF, OIF string
	// Mark and Mask compare the packet's firewall mark: the bits of Mask. A
	// mask of zero with a mark means all bits; both zero is no condition.
	Mark, Mask uint32
	// TunnelID is the id of the tunnel that the packet came by. Zero is none.
	TunnelID uint64
	// UIDs are the users whose sockets send.
	UIDs Optional[Range]
	// IPProtocol is the transport protocol; the ports are ranges of it, for
	// which zero is none.
	IPProtocol                    uint8
	SourcePorts, DestinationPorts PortRange

	Action RuleAction
	// Table is where Lookup looks. Zero is the main table.
	Table uint32
	// Goto is the priority of the rule to go on with, later than this one.
	Goto uint32
	// L3MasterDevice makes Lookup take the table of the VRF that the packet
	// belongs to.
	L3MasterDevice bool
	// SuppressPrefixLength ignores what Lookup finds with that prefix length or
	// a shorter one: 0 ignores default routes.
	SuppressPrefixLength Optional[uint8]
	// SuppressGroup ignores what Lookup finds that leads to a link of that
	// group.
	SuppressGroup Optional[uint32]
	// Realms are set on packets by Lookup (IPv4), from in the upper and to in
	// the lower 16 bits. Zero is none.
	Realms uint32

	// Protocol is who made the rule. Zero is halo for what is wanted.
	Protocol Protocol
}

// Range is from First to Last, both of them included.
type Range struct{ First, Last uint32 }

// PortRange is from First to Last, both of them included. The zero value is
// none.
type PortRange struct{ First, Last uint16 }

// ID is the rule's identity: the rule in the form in which the kernel shows it,
// without Protocol.
func (r Rule) ID() Rule {
	r.From, r.To = whole(r.From), whole(r.To)
	if r.Mark != 0 && r.Mask == 0 {
		r.Mask = ^uint32(0)
	}
	if r.Action == Lookup && r.Table == 0 && !r.L3MasterDevice {
		r.Table = TableMain
	}
	r.Protocol = ProtocolNone
	return r
}

// ProtocolOrDefault is the mark, with zero resolved.
func (r Rule) ProtocolOrDefault() Protocol {
	if r.Protocol == ProtocolNone {
		return ProtocolHalo
	}
	return r.Protocol
}

// Check tells what is wrong with a rule that is wanted.
func (r Rule) Check() error {
	family := func(p netip.Prefix) bool { return p.IsValid() && p.Addr().Is4() == r.IPv6 }
	ordered := func(p PortRange) bool { return p.First <= p.Last && (p.First > 0 || p.Last == 0) }
	switch {
	case family(r.From) || family(r.To):
		return fmt.Errorf("rule %d has an address of the other family", r.Priority)
	case len(r.IIF) > labelSize || len(r.OIF) > labelSize:
		return fmt.Errorf("rule %d names an impossible link", r.Priority)
	case r.Mark&^r.Mask != 0 && r.Mask != 0:
		return fmt.Errorf("rule %d has a mark %#x outside its mask %#x", r.Priority, r.Mark, r.Mask)
	case r.UIDs.Set && r.UIDs.Value.First > r.UIDs.Value.Last:
		return fmt.Errorf("rule %d has a range of users that ends before it begins", r.Priority)
	case !ordered(r.SourcePorts) || !ordered(r.DestinationPorts):
		return fmt.Errorf("rule %d has a range of ports that ends before it begins", r.Priority)
	case r.Action == Goto && r.Goto <= r.Priority:
		return fmt.Errorf("rule %d goes on with rule %d, which is not later", r.Priority, r.Goto)
	case r.Action != Goto && r.Goto != 0:
		return fmt.Errorf("rule %d has a rule to go on with, but does not go there", r.Priority)
	case r.Action != Lookup && (r.Table != 0 || r.L3MasterDevice || r.SuppressPrefixLength.Set || r.SuppressGroup.Set):
		return fmt.Errorf("rule %d has a table, but does not look into it", r.Priority)
	case r.L3MasterDevice && r.Table != 0:
		return fmt.Errorf("rule %d has a table besides that of the VRF", r.Priority)
	case r.IPv6 && r.Realms != 0:
		return errors.New("rule " + strconv.FormatUint(uint64(r.Priority), 10) + " has realms, which IPv6 does not know")
	}
	return nil
}

// Selectors counts the conditions of the rule. Of two rules, one that has more
// can never be found by the conditions of the other.
func (r Rule) Selectors() int {
	n := 0
	for _, set := range []bool{
		r.Not, whole(r.From).IsValid(), whole(r.To).IsValid(), r.TOS != 0, r.IIF != "", r.OIF != "", r.Mark != 0 || r.Mask != 0,
		r.TunnelID != 0, r.UIDs.Set, r.IPProtocol != 0, r.SourcePorts != PortRange{}, r.DestinationPorts != PortRange{},
		r.L3MasterDevice, r.SuppressPrefixLength.Set, r.SuppressGroup.Set, r.Realms != 0,
	} {
		if set {
			n++
		}
	}
	return n
}

// String is the rule in the words of `ip rule add`.
func (r Rule) String() string {
	var w words
	w.add("priority %d", r.Priority)
	w.flag("inet6", r.IPv6)
	w.flag("not", r.Not)
	if r.From.IsValid() {
		w.add("from %s", r.From)
	}
	if r.To.IsValid() {
		w.add("to %s", r.To)
	}
	if r.TOS != 0 {
		w.add("tos %#x", r.TOS)
	}
	if r.Mark != 0 || r.Mask != 0 {
		w.add("fwmark %#x", r.Mark)
		if r.Mask != 0 && r.Mask != ^uint32(0) {
			w.WriteString("/0x" + strconv.FormatUint(uint64(r.Mask), 16))
		}
	}
	if r.IIF != "" {
		w.add("iif %s", r.IIF)
	}
	if r.OIF != "" {
		w.add("oif %s", r.OIF)
	}
	w.number("tun_id", r.TunnelID)
	if r.UIDs.Set {
		w.add("uidrange %d-%d", r.UIDs.Value.First, r.UIDs.Value.Last)
	}
	w.number("ipproto", uint64(r.IPProtocol))
	r.SourcePorts.words(&w, "sport")
	r.DestinationPorts.words(&w, "dport")
	switch {
	case r.L3MasterDevice:
		w.add("l3mdev")
	case r.Action == Lookup:
		w.add("lookup %d", r.ID().Table)
	case r.Action == Goto:
		w.add("goto %d", r.Goto)
	default:
		w.add("%s", r.Action)
	}
	if r.SuppressPrefixLength.Set {
		w.add("suppress_prefixlength %d", r.SuppressPrefixLength.Value)
	}
	if r.SuppressGroup.Set {
		w.add("suppress_ifgroup %d", r.SuppressGroup.Value)
	}
	if r.Realms != 0 {
		w.add("realms %s", realms(r.Realms))
	}
	if r.Protocol != ProtocolNone {
		w.add("proto %s", r.Protocol)
	}
	return w.String()
}

func (p PortRange) words(w *words, name string) {
	switch {
	case p == PortRange{}:
	case p.First == p.Last:
		w.add("%s %d", name, p.First)
	default:
		w.add("%s %d-%d", name, p.First, p.Last)
	}
}
