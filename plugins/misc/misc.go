// Package misc is the built-in plugin halo-check-misc: the check type "misc",
// which runs a program of the operator's and reads its exit code.
//
// What an exit code means is a dialect, written in the configuration and never
// guessed. A program that cannot be run is a mistake in the configuration at
// load and not known at run time; it never passes and never fails. Running it
// safely is sdk/script's work. cmd/halo-plugins calls Plugin; the SDK calls a
// Checker from one goroutine at a time.
//
// Read Settings first, then Checker.
package misc

import (
	"context"
	"net/netip"
	"strconv"

	"github.com/halo-ha/halo/sdk"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/script"
)

// Name is the plugin's file name.
const Name = "halo-check-misc"

// Settings are the keys of a check of type "misc".
type Settings struct {
	Command []string `halo:"command" doc:"The program, as an absolute path, and its arguments. No shell is involved." required:"true" min:"1"`
	Dialect string   `halo:"dialect" doc:"What the exit code means: keepalived (0 is good), keepalived-dynamic (2 to 255 also set the weight to code - 2), nagios (0 and 1 are good, 2 is bad, 3 is not known; perfdata becomes metrics)." default:"keepalived" enum:"keepalived,keepalived-dynamic,nagios"`
}

// Plugin is what cmd/halo-plugins serves under Name.
func Plugin() sdk.Plugin {
	return sdk.Plugin{Name: Name, Version: sdk.Version, Types: []check.Type{Type()}}
}

// Type declares the check type "misc". All its checkers start their programs
// through one runner, which takes its thread with the first of them.
func Type() check.Type {
	runner := &script.Runner{}
	return check.New("misc", "Run a program and read its exit code.", func(s Settings) (check.Checker, error) {
		return build(runner, s)
	})
}

func build(runner *script.Runner, s Settings) (check.Checker, error) {
	probe, err := runner.Probe(s.Command, script.Dialect(s.Dialect))
	if err != nil {
		return nil, err
	}
	return &Checker{probe}, nil
}

// Checker runs one probe's program.
type Checker struct{ probe *script.Probe }

// Check runs the program once.
func (c *Checker) Check(ctx context.Context, t check.Target) check.Result {
	return c.probe.Run(ctx, facts(t)...)
}

// facts tells the program whom the probe is for. A fact that the probe does
// not have is left out, so that "unset" and "empty" need not be told apart.
func facts(t check.Target) []string {
	env := make([]string, 0, 8)
	add := func(name, value string) {
		if value != "" {
			env = append(env, "HALO_"+name+"="+value)
		}
	}
	if t.Address.IsValid() {
		add("ADDRESS", t.Address.String())
	}
	if t.Port != 0 {
		add("PORT", strconv.Itoa(int(t.Port)))
	}
	add("REAL_SERVER", endpoint(t.RealServer))
	add("VIRTUAL_SERVER", t.VirtualServer)
	add("VIRTUAL_ADDRESS", endpoint(t.VirtualAddress))
	add("PROTOCOL", t.Protocol)
	if t.Bind.IsValid() {
		add("BIND", t.Bind.String())
	}
	return env
}

func endpoint(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
