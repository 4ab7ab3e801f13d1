package watch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// script is what the test's processes run: a shell that does what it is told.
// Every answer is a line, so that a test knows that it has been done.
const script = `echo ready
while read -r command argument; do
	case $command in
	name) printf %s "$argument" >/proc/$$/comm; echo done ;;
	fork) ( while read -r line; do :; done ) <"$argument" & echo $! ;;
	exec) exec "$argument" 600 ;;
	esac
done`

// child is a process that a test has started.
type child struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

// program is a link to the shell with a name that no other process has.
func program(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink("/bin/sh", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func name(suffix string) string { return fmt.Sprintf("w%d%s", os.Getpid(), suffix) }

func launch(t *testing.T, path string, arguments ...string) *child {
	t.Helper()
	c := &child{command: exec.CommandContext(t.Context(), path, append([]string{"-c", script}, arguments...)...)}
	var err error
	if c.in, err = c.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.end(t) })
	c.line(t)
	return c
}

func (c *child) line(t *testing.T) string {
	t.Helper()
	if !c.out.Scan() {
		t.Fatalf("process %d says nothing: %v", c.command.Process.Pid, c.out.Err())
	}
	return c.out.Text()
}

// tell gives an order and waits until it has been carried out.
func (c *child) tell(t *testing.T, order string) string {
	t.Helper()
	if _, err := fmt.Fprintln(c.in, order); err != nil {
		t.Fatal(err)
	}
	return c.line(t)
}

func (c *child) end(t *testing.T) {
	t.Helper()
	_ = c.command.Process.Kill()
	_ = c.command.Wait()
}

// refused is for Processes to which nothing is reported.
func refused() (*connector, error) { return nil, errors.New("refused") }

// eachWay runs a test with events, without, and with a queue so short that most
// of them are lost.
func eachWay(t *testing.T, test func(t *testing.T, p *Processes)) {
	t.Helper()
	t.Run("events", func(t *testing.T) {
		requireEvents(t)
		p := NewProcesses()
		p.audit, p.poll = never, never
		test(t, p)
		if s := p.Stats(); !s.Events || s.Refused != "" {
			t.Errorf("%+v", s)
		}
	})
	t.Run("scan", func(t *testing.T) {
		p := NewProcesses()
		p.poll, p.open = time.Millisecond, refused
		test(t, p)
		if s := p.Stats(); s.Events || s.Refused != "refused" || s.Scans == 0 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("overrun", func(t *testing.T) {
		requireEvents(t)
		p := NewProcesses()
		p.audit, p.poll = never, never
		p.open = func() (*connector, error) { return openConnector(1) }
		test(t, p)
	})
}

// eventsRefused is why the kernel does not report processes; empty where it does.
var eventsRefused = sync.OnceValue(func() string {
	c, err := openConnector(eventBuffer)
	if err != nil {
		return err.Error()
	}
	defer c.close()
	select {
	case batch := <-c.c:
		if len(batch.list) == 0 || batch.list[0].failure != 0 {
			return fmt.Sprintf("process events are refused: %+v", batch)
		}
		return ""
	case <-time.After(patience):
		return "process events: the kernel does not answer"
	}
})

// requireEvents skips a test where the kernel does not report processes, as in a
// container; in the test kernel it has to.
func requireEvents(t *testing.T) {
	t.Helper()
	kerneltest.RequireRoot(t)
	switch why := eventsRefused(); {
	case why == "":
	case kerneltest.InGuest():
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}
