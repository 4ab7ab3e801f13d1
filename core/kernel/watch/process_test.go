package watch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

func TestProcessesComeAndGo(t *testing.T) {
	eachWay(t, func(t *testing.T, p *Processes) {
		path := program(t, name("a"))
		p.Set([]Process{
			{Tracker: "one", Definition: "d", Name: name("a"), Quorum: 1},
			{Tracker: "two", Name: path, Quorum: 2},
			{Tracker: "none", Name: name("a"), FullCommand: true, Limited: true},
			{Tracker: "flag", Name: name("a"), Quorum: 1, Arguments: FirstArguments, Wanted: []string{"-c", script, "--flag"}},
			{Tracker: "other", Name: name("b"), Quorum: 1},
		})
		start(t, p)
		s := newSight(p)
		s.await(t, "one", "down too_few")
		s.await(t, "none", "up")
		if d := s.latest["one"].Definition; d != "d" {
			t.Errorf("definition %q", d)
		}
		first := launch(t, path)
		s.await(t, "one", "up")
		s.await(t, "two", "down too_few")
		s.await(t, "none", "down too_many")
		second := launch(t, path, "--flag", "more")
		s.await(t, "two", "up")
		s.await(t, "flag", "up")
		second.end(t)
		s.await(t, "two", "down too_few")
		s.await(t, "flag", "down too_few")
		first.end(t)
		s.await(t, "one", "down too_few")
		s.await(t, "none", "up")
		s.await(t, "other", "down too_few")
	})
}

// A process is what it calls itself, and what it was called by exec.
func TestProcessesChange(t *testing.T) {
	eachWay(t, func(t *testing.T, p *Processes) {
		path := program(t, name("c"))
		sleep := filepath.Join(t.TempDir(), name("s"))
		real, err := exec.LookPath("sleep")
		if err != nil {
			t.Skip(err)
		}
		if err := os.Symlink(real, sleep); err != nil {
			t.Fatal(err)
		}
		p.Set([]Process{
			{Tracker: "before", Name: name("c"), Quorum: 1},
			{Tracker: "renamed", Name: name("r"), Quorum: 1},
			{Tracker: "after", Name: name("s"), Quorum: 1, Arguments: ExactArguments, Wanted: []string{"600"}},
		})
		start(t, p)
		s := newSight(p)
		c := launch(t, path)
		s.await(t, "before", "up")
		c.tell(t, "name "+name("r"))
		s.await(t, "before", "down too_few")
		s.await(t, "renamed", "up")
		if _, err := fmt.Fprintln(c.in, "exec "+sleep); err != nil {
			t.Fatal(err)
		}
		s.await(t, "renamed", "down too_few")
		s.await(t, "after", "up")
		c.end(t)
		s.await(t, "after", "down too_few")
	})
}

