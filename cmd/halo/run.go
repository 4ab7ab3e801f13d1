package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/daemon"
)

func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground",
		Long: `Runs halo until SIGTERM or SIGINT. It logs to standard error: text when that is
a terminal, JSON otherwise. SIGHUP reloads, as ` + "`halo reload`" + ` does. Under systemd
it reports readiness and feeds the watchdog.

At the end the virtual routers resign (priority 0), their addresses are removed,
halo's own IPVS services are removed, and the plugins are stopped.

Exit status: 0 after a stop, 1 when it could not start or go on.`,
		Example: `  halo run --config /etc/halo/halo.toml
  halo run -c halo.toml --log-format json`,
		Args: exactly(0, "no argument"),
	}
	file := configFlag(cmd)
	format := cmd.Flags().String("log-format", "auto", "text, json, or auto: text on a terminal")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		level := new(slog.LevelVar)
		form, err := logForm(cmd.ErrOrStderr(), *format, level)
		if err != nil {
			return usageError{err}
		}
		handler, sink := newLogHandler(cmd.ErrOrStderr(), form)
		defer sink.flush(flushPatience)
		return daemon.Run(cmd.Context(), daemon.Options{ConfigFile: *file, Version: version, Logger: slog.New(handler), Level: level})
	}
	return cmd
}

// flushPatience is how long the end waits for the last lines of the log to be
// read.
const flushPatience = 200 * time.Millisecond

// logForm is how log lines look.
func logForm(w io.Writer, format string, level *slog.LevelVar) (func(io.Writer) slog.Handler, error) {
	options := &slog.HandlerOptions{Level: level}
	text := func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, options) }
	asJSON := func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, options) }
	switch {
	case format == "text", format == "auto" && isTerminal(w):
		return text, nil
	case format == "json", format == "auto":
		return asJSON, nil
	default:
		return nil, fmt.Errorf("--log-format %q: text, json or auto", format)
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
