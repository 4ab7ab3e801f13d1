package vip

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Limits of a keeper's patience.
const (
	// An active instance whose addresses are removed restoreLimit times
	// within restoreWindow gives up. The pauses before putting them back are
	// 0, 50, 100 and 200 ms.
	restoreLimit  = 5
	restoreWindow = 10 * time.Second
	// One whose addresses cannot be added gives up after addLimit attempts,
	// which take 0.75 s.
	addLimit   = 5
	retryPause = 50 * time.Millisecond
	// Having given up, it tries again after holdDown, doubled each time up to
	// holdDownMax. A time of success as long as holdDownMax starts afresh.
	holdDown    = 10 * time.Second
	holdDownMax = 5 * time.Minute
	// Addresses that cannot be deleted are tried again and again, at most
	// removePauseMax apart, and stopLimit times when the Owner ends.
	removePauseMax = 5 * time.Second
	stopLimit      = 5
	// truce is how long an instance that is not active leaves addresses alone
	// that somebody else keeps adding.
	truce = 30 * time.Second
	// missingPause is how often a missing interface is looked for without
	// being told of it.
	missingPause = time.Second
)

// keeper keeps the addresses of one instance. Others leave notes; its own
// goroutine (run) works them off, one step at a time. Every step looks at what
// was last noted and at what is on the interface, and does what is needed to
// make the two meet, so a step too many is harmless.
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
	config    Instance
	addresses map[netip.Prefix]*address
	claims    []claim
	obsolete  []claim // to be deleted, no longer configured
	kept      map[netip.Prefix]bool
	looked    bool // the interface has been looked at for what is kept
	away      bool // the interface was missing when last looked
	index     int  // of the interface on which the addresses were put
	phase     phase
	swept     bool // what was there at the beginning is gone
	lastErr   error

	retryAt   time.Time   // no adding before
	failures  int         // attempts to add in a row that failed
	losses    []time.Time // removals by others, within restoreWindow
	drift     *Drift      // found, not yet put right
	lost      bool
	lostUntil time.Time
	defeats   int       // times lost in a row
	complete  time.Time // since when all addresses have been there, or zero

	removeAt     time.Time // no deleting before
	removeFails  int
	obsoleteAt   time.Time
	obsoleteLogs bool
	intrusions   []time.Time // additions by others, within restoreWindow
	stopTries    int         // steps since the Owner began to end
	blind        int         // times in a row that the interface could not be read
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
	look    bool // the interface looks different
	removed bool // the instance is no longer configured
	final   bool // the Owner ends
}

type address struct {
	AddressStatus
	restoring bool // was taken away while held
}

func newKeeper(o *Owner, instance Instance) *keeper {
	k := &keeper{
		owner: o, name: instance.Name, wake: make(chan struct{}, 1),
		addresses: make(map[netip.Prefix]*address),
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
		k.publish()
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
	case n.want && !n.removed && !n.final:
		return sooner(next, k.hold(n)), false
	case !n.decided:
		return next, n.final
	}
	k.owner.silence(k.name)
	next = sooner(next, k.release())
	clean := k.phase == idle && len(k.obsolete) == 0
	if n.final {
		k.stopTries++
		return next, clean || k.stopTries >= stopLimit
	}
	return next, n.removed && clean
}

// look reads what is on the interface into the addresses' status. Those that
// were there and are not any more are gone.
func (k *keeper) look() (gone []netip.Prefix, err error) {
	f, err := k.owner.facts.read(k.config.Interface)
	missing := errors.Is(err, syscall.ENODEV)
	if err != nil && !missing {
		return nil, err
	}
	if missing {
		// Whatever comes back is another interface.
		k.looked, k.kept = false, nil
	} else if !k.looked {
		k.looked = true
		k.keep(f)
	}
	now := time.Now()
	for _, p := range k.config.Addresses {
		a := k.addresses[p]
		if a.Present && !f.all[p] {
			gone = append(gone, p)
		}
		if a.Present != f.all[p] || a.Since.IsZero() {
			a.Present, a.Since = f.all[p], now
		}
	}
	return gone, err
}

// keep notes which addresses are the machine's own. What this keeper put there
// is not, even where the kernel stores no marks.
func (k *keeper) keep(f fact) {
	kept := make(map[netip.Prefix]bool)
	if k.config.AddressOwner {
		for _, p := range k.config.Addresses {
			if k.kept[p] || f.all[p] && !f.marked[p] && !k.addresses[p].Present {
				kept[p] = true
			}
		}
	}
	k.kept = kept
}

// sooner is the earlier of two times, of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
