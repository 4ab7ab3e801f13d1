// Command halo-guest runs a program in the test kernel: see package guest for
// what that is, and for the variables that steer it. It is a wrapper for
// "go test -exec", a runner of scripts, and process 1 of the guest.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/halo-ha/halo/core/kernel/kerneltest/guest"
)

// exitGuest tells "the guest failed" from the program's own exit codes.
const exitGuest = 125

const usage = `usage: halo-guest PROGRAM [ARGUMENT...] | --check
Runs the program in the test kernel; exits with its code, or with 125 if the guest failed.
--check only tells, by exit code 1 and the reason, whether no guest can run here.
The variables that steer it: go doc ./core/kernel/kerneltest/guest`

func main() {
	if os.Getpid() == 1 {
		guest.Init()
	}
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "halo-guest:", err)
	}
	os.Exit(code)
}

func run(args []string) (int, error) {
	switch {
	case len(args) == 0 || args[0] == "-h" || args[0] == "--help":
		return exitGuest, errors.New(usage)
	case args[0] == "--check":
		if err := guest.Missing(); err != nil {
			return 1, err
		}
		return 0, nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config, err := guest.ConfigFromEnvironment(args)
	if err != nil {
		return exitGuest, err
	}
	code, err := guest.Run(ctx, config)
	if err != nil {
		return exitGuest, err
	}
	return code, nil
}
