// Command halo-guest runs a program in the test kernel: see package guest for
// what that is, and for the variables that steer it. It is a wrapper for
// "go test -exec", a runner of scripts, and process 1 of the guest.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/halo-ha/halo/core/kernel/kerneltest/guest"
)

// exitGuest tells "the guest failed" from the program's own exit codes.
const exitGuest = 125

func main() {
	if os.Getpid() == 1 {
		guest.Init()
	}
	if len(os.Args) < 2 || os.Args[1] == "-h" || os.Args[1] == "--help" {
		fmt.Fprintln(os.Stderr, "usage: halo-guest PROGRAM [ARGUMENT...] | --check\n"+
			"Runs the program in the test kernel; exits with its code, or with 125 if the guest failed.\n"+
			"--check only tells, by exit code 1 and the reason, whether no guest can run here.\n"+
			"See \"go doc ./core/kernel/kerneltest/guest\".")
		os.Exit(exitGuest)
	}
	if os.Args[1] == "--check" {
		if err := guest.Missing(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config, err := guest.ConfigFromEnvironment(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "halo-guest:", err)
		os.Exit(exitGuest)
	}
	code, err := guest.Run(ctx, config)
	if err != nil {
		fmt.Fprintln(os.Stderr, "halo-guest:", err)
		os.Exit(exitGuest)
	}
	os.Exit(code)
}
