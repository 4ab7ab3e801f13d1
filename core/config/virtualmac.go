package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// VMAC is the virtual MAC address of a virtual router (RFC 9568 §7.3): a link of
// its own in each family that there are addresses of.
type VMAC struct {
	Name     string `json:"name"`      // of the link for IPv4, default vrrp.VRID; empty where there is no such address
	IPv6Name string `json:"ipv6_name"` // of the one for IPv6, default vrrp6.VRID
	// XmitBase sends and receives advertisements through the interface itself;
	// default false. Unicast always does.
	XmitBase bool `json:"xmit_base"`
}

// madeLink is a link that an instance makes, with its key.
type madeLink struct{ key, name string }

// another is a name for it where the usual one is taken.
func (l madeLink) another(vrid uint8) string {
	if l.key == "ipv6_name" {
		return fmt.Sprintf("vrrp61.%d", vrid)
	}
	return fmt.Sprintf("vrrp1.%d", vrid)
}

// links are those of an instance.
func (i *Instance) links() []madeLink {
	if i.VMAC == nil {
		return nil
	}
	links := []madeLink{{"name", i.VMAC.Name}, {"ipv6_name", i.VMAC.IPv6Name}}
	return slices.DeleteFunc(links, func(l madeLink) bool { return l.name == "" })
}

// vmacForm takes whether there is a virtual MAC address, or a table that says
// more.
type vmacForm struct{}

func (vmacForm) expected() string { return "true or false, or a table such as { xmit_base = true }" }

func (f vmacForm) read(v value) (*VMAC, bool) {
	if v.node.shape != dictionary {
		truth, ok := v.node.value.(bool)
		if !ok {
			v.wrongType(f.expected(), booleans{}.suggestion(v.node.value))
		}
		if !truth {
			return nil, ok
		}
		return &VMAC{}, true
	}
	t := v.reader.table(v.path, v.node, vmacHints())
	defer t.done()
	m := &VMAC{
		Name:     ask(t, "name", linkNames()).optional(),
		IPv6Name: ask(t, "ipv6_name", linkNames()).optional(),
		XmitBase: ask(t, "xmit_base", booleans{}).or(false),
	}
	return m, len(t.bad) == 0
}

// linkNames are names for links that are made, which can be fewer than those of
// links that are there: the kernel replaces %d by a number, and has settings of
// all interfaces under names that are no interface's.
func linkNames() text {
	form := interfaceNames()
	form.what = `a name for a network interface such as "vrrp.51"`
	known := form.test
	form.test = func(word string) string {
		switch {
		case strings.Contains(word, "%"):
			return "holds a %, which the kernel replaces"
		case word == "all" || word == "default":
			return "is what the kernel calls the settings of all interfaces"
		}
		return known(word)
	}
	return form
}

// vmacRules judges the virtual MAC address and accept, and names links that have
// no name.
func (t *table) vmacRules(in *Instance) {
	if !in.Accept && in.Priority == 255 && t.fine("accept", "priority") {
		// RFC 9568 §6.1, Accept_Mode: the owner accepts whatever it says.
		t.odd("accept", "has no effect with priority 255: the address owner always accepts", "accept = true, or a priority from 1 to 254")
	}
	if in.VMAC == nil || !t.fine("vmac", "addresses", "virtual_router_id", "interface") {
		return
	}
	for _, family := range []struct {
		key, usual string
		name       *string
		is         func(netip.Addr) bool
	}{
		{"name", "vrrp.%d", &in.VMAC.Name, netip.Addr.Is4},
		{"ipv6_name", "vrrp6.%d", &in.VMAC.IPv6Name, netip.Addr.Is6},
	} {
		switch has := slices.ContainsFunc(in.Addresses, func(a Address) bool { return family.is(a.Addr()) }); {
		case has && *family.name == "":
			*family.name = fmt.Sprintf(family.usual, in.VRID)
		case !has && *family.name != "":
			t.vmacProblem(family.key, SeverityWarning, "has no effect: there is no address of that family", "no "+family.key)
			*family.name = ""
		}
		if *family.name == in.Interface {
			t.vmacProblem(family.key, SeverityError, quoted(in.Interface)+" is the interface that it is made on", "another name")
		}
	}
	if in.VMAC.Name != "" && in.VMAC.Name == in.VMAC.IPv6Name {
		t.vmacProblem("ipv6_name", SeverityError, quoted(in.VMAC.Name)+" is the name of the link for IPv4", "two links, one for each family")
	}
}

// vmacProblem reports what is wrong with a key of the table under vmac, or with
// vmac itself where there is none.
func (t *table) vmacProblem(key string, severity Severity, message, expected string) {
	path, node := join(t.path, "vmac"), t.node.entries["vmac"]
	if inner := node.entries[key]; inner != nil {
		path, node = join(path, key), inner
	}
	if severity == SeverityError {
		t.bad = append(t.bad, "vmac")
	}
	t.reader.report(severity, node.start, Problem{Key: path, Message: message, Expected: expected})
}

// linkSet finds links that would get in the way of others.
type linkSet struct {
	made map[string]*table // by name, and by whom
	used map[string]*table // as an interface
}

// add compares the links of an instance with what was there before it.
func (s *linkSet) add(t *table, in *Instance) {
	if s.made == nil {
		s.made, s.used = map[string]*table{}, map[string]*table{}
	}
	for _, l := range in.links() {
		if !t.fine("vmac") {
			break
		}
		another := fmt.Sprintf("another name, such as vmac = { %s = %q }", l.key, l.another(in.VRID))
		switch {
		case s.made[l.name] != nil:
			first := s.made[l.name]
			t.vmacProblem(l.key, SeverityError, fmt.Sprintf("the link %s is made by %s on line %d", l.name, first.path, t.reader.source.line(first.at("vmac"))), another)
		case s.used[l.name] != nil:
			first := s.used[l.name]
			t.vmacProblem(l.key, SeverityError, fmt.Sprintf("the link %s is the interface of %s on line %d", l.name, first.path, t.reader.source.line(first.at("interface"))), another)
		default:
			s.made[l.name] = t
		}
	}
	if !t.fine("interface") {
		return
	}
	if first := s.made[in.Interface]; first != nil && first != t {
		t.wrong("interface", fmt.Sprintf("%s is a link that %s makes for itself", quoted(in.Interface), first.path), "the interface below it", "")
		return
	}
	s.used[in.Interface] = t
}
