package peers

import (
	"runtime"
	"sync"
	"time"
)

// watch notes when this process was not let run, on a thread of its own.
type watch struct {
	start  sync.Once
	mu     sync.Mutex
	asleep time.Time // since when the watch naps
	late   []lateness
}

// lateness is one time that the watch overslept.
type lateness struct {
	end time.Time
	by  time.Duration
}

// machine watches for all tests.
var machine watch

// nap is how often the watch wakes up. As much again is no lateness yet.
const nap = 20 * time.Millisecond

// run starts the watch, which ends with the process.
func (w *watch) run() {
	w.start.Do(func() {
		w.asleep = time.Now()
		go func() {
			runtime.LockOSThread()
			for {
				time.Sleep(nap)
				w.wake()
			}
		}()
	})
}

func (w *watch) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if by := now.Sub(w.asleep) - nap; by > nap {
		w.late = append(w.late, lateness{now, by})
	}
	w.asleep = now
}

// stoodStill tells whether this process was held up since a time, for longer
// than another in all.
func (w *watch) stoodStill(since time.Time, longer time.Duration) bool {
	w.wake() // it may be held up right now
	w.mu.Lock()
	defer w.mu.Unlock()
	var sum time.Duration
	for _, l := range w.late {
		if l.end.After(since) {
			sum += l.by
		}
	}
	return sum > longer
}
