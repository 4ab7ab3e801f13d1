// Package session holds the plain values that the two ends of a session
// exchange: what a host tells a plugin and what a plugin answers.
//
// It is the common ground of sdk/host, which names these types for the host's
// author, and of the SDK inside the plugin. It does nothing by itself. Read
// Probe first, then Message.
package session

import (
	"encoding/json"
	"time"

	"github.com/halo-ha/halo/sdk/check"
)

// The sizes both ends agree on.
const (
	// MaxChunk is how many probes, ids or results one message may hold.
	MaxChunk = 1000
	// MaxMessage is the largest message in bytes that either end takes. gRPC's
	// own limit for a server is 4 MiB, which 1,000 probes with long settings
	// could pass.
	MaxMessage = 16 << 20
	// MaxDetail is the length in bytes at which a result's detail is cut.
	MaxDetail = 256
	// MaxMetrics is how many metrics one result may carry.
	MaxMetrics = 16
)

// Probe is one thing to check, as the core tells it to a plugin.
type Probe struct {
	// ID is chosen by the host and unique within a session.
	ID uint64
	// Type is one of the plugin's types.
	Type string
	// Tracker is the name of the tracker that the probe observes: Type is then
	// one of kind track, and Target says nothing. Empty for a check.
	Tracker  string
	Target   check.Target
	Settings json.RawMessage
	Schedule Schedule
	// LastOutcome is what the host believed before; the plugin uses it only to
	// choose between interval and retry interval after a restart.
	LastOutcome check.Outcome
}

// Subject is what lines of the log say of a probe.
func Subject(typ, tracker string, target *check.Target) []any {
	if tracker != "" {
		return []any{"type", typ, "tracker", tracker}
	}
	return []any{"check", typ, "service", target.VirtualServer, "real_server", target.RealServer.String()}
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
//
//sumtype:decl
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
	LoopLag  time.Duration // how late the loop was at worst since the last heartbeat
	Probes   int
	InFlight int
	Overdue  int
	Done     uint64 // probes ended since start
}

func (*Committed) message() {}
func (*Results) message()   {}
func (*Heartbeat) message() {}
