package daemon

import (
	"context"

	"github.com/halo-ha/halo/core/kernel/vmac"
	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// place is where routers speak: their interface, and their family. A router with
// a virtual MAC address has one of its own.
type place struct {
	iface  string
	family wire.Family
	// virtual is the link with the virtual MAC address, the zero value without
	// one. The interface is that link, or its parent.
	virtual vmac.Interface
}

func (p place) String() string { return p.iface + " (" + p.family.String() + ")" }

// base is the network interface that a place is on.
func (p place) base() string {
	if p.virtual.Name != "" {
		return p.virtual.Parent
	}
	return p.iface
}

// holds is the link that the addresses go to.
func (p place) holds() string {
	if p.virtual.Name != "" {
		return p.virtual.Name
	}
	return p.iface
}

// running is a speaker with its goroutine.
type running struct {
	*speaker.Speaker
	place
	cancel context.CancelFunc
	// told says that it knows of its interface.
	told bool
}
