package checks

import (
	"cmp"
	"slices"
	"sync"

	"github.com/halo-ha/halo/sdk/host"
)

// feeder tells one session what has changed. Differences that wait while the
// session blocks are merged, so that what waits is never more than the whole
// set. Its run ends with the session.
type feeder struct {
	session Session
	wake    chan struct{}
	done    chan struct{}

	mu         sync.Mutex
	upserts    map[uint64]host.Probe
	removals   map[uint64]struct{}
	generation uint64
	pending    bool
	ended      bool
}

func newFeeder(s Session) *feeder {
	return &feeder{
		session: s, wake: make(chan struct{}, 1), done: make(chan struct{}),
		upserts: make(map[uint64]host.Probe), removals: make(map[uint64]struct{}),
	}
}

// tell adds a difference to what waits.
func (f *feeder) tell(upserts []host.Probe, removals []uint64, generation uint64) {
	f.mu.Lock()
	for _, p := range upserts {
		f.upserts[p.ID] = p
	}
	for _, id := range removals {
		// Ids are never used twice, so a removal is the last word on one.
		delete(f.upserts, id)
		f.removals[id] = struct{}{}
	}
	f.generation, f.pending = generation, true
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// end makes run return. What waits is not told any more.
func (f *feeder) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		close(f.done)
	}
}

// run tells the session until end, or until the session is over.
func (f *feeder) run() error {
	for {
		select {
		case <-f.done:
			return nil
		case <-f.wake:
		}
		upserts, removals, generation, pending := f.take()
		if !pending {
			continue
		}
		if len(removals) > 0 {
			if err := f.session.Remove(removals); err != nil {
				return err
			}
		}
		if len(upserts) > 0 {
			if err := f.session.Upsert(upserts); err != nil {
				return err
			}
		}
		if err := f.session.Commit(generation); err != nil {
			return err
		}
	}
}

// take empties what waits, in the order of ids, so that what a plugin sees does
// not depend on chance.
func (f *feeder) take() (upserts []host.Probe, removals []uint64, generation uint64, pending bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.upserts {
		upserts = append(upserts, p)
	}
	slices.SortFunc(upserts, func(x, y host.Probe) int { return cmp.Compare(x.ID, y.ID) })
	for id := range f.removals {
		removals = append(removals, id)
	}
	slices.Sort(removals)
	generation, pending = f.generation, f.pending
	clear(f.upserts)
	clear(f.removals)
	f.pending = false
	return upserts, removals, generation, pending
}
