// Package host is the other side of the SDK: what a program that runs plugins
// imports. halo's core is one such program, the conformance kit is another.
//
// It hides go-plugin's types and the generated protobuf code behind plain
// values and gives every call a deadline. It starts and stops no process: the
// caller owns the child and everything about its life.
//
// Read Client first, then Session.
package host

import (
	"encoding/json"
	"time"

	"github.com/halo-ha/halo/sdk/check"
)

// Probe is one thing to check, as the core tells it to a plugin.
type Probe struct {
	// ID is chosen by the host and unique within a session.
	ID uint64
	// Type is one of the plugin's types.
	Type     string
	Target   check.Target
	Settings json.RawMessage
	Schedule Schedule
	// LastOutcome is what the host believed before; the plugin uses it only to
	// choose between interval and retry interval after a restart.
	LastOutcome check.Outcome
}

// Schedule is when a probe runs. The plugin owns the cadence; rise and fall
// are told only so that it knows when to use RetryInterval.
type Schedule struct {
	Interval, RetryInterval, Timeout time.Duration
	Rise, Fall                       int
}

// Diagnostic is a plugin's complaint about a probe's settings.
type Diagnostic struct {
	ProbeID uint64
	// Attribute is the setting's key, empty for the whole.
	Attribute string
	Warning   bool
	Message   string
}

// Message is what a plugin says in a session: *Committed, *Results or *Heartbeat.
type Message interface{ message() }

// Committed says that the plugin's set of probes is now that generation's.
type Committed struct{ Generation uint64 }

// Results carries outcomes, oldest first.
type Results struct {
	Generation uint64
	Results    []ProbeResult
}

// ProbeResult is one outcome.
type ProbeResult struct {
	ID uint64
	check.Result
	// Age is how long before sending the probe ended.
	Age time.Duration
}

// Heartbeat leaves the plugin's scheduler loop every second.
type Heartbeat struct {
	LoopLag  time.Duration // how late the loop last was
	Probes   int
	InFlight int
	Overdue  int
	Done     uint64 // probes ended since start
}

func (*Committed) message() {}
func (*Results) message()   {}
func (*Heartbeat) message() {}
