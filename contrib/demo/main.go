// Command demo shows halo's main job in under a minute: two balancers keep a
// virtual IP and a service alive while a web server dies and a balancer loses
// power. It narrates what happens, with the real `halo status`, and exits
// non-zero if anything it shows did not happen.
//
// It makes its own network, in namespaces without names that end with it, and
// runs halo, two web servers and a client in there as separate processes; the
// host's network is not touched. Where the host's kernel has no IPVS, or the
// caller is not root, it runs itself inside the test kernel.
//
// Read story.go first. `make demo` builds and calls it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The program plays three parts: the narrator starts the other two, each in a
// namespace of its own.
const (
	partWeb    = "web"    // demo web NAME
	partClient = "client" // demo client TARGET ADDRESS...
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit): // the guest's own run of this program has told why
		os.Exit(max(exit.ExitCode(), 1))
	default:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case partWeb:
			return web(ctx, args[1:])
		case partClient:
			return client(ctx, args[1:], os.Stdout)
		}
	}
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	bin := flags.String("bin", "bin", "directory of halo and its plugins, as make build leaves it")
	guest := flags.String("guest", ".tools/halo-guest", "the runner of the test kernel")
	colour := flags.Bool("colour", colourful(), "use bold and dim letters")
	if err := flags.Parse(args); err != nil {
		return err
	}
	directory, err := filepath.Abs(*bin)
	if err != nil {
		return err
	}
	if reason := whyNotHere(); reason != "" {
		return inGuest(ctx, *guest, directory, reason, *colour)
	}
	return tell(ctx, directory, newNarrator(os.Stdout, *colour))
}

// whyNotHere says why the demonstration cannot run in namespaces of this
// machine, or "".
func whyNotHere() string {
	if unix.Geteuid() != 0 {
		return "not root"
	}
	if _, err := netlink.GenlFamilyGet("IPVS"); err != nil {
		return "this kernel has no IPVS"
	}
	return ""
}

// inGuest runs this program once more, in the test kernel, which streams what
// it prints as it comes.
func inGuest(ctx context.Context, runner, bin, reason string, colour bool) error {
	if os.Getenv("HALO_GUEST") == "1" {
		return fmt.Errorf("run in the test kernel: %s even there", reason)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Printf("(%s: running in a small emulated machine instead, which takes some seconds to start)\n", reason)
	command := exec.CommandContext(ctx, runner, self, "-bin", bin, fmt.Sprintf("-colour=%t", colour))
	command.Env = append(os.Environ(), "HALO_GUEST_FILES="+bin)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command.Run()
}

// colourful tells whether standard output is a terminal whose owner has not
// asked for plain letters (https://no-color.org).
func colourful() bool {
	_, err := unix.IoctlGetTermios(unix.Stdout, unix.TCGETS)
	return err == nil && os.Getenv("NO_COLOR") == ""
}
