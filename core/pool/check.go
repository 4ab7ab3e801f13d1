package pool

import (
	"time"

	"github.com/halo-ha/halo/core/ipvs"
)

// check is the state of one check: a counter of equal outcomes in a row and the
// verdict that such rows have led to.
type check struct {
	config  Check
	verdict State
	// run is the outcome that is being counted, pass or fail, and streak how
	// often it came. An unknown outcome neither counts nor interrupts.
	run    Outcome
	streak int
	// unknowns counts the unknown outcomes since the last that was not. After
	// fall of them the state is shown as unknown; the verdict stays.
	unknowns int
	// weighted and weight are what the last pass asked for.
	weighted bool
	weight   int
	// lost is when the plugin went away; zero while it is there. expired says
	// that this has failed the check.
	lost    time.Time
	expired bool

	last evidence
}

// evidence is what the last result said beside its weight.
type evidence struct {
	outcome        Outcome
	reason, detail string
}

// result counts one outcome.
func (c *check) result(e *CheckResult) {
	c.lost, c.expired = time.Time{}, false
	c.last = evidence{e.Outcome, e.Reason, e.Detail}
	if e.Outcome == OutcomeUnknown {
		c.unknowns++
		return
	}
	c.unknowns = 0
	if c.run != e.Outcome {
		c.run, c.streak = e.Outcome, 0
	}
	c.streak++
	switch {
	case e.Outcome == OutcomePass:
		c.weighted, c.weight = e.Weighted, min(max(e.Weight, 0), ipvs.MaxWeight)
		if c.streak >= c.config.Rise {
			c.verdict = Up
		}
	case c.streak >= c.config.Fall:
		c.verdict = Down
	}
}

// state is the verdict as it may be shown: what was once decided but nobody has
// been able to confirm is unknown.
func (c *check) state() State {
	if !c.expired && (!c.lost.IsZero() || c.unknowns >= max(c.config.Fall, 1)) {
		return Unknown
	}
	return c.verdict
}

// deadline is when the grace of a lost plugin ends; false when nothing ends.
func (c *check) deadline() (time.Time, bool) {
	if c.lost.IsZero() || c.expired || !c.config.FailOnLoss {
		return time.Time{}, false
	}
	return c.lost.Add(c.config.Grace), true
}

// expire fails the check because its plugin stays away. What was counted is
// forgotten: to come back it takes rise passes from the plugin.
func (c *check) expire() {
	c.verdict, c.expired = Down, true
	c.run, c.streak = OutcomeUnknown, 0
}

// doubt is why the check's state is unknown.
func (c *check) doubt() Reason {
	switch {
	case !c.lost.IsZero():
		return ReasonPluginLost
	case c.unknowns >= max(c.config.Fall, 1):
		return ReasonNoOpinion
	default:
		return ReasonCheckAdded
	}
}

// why names the check together with what it last said.
func (c *check) why(r Reason) Why {
	w := Why{Reason: r, Check: c.config.Name}
	if c.lost.IsZero() {
		w.CheckReason, w.CheckDetail = c.last.reason, c.last.detail
	}
	return w
}
