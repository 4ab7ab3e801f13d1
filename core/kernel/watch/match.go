package watch

import (
	"bytes"
	"path"
	"slices"
	"strings"
	"time"
)

// Arguments says how the arguments of a process are compared.
type Arguments uint8

// The ways to compare.
const (
	// AnyArguments does not look at them.
	AnyArguments Arguments = iota
	// ExactArguments wants these and no others; with none, a process without.
	ExactArguments
	// FirstArguments wants these, and others may follow (Keepalived's partial).
	FirstArguments
	// InitialArguments is FirstArguments, where the last may also go on.
	InitialArguments
)

// Process is a tracked process: which processes are counted, and how many there
// have to be.
type Process struct {
	Tracker, Definition string
	// Name is the process's name as in /proc/PID/comm; where the kernel has cut
	// it off at 15 bytes, that of the program as it was called. With a slash it
	// is the path the program was called by, or that of its file.
	Name string
	// FullCommand compares a name without a slash with the program's as it was
	// called, which a process cannot change as easily.
	FullCommand bool
	Arguments   Arguments
	Wanted      []string // the arguments, behind the program
	// Quorum is the least number of processes, 0 included. With Limited, Most
	// is the greatest.
	Quorum, Most int
	Limited      bool
	// Delay is how long what new processes have changed must last before it is
	// told, TerminateDelay the same for processes that have ended.
	Delay, TerminateDelay time.Duration
}

// equal reports whether two are the same.
func (p *Process) equal(o *Process) bool {
	a, b := *p, *o
	return slices.Equal(a.Wanted, b.Wanted) &&
		a.Tracker == b.Tracker && a.Definition == b.Definition && a.Name == b.Name &&
		a.FullCommand == b.FullCommand && a.Arguments == b.Arguments &&
		a.Quorum == b.Quorum && a.Most == b.Most && a.Limited == b.Limited &&
		a.Delay == b.Delay && a.TerminateDelay == b.TerminateDelay
}

// enough reports whether that many processes are as many as there have to be.
func (p *Process) enough(count int) bool {
	return count >= p.Quorum && (!p.Limited || count <= p.Most)
}

// commSize is what the kernel keeps of a name, without the final zero.
const commSize = 15

// process is what can be compared. The functions read it when it is needed.
type process struct {
	comm    string
	command func() []byte // as in /proc/PID/cmdline: a zero after each
	file    func() string // the program's path, empty where it may not be read
}

// matches reports whether a process is one that counts.
func (p *Process) matches(o *process) bool {
	if !p.matchesName(o) {
		return false
	}
	if p.Arguments == AnyArguments {
		return true
	}
	_, arguments, _ := bytes.Cut(o.command(), []byte{0})
	wanted := []byte(strings.Join(p.Wanted, "\x00"))
	if len(p.Wanted) > 0 && p.Arguments != InitialArguments {
		wanted = append(wanted, 0)
	}
	if len(arguments) > 0 && arguments[len(arguments)-1] != 0 {
		arguments = append(bytes.Clone(arguments), 0) // It was written over.
	}
	if p.Arguments == ExactArguments {
		return bytes.Equal(arguments, wanted)
	}
	return bytes.HasPrefix(arguments, wanted)
}

func (p *Process) matchesName(o *process) bool {
	called := func() string {
		first, _, _ := bytes.Cut(o.command(), []byte{0})
		return string(first)
	}
	switch {
	case strings.Contains(p.Name, "/"):
		return called() == p.Name || o.file() == p.Name
	case p.FullCommand:
		return path.Base(called()) == p.Name
	case len(p.Name) > commSize:
		return o.comm == p.Name[:commSize] && path.Base(called()) == p.Name
	default:
		return o.comm == p.Name
	}
}
