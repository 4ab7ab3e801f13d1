package vip

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Drift is entries of an instance that were not as they should be.
type Drift struct {
	Instance  string
	Interface string // the instance's
	Addresses []Address
	Routes    []inet.Route
	Rules     []inet.Rule
	Cause     Cause
	// Err is why it could not be put right; nil when it was.
	Err error
}

// Cause is how entries came to be other than they should be.
type Cause uint8

// The causes.
const (
	// Removed: somebody else removed entries of an active instance.
	Removed Cause = iota
	// Recreated: the interface was deleted and made again under an active
	// instance.
	Recreated
	// LeftOver: entries of an instance that is not active were there when it
	// was first looked at, or that are nobody's when Sweep looked, as after a
	// crash.
	LeftOver
	// Appeared: somebody else added entries of an instance that is not active.
	Appeared
	// Changed: somebody else changed the attributes of an active instance's
	// entries.
	Changed
)

// String is the cause's word in logs and status.
func (c Cause) String() string {
	switch c {
	case Removed:
		return "removed"
	case Recreated:
		return "interface_recreated"
	case LeftOver:
		return "left_over"
	case Appeared:
		return "appeared"
	case Changed:
		return "changed"
	default:
		return "unknown"
	}
}

// driftOf is the drift of entries for one cause.
func driftOf(cause Cause, wishes []*wish) Drift {
	d := Drift{Cause: cause}
	for _, w := range wishes {
		switch w.slot.(type) {
		case addressSlot:
			d.Addresses = append(d.Addresses, w.address)
		case routeSlot:
			d.Routes = append(d.Routes, w.route)
		case ruleSlot:
			d.Rules = append(d.Rules, w.rule)
		}
	}
	return d
}

// Entries names what drifted, shortly.
func (d Drift) Entries() []string {
	list := make([]string, 0, len(d.Addresses)+len(d.Routes)+len(d.Rules))
	for _, a := range d.Addresses {
		list = append(list, nameOfAddress(a.Prefix, a.Interface, d.Interface))
	}
	for _, r := range d.Routes {
		list = append(list, nameOfRoute(r))
	}
	for _, r := range d.Rules {
		list = append(list, nameOfRule(r))
	}
	return list
}

func nameOfAddress(p netip.Prefix, iface, usual string) string {
	if iface == usual {
		return p.String()
	}
	return p.String() + " on " + iface
}

func nameOfRoute(r inet.Route) string {
	r.Protocol = inet.ProtocolNone
	return "route " + r.String()
}

func nameOfRule(r inet.Rule) string {
	r.Protocol = inet.ProtocolNone
	return "rule " + r.String()
}

// name is the entry in messages that say where it goes.
func (w *wish) name() string {
	switch s := w.slot.(type) {
	case addressSlot:
		return s.prefix.String()
	case routeSlot:
		return nameOfRoute(w.route)
	case ruleSlot:
		return nameOfRule(w.rule)
	}
	return ""
}

// place is where the entry goes, with others of its kind.
func (w *wish) place() string {
	switch s := w.slot.(type) {
	case addressSlot:
		return "addresses of " + s.iface
	case routeSlot:
		return "routes"
	case ruleSlot:
		return "rules"
	}
	return ""
}

// names are those of wishes, or of entries.
func names[W interface{ name() string }](list []W) []string {
	return each(list, W.name)
}

// brief names entries in an error: the first few, and how many more.
func brief(names []string) string {
	const few = 4
	text := "[" + strings.Join(names[:min(few, len(names))], " ") + "]"
	if more := len(names) - few; more > 0 {
		text = fmt.Sprintf("%s and %d more", text, more)
	}
	return text
}
