package lab

import "os/exec"

// Option changes how a Halo is started.
type Option func(*Halo)

// Global adds lines to the [global] table of every text the daemon is given.
func Global(lines string) Option {
	return func(h *Halo) { h.global += lines + "\n" }
}

// Through starts the daemon by another program, which must become the daemon
// by exec: setpriv and its like.
func Through(program string, args ...string) Option {
	return func(h *Halo) { h.through = append([]string{program}, args...) }
}

// Prepare lets f change the command of every start, its environment, its
// descriptors or where its output goes.
func Prepare(f func(*exec.Cmd)) Option {
	return func(h *Halo) { h.prepare = f }
}
