package watch

import (
	"fmt"
	"time"

	"github.com/halo-ha/halo/core/track"
)

// counted is the state of one tracked process.
type counted struct {
	rule    Process
	last    last
	members map[int]struct{} // the processes that match
	// verdict is what was told, Unknown before.
	verdict track.State
	// before is how many there were at the last review, to tell whether new
	// ones or ended ones have changed something.
	before int
	// pending is when the opposite of verdict will have lasted long enough; zero
	// while verdict is right.
	pending time.Time
}

func newCounted(rule Process) *counted {
	return &counted{rule: rule, members: make(map[int]struct{})}
}

// review draws the conclusion from the count. The first one is drawn at once:
// it is what was there before anybody looked.
func (c *counted) review(now time.Time) {
	count := len(c.members)
	wanted := track.Down
	if c.rule.enough(count) {
		wanted = track.Up
	}
	grown := count > c.before
	c.before = count
	switch {
	case c.verdict == track.Unknown:
		c.verdict = wanted
	case wanted == c.verdict:
		c.pending = time.Time{}
	default:
		if c.pending.IsZero() {
			delay := c.rule.TerminateDelay
			if grown {
				delay = c.rule.Delay
			}
			c.pending = now.Add(delay)
		}
		if !now.Before(c.pending) {
			c.verdict, c.pending = wanted, time.Time{}
		}
	}
}

func (c *counted) has(pid int) bool {
	_, found := c.members[pid]
	return found
}

// observed is what is to be told.
func (c *counted) observed() track.Observed {
	e := track.Observed{Tracker: c.rule.Tracker, Definition: c.rule.Definition, State: c.verdict}
	if c.verdict == track.Down {
		e.Reason = reasonTooFew
		if c.rule.Limited && c.before > c.rule.Most {
			e.Reason = reasonTooMany
		}
		e.Detail = fmt.Sprintf("%d running", c.before)
	}
	return e
}

// The reasons of processes.
const (
	reasonTooFew  = "too_few"
	reasonTooMany = "too_many"
)
