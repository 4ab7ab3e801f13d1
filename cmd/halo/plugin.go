package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/daemon"
	"github.com/halo-ha/halo/core/pluginhost"
	"github.com/halo-ha/halo/sdk/schema"
)

func pluginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "plugin",
		Short:   "Show plugins: what is installed, what runs, what they can do",
		Example: "  halo plugin list\n  halo plugin info halo-check-tcp",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(pluginListCommand(), pluginInfoCommand())
	return cmd
}

func pluginListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List plugins with their state",
		Long: `Lists the plugins of the plugin directories. With the daemon up it shows their
processes: state, pid, restarts, probes, the last error. With the daemon down
it asks the files themselves, and the state is "installed" or "refused".

Exit status: 0 listed, 1 the plugin directories cannot be read.`,
		Example: "  halo plugin list\n  halo plugin list --json",
		Args:    exactly(0, "no argument"),
	}
	socket, file := socketFlag(cmd), configFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON (schema 1)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := control.NewClient(*socket).Plugins(cmd.Context())
		if errors.Is(err, control.ErrUnreachable) {
			fmt.Fprintf(cmd.ErrOrStderr(), "halo: %v; showing what is installed\n", err)
			list, err = installedList(cmd.Context(), *file)
		}
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), list)
		}
		p := columns(cmd.OutOrStdout())
		pluginRows(p, list.Plugins)
		return p.done()
	}
	return cmd
}

// installedList is the list without a daemon.
func installedList(ctx context.Context, file string) (control.PluginList, error) {
	found, err := daemon.Installed(ctx, file, slog.New(slog.DiscardHandler))
	list := control.PluginList{Schema: control.Schema, Plugins: []control.Plugin{}}
	for _, in := range found {
		p := control.Plugin{Name: in.Name, Path: in.Path, State: string(pluginhost.StateInstalled), Version: in.Description.Version}
		if len(in.Description.Protocols) > 0 {
			p.Protocol = in.Description.Protocols[0]
		}
		for _, t := range in.Description.Types {
			p.Types = append(p.Types, string(t.Kind)+" "+t.Name)
		}
		if in.Problem != nil {
			p.State, p.LastError = string(pluginhost.StateRefused), in.Problem.Error()
		}
		list.Plugins = append(list.Plugins, p)
	}
	return list, err
}

func pluginInfoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info NAME",
		Short: "Show what a plugin provides: its types and every setting",
		Long: `Asks the plugin itself, by name or by one of its types, and shows each type with
every setting: kind, default, range, meaning. Works with the daemon up or down.

Exit status: 0 shown, 1 no such plugin or it cannot be used.`,
		Example: "  halo plugin info halo-check-misc\n  halo plugin info misc --json",
		Args:    exactly(1, "one plugin or type"),
	}
	file := configFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print the plugin's description as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		found, err := daemon.Installed(cmd.Context(), *file, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		in, err := choose(found, args[0])
		if err != nil {
			return err
		}
		if in.Problem != nil {
			return in.Problem
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), in.Description)
		}
		return printInfo(cmd.OutOrStdout(), in)
	}
	return cmd
}

// choose finds a plugin by its name, the name's end, or a type it provides.
func choose(found []pluginhost.Installed, name string) (pluginhost.Installed, error) {
	provides := func(in pluginhost.Installed) bool {
		return in.Name == name || slices.ContainsFunc(in.Description.Types, func(t schema.Type) bool { return t.Name == name })
	}
	if at := slices.IndexFunc(found, provides); at >= 0 {
		return found[at], nil
	}
	names := make([]string, len(found))
	for i, in := range found {
		names[i] = in.Name
	}
	if len(names) == 0 {
		names = []string{"none; set [global] plugin_dirs, or install them beside the halo binary in plugins/"}
	}
	return pluginhost.Installed{}, fmt.Errorf("no plugin or type %q; installed: %s", name, strings.Join(names, ", "))
}

func printInfo(w io.Writer, in pluginhost.Installed) error {
	p := columns(w)
	d := in.Description
	protocols := strings.Trim(fmt.Sprint(d.Protocols), "[]")
	p.line("%s %s\t\t", d.Name, d.Version)
	p.line("  path\t%s", in.Path)
	p.line("  sdk\t%s, protocol %s", d.SDK, protocols)
	for _, t := range d.Types {
		p.line("")
		p.line("%s %s: %s", t.Kind, t.Name, t.Doc)
		if len(t.Settings) == 0 {
			p.line("  no settings of its own")
			continue
		}
		p.line("  SETTING\tKIND\tDEFAULT\tALLOWED\tMEANING")
		for _, s := range t.Settings {
			p.line("  %s\t%s\t%s\t%s\t%s", s.Name, s.Kind, defaultOf(s), allowed(s), s.Doc)
		}
	}
	return p.done()
}

func defaultOf(s schema.Setting) string {
	if s.Required {
		return "required"
	}
	return dash(s.Default)
}

// allowed says what values a setting takes, in one cell.
func allowed(s schema.Setting) string {
	switch {
	case len(s.Enum) > 0:
		return strings.Join(s.Enum, " | ")
	case s.Min != "" && s.Max != "":
		return s.Min + ".." + s.Max
	case s.Min != "":
		return "at least " + s.Min
	case s.Max != "":
		return "at most " + s.Max
	default:
		return "any"
	}
}
