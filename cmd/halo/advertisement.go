package main

import (
	"io"
	"maps"
	"slices"

	"github.com/halo-ha/halo/core/control"
)

// printAdvertisements lists what hosts of IPv6 are told.
func printAdvertisements(w io.Writer, s control.Status) error {
	names := slices.Sorted(maps.Keys(s.VRRPInstances))
	names = slices.DeleteFunc(names, func(name string) bool { return s.VRRPInstances[name].RouterAdvertisement == nil })
	if len(names) == 0 {
		return nil
	}
	p := columns(w)
	p.line("")
	p.line("ROUTER ADVERTISEMENTS\tSTATE\tSOURCE\tINTERFACE\tDEFAULT ROUTER\tSENT\tSOLICITED\tNEXT IN")
	for _, name := range names {
		a := s.VRRPInstances[name].RouterAdvertisement
		router, next := "no", "-"
		if a.DefaultRouter {
			router = "yes"
		}
		if !a.Next.IsZero() {
			next = age(a.Next, s.Time)
		}
		p.line("%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s", name, a.State, a.Source, dash(a.Interface), router, a.Sent, a.Solicitations, next)
	}
	return p.done()
}
