// Command halo keeps a virtual IP alive on a group of machines and balances
// traffic to servers that are proven healthy. It is the one binary a person
// types: `halo run` is the daemon, everything else talks to it or works on
// files.
//
// Reading order: root.go lists the commands, run.go starts the daemon.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/control"
)

// The exit codes of every command. 2 and 3 belong to commands that document
// them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUnreachable = 4
	exitUsage       = 64
)

// version is stamped by the Makefile.
var version = "devel"

// errSilent ends a command with exitFailed when it has said everything itself.
var errSilent = errors.New("failed")

// usageError marks a mistake on the command line.
type usageError struct{ error }

func main() {
	// Interrupted clients end at once; `halo run` handles its own signals.
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSilent):
		return exitFailed
	case errors.Is(err, control.ErrUnreachable):
		fmt.Fprintf(stderr, "halo: %v\n", err)
		return exitUnreachable
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "halo: %v\n", err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "halo: %v\n", err)
		return exitFailed
	}
}
