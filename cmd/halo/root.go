package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// The places halo looks when nothing is said.
const (
	defaultConfig = "/etc/halo/halo.toml"
	defaultSocket = "/run/halo/halo.sock"
)

// newRoot builds the command tree.
func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "halo",
		Short: "Virtual IPs that stay alive, traffic only to servers proven healthy",
		Long: `halo keeps a virtual IP alive on a group of Linux machines (VRRP) and balances
traffic from it, with the kernel's IPVS, to servers that are proven healthy.

Exit status: 0 done, 1 refused or failed, 4 daemon not reachable, 64 usage.`,
		Example: `  halo check /etc/halo/halo.toml
  halo run --config /etc/halo/halo.toml
  halo status --watch`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())}
	})
	root.AddCommand(runCommand(), checkCommand(), statusCommand(), eventsCommand(), reloadCommand(), pluginCommand(), vrrpCommand(), versionCommand())
	return root
}

// noSuchCommand refuses what is neither a command nor a flag.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	message := fmt.Sprintf("no command %q", args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{fmt.Errorf("%s; see `%s --help`", message, cmd.CommandPath())}
}

// exactly wants n arguments and says what they are.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("%s takes %s, not %d argument(s); see `%s --help`", cmd.CommandPath(), what, len(args), cmd.CommandPath())}
		}
		return nil
	}
}

// socketFlag adds --socket, whose default HALO_SOCKET can change.
func socketFlag(cmd *cobra.Command) *string {
	standard := defaultSocket
	if fromEnv := os.Getenv("HALO_SOCKET"); fromEnv != "" {
		standard = fromEnv
	}
	return cmd.Flags().String("socket", standard, "control socket of the daemon (environment: HALO_SOCKET)")
}

// configFlag adds --config.
func configFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("config", "c", defaultConfig, "configuration file")
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this binary",
		Example: "  halo version",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "halo", version)
			return err
		},
	}
}
