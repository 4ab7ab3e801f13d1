package track

import (
	"slices"
	"time"
)

// instance is the state of one virtual router.
type instance struct {
	config Instance
	group  string // the sync group's name, empty without one
	uses   []bound

	// The last that was given out.
	priority uint8
	faults   []string
	// unapplied says that the configured priority has changed, so that whoever
	// applies it must be told of any other.
	unapplied bool
	why       Why // of the last change of either
	since     time.Time

	scratch []string // faults being computed, to allocate only for what changed
}

// bound is a use together with the tracker that it is of.
type bound struct {
	Use
	tracker *tracker
	via     string // the group or instance whose use it is, empty for one's own
}

// effect is what one use does at the moment.
type effect struct {
	adjustment int // to the priority, -MaxWeight..MaxWeight
	fault      bool
}

// effect answers what the tracker's verdict means for who uses it.
func (u *bound) effect() effect {
	switch k := u.tracker; {
	case k.verdict == Unknown:
		return effect{}
	case k.config.Valued && k.verdict == Up:
		return u.numeric(k.value)
	default:
		return u.plain((k.verdict == Up) != u.Reverse)
	}
}

func (u *Use) plain(good bool) effect {
	switch {
	case u.Weight == 0:
		return effect{fault: !good}
	case (u.Weight > 0) == good:
		return effect{adjustment: min(max(u.Weight, -MaxWeight), MaxWeight)}
	default:
		return effect{}
	}
}

// numeric is plain for a number. Numbers beyond what makes a fault with the
// smallest weight are not told apart, which keeps the product small.
func (u *Use) numeric(value int) effect {
	value = min(max(value, -MaxFactor), MaxFactor)
	product := value * min(max(u.Weight, -MaxFactor), MaxFactor)
	if u.Reverse {
		product = -product
	}
	switch {
	case u.Weight == 0:
		return effect{fault: (value != 0) != u.Reverse}
	case product <= -MaxFactor:
		return effect{fault: true}
	default:
		return effect{adjustment: min(product, MaxWeight)}
	}
}

// total is the effective priority, and leaves the faults in scratch.
func (i *instance) total() uint8 {
	i.scratch = i.scratch[:0]
	sum := 0
	for n := range i.uses {
		u := &i.uses[n]
		e := u.effect()
		sum += e.adjustment
		if e.fault {
			i.scratch = append(i.scratch, u.Tracker)
		}
	}
	slices.Sort(i.scratch)
	return effective(i.config.Priority, sum)
}

// effective adds up a priority. That of an owner does not move.
func effective(base uint8, sum int) uint8 {
	if base == Owner {
		return Owner
	}
	return uint8(min(max(int(base)+sum, MinPriority), MaxPriority))
}

// settle appends what differs from what was last given out. The reason is the
// first tracker of the instance that has just decided, or else the one given.
func (i *instance) settle(now time.Time, why Why, actions []Action) []Action {
	priority := i.total()
	moved := priority != i.priority
	for n := range i.uses {
		if k := i.uses[n].tracker; k.fresh {
			why = k.why
			break
		}
	}
	if moved || i.unapplied && priority != i.config.Priority {
		actions = append(actions, PriorityChanged{Instance: i.config.Name, From: i.priority, To: priority, Why: why})
	}
	i.priority, i.unapplied = priority, false
	faulted := !slices.Equal(i.scratch, i.faults)
	if faulted {
		i.faults = append([]string(nil), i.scratch...)
		actions = append(actions, FaultChanged{Instance: i.config.Name, Faults: i.faults, Why: why})
	}
	if moved || faulted {
		i.why, i.since = why, now
	}
	return actions
}
