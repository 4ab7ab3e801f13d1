package watch

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

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
