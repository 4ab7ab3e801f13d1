package watch

import (
	"context"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/track"
)

// patience is when a test gives up on something that should have happened.
const patience = time.Minute

// watcher is what Files and Processes have in common.
type watcher interface {
	Changed() <-chan struct{}
	Next() []track.Observed
	Run(ctx context.Context) error
}

// start runs a watcher until the test ends.
func start(t *testing.T, w watcher) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// sight is the observations of one watcher, as they come.
type sight struct {
	w      watcher
	latest map[string]track.Observed
	trace  []string
}

func newSight(w watcher) *sight { return &sight{w: w, latest: make(map[string]track.Observed)} }

// await waits until the latest observation of a tracker is the wanted one, which
// is written like "up 5" or "down too_few".
func (s *sight) await(t *testing.T, tracker, want string) {
	t.Helper()
	limit := time.After(patience)
	for {
		e, found := s.latest[tracker]
		if found && words(e) == want {
			return
		}
		select {
		case <-s.w.Changed():
			for _, e := range s.w.Next() {
				s.latest[e.Tracker] = e
				s.trace = append(s.trace, e.Tracker+" "+words(e))
			}
		case <-limit:
			t.Fatalf("%s is %q (%s), want %q; seen %q", tracker, words(e), e.Detail, want, s.trace)
		}
	}
}

func words(e track.Observed) string {
	parts := []string{e.State.String()}
	if e.Value != 0 {
		parts = append(parts, strconv.Itoa(e.Value))
	}
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	return strings.Join(parts, " ")
}

// descriptors lists what this process has open.
func descriptors(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	list := make([]string, 0, len(entries))
	for _, e := range entries {
		// The one that lists them is gone by now.
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			list = append(list, target)
		}
	}
	slices.Sort(list)
	return list
}

// rounds starts and ends a watcher a hundred times, each time waiting for first
// to have seen something, and wants everything closed afterwards.
func rounds(t *testing.T, round func(ctx context.Context)) {
	t.Helper()
	run := func() {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		round(ctx)
	}
	run() // The runtime opens what it needs.
	before, goroutines := descriptors(t), runtime.NumGoroutine()
	for range 100 {
		run()
	}
	if after := descriptors(t); !slices.Equal(before, after) {
		t.Errorf("open before: %q, after: %q", before, after)
	}
	// One that has said that it is done may still be about to end.
	for begin := time.Now(); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Since(begin) > patience {
			t.Fatalf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
		}
	}
}

// What nobody takes does not hold anybody up, and is the latest when it is taken.
func TestOutboxKeepsTheLatest(t *testing.T) {
	o := newOutbox()
	for i := range 1000 {
		o.put(track.Observed{Tracker: "b", Value: i})
		o.put(track.Observed{Tracker: "a", Value: -i})
	}
	<-o.Changed()
	got := o.Next()
	if len(got) != 2 || got[0].Value != -999 || got[1].Value != 999 {
		t.Errorf("%+v", got)
	}
	select {
	case <-o.Changed():
		t.Error("changed again")
	default:
	}
	if again := o.Next(); len(again) != 0 {
		t.Errorf("twice: %+v", again)
	}
}

func TestLastTellsOnce(t *testing.T) {
	o, l := newOutbox(), last{}
	l.tell(&o, track.Observed{}) // Also one that says nothing, the first time.
	if n := len(o.Next()); n != 1 {
		t.Errorf("%d first observations", n)
	}
	l.tell(&o, track.Observed{})
	if n := len(o.Next()); n != 0 {
		t.Errorf("%d repeated observations", n)
	}
	l.tell(&o, track.Observed{Value: 1})
	if n := len(o.Next()); n != 1 {
		t.Errorf("%d new observations", n)
	}
}

// Set returns although nobody runs, and what was set last is what counts.
func TestSetDoesNotWait(t *testing.T) {
	f, p := NewFiles(), NewProcesses()
	for range 3 {
		f.Set([]File{{Tracker: "old", Path: "/nowhere/old"}})
		p.Set([]Process{{Tracker: "old", Name: "nobody"}})
	}
	f.Set([]File{{Tracker: "new", Path: "/nowhere/new"}})
	p.Set([]Process{{Tracker: "new", Name: "nobody", Quorum: 1}})
	start(t, f)
	start(t, p)
	files, processes := newSight(f), newSight(p)
	files.await(t, "new", "up missing")
	processes.await(t, "new", "down too_few")
	if len(files.latest)+len(processes.latest) != 2 {
		t.Errorf("seen %q and %q", files.trace, processes.trace)
	}
}

// Who has nothing to watch holds no descriptor, while it runs.
func TestNothingWantedHoldsNothing(t *testing.T) {
	warm := NewFiles() // The runtime opens what it needs.
	warm.Set([]File{{Tracker: "f", Path: "/nowhere"}})
	start(t, warm)
	newSight(warm).await(t, "f", "up missing")

	before := descriptors(t)
	f, p := NewFiles(), NewProcesses()
	f.Set([]File{{Tracker: "f", Path: "/nowhere"}})
	p.Set([]Process{{Tracker: "p", Name: "nobody", Quorum: 1}})
	start(t, f)
	start(t, p)
	newSight(f).await(t, "f", "up missing")
	newSight(p).await(t, "p", "down too_few")
	if during := descriptors(t); len(during) == len(before) {
		t.Errorf("nothing is open while something is watched: %q", during)
	}
	f.Set(nil)
	p.Set(nil)
	for begin := time.Now(); !slices.Equal(descriptors(t), before); runtime.Gosched() {
		if time.Since(begin) > patience {
			t.Fatalf("open before: %q, now: %q", before, descriptors(t))
		}
	}
}
