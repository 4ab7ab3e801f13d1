package track

import "time"

// tracker is the state of one tracker: a counter of equal observations in a row
// and the verdict that such rows have led to.
type tracker struct {
	config  Tracker
	verdict State
	// run is the state that is being counted, and streak how often it came. An
	// unknown one neither counts nor interrupts.
	run    State
	streak int
	// unknowns counts the unknown observations since the last that was not.
	// After fall of them the state is shown as unknown; the verdict stays.
	unknowns int
	// value is the last number, which counts while the verdict is Up.
	value int
	// lost is when the observer went away; zero while it is there. expired says
	// that this has brought the tracker down.
	lost    time.Time
	expired bool
	// unproven is why the verdict is nobody's observation, and ReasonNone once
	// something has been decided.
	unproven Reason

	reason, detail string // the last observation's
	why            Why    // of the last decision
	since          time.Time
	fresh          bool // decided since the last time instances were computed

	// The last that was reported.
	reported      State
	reportedValue int
}

func newTracker(now time.Time, c Tracker) *tracker {
	k := &tracker{config: c, since: now}
	k.presume()
	return k
}

// presume sets what holds of a tracker that has never decided.
func (k *tracker) presume() {
	k.verdict, k.unproven = Unknown, ReasonNotProven
	if k.config.AssumeDown {
		k.verdict, k.unproven = Down, ReasonAssumed
	}
	k.reported = k.verdict // An assumption is no news.
	k.why = Why{Reason: k.unproven, Tracker: k.config.Name}
}

// observe counts one observation, and reports whether something was decided.
func (k *tracker) observe(now time.Time, e *Observed) bool {
	if e.Definition != "" && e.Definition != k.config.Definition {
		return false
	}
	k.lost, k.expired = time.Time{}, false
	k.reason, k.detail = e.Reason, e.Detail
	if e.State == Unknown {
		k.unknowns++
		return false
	}
	k.unknowns = 0
	if k.run != e.State {
		k.run, k.streak = e.State, 0
	}
	k.streak++
	needed, reason := k.config.Fall, ReasonDown
	numberMoved := false
	if e.State == Up {
		needed, reason = k.config.Rise, ReasonUp
		numberMoved = k.config.Valued && k.value != e.Value && k.verdict == Up
		k.value = e.Value
	}
	if k.streak >= needed {
		moved := k.verdict != e.State
		if moved || k.unproven != ReasonNone {
			k.decide(now, e.State, reason)
		}
		if moved {
			return true
		}
	}
	if numberMoved {
		k.decide(now, Up, ReasonValue)
	}
	return numberMoved
}

func (k *tracker) decide(now time.Time, verdict State, reason Reason) {
	k.verdict, k.unproven, k.since, k.fresh = verdict, ReasonNone, now, true
	k.why = Why{Reason: reason, Tracker: k.config.Name, TrackerReason: k.reason, TrackerDetail: k.detail}
}

// lose notes that the observer is away, and reports whether that has a deadline.
// It changes nothing by itself.
func (k *tracker) lose(now time.Time) bool {
	if k.lost.IsZero() {
		k.lost = now
	}
	_, ok := k.deadline()
	return ok
}

// deadline is when the grace of a lost observer ends; false when nothing ends.
func (k *tracker) deadline() (time.Time, bool) {
	if k.lost.IsZero() || k.expired || !k.config.FailOnLoss {
		return time.Time{}, false
	}
	return k.lost.Add(k.config.Grace), true
}

// expire brings the tracker down because its observer stays away. What was
// counted is forgotten: to come back it takes rise observations.
func (k *tracker) expire(now time.Time) {
	k.expired = true
	k.run, k.streak = Unknown, 0
	k.reason, k.detail = "", ""
	k.decide(now, Down, ReasonLost)
}

// state is the verdict as it may be shown: what nobody has been able to confirm
// is unknown.
func (k *tracker) state() State {
	if k.doubt() != ReasonNone {
		return Unknown
	}
	return k.verdict
}

// doubt is why the state is unknown, and ReasonNone if it is not.
func (k *tracker) doubt() Reason {
	switch {
	case k.expired:
		return ReasonNone
	case !k.lost.IsZero():
		return ReasonLost
	case k.unknowns >= max(k.config.Fall, 1):
		return ReasonNoOpinion
	default:
		return k.unproven
	}
}

// report appends what was decided since it was last reported.
func (k *tracker) report(actions []Action) []Action {
	number := 0
	if k.config.Valued && k.verdict == Up {
		number = k.value
	}
	if k.verdict == k.reported && number == k.reportedValue {
		return actions
	}
	c := TrackerChanged{Tracker: k.config.Name, From: k.reported, To: k.verdict, Value: number, Why: k.why}
	k.reported, k.reportedValue = k.verdict, number
	return append(actions, c)
}
