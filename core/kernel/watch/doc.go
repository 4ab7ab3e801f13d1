// Package watch observes processes and files for trackers.
//
// Processes counts the processes that fit a description, as the kernel reports
// them or, where it does not, by looking at /proc. Files reads numbers from
// files whenever they change. Both say what they saw as track.Observed and
// decide nothing else: what it means is core/track's to say.
//
//	kernel --events--> reader --batch--> Run --Observed--> latest per tracker <--Next-- core/daemon
//	                                      ^                       \-----Changed------->
//	                        Set, timer ---+
//
// Nobody waits for anybody. Set leaves the wanted objects and returns. Run puts
// the latest observation of a tracker into the place of one that nobody has
// taken yet, which loses nothing that lasts. What is observed may be absent,
// appear, and go again; events that the kernel had to drop lead to another look
// at everything, and so does time, in case a change was not reported at all.
// Only Run holds descriptors, and closes them all before it returns.
//
// A file on a network file system whose server has gone can hold up the reading
// of other files, but nothing else.
//
// Read Processes and Files.
package watch

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/halo-ha/halo/core/track"
)

// auditInterval is how long a change can stay unseen that the kernel should
// have reported and did not.
const auditInterval = 30 * time.Second

// pollInterval is how often something is looked at whose changes the kernel
// does not report.
const pollInterval = time.Second

// outbox holds the latest observation of each tracker until it is taken.
type outbox struct {
	changed chan struct{}

	mu     sync.Mutex
	latest map[string]track.Observed
}

func newOutbox() outbox {
	return outbox{changed: make(chan struct{}, 1), latest: make(map[string]track.Observed)}
}

// Changed receives a value when there is something for Next.
func (o *outbox) Changed() <-chan struct{} { return o.changed }

// Next takes the observations that differ from those before, the latest of each
// tracker, sorted by its name.
func (o *outbox) Next() []track.Observed {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]track.Observed, 0, len(o.latest))
	for _, name := range slices.Sorted(maps.Keys(o.latest)) {
		list = append(list, o.latest[name])
	}
	clear(o.latest)
	return list
}

func (o *outbox) put(e track.Observed) {
	o.mu.Lock()
	o.latest[e.Tracker] = e
	o.mu.Unlock()
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// inbox holds what is wanted until Run takes it.
type inbox[T any] struct {
	changed chan struct{}

	mu     sync.Mutex
	wanted []T
}

func newInbox[T any]() inbox[T] { return inbox[T]{changed: make(chan struct{}, 1)} }

func (i *inbox[T]) put(wanted []T) {
	i.mu.Lock()
	i.wanted = slices.Clone(wanted)
	i.mu.Unlock()
	select {
	case i.changed <- struct{}{}:
	default:
	}
}

func (i *inbox[T]) take() []T {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.wanted
}

// last remembers what was put out for one tracker.
type last struct {
	observed track.Observed
	put      bool
}

// tell puts an observation out unless it is the one before.
func (l *last) tell(o *outbox, e track.Observed) {
	if l.put && l.observed == e {
		return
	}
	l.observed, l.put = e, true
	o.put(e)
}
