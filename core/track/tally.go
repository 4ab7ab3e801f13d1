// Package track adds up what trackers observe to the effective priority and the
// faults of every virtual router.
//
// It is pure: it reads no clock, starts no goroutine and observes nothing. A
// Tally is told what somebody saw (an interface, a script, a file, a process,
// an address, a service, a BFD session: it makes no difference here) and
// answers with whose priority is another one and who is, or is no longer, in
// fault, and why. core/daemon calls it, from one goroutine; nothing here is safe
// for concurrent use.
//
// Three rules stand behind every line. A tracker's verdict changes only after
// rise observations of up, or fall of down, in a row. What is not known moves
// nothing: a tracker that has not decided neither adds nor subtracts and causes
// no fault, and one that cannot be asked any more keeps its verdict. A priority
// is always computed anew from the verdicts, never adjusted, so that neither the
// order of events nor a reload can make it drift.
//
// Analyze judges a configuration before it runs: what priorities it can reach,
// and whether that is of any use.
//
// Read Config first, then Tally.Handle.
package track

import (
	"cmp"
	"slices"
	"time"
)

// Tally is all trackers and all virtual routers of one daemon. Make it with New.
type Tally struct {
	trackers  []*tracker  // sorted by name
	instances []*instance // sorted by name
	groups    []Group     // sorted by name
	losses    bool        // some tracker may be lost with a grace that runs
	unsettled bool        // what New found has not been given out yet
}

// New returns a Tally that has given out nothing yet: the first Handle does.
// Every instance is taken to be at its configured priority and without fault
// until an action says otherwise.
func New(now time.Time, c Config) *Tally {
	t := &Tally{unsettled: true}
	t.reconfigure(now, &c)
	return t
}

// Handle takes an event in and appends what follows from it to actions, in this
// order: TrackerChanged by name, then by instance PriorityChanged before
// FaultChanged, so that who leaves a fault does so with the right priority. An
// event that changes nothing appends nothing and allocates nothing.
func (t *Tally) Handle(now time.Time, event Event, actions []Action) []Action {
	// The first time nothing but an assumption can have moved anything yet,
	// unless the event does.
	changed, why := t.unsettled, Why{Reason: ReasonAssumed}
	switch e := event.(type) {
	case Observed:
		if k := t.tracker(e.Tracker); k != nil && k.observe(now, &e) {
			changed = true
		}
	case Lost:
		if k := t.tracker(e.Tracker); k != nil && k.lose(now) {
			t.losses = true
		}
	case DeadlineReached:
		if t.expire(now) {
			changed = true
		}
	case Reconfigured:
		t.reconfigure(now, &e.Config)
		why, changed = Why{Reason: ReasonReconfigured}, true
	}
	if !changed {
		return actions
	}
	t.unsettled = false
	return t.settle(now, why, actions)
}

// Deadline returns when the Tally wants DeadlineReached, and false when nothing
// waits for a time.
func (t *Tally) Deadline() (time.Time, bool) {
	if !t.losses {
		return time.Time{}, false
	}
	var first time.Time
	for _, k := range t.trackers {
		if at, ok := k.deadline(); ok && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	t.losses = !first.IsZero()
	return first, t.losses
}

// expire brings down the trackers that have been away for longer than their
// grace, and reports whether there are any.
func (t *Tally) expire(now time.Time) (expired bool) {
	for _, k := range t.trackers {
		if at, ok := k.deadline(); ok && !now.Before(at) {
			k.expire(now)
			expired = true
		}
	}
	return expired
}

// settle computes every instance and appends what differs from the last time.
func (t *Tally) settle(now time.Time, why Why, actions []Action) []Action {
	for _, k := range t.trackers {
		actions = k.report(actions)
	}
	for _, i := range t.instances {
		actions = i.settle(now, why, actions)
	}
	for _, k := range t.trackers {
		k.fresh = false
	}
	return actions
}

func (t *Tally) tracker(name string) *tracker {
	i, ok := slices.BinarySearchFunc(t.trackers, name, func(k *tracker, name string) int {
		return cmp.Compare(k.config.Name, name)
	})
	if !ok {
		return nil
	}
	return t.trackers[i]
}

func (t *Tally) instance(name string) *instance {
	i, ok := slices.BinarySearchFunc(t.instances, name, func(i *instance, name string) int {
		return cmp.Compare(i.config.Name, name)
	})
	if !ok {
		return nil
	}
	return t.instances[i]
}
