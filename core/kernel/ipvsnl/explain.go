package ipvsnl

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/ipvs"
)

// errAbsent is the kernel without IPVS, with the remedy.
var errAbsent = errors.New(`the kernel has no IPVS: load it with "modprobe ip_vs", and at boot by a line "ip_vs" in /etc/modules-load.d/halo.conf`)

// absent recognises what connecting says when the kernel does not know the
// family: the module is not loaded, or not built.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errAbsent
	}
	return err
}

// explain names what was done and, where there is something to do about it, what.
func explain(what string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s: %w: IPVS needs CAP_NET_ADMIN (AmbientCapabilities=CAP_NET_ADMIN in the systemd unit), also in a container", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// explainOp does the same for an operation, and sorts the kernel's answers by
// what they mean to a caller. net/netfilter/ipvs/ip_vs_ctl.c answers ESRCH about
// a service that is not there, ENOENT about a destination that is not there or
// a scheduler that cannot be had, EEXIST about either that is there already.
func explainOp(op *ipvs.Op, err error) error {
	what := op.Verb.String() + " " + op.Service.Key.String()
	if op.AboutDestination() {
		what += " " + op.Destination.Address.String()
	}
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%s: %w", what, ipvs.ErrExists)
	case errors.Is(err, unix.ESRCH):
		return fmt.Errorf("%s: service %w", what, ipvs.ErrNotFound)
	case errors.Is(err, unix.ENOENT) && op.AboutDestination():
		return fmt.Errorf("%s: destination %w", what, ipvs.ErrNotFound)
	case errors.Is(err, unix.ENOENT) && op.Verb != ipvs.DeleteService:
		return fmt.Errorf("%s: the kernel has no scheduler %q: load it with \"modprobe ip_vs_%s\"", what, op.Service.Scheduler, op.Service.Scheduler)
	default:
		return explain(what, err)
	}
}
