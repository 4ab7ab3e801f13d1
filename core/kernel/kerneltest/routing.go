package kerneltest

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// routing is what a Kernel has of routes and rules. The routes of the links'
// own subnets, which the kernel makes, are not among them.
type routing struct {
	routes   []inet.Route
	rules    []inet.Rule
	watchers []func([]inet.Route, []inet.Rule)
}

// Routes lists routes.
func (k *Kernel) Routes(filter inet.RouteFilter) ([]inet.Route, error) {
	k.enter(CallListRoutes)
	defer k.mu.Unlock()
	if err := k.fails(CallListRoutes); err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var found []inet.Route
	for _, r := range k.routes {
		if filter.Matches(r) {
			found = append(found, r)
		}
	}
	return found, nil
}

// PutRoutes makes routes be there as given, unless somebody else has one of the
// same identity.
func (k *Kernel) PutRoutes(routes []inet.Route) error {
	return k.changeRoutes(CallPutRoutes, "put", routes, func(r inet.Route, at int) error {
		if at >= 0 && k.routes[at].Protocol != r.Protocol {
			return fmt.Errorf("%w: %s", unix.EEXIST, k.routes[at])
		}
		return k.install(r, at)
	})
}

// ReplaceRoutes puts routes in the place of those of the same identity.
func (k *Kernel) ReplaceRoutes(routes []inet.Route) error {
	return k.changeRoutes(CallPutRoutes, "replace", routes, k.install)
}

// DelRoutes deletes the routes of these identities and marks.
func (k *Kernel) DelRoutes(routes []inet.Route) error {
	return k.changeRoutes(CallDeleteRoutes, "delete", routes, func(r inet.Route, at int) error {
		if at >= 0 && k.routes[at].Protocol == r.Protocol {
			k.routes = slices.Delete(k.routes, at, at+1)
		}
		return nil
	})
}

// changeRoutes does one thing with each route, its mark filled in, and the place
// of the route of its identity, or -1.
func (k *Kernel) changeRoutes(call Call, verb string, routes []inet.Route, do func(r inet.Route, at int) error) error {
	k.enter(call)
	for _, r := range routes {
		k.journal = append(k.journal, fmt.Sprintf("%s route %s", verb, r))
	}
	if err := k.fails(call); err != nil {
		k.mu.Unlock()
		return fmt.Errorf("%s routes: %w", verb, err)
	}
	var failed []inet.Failure
	for i, r := range routes {
		var err error
		switch {
		case !r.Destination.IsValid(), call == CallPutRoutes && r.Check() != nil:
			err = r.Check()
		default:
			r.Protocol = r.ProtocolOrDefault()
			err = do(r, slices.IndexFunc(k.routes, func(o inet.Route) bool { return o.ID() == r.ID() }))
		}
		if err != nil {
			failed = append(failed, inet.Failure{Index: i, Err: fmt.Errorf("%s route %s: %w", verb, routes[i], err)})
		}
	}
	k.leave()
	return batchError(failed)
}

// install puts a route into the table if its links can carry it.
func (k *Kernel) install(r inet.Route, at int) error {
	r.NextHops = slices.Clone(r.NextHops)
	for i := range r.NextHops {
		if err := k.resolve(&r.NextHops[i]); err != nil {
			return err
		}
	}
	if r.Source.IsValid() && !k.local(r.Source) {
		return unix.EINVAL
	}
	if at >= 0 {
		k.routes[at] = r
	} else {
		k.routes = append(k.routes, r)
	}
	return nil
}

// resolve finds the link of a next hop.
func (k *Kernel) resolve(hop *inet.NextHop) error {
	reaches := func(l *memoryLink) bool {
		return slices.ContainsFunc(l.entries, func(a inet.Address) bool { return a.Contains(hop.Gateway) })
	}
	if hop.Link == "" {
		i := slices.IndexFunc(k.links, func(l *memoryLink) bool { return l.Up && reaches(l) })
		if i < 0 {
			return unix.ENETUNREACH
		}
		hop.Link = k.links[i].Name
		return nil
	}
	switch l := k.find(hop.Link); {
	case l == nil:
		return fmt.Errorf("link %s: %w", hop.Link, unix.ENODEV)
	case !l.Up:
		return unix.ENETDOWN
	case hop.Gateway.IsValid() && !hop.OnLink && !hop.Gateway.IsLinkLocalUnicast() && !reaches(l):
		return unix.ENETUNREACH
	}
	return nil
}

// local tells whether a link has an address.
func (k *Kernel) local(address netip.Addr) bool {
	return slices.ContainsFunc(k.links, func(l *memoryLink) bool {
		return slices.ContainsFunc(l.entries, func(a inet.Address) bool { return a.Addr() == address })
	})
}

