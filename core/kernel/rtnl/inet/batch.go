package inet

import "fmt"

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
