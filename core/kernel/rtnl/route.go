package rtnl

import (
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Routes lists routes of both families, in the kernel's order. The kernel
// filters, so that halo's few routes are found quickly among very many.
func (h *Handle) Routes(filter inet.RouteFilter) ([]inet.Route, error) {
	var routes []inet.Route
	err := h.read(func(s *socket) error {
		names, err := s.linkNames()
		if err == nil {
			routes, err = s.dumpRoutes(filter, names)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return routes, nil
}

// PutRoutes makes routes be there as given, with halo's mark unless a route has
// another. A route of the same identity and mark that is there with other
// attributes is replaced. One that somebody else made is left alone, and is an
// error that wraps EEXIST: taking it away would be for ever. Every route is
// tried; what failed is in an inet.BatchError.
func (h *Handle) PutRoutes(routes []inet.Route) error {
	results := h.newRoutes(routes, netlink.Create|netlink.Excl)
	if slices.ContainsFunc(results, func(err error) bool { return errors.Is(err, unix.EEXIST) }) {
		if err := h.adaptRoutes(routes, results); err != nil {
			return fmt.Errorf("put routes: %w", err)
		}
	}
	return failures(results, func(i int) string { return fmt.Sprintf("put route %s", routes[i]) })
}

// ReplaceRoutes puts routes in the place of those of the same identity, whoever
// made them, or adds them where there is none.
func (h *Handle) ReplaceRoutes(routes []inet.Route) error {
	results := h.newRoutes(routes, netlink.Create|netlink.Replace)
	return failures(results, func(i int) string { return fmt.Sprintf("replace route %s", routes[i]) })
}

// newRoutes asks for routes. A link that does not exist fails its routes alone.
func (h *Handle) newRoutes(routes []inet.Route, flags netlink.HeaderFlags) []error {
	h.changing.Lock()
	defer h.changing.Unlock()
	type found struct {
		index int
		err   error
	}
	links := make(map[string]found)
	index := func(link string) (int, error) {
		f, ok := links[link]
		if !ok {
			if f.index, f.err = h.changes.linkIndex(link); f.err != nil {
				f.err = fmt.Errorf("link %s: %w", link, f.err)
			}
			links[link] = f
		}
		return f.index, f.err
	}
	return h.changes.execute(eachRequest(routes, func(r inet.Route) request { return newRoute(r, index, flags) }))
}

// adaptRoutes deals with the routes that were there already: their results are
// replaced by those of making them as wanted. Whose a route is can only be seen
// in the whole table, which may be the whole Internet's: nobody waits for that.
func (h *Handle) adaptRoutes(wanted []inet.Route, results []error) error {
	present, err := h.Routes(commonTable(wanted))
	if err != nil {
		return err
	}
	byID := make(map[inet.RouteID][]inet.Route)
	for _, r := range present {
		byID[r.ID()] = append(byID[r.ID()], r)
	}
	var replacing []inet.Route
	var places []int
	for i, want := range wanted {
		if !errors.Is(results[i], unix.EEXIST) {
			continue
		}
		have := byID[want.ID()]
		own := slices.IndexFunc(have, func(r inet.Route) bool { return r.Protocol == want.ProtocolOrDefault() })
		switch {
		case own >= 0 && have[own].Satisfies(want):
			results[i] = nil
		case own == 0:
			replacing, places = append(replacing, want), append(places, i)
		case len(have) > 0:
			results[i] = fmt.Errorf("%w: %s", unix.EEXIST, have[0])
		}
	}
	for j, err := range h.newRoutes(replacing, netlink.Create|netlink.Replace) {
		results[places[j]] = err
	}
	return nil
}

// commonTable is a filter for the table of all the routes, or for nothing where
// there are several.
func commonTable(routes []inet.Route) inet.RouteFilter {
	table := routes[0].TableOrDefault()
	if slices.ContainsFunc(routes, func(r inet.Route) bool { return r.TableOrDefault() != table }) {
		return inet.RouteFilter{}
	}
	return inet.RouteFilter{Table: table}
}

// commonMark is whose all the routes are, or nobody's where they differ.
func commonMark(routes []inet.Route) inet.Protocol {
	mark := routes[0].ProtocolOrDefault()
	if slices.ContainsFunc(routes, func(r inet.Route) bool { return r.ProtocolOrDefault() != mark }) {
		return inet.ProtocolNone
	}
	return mark
}

// DelRoutes deletes the routes of these identities and marks; zero is halo's.
// What is missing counts as deleted, and the routes of others stay. Every route
// is tried; what failed is in an inet.BatchError.
func (h *Handle) DelRoutes(routes []inet.Route) error {
	missing := make([]bool, len(routes))
	// Asked to delete an IPv4 route without a metric, the kernel takes one with
	// whatever metric if there is none without.
	if slices.ContainsFunc(routes, func(r inet.Route) bool { return r.Is4() && r.Metric == 0 }) {
		filter := commonTable(routes)
		filter.Protocol = commonMark(routes) // Else it may be the whole Internet's.
		present, err := h.Routes(filter)
		if err != nil {
			return fmt.Errorf("delete routes: %w", err)
		}
		type owned struct {
			inet.RouteID
			inet.Protocol
		}
		there := make(map[owned]bool, len(present))
		for _, r := range present {
			there[owned{r.ID(), r.Protocol}] = true
		}
		for i, r := range routes {
			missing[i] = r.Destination.IsValid() && !there[owned{r.ID(), r.ProtocolOrDefault()}]
		}
	}
	h.changing.Lock()
	defer h.changing.Unlock()
	var requests []request
	var places []int
	for i, r := range routes {
		if !missing[i] {
			requests, places = append(requests, delRoute(r)), append(places, i)
		}
	}
	return failures(h.changes.execute(requests), func(j int) string {
		return fmt.Sprintf("delete route %s", routes[places[j]])
	}, unix.ESRCH, unix.ENOENT)
}

// linkNames are the names of all links by index.
func (s *socket) linkNames() (func(index int) string, error) {
	links, err := s.dumpBareLinks()
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.Index] = l.Name
	}
	return func(index int) string { return names[index] }, err
}

// dumpRoutes reads the routes of both families.
func (s *socket) dumpRoutes(filter inet.RouteFilter, names func(int) string) ([]inet.Route, error) {
	var routes []inet.Route
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		header := make([]byte, routeHeaderSize)
		header[0], header[5] = family, byte(filter.Protocol)
		message, err := body(header, func(a *netlink.AttributeEncoder) {
			if filter.Table != 0 {
				a.Uint32(unix.RTA_TABLE, filter.Table)
			}
		})
		err = s.dump(request{kind: unix.RTM_GETROUTE, body: message, err: err},
			func(kind netlink.HeaderType, body []byte) error {
				// Some dumps also have what is not of an internet family.
				if kind != unix.RTM_NEWROUTE || len(body) == 0 || body[0] != family {
					return nil
				}
				r, cloned, err := parseRoute(body, names)
				// Kernels without strict checking send everything.
				if err != nil || cloned || !filter.Matches(r) {
					return err
				}
				routes = append(routes, r)
				return nil
			})
		// A table that was never used, or a family that the kernel lacks.
		if err != nil && !isAny(err, []unix.Errno{unix.ENOENT, unix.EAFNOSUPPORT, unix.EOPNOTSUPP}) {
			return nil, err
		}
	}
	return routes, nil
}