// settleRoutes deletes the routes all of whose next hops are dead, and the IPv4
// ones whose source is not there any more.
func (k *Kernel) settleRoutes(dead func(inet.Route, inet.NextHop) bool) {
	k.routes = slices.DeleteFunc(k.routes, func(r inet.Route) bool {
		alive := slices.ContainsFunc(r.NextHops, func(hop inet.NextHop) bool { return !dead(r, hop) })
		return len(r.NextHops) > 0 && !alive || r.Is4() && r.Source.IsValid() && !k.local(r.Source)
	})
}

// Rules lists the rules that carry a mark, zero being all.
func (k *Kernel) Rules(protocol inet.Protocol) ([]inet.Rule, error) {
	k.enter(CallListRules)
	defer k.mu.Unlock()
	if err := k.fails(CallListRules); err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	var found []inet.Rule
	for _, r := range k.rules {
		if protocol == inet.ProtocolNone || r.Protocol == protocol {
			found = append(found, r)
		}
	}
	return found, nil
}

// PutRules makes rules be there.
func (k *Kernel) PutRules(rules []inet.Rule) error {
	return k.changeRules(CallPutRules, "put", rules, func(r inet.Rule) {
		if !slices.Contains(k.rules, r) {
			k.rules = append(k.rules, r)
			// The list is in the order of trying: IPv4 first, then by priority.
			slices.SortStableFunc(k.rules, func(a, b inet.Rule) int {
				if a.IPv6 != b.IPv6 {
					if b.IPv6 {
						return -1
					}
					return 1
				}
				return cmp.Compare(a.Priority, b.Priority)
			})
		}
	})
}

// DelRules deletes rules that carry the given marks.
func (k *Kernel) DelRules(rules []inet.Rule) error {
	return k.changeRules(CallDeleteRules, "delete", rules, func(r inet.Rule) {
		k.rules = slices.DeleteFunc(k.rules, func(o inet.Rule) bool { return o == r })
	})
}

func (k *Kernel) changeRules(call Call, verb string, rules []inet.Rule, do func(inet.Rule)) error {
	k.enter(call)
	for _, r := range rules {
		k.journal = append(k.journal, fmt.Sprintf("%s rule %s", verb, r))
	}
	if err := k.fails(call); err != nil {
		k.mu.Unlock()
		return fmt.Errorf("%s rules: %w", verb, err)
	}
	var failed []inet.Failure
	for i, r := range rules {
		if err := r.Check(); err != nil {
			failed = append(failed, inet.Failure{Index: i, Err: fmt.Errorf("%s rule %s: %w", verb, r, err)})
			continue
		}
		protocol := r.ProtocolOrDefault()
		r = r.ID()
		r.Protocol = protocol
		do(r)
	}
	k.leave()
	return batchError(failed)
}

// PlaceRoutes adds routes by somebody else's hand, with the marks that they
// have.
func (k *Kernel) PlaceRoutes(routes ...inet.Route) {
	k.mu.Lock()
	k.routes = append(k.routes, routes...)
	k.leave()
}

// DropRoutes deletes routes by somebody else's hand, whoever made them.
func (k *Kernel) DropRoutes(routes ...inet.Route) {
	k.mu.Lock()
	k.routes = slices.DeleteFunc(k.routes, func(o inet.Route) bool {
		return slices.ContainsFunc(routes, func(r inet.Route) bool { return r.ID() == o.ID() })
	})
	k.leave()
}

// PlaceRules adds rules by somebody else's hand, with the marks that they have.
func (k *Kernel) PlaceRules(rules ...inet.Rule) {
	k.mu.Lock()
	k.rules = append(k.rules, rules...)
	k.leave()
}

// DropRules deletes rules by somebody else's hand, whoever made them.
func (k *Kernel) DropRules(rules ...inet.Rule) {
	k.mu.Lock()
	k.rules = slices.DeleteFunc(k.rules, func(o inet.Rule) bool {
		return slices.ContainsFunc(rules, func(r inet.Rule) bool { return r.ID() == o.ID() })
	})
	k.leave()
}

// WatchRouting calls f with all routes and rules now and after every change. It
// is called from the goroutine that made the change and must not block.
func (k *Kernel) WatchRouting(f func([]inet.Route, []inet.Rule)) {
	k.mu.Lock()
	k.routing.watchers = append(k.routing.watchers, f)
	k.leave()
}

func (r *routing) text(b *strings.Builder) {
	lines := make([]string, 0, len(r.routes))
	for _, route := range r.routes {
		lines = append(lines, route.String())
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Fprintf(b, "route %s\n", line)
	}
	for _, rule := range r.rules {
		fmt.Fprintf(b, "rule %s\n", rule)
	}
}
