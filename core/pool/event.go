package pool

import (
	"net/netip"

	"github.com/halo-ha/halo/core/ipvs"
)

// Event is something that happened to a virtual server: CheckResult, PluginLost,
// DeadlineReached, Adopted or Reconfigured.
//
//sumtype:decl
type Event interface{ event() }

// Outcome is what one probe found.
type Outcome uint8

// The outcomes. The zero value is the one that says nothing.
const (
	OutcomeUnknown Outcome = iota
	OutcomePass
	OutcomeFail
)

// String returns "unknown", "pass" or "fail".
func (o Outcome) String() string {
	switch o {
	case OutcomePass:
		return "pass"
	case OutcomeFail:
		return "fail"
	case OutcomeUnknown:
		return "unknown"
	default:
		return "invalid"
	}
}

// CheckResult is the outcome of one probe, as far as it can change anything:
// how long the probe took and what it measured is not the pool's business.
// Results about servers and checks that are not configured are ignored.
type CheckResult struct {
	Server netip.AddrPort
	Check  string
	// Definition is what was probed, as in Check.Definition. A result with
	// another one is of a probe that began before a reload, and is ignored.
	// Empty means that the sender knows it to be current.
	Definition string
	Outcome    Outcome
	// Reason is a word and Detail is for people; both may be empty.
	Reason, Detail string
	// Weighted says that a pass came with Weight, which counts in place of the
	// configured one until the next pass. Other outcomes say nothing of weight.
	Weighted bool
	Weight   int
}

// PluginLost says that nobody probes this check at the moment. The next result
// of any outcome ends that.
type PluginLost struct {
	Server netip.AddrPort
	Check  string
}

// DeadlineReached says that the time Deadline returned has come. It may come
// late, early or for nothing.
type DeadlineReached struct{}

// Adopted tells what the kernel served under this service before this process
// touched it. Servers that nothing is known about stay in service with it.
type Adopted struct{ Destinations []ipvs.Destination }

// Reconfigured replaces the configuration. Servers are the same by address.
type Reconfigured struct{ Config Config }

func (CheckResult) event()     {}
func (PluginLost) event()      {}
func (DeadlineReached) event() {}
func (Adopted) event()         {}
func (Reconfigured) event()    {}
