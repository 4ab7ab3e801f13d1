package pool

import (
	"net/netip"
	"slices"
	"time"

	"github.com/halo-ha/halo/core/ipvs"
)

// Config is one virtual server as it is configured.
type Config struct {
	// Service is the key and the attributes of the kernel's service. Its
	// destinations are not looked at: they are what the Server decides.
	Service ipvs.Service
	// Quorum is the total weight of admitted servers below which the virtual
	// server is down; less than 1 means 1.
	Quorum int
	// SorryServer takes the place of all others while the quorum is not
	// reached; invalid means that there is none. It may be one of Servers.
	SorryServer     netip.AddrPort
	SorryForwarding ipvs.Forwarding
	// Servers have addresses that are unique; of two with the same address the first counts.
	Servers []RealServer
}

// RealServer is one server behind the virtual server.
type RealServer struct {
	Address    netip.AddrPort
	Forwarding ipvs.Forwarding
	// Weight is 0..ipvs.MaxWeight, used while no check asks for another.
	Weight    int
	OnFailure OnFailure
	// Checks must all agree that the server is up; without any it always is.
	Checks []Check
}

// OnFailure says what happens in the table to a server that is not admitted.
type OnFailure uint8

const (
	// Remove takes the server out of the table; what becomes of its
	// connections is up to the kernel's sysctls.
	Remove OnFailure = iota
	// Quiesce keeps it there with weight 0: its connections go on, and
	// it gets no new one.
	Quiesce
)

// ParseOnFailure returns the policy that the configuration's word stands for.
func ParseOnFailure(word string) (OnFailure, bool) {
	switch word {
	case "remove":
		return Remove, true
	case "quiesce":
		return Quiesce, true
	default:
		return 0, false
	}
}

// Check is one check of a real server.
type Check struct {
	// Name is unique within the server.
	Name string
	// Definition stands for everything that says what is checked, and how. Two
	// checks with equal definitions are the same: the history goes on, even
	// under another name. Rise, Fall, FailOnLoss and Grace are not part of it.
	Definition string
	// Rise and Fall are how many passes or fails in a row make a verdict; less
	// than 1 means 1. Where only they change, that counts from the next result on.
	Rise, Fall int
	// FailOnLoss makes a check whose plugin is away for longer than Grace
	// fail. Otherwise its verdict stays.
	FailOnLoss bool
	Grace      time.Duration
}

// Equal reports whether two configurations are the same.
func (c *Config) Equal(o *Config) bool {
	return c.Service.Key == o.Service.Key &&
		c.Service.SameAttributes(&o.Service) &&
		c.Quorum == o.Quorum &&
		c.SorryServer == o.SorryServer &&
		c.SorryForwarding == o.SorryForwarding &&
		slices.EqualFunc(c.Servers, o.Servers, func(a, b RealServer) bool { return a.equal(&b) })
}

func (r *RealServer) equal(o *RealServer) bool {
	return r.Address == o.Address &&
		r.Forwarding == o.Forwarding &&
		r.Weight == o.Weight &&
		r.OnFailure == o.OnFailure &&
		slices.Equal(r.Checks, o.Checks)
}
