// Package script is the built-in plugin halo-track-script: the tracker type
// "script", which runs a program of the operator's and reads its exit code.
//
// Track scripts of Keepalived work unchanged: 0 is good, everything else is bad,
// and so is a run that does not end in time. One that cannot be executed is a
// mistake in the configuration at load and not known at run time, where
// Keepalived takes it for good. Running it safely is sdk/script's work.
// cmd/halo-plugins calls Plugin; the SDK calls a Tracker from one goroutine at a
// time.
//
// Read Settings first, then Tracker.
package script

import (
	"context"

	"github.com/halo-ha/halo/sdk"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/script"
	"github.com/halo-ha/halo/sdk/track"
)

// Name is the plugin's file name.
const Name = "halo-track-script"

// Settings are the keys of a tracker of type "script".
type Settings struct {
	Command []string `halo:"command" doc:"The program, as an absolute path, and its arguments. No shell is involved." required:"true" min:"1"`
	Dialect string   `halo:"dialect" doc:"What the exit code means: keepalived (0 is good), nagios (0 and 1 are good, 2 is bad, 3 is not known; perfdata becomes metrics)." default:"keepalived" enum:"keepalived,nagios"`
}

// Plugin is what cmd/halo-plugins serves under Name.
func Plugin() sdk.Plugin {
	return sdk.Plugin{Name: Name, Version: sdk.Version, Trackers: []track.Type{Type()}}
}

// Type declares the tracker type "script". All its trackers start their programs
// through one runner, which takes its thread with the first of them.
func Type() track.Type {
	runner := &script.Runner{}
	return track.New("script", "Run a program and read its exit code.", func(s Settings) (track.Tracker, error) {
		probe, err := runner.Probe(s.Command, script.Dialect(s.Dialect))
		if err != nil {
			return nil, err
		}
		return &Tracker{probe}, nil
	})
}

// Tracker runs one tracker's program.
type Tracker struct{ probe *script.Probe }

// Observe runs the program once, and tells it whom it runs for.
func (t *Tracker) Observe(ctx context.Context, name string) check.Result {
	return t.probe.Run(ctx, "HALO_TRACKER="+name)
}