// A child that only forks counts from then on; one that nobody has waited for
// does not count any more.
func TestProcessesFork(t *testing.T) {
	eachWay(t, func(t *testing.T, p *Processes) {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		// Open at this end, so that the children wait for input and not for it.
		hold, err := os.OpenFile(fifo, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer hold.Close()
		p.Set([]Process{
			{Tracker: "one", Name: name("f"), Quorum: 1},
			{Tracker: "two", Name: name("f"), Quorum: 2},
			{Tracker: "three", Name: name("f"), Quorum: 3},
		})
		start(t, p)
		s := newSight(p)
		s.await(t, "one", "down too_few")
		c := launch(t, program(t, name("f")))
		s.await(t, "one", "up")
		children := make([]int, 0, 2)
		for _, tracker := range []string{"two", "three"} {
			pid, err := strconv.Atoi(c.tell(t, "fork "+fifo))
			if err != nil {
				t.Fatal(err)
			}
			children = append(children, pid)
			s.await(t, tracker, "up")
		}
		for n, tracker := range []string{"three", "two"} {
			// Its parent reads, and does not wait for it.
			if err := unix.Kill(children[n], unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			s.await(t, tracker, "down too_few")
		}
		s.await(t, "one", "up")
	})
}

func TestProcessesSet(t *testing.T) {
	eachWay(t, func(t *testing.T, p *Processes) {
		path := program(t, name("g"))
		launch(t, path)
		one := Process{Tracker: "one", Name: name("g"), Quorum: 1}
		p.Set([]Process{one, {Tracker: "gone", Name: name("g"), Quorum: 2}, {Tracker: "one", Name: "nobody", Quorum: 1}})
		start(t, p)
		s := newSight(p)
		s.await(t, "one", "up")
		s.await(t, "gone", "down too_few")
		// One stays, one goes, one comes: only the last is told.
		seen := len(s.trace)
		p.Set([]Process{one, {Tracker: "new", Name: name("g"), Quorum: 1}})
		s.await(t, "new", "up")
		if got := strings.Join(s.trace[seen:], ", "); got != "new up" {
			t.Errorf("told %q", got)
		}
		// Another one under the same name; none; and one again.
		p.Set([]Process{{Tracker: "one", Name: name("h"), Quorum: 1}})
		s.await(t, "one", "down too_few")
		p.Set(nil)
		p.Set([]Process{{Tracker: "again", Name: name("g"), Quorum: 1}})
		s.await(t, "again", "up")
	})
}

// Delays hold back what does not last.
func TestProcessesDelay(t *testing.T) {
	eachWay(t, func(t *testing.T, p *Processes) {
		path := program(t, name("d"))
		p.Set([]Process{
			{Tracker: "now", Name: name("d"), Quorum: 1},
			{Tracker: "soon", Name: name("d"), Quorum: 1, Delay: 20 * time.Millisecond, TerminateDelay: 20 * time.Millisecond},
			{Tracker: "late", Name: name("d"), Quorum: 1, Delay: never},
			{Tracker: "held", Name: name("d"), Limited: true, Delay: never},
		})
		start(t, p)
		s := newSight(p)
		s.await(t, "now", "down too_few")
		s.await(t, "held", "up")
		c := launch(t, path)
		s.await(t, "soon", "up")
		c.end(t)
		s.await(t, "soon", "down too_few")
		s.await(t, "now", "down too_few")
		for _, tracker := range []string{"late", "held"} {
			changes := 0
			for _, line := range s.trace {
				if strings.HasPrefix(line, tracker+" ") {
					changes++
				}
			}
			if changes != 1 {
				t.Errorf("%s was told %d times: %q", tracker, changes, s.trace)
			}
		}
	})
}

// A storm that the queue does not hold is noticed, and told once.
func TestOverrunIsCounted(t *testing.T) {
	requireEvents(t)
	c, err := openConnector(1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	// The reader waits with its first batch while the queue fills.
	path := program(t, name("o"))
	for range 50 {
		launch(t, path).end(t)
	}
	timeout := time.After(patience)
	for lost := false; !lost; {
		select {
		case batch := <-c.c:
			if lost = batch.lost; lost && len(batch.list) > 0 {
				t.Errorf("%d events from before the loss", len(batch.list))
			}
		case <-timeout:
			t.Fatal("no loss was noticed")
		}
	}
}

// What follows from events, with a look at all processes only where there has to
// be one, on a /proc of the test's own.
func TestApplyHappenings(t *testing.T) {
	root := t.TempDir()
	set := func(pid int, stat, command string) {
		t.Helper()
		directory := filepath.Join(root, strconv.Itoa(pid))
		mkdir(t, directory)
		write(t, filepath.Join(directory, "stat"), fmt.Sprintf("%d %s", pid, stat))
		write(t, filepath.Join(directory, "cmdline"), command)
	}
	p := NewProcesses()
	p.root, p.open, p.audit, p.poll = root, refused, never, never
	r := &processRun{processes: p, procfs: newProcfs(root), pause: rescanPause}
	now := time.Now()
	check := func(want string) {
		t.Helper()
		r.settle(now)
		got := "nothing"
		for _, e := range p.Next() {
			got = words(e) + ", " + e.Detail
		}
		if got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	apply := func(list ...happening) { r.apply(now, happenings{list: list}) }

	set(1, "(init) S 0", "init\x00")
	set(10, "(web) S 1", "web\x00")
	r.configure([]Process{{Tracker: "p", Name: "web", Quorum: 2}})
	check("down too_few, 1 running")
	// New ones by fork, if the parent counts, and by exec.
	set(11, "(web) S 10", "web\x00")
	apply(happening{what: eventFork, parent: 1, pid: 11})
	check("nothing")
	apply(happening{what: eventFork, parent: 10, pid: 11})
	check("up, ")
	apply(happening{what: eventExit, pid: 10})
	check("down too_few, 1 running")
	set(12, "(web) S 1", "web\x00")
	apply(happening{what: eventExec, pid: 12})
	check("up, ")
	// A name that is given up; a process that has gone meanwhile.
	set(12, "(other) S 1", "web\x00")
	remove(t, filepath.Join(root, "10"))
	apply(happening{what: eventComm, pid: 12}, happening{what: eventExec, pid: 10}, happening{what: eventFork, parent: 11, pid: 999})
	check("down too_few, 1 running")
	// One that has ended without anybody waiting for it.
	set(13, "(web) Z 1", "")
	apply(happening{what: eventFork, parent: 11, pid: 13})
	check("nothing")
	// Events together count together: nothing is told of what was only between.
	set(14, "(web) S 1", "web\x00")
	apply(happening{what: eventExec, pid: 14}, happening{what: eventExit, pid: 14})
	check("nothing")

	// A loss leads to a look at once; the next ones are spaced out.
	apply() // 14 is there, and nobody has told.
	check("nothing")
	r.apply(now, happenings{lost: true})
	check("up, ")
	if s := p.Stats(); s.Overruns != 1 || s.Scans != 2 {
		t.Errorf("%+v", s)
	}
	r.apply(now, happenings{lost: true})
	if d := r.next.Sub(now); d != rescanPause {
		t.Errorf("the next look is %v after, want %v", d, rescanPause)
	}
	for range 20 {
		r.apply(now, happenings{lost: true})
	}
	if d := r.next.Sub(now); d != rescanPauseMax {
		t.Errorf("the next look is %v after, want %v", d, rescanPauseMax)
	}
	now = now.Add(calm)
	r.apply(now, happenings{lost: true})
	if s := p.Stats(); s.Overruns != 2 || !r.next.Equal(now) {
		t.Errorf("%+v, next %v after", s, r.next.Sub(now))
	}

	// The answer to the request, and a socket that is beyond use.
	apply(happening{what: eventAnswer, failure: unix.EPERM})
	if s := p.Stats(); s.Events || !strings.Contains(s.Refused, "not permitted") {
		t.Errorf("%+v", s)
	}
	apply(happening{what: eventAnswer})
	if s := p.Stats(); !s.Events || s.Refused != "" {
		t.Errorf("%+v", s)
	}
	r.apply(now, happenings{err: unix.ENODEV})
	if s := p.Stats(); s.Events || !strings.Contains(s.Refused, "no such device") || !r.next.Equal(now) {
		t.Errorf("%+v", s)
	}

	// No list of processes is no statement about them.
	rename(t, root, root+".away")
	check("unknown local_error, list processes: open " + root + ": no such file or directory")
	rename(t, root+".away", root)
	r.next = now
	check("up, ")
}

// A look at all processes costs a bounded share of the time.
func TestScanIsBounded(t *testing.T) {
	p := NewProcesses()
	p.open, p.poll = refused, 0
	r := &processRun{processes: p, procfs: newProcfs("/proc"), pause: rescanPause}
	r.configure([]Process{{Tracker: "p", Name: name("x"), Quorum: 1}})
	begin := time.Now()
	r.settle(begin)
	end := time.Now()
	// The look took at most the time between, and at least something.
	if gap := r.next.Sub(begin); gap <= 0 || gap > scanShare*end.Sub(begin) {
		t.Errorf("the next look is %v after one of at most %v", gap, end.Sub(begin))
	}
}

func TestProcessesLeakNothing(t *testing.T) {
	path := program(t, name("l"))
	launch(t, path)
	rounds(t, func(ctx context.Context) {
		p := NewProcesses()
		p.Set([]Process{{Tracker: "p", Name: name("l"), Quorum: 1}})
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() { _ = p.Run(ctx) })
		newSight(p).await(t, "p", "up")
		cancel()
		running.Wait()
	})
}

// In another network namespace there are no events, and all the same nothing is
// missed.
func TestProcessesInNamespace(t *testing.T) {
	kerneltest.RequireRoot(t)
	namespace := kerneltest.NewNamespace(t, "watch")
	p := NewProcesses()
	p.poll = time.Millisecond
	p.open = func() (c *connector, err error) {
		err = namespace.Do(func() error {
			c, err = openConnector(eventBuffer)
			return err
		})
		return c, err
	}
	p.Set([]Process{{Tracker: "p", Name: name("n"), Quorum: 1}})
	start(t, p)
	s := newSight(p)
	s.await(t, "p", "down too_few")
	launch(t, program(t, name("n")))
	s.await(t, "p", "up")
	if s := p.Stats(); s.Events || s.Refused == "" {
		t.Errorf("%+v", s)
	}
}
