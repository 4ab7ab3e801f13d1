package rtnl

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// failures condenses the results of a batch. The harmless errors are those that
// say that the wanted state was there before.
func failures(results []error, what func(i int) string, harmless ...unix.Errno) error {
	var failed []inet.Failure
	for i, err := range results {
		if err != nil && !isAny(err, harmless) {
			failed = append(failed, inet.Failure{Index: i, Err: fmt.Errorf("%s: %w", what(i), explain(err))})
		}
	}
	if failed == nil {
		return nil
	}
	return &inet.BatchError{Failures: failed}
}

func isAny(err error, errnos []unix.Errno) bool {
	for _, errno := range errnos {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// explain adds what is missing and how to grant it to an error that says no
// more than "operation not permitted". Changing things is the only privileged
// thing that this package does.
func explain(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w: changing addresses, links and routes needs the capability CAP_NET_ADMIN; "+
			"run as root, or grant it with AmbientCapabilities=CAP_NET_ADMIN in the systemd unit "+
			"or setcap cap_net_admin+ep on the program", err)
	}
	return err
}
