package lab

import (
	"bytes"
	"errors"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a program running on a host.
type Process struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	output *log
	ended  chan struct{} // closed once the process is reaped
	err    error         // of Wait; valid after ended
}

// log collects what a process writes.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Start runs a program on h until the test ends.
func (h *Host) Start(name string, args ...string) *Process {
	h.network.t.Helper()
	return h.start(h.Command(name, args...))
}

func (h *Host) start(cmd *exec.Cmd) *Process {
	t := h.network.t
	t.Helper()
	p := &Process{t: t, name: cmd.Path + " on " + h.label, cmd: cmd, output: &log{}, ended: make(chan struct{})}
	// A process group of its own, so that a kill reaches its children too.
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if cmd.Stdout == nil {
		cmd.Stdout = p.output
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.output
	}
	// A child that keeps the pipe open must not hold up the reaping.
	cmd.WaitDelay = 100 * time.Millisecond
	if err := h.Namespace.Start(cmd); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.name, p.output)
		}
	})
	return p
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is all the process has written so far.
func (p *Process) Output() string { return p.output.String() }

// Signal sends a signal to the process alone.
func (p *Process) Signal(s unix.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal %s: %v", p.name, err)
	}
}

// SignalGroup sends a signal to the process and its children. A group that is
// gone is fine.
func (p *Process) SignalGroup(s unix.Signal) { _ = unix.Kill(-p.PID(), s) }

// Kill ends the process and its group with SIGKILL, as a power cut would, and
// waits for the end. The whole group is stopped first: a child whose parent
// dies before it might still say goodbye.
func (p *Process) Kill() {
	select {
	case <-p.ended:
		return
	default:
	}
	p.SignalGroup(unix.SIGSTOP)
	p.SignalGroup(unix.SIGKILL)
	<-p.ended
}

// KillAlone sends SIGKILL to the process but not to its children.
func (p *Process) KillAlone() {
	p.t.Helper()
	p.Signal(unix.SIGKILL)
	<-p.ended
}

// Terminate sends SIGTERM and waits for the end, which it returns as
// exec.Cmd.Wait does.
func (p *Process) Terminate() error {
	p.t.Helper()
	p.Signal(unix.SIGTERM)
	return p.Wait()
}

// Wait waits for the end of the process. That what it had written was still being
// read is no failure of it.
func (p *Process) Wait() error {
	p.t.Helper()
	select {
	case <-p.ended:
		if errors.Is(p.err, exec.ErrWaitDelay) {
			return nil
		}
		return p.err
	case <-time.After(patience):
		p.t.Fatalf("%s does not end; output:\n%s", p.name, p.output)
		return nil
	}
}

// Alive tells whether the process has not ended.
func (p *Process) Alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// WaitOutput waits until the process has written text.
func (p *Process) WaitOutput(text string) {
	p.t.Helper()
	Eventually(p.t, p.name+" says "+text, func() bool { return bytes.Contains([]byte(p.Output()), []byte(text)) })
}
