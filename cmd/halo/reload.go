package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/halo-ha/halo/core/control"
)

func reloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Apply the changed configuration file, or learn why it is refused",
		Long: `Makes the daemon read its file again and waits for the outcome. The file is
validated completely first, plugin settings included. An invalid file changes
nothing: the running configuration goes on. A valid one is applied as a
difference: objects that did not change keep their sockets, timers, state and
history.

Exit status: 0 applied (or nothing to change), 1 refused, 4 daemon not reachable.`,
		Example: `  halo reload
  halo reload --json`,
		Args: exactly(0, "no argument"),
	}
	socket := socketFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print the report as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		report, err := control.NewClient(*socket).Reload(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			err = printJSON(cmd.OutOrStdout(), report)
		} else {
			err = printReload(cmd.OutOrStdout(), report)
		}
		if err == nil && !report.Applied {
			return errSilent
		}
		return err
	}
	return cmd
}

func printReload(w io.Writer, r control.ReloadReport) error {
	p := &printer{w: w}
	for _, warning := range r.Warnings {
		p.line("warning: %s", warning)
	}
	switch {
	case !r.Applied:
		for _, problem := range r.Problems {
			p.line("%s", problem)
		}
		p.line("refused: %d problem(s); generation %d goes on unchanged", len(r.Problems), r.Generation)
	case len(r.Changes) == 0:
		p.line("nothing changed; generation %d", r.Generation)
	default:
		for _, change := range r.Changes {
			p.line("%s", change)
		}
		p.line("applied; generation %d", r.Generation)
	}
	return p.err
}

// printer remembers the first error of a series of lines.
type printer struct {
	w   io.Writer
	err error
	// columns holds back what is printed until it can be aligned; nil does not.
	columns *tabwriter.Writer
}

// columns is a printer that aligns what tabs separate. Its end is done.
func columns(w io.Writer) *printer {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	return &printer{w: tw, columns: tw}
}

// done prints what is held back, and answers with the first error.
func (p *printer) done() error {
	if p.err == nil && p.columns != nil {
		p.err = p.columns.Flush()
	}
	return p.err
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func printJSON(w io.Writer, document any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(document)
}
