package watch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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
