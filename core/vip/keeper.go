package vip

import (
	"sync"
	"sync/atomic"
	"time"
)

// Limits of a keeper's patience.
const (
	// An active instance whose entries are removed restoreLimit times within
	// restoreWindow gives up. The pauses before putting them back are 0, 50,
	// 100 and 200 ms.
	restoreLimit  = 5
	restoreWindow = 10 * time.Second
	// One whose entries cannot be added gives up after addLimit attempts,
	// which take 0.75 s.
	addLimit   = 5
	retryPause = 50 * time.Millisecond
	// Having given up, it tries again after holdDown, doubled each time up to
	// holdDownMax. A time of success as long as holdDownMax starts afresh.
	holdDown    = 10 * time.Second
	holdDownMax = 5 * time.Minute
	// What the instance can do without is never given up: it is tried again
	// and again, at most optionalPauseMax apart.
	optionalPauseMax = 5 * time.Second
	// Entries that cannot be deleted are tried again and again, at most
	// removePauseMax apart, and stopLimit times when the Owner ends.
	removePauseMax = 5 * time.Second
	stopLimit      = 5
	// truce is how long entries are left alone that somebody else keeps
	// adding, or keeps removing where they are optional.
	truce = 30 * time.Second
	// missingPause is how often a missing interface is looked for without
	// being told of it.
	missingPause = time.Second
)

// keeper keeps the entries of one instance. Others leave notes; its own
// goroutine (run) works them off, one step at a time. Every step looks at what
// was last noted and at what is in the kernel's tables, and does what is needed
// to make the two meet, so a step too many is harmless.
type keeper struct {
	owner   *Owner
	name    string
	wake    chan struct{}
	sent    atomic.Uint64
	started bool // guarded by the Owner's lock

	mu     sync.Mutex
	notes  notes
	status Status
	belief belief

	// The rest belongs to run.
	config   Instance
	entries  []*entry        // in the order in which they are put
	bySource []sourceEntries // the same, by where they are read
	links    map[string]*linkState
	claims   []slot
	// relinquished means that the claims are of entries being deleted.
	relinquished bool
	obsolete     []*wish // to be deleted, no longer configured
	phase        phase
	swept        bool // what was there at the beginning is gone
	lastErr      error
	patience     [classes]patience
	bursts       bursts // of announcements that begin while entries are put
	lost         bool
	lostUntil    time.Time
	defeats      int       // times lost in a row
	complete     time.Time // since when all that is required has been there, or zero

	removeAt     time.Time // no deleting before
	removeFails  int
	obsoleteAt   time.Time
	obsoleteLogs bool
	intrusions   []time.Time // additions by others, within restoreWindow
	stopTries    int         // steps since the Owner began to end
	blind        int         // steps in a row in which something could not be read
}

// phase is where an instance is between acquiring and releasing.
type phase uint8

const (
	idle      phase = iota // not holding, nothing left to delete
	acquiring              // holding, the first addition not yet done
	holding
	releasing
)

// notes is what others want of a keeper.
type notes struct {
	config  Instance
	decided bool // Acquire or Release has been called
	want    bool // the last of the two was Acquire
	repeat  int  // announce everything that many times
	look    bool // the kernel's tables look different
	removed bool // the instance is no longer configured
	final   bool // the Owner ends
}

// wanted tells whether the instance is to hold its entries.
func (n notes) wanted() bool { return n.want && !n.removed && !n.final }

func newKeeper(o *Owner, instance Instance) *keeper {
	k := &keeper{
		owner: o, name: instance.Name, wake: make(chan struct{}, 1),
		links: make(map[string]*linkState),
	}
	k.notes.config = instance
	k.adopt(instance)
	k.publish()
	return k
}

// tell changes the notes and wakes the keeper.
func (k *keeper) tell(note func(*notes)) {
	k.mu.Lock()
	note(&k.notes)
	k.mu.Unlock()
	poke(k.wake)
}

// take reads the notes; requests for something to be done once are taken out.
func (k *keeper) take() notes {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.notes
	k.notes.repeat, k.notes.look = 0, false
	return n
}

// interim is what was noted during a step: how often everything is to be
// announced, and whether the instance is still to hold its entries.
func (k *keeper) interim() (repeat int, wanted bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	repeat, k.notes.repeat = k.notes.repeat, 0
	return repeat, k.notes.wanted()
}

// ended tells whether the keeper is not wanted any more.
func (k *keeper) ended() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.notes.removed || k.notes.final
}

// run works off the notes until the instance is removed or the Owner ends.
func (k *keeper) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next, done := k.step()
		if k.publish() {
			// What the kernel showed during the step was compared with the
			// belief before it, and may be shown no second time.
			k.owner.recompare()
		}
		if done && k.owner.forget(k) {
			return
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-k.wake:
		case <-timer.C:
		}
	}
}

// step does what there is to do now. It returns when to look again without
// being told to, zero for never, and whether nothing is left to do for a
// keeper that is not wanted any more.
func (k *keeper) step() (next time.Time, done bool) {
	n := k.take()
	k.adopt(n.config)
	next = k.dropObsolete()
	if k.lost {
		k.recover(time.Now())
		next = sooner(next, k.lostUntil)
	}
	switch {
	case n.wanted():
		return sooner(next, k.hold(n.repeat)), false
	case !n.decided:
		return next, n.final
	}
	k.abandon()
	next = sooner(next, k.release())
	clean := k.phase == idle && len(k.obsolete) == 0
	if n.final {
		k.stopTries++
		return next, clean || k.stopTries >= stopLimit
	}
	return next, n.removed && clean
}

// note remembers an error for the status. The first one of a step says most.
func (k *keeper) note(err error) {
	if k.lastErr == nil {
		k.lastErr = err
	}
}

// sooner is the earlier of two times, of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
