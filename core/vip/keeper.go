package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
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

// belief is what a keeper holds to be on the interface, for comparing with
// what the links show. It is replaced, never changed.
type belief struct {
	iface   string
	index   int
	idle    bool // nothing is to be concluded from the links
	holding bool
	// addresses should be there when holding, should not when not.
	addresses []netip.Prefix
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

func (k *keeper) believes() belief {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.belief
}

func (k *keeper) snapshot() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.status
	s.Announced = k.sent.Load()
	return s // The slice is replaced, never changed.
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

// adopt takes over a configuration. What is on the interface and no longer
// configured becomes obsolete.
func (k *keeper) adopt(c Instance) {
	old := k.config
	if old.Interface == c.Interface && old.AddressOwner == c.AddressOwner && old.Repeat == c.Repeat &&
		slices.Equal(old.Addresses, c.Addresses) {
		return
	}
	k.config = c
	addresses := make(map[netip.Prefix]*address, len(c.Addresses))
	for _, p := range c.Addresses {
		addresses[p] = &address{AddressStatus: AddressStatus{Address: p}}
	}
	for p, a := range k.addresses {
		switch {
		case old.Interface == c.Interface && addresses[p] != nil:
			addresses[p] = a
		case a.Present && !k.kept[p]:
			k.obsolete = append(k.obsolete, claim{old.Interface, p})
		}
	}
	k.addresses = addresses
	k.obsolete = slices.DeleteFunc(k.obsolete, func(o claim) bool {
		return o.iface == c.Interface && addresses[o.prefix] != nil
	})
	if old.Interface != c.Interface && old.Interface != "" {
		k.away, k.index, k.kept = false, 0, nil
		k.phase, k.swept, k.drift = idle, false, nil
		k.reclaim(nil)
		k.owner.silence(k.name)
	}
	k.looked = false // What is new may be the machine's own.
	k.incomplete()
	if k.lost {
		k.lostUntil = time.Now() // The cause may be gone.
	}
}

// dropObsolete deletes what is no longer configured.
func (k *keeper) dropObsolete() (next time.Time) {
	if len(k.obsolete) == 0 {
		return time.Time{}
	}
	now, pause := time.Now(), removePauseMax
	if k.ended() {
		pause = retryPause
		k.obsoleteAt = sooner(k.obsoleteAt, now.Add(pause))
	}
	if now.Before(k.obsoleteAt) {
		return k.obsoleteAt
	}
	byInterface := make(map[string][]netip.Prefix)
	for _, c := range k.obsolete {
		byInterface[c.iface] = append(byInterface[c.iface], c.prefix)
	}
	k.obsolete = nil
	for iface, list := range byInterface {
		err := k.owner.kernel.DelAddresses(iface, k.owner.unshared(k, iface, list))
		if err == nil {
			k.obsoleteLogs = false
			continue
		}
		k.note(err)
		if !k.obsoleteLogs {
			k.obsoleteLogs = true
			k.owner.log.Error("cannot delete addresses", "instance", k.name, "iface", iface, "reason", err)
		}
		for _, p := range list {
			k.obsolete = append(k.obsolete, claim{iface, p})
		}
		k.obsoleteAt = time.Now().Add(pause)
		next = k.obsoleteAt
	}
	return next
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

// note remembers an error for the status.
func (k *keeper) note(err error) { k.lastErr = err }

// publish makes the keeper's state visible to others.
func (k *keeper) publish() {
	s := Status{
		Interface: k.config.Interface,
		Holding:   k.phase == acquiring || k.phase == holding,
		Lost:      k.lost,
		Addresses: make([]AddressStatus, len(k.config.Addresses)),
	}
	if k.lastErr != nil {
		s.Error = k.lastErr.Error()
	}
	b := belief{
		iface: k.config.Interface, index: k.index, holding: s.Holding,
		idle: k.lost || (!s.Holding && !k.swept),
	}
	for i, p := range k.config.Addresses {
		a := k.addresses[p]
		s.Addresses[i] = a.AddressStatus
		// Those that are not as they should be are waiting for their time.
		if a.Present == s.Holding && (s.Holding || !k.kept[p]) {
			b.addresses = append(b.addresses, p)
		}
	}
	if k.away {
		b.index = 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status, k.belief = s, b
}

// recover ends the time in which a lost instance does nothing.
func (k *keeper) recover(now time.Time) {
	if now.Before(k.lostUntil) {
		return
	}
	k.lost, k.lostUntil = false, time.Time{}
	k.losses, k.failures, k.retryAt = nil, 0, time.Time{}
	k.note(nil)
	k.owner.observer.Restored(k.name)
}

// incomplete ends a time in which all addresses were there. A long one makes
// up for the defeats before it.
func (k *keeper) incomplete() {
	if !k.complete.IsZero() && time.Since(k.complete) >= holdDownMax {
		k.defeats = 0
	}
	k.complete = time.Time{}
}

// giveUp reports that the addresses cannot be kept.
func (k *keeper) giveUp(reason error) {
	k.incomplete()
	k.lost = true
	k.lostUntil = time.Now().Add(min(holdDown<<min(k.defeats, 10), holdDownMax))
	k.defeats++
	k.note(reason)
	k.settle(reason)
	k.owner.observer.Lost(k.name, reason)
}

// settle reports drift that was put right, or cannot be.
func (k *keeper) settle(err error) {
	if k.drift == nil {
		return
	}
	d := *k.drift
	k.drift = nil
	k.report(d, err)
}

func (k *keeper) report(d Drift, err error) {
	d.Instance, d.Interface, d.Err = k.name, k.config.Interface, err
	k.owner.observer.Drifted(d)
}

// brief names addresses in an error: the first few, and how many more.
func brief(addresses []netip.Prefix) string {
	const few = 4
	text := fmt.Sprint(addresses[:min(few, len(addresses))])
	if more := len(addresses) - few; more > 0 {
		text = fmt.Sprintf("%s and %d more", text, more)
	}
	return text
}

// sooner is the earlier of two times, of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// recent drops the times that are longer ago than restoreWindow.
func recent(times []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(times, func(t time.Time) bool { return now.Sub(t) >= restoreWindow })
}
