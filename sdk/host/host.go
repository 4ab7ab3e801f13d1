// Package host is the other side of the SDK: what a program that runs plugins
// imports. halo's core is one such program, the conformance kit is another.
//
// It hides the generated protobuf code behind plain values and gives every
// call a deadline. It starts and stops no process: the caller owns the child
// and everything about its life, and gives go-plugin's client the Handshake
// and the PluginSet of this package. What a plugin says is treated as hostile:
// sizes are capped, texts are made printable, a flood ends the session.
//
// Read Client first, then Session.
package host

import (
	"github.com/halo-ha/halo/sdk/internal/session"
)

// Probe is one thing to check, as the core tells it to a plugin: its ID, which
// the host chooses and which is unique within a session; the Type, one of the
// plugin's; the Target, or of a tracker the name; the type's Settings as a JSON object; the Schedule;
// and the LastOutcome the host believed before, which only helps a restarted
// plugin to choose between interval and retry interval.
type Probe = session.Probe

// Schedule is when a probe runs: Interval, RetryInterval, Timeout, Rise, Fall.
// The plugin owns the cadence; rise and fall are told only so that it knows
// when to use RetryInterval.
type Schedule = session.Schedule

// Diagnostic is a plugin's complaint about a probe's settings: ProbeID,
// Attribute (the setting's key, empty for the whole), Warning, Message.
type Diagnostic = session.Diagnostic

// Message is what a plugin says in a session: *Committed, *Results or *Heartbeat.
type Message = session.Message

// Committed says that the plugin's set of probes is now that Generation's.
type Committed = session.Committed

// Results carries outcomes, oldest first, and the Generation that was
// committed when they were sent.
type Results = session.Results

// ProbeResult is one outcome: the probe's ID, a check.Result, and its Age,
// which is how long before sending the probe ended.
type ProbeResult = session.ProbeResult

// Heartbeat leaves the plugin's scheduler loop every second: LoopLag (how late
// the loop was at worst since the last one), Probes, InFlight, Overdue, and
// Done (probes ended since the start).
type Heartbeat = session.Heartbeat
