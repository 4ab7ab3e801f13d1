package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// holdings is what a host may leak.
type holdings struct{ goroutines, descriptors, children, sockets int }

func (o *opened) holdings(t testing.TB) holdings {
	t.Helper()
	count := func(dir string) int {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return len(entries)
	}
	return holdings{
		goroutines: runtime.NumGoroutine(), descriptors: count("/proc/self/fd"),
		children: len(children(t, os.Getpid())), sockets: count(o.sockets.root),
	}
}

// children lists a process's children, dead or alive.
func children(t testing.TB, parent int) []int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			pid, _ := strconv.Atoi(field)
			pids = append(pids, pid)
		}
	}
	return pids
}

// settles waits until no more is held than before. The runtime and the poller
// may keep a few of their own.
func (o *opened) settles(t testing.TB, before holdings) {
	t.Helper()
	var after holdings
	deadline := time.Now().Add(patience)
	for {
		after = o.holdings(t)
		if after.goroutines <= before.goroutines && after.descriptors <= before.descriptors+2 &&
			after.children <= before.children && after.sockets <= before.sockets {
			return
		}
		if time.Now().After(deadline) {
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
			t.Fatalf("before %+v, after %+v", before, after)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A thousand plugins that die at the start leave nothing behind.
func TestFailedStartsLeaveNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 15 s, and a minute with the race detector")
	}
	const failedStarts = 1000
	o := open(t)
	script := filepath.Join(o.dir, "halo-check-dies")
	mustDo(t, os.WriteFile(script, []byte("#!/bin/sh\necho going >&2\nexit 3\n"), 0o755)) //nolint:gosec // a program.
	spec := Spec{Identity: Identity{"halo-check-dies", testUser()}}
	before := o.holdings(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range failedStarts / 4 {
				_, err := o.launch(t.Context(), spec, 1)
				if err == nil || !strings.Contains(err.Error(), "exited with status 3 before it was ready: going") {
					t.Errorf("launch: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	o.settles(t, before)
}

// Processes that die while they serve leave nothing behind either, and each is
// replaced.
func TestCrashesWhileServingLeaveNothing(t *testing.T) {
	cycles := 50
	if testing.Short() {
		cycles = 5
	}
	o := open(t, stubGood)
	spec := Spec{Identity: Identity{stubGood, testUser()}}
	o.Apply([]Spec{spec})
	o.session(t)
	before := o.holdings(t)
	for range cycles {
		pid := o.snapshot(t, stubGood, StateRunning).PID
		mustDo(t, unix.Kill(pid, unix.SIGKILL))
		o.lost(t)
		// The back-off is cut short: it would take an hour.
		o.snapshot(t, stubGood, StateBackoff, StateFailed)
		mustDo(t, o.Restart(stubGood))
		o.session(t)
	}
	o.settles(t, before)
}

// Failures of every other kind, too.
func TestFailedHandshakesLeaveNothing(t *testing.T) {
	o := open(t, stubGarbage, stubLiar, stubElsewhere, stubDies)
	before := o.holdings(t)
	for range 5 {
		for _, name := range []string{stubGarbage, stubLiar, stubElsewhere, stubDies} {
			if _, err := o.launch(t.Context(), Spec{Identity: Identity{name, testUser()}}, 1); err == nil {
				t.Fatalf("%s was started", name)
			}
		}
	}
	o.settles(t, before)
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), "halo-elsewhere-*"))
	for _, path := range left {
		_ = os.Remove(path)
	}
}

// go-plugin forgets the connection to a plugin that shook hands and then
// never answers.
func TestSilentPluginsLeaveNothing(t *testing.T) {
	o := open(t, stubSilent)
	before := o.holdings(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := o.launch(ctx, Spec{Identity: Identity{stubSilent, testUser()}}, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("launch: %v", err)
			}
		})
	}
	all.Wait()
	o.settles(t, before)
}

func TestAbortedStartsLeaveNothing(t *testing.T) {
	o := open(t, stubMute, stubSilent, stubGood)
	before := o.holdings(t)
	for i, name := range []string{stubMute, stubSilent, stubGood, stubMute, stubSilent, stubGood} {
		p := newProcess(Spec{Identity: Identity{name, testUser()}}, o.Host, o.heard, quiet(), func() uint64 { return uint64(i) }, newTestBackoff(1).random)
		go p.supervise()
		time.Sleep(time.Duration(i*20) * time.Millisecond)
		p.stop(time.Now().Add(time.Second))
		select {
		case <-p.gone:
		case <-time.After(patience):
			t.Fatalf("%s does not stop while it starts", name)
		}
	}
	o.settles(t, before)
}
