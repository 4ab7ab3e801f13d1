package ipvs

import "errors"

// What a kernel may answer to an operation when its table is not what the
// caller believed. Whoever applies operations wraps them, and callers ask with
// errors.Is.
var (
	// ErrExists answers an addition of what is already there.
	ErrExists = errors.New("already exists")
	// ErrNotFound answers an edit or a deletion of what is not there, and an
	// addition of a destination to a service that is not there.
	ErrNotFound = errors.New("not found")
)
