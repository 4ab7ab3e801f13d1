package main

import (
	"encoding/json"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/daemon"
)

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Report every mistake of a configuration file",
		Long: `Judges a file as a start or a reload would: keys, types, ranges, references,
contradictions, and the settings of every check by its plugin. Every problem is
reported with file, line, column, key, what was expected and what was probably
meant. Needs neither root nor a running daemon, and touches no network.

Exit status: 0 no error, 1 errors (with --strict, warnings too), 64 usage.`,
		Example: `  halo check /etc/halo/halo.toml
  halo check --strict --json halo.toml`,
		Args: exactly(1, "one file"),
	}
	strict := cmd.Flags().Bool("strict", false, "let warnings fail too")
	asJSON := cmd.Flags().Bool("json", false, "print the problems as JSON (schema 1)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		problems := daemon.Check(cmd.Context(), args[0], slog.New(slog.DiscardHandler))
		if err := printProblems(cmd.OutOrStdout(), args[0], problems, *asJSON); err != nil {
			return err
		}
		if problems.HasErrors() || *strict && len(problems) > 0 {
			return errSilent
		}
		return nil
	}
	return cmd
}

// checkReport is the answer of `halo check --json`.
type checkReport struct {
	Schema   int             `json:"schema"`
	File     string          `json:"file"`
	OK       bool            `json:"ok"` // no errors; warnings do not count
	Problems config.Problems `json:"problems"`
}

func printProblems(w io.Writer, file string, problems config.Problems, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(checkReport{Schema: 1, File: file, OK: !problems.HasErrors(), Problems: append(config.Problems{}, problems...)})
	}
	p := &printer{w: w}
	for _, problem := range problems {
		p.line("%s", problem)
	}
	errors, warnings := len(problems.Errors()), len(problems.Warnings())
	switch {
	case errors > 0:
		p.line("%s: %d error(s), %d warning(s)", file, errors, warnings)
	case warnings > 0:
		p.line("%s: valid, %d warning(s)", file, warnings)
	default:
		p.line("%s: valid", file)
	}
	return p.err
}
