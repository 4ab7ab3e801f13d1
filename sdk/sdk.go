// Package sdk makes a program a halo plugin.
//
// An author writes a check.Checker or a track.Tracker, declares its settings as
// a struct, and calls Serve from main; everything else is done here and below: describing
// the plugin, the handshake, the schedule, deadlines, batching, logging, and
// ending when the host does. The package never touches a target and decides
// nothing about one.
//
// Serve owns the process: it takes over standard output and error, the default
// logger, SIGTERM and SIGPIPE, and gives up the right to gain privileges. Read
// Plugin first; README.md is the walk-through.
package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/handshake"
	"github.com/halo-ha/halo/sdk/schema"
	"github.com/halo-ha/halo/sdk/track"
)

// Version is the version of this SDK (semver). It is told in Describe and
// never compared: what two ends can do together is found by protocol version
// and by capabilities.
const Version = "0.1.0"

// Plugin is what one program provides.
type Plugin struct {
	// Name is the file name without directory: "halo-check-tcp".
	Name string
	// Version is the plugin's own.
	Version string
	// Types lists the checks it provides, made by check.New.
	Types []check.Type
	// Trackers lists the types of trackers it provides, made by track.New.
	Trackers []track.Type
}

// Exit codes of a plugin program.
const (
	exitDone  = 0
	exitError = 1
	exitUsage = 64 // sysexits EX_USAGE, as everywhere in halo.
)

// Serve runs the plugin and does not return. Called with the argument
// "describe", "version" or "--help" it prints and exits; called by a host it
// serves until the host is gone.
func Serve(p Plugin) {
	os.Exit(run(p, os.Args[1:], os.Stdout, os.Stderr))
}

// Describe returns what the plugin says of itself, or what is wrong with its
// declaration. An author's test can call it; Serve does.
func (p Plugin) Describe() (schema.Plugin, error) {
	d := schema.Plugin{
		Name: p.Name, Version: p.Version, SDK: "go/" + Version,
		Protocols: []int{handshake.Version},
	}
	var errs []error
	add := func(described schema.Type, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		d.Types = append(d.Types, described)
	}
	for _, t := range p.Types {
		add(t.Schema())
	}
	for _, t := range p.Trackers {
		add(t.Schema())
	}
	if err := errors.Join(errs...); err != nil {
		return schema.Plugin{}, fmt.Errorf("plugin %s: %w", p.Name, err)
	}
	if problems := schema.CheckPlugin(d); len(problems) > 0 {
		return schema.Plugin{}, fmt.Errorf("plugin %s: %w", p.Name, &schema.SettingsError{Problems: problems})
	}
	return d, nil
}

func run(p Plugin, args []string, out, errOut io.Writer) int {
	described, err := p.Describe()
	if err != nil {
		fmt.Fprintln(errOut, err)
		return exitError
	}
	if len(args) > 1 {
		fmt.Fprintf(errOut, "%s: one argument at most\n%s", p.Name, usage(described))
		return exitUsage
	}
	if len(args) == 1 {
		return command(described, args[0], out, errOut)
	}
	if os.Getenv(handshake.CookieEnv) != handshake.Cookie {
		fmt.Fprintf(errOut, "%s is a plugin of halo: it is started by `halo run`, not by hand.\n%s", p.Name, usage(described))
		return exitUsage
	}
	return serve(p, described)
}

// command answers what a person asks on the command line.
func command(p schema.Plugin, word string, out, errOut io.Writer) int {
	switch word {
	case "describe":
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(p); err != nil {
			fmt.Fprintf(errOut, "%s: describe: %v\n", p.Name, err)
			return exitError
		}
	case "version", "--version":
		fmt.Fprintf(out, "%s %s (SDK %s, protocol %d)\n", p.Name, p.Version, p.SDK, handshake.Version)
	case "help", "--help", "-h":
		fmt.Fprint(out, usage(p))
	default:
		fmt.Fprintf(errOut, "%s: %q is not known\n%s", p.Name, word, usage(p))
		return exitUsage
	}
	return exitDone
}

func usage(p schema.Plugin) string {
	var text strings.Builder
	fmt.Fprintf(&text, `Usage:
  %[1]s describe    print what it provides, as JSON
  %[1]s version     print its version
  %[1]s --help      print this

It provides:
`, p.Name)
	for _, t := range p.Types {
		fmt.Fprintf(&text, "  %s %s: %s\n", t.Kind, t.Name, t.Doc)
	}
	fmt.Fprintf(&text, "\nExample:\n  halo plugin info %s\n", p.Name)
	return text.String()
}
