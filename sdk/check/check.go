// Package check holds what the author of a checker implements.
//
// A checker is asked one question, "is this target good?", and answers with a
// Result. It keeps no schedule, counts no successes and decides nothing: the
// SDK calls it when a probe is due and enforces the deadline; the core counts
// rise and fall and moves traffic. The package imports the standard library
// only.
//
// Read Checker first, then New.
package check

import (
	"context"
	"net/netip"
	"time"
)

// Checker answers for one probe: one target with one set of settings. The SDK
// never calls the same Checker twice at once, but different Checkers of one
// type run concurrently.
type Checker interface {
	// Check probes t once. ctx ends at the deadline (the probe's timeout);
	// what is returned after it is discarded and counts as ReasonTimeout.
	Check(ctx context.Context, t Target) Result
}

// Starter is the form for checkers that do not want a goroutine per probe,
// such as the TCP checker's single epoll loop. If a Checker also implements
// Starter the SDK calls Start instead of Check.
type Starter interface {
	// Start begins a probe and returns at once. done is called exactly once,
	// from any goroutine, not later than deadline; the SDK itself reports
	// ReasonTimeout shortly after the deadline if it was not.
	Start(deadline time.Time, t Target, done func(Result))
}

// Target is whom to probe.
type Target struct {
	// Address and Port are where to connect: the real server's, or
	// connect_address and connect_port where the configuration has them.
	Address netip.Addr
	Port    uint16
	// RealServer is the real server as the core knows it (IP:port).
	RealServer netip.AddrPort
	// VirtualServer is the name of the virtual server; VirtualAddress is its
	// address (invalid for a service without one).
	VirtualServer  string
	VirtualAddress netip.AddrPort
	// Protocol is "tcp" or "udp": the service's, not the probe's.
	Protocol string
	// Bind is the local address to connect from; invalid means the kernel chooses.
	Bind netip.Addr
}

// Outcome is what a probe found.
type Outcome uint8

// The outcomes. Unknown is the zero value on purpose: what was not said is not known.
const (
	Unknown Outcome = iota
	Pass
	Fail
)

// Result is the answer of one probe.
type Result struct {
	Outcome Outcome
	Reason  Reason
	// Detail is for people: UTF-8, cut at 256 bytes.
	Detail string
	// Took is how long the probe took; the SDK measures it when zero.
	Took time.Duration
	// Weight, when set, is the weight the server asks for (0 .. 2^31-1);
	// the core uses it in place of the configured one until the next result.
	Weight *int
	// Metrics are exported by the core as halo_check_metric; at most 16, names [a-z_]+.
	Metrics map[string]float64
}
