package rtnl

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// BatchError says what of a batch failed. Everything else of it was done.
type BatchError struct {
	// Failures are in the order of the batch; there is at least one.
	Failures []Failure
}

// Failure is one object of a batch that failed.
type Failure struct {
	// Index is the object's place in the batch.
	Index int
	Err   error
}

// Error is the first failure and the number of the others: they mostly have one
// cause.
func (e *BatchError) Error() string {
	first := e.Failures[0].Err.Error()
	if others := len(e.Failures) - 1; others > 0 {
		return fmt.Sprintf("%s (and %d more)", first, others)
	}
	return first
}

// Unwrap makes errors.Is find every cause.
func (e *BatchError) Unwrap() []error {
	causes := make([]error, len(e.Failures))
	for i, f := range e.Failures {
		causes[i] = f.Err
	}
	return causes
}

// failures condenses the results of a batch. The harmless errors are those that
// say that the wanted state was there before.
func failures(results []error, what func(i int) string, harmless ...unix.Errno) error {
	var failed []Failure
	for i, err := range results {
		if err != nil && !isAny(err, harmless) {
			failed = append(failed, Failure{i, fmt.Errorf("%s: %w", what(i), explain(err))})
		}
	}
	if failed == nil {
		return nil
	}
	return &BatchError{Failures: failed}
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
