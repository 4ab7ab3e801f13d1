package checks

import (
	"time"

	"github.com/halo-ha/halo/core/pool"
	"github.com/halo-ha/halo/core/track"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
)

// assigned is a probe with its id and its history.
type assigned struct {
	Probe
	id uint64
	// generation is the one that last changed what the plugin is told. Results
	// of an earlier one were found under other terms.
	generation uint64

	// belief is the outcome that was last seen rise or fall times in a row, run
	// and streak are the row that is being counted. A process that comes back
	// is told the belief, so that it neither rushes to try what is long known
	// nor takes its time with what has just begun to fail.
	belief, run check.Outcome
	streak      int

	last   host.ProbeResult
	at     time.Time // when last was found; zero before the first
	counts Counts

	// told is how many equal passes in a row the pool was told of, or would have
	// been. Zero makes the pool be told anew.
	told int
}

// update takes over a new wording of the same question. It reports whether the
// plugin has to be told.
func (p *assigned) update(w Probe, generation uint64) bool {
	changed := p.Wire.Schedule != w.Wire.Schedule || p.Wire.Target != w.Wire.Target
	p.Probe = w
	p.told = 0 // The pool may have another check under this name.
	if changed {
		p.generation = generation
	}
	return changed
}

// wire is the probe as the plugin is told it.
func (p *assigned) wire() host.Probe {
	w := p.Wire
	w.ID, w.LastOutcome = p.id, p.belief
	return w
}

// reminder is how many steady passes one is told of: nothing should hang on it,
// as a comparison with the kernel is made although nothing should have changed.
const reminder = 64

// news reports whether the pool, or who tracks, has to be told of a result. A pass like the one
// before changes nothing any more once rise of them have been told, and ten
// thousand healthy servers send little else.
func (p *assigned) news(r *host.ProbeResult) bool {
	if r.Outcome != check.Pass || !p.alike(r) {
		p.told = 0
	}
	p.told++
	return r.Outcome != check.Pass || p.told <= max(p.Wire.Schedule.Rise, 1) || p.told%reminder == 0
}

// alike reports whether a pool makes no difference between r and the result before.
func (p *assigned) alike(r *host.ProbeResult) bool {
	if p.last.Weight == nil || r.Weight == nil {
		return p.last.Outcome == r.Outcome && p.last.Weight == r.Weight
	}
	return p.last.Outcome == r.Outcome && *p.last.Weight == *r.Weight
}

// take adds a result, which arrived at now, to the history.
func (p *assigned) take(now time.Time, r *host.ProbeResult) {
	p.last, p.at = *r, now.Add(-max(r.Age, 0))
	needed := p.Wire.Schedule.Rise
	switch r.Outcome {
	case check.Pass:
		p.counts.Pass++
	case check.Fail:
		p.counts.Fail++
		needed = p.Wire.Schedule.Fall
	case check.Unknown:
		p.counts.Unknown++
		return
	}
	if r.Outcome != p.run {
		p.run, p.streak = r.Outcome, 0
	}
	if p.streak++; p.streak >= needed {
		p.belief = r.Outcome
	}
}

// event is a result as the pool takes it.
func (p *assigned) event(r *host.ProbeResult) pool.CheckResult {
	e := pool.CheckResult{
		Server: p.Server, Check: p.Check, Definition: p.Definition, Outcome: outcome(r.Outcome),
		Reason: r.Reason.String(), Detail: r.Detail,
	}
	if r.Weight != nil {
		e.Weighted, e.Weight = true, *r.Weight
	}
	return e
}

// observed is a result as the tally takes it.
func (p *assigned) observed(r *host.ProbeResult) track.Observed {
	o := track.Observed{Tracker: p.Tracker, Definition: p.Definition, Detail: r.Detail}
	if r.Reason != check.ReasonNone {
		o.Reason = r.Reason.String()
	}
	switch r.Outcome {
	case check.Pass:
		o.State = track.Up
	case check.Fail:
		o.State = track.Down
	case check.Unknown:
	}
	return o
}

// outcome translates from the SDK's word to the pool's. What is neither a pass
// nor a fail is unknown.
func outcome(o check.Outcome) pool.Outcome {
	switch o {
	case check.Pass:
		return pool.OutcomePass
	case check.Fail:
		return pool.OutcomeFail
	case check.Unknown:
		return pool.OutcomeUnknown
	}
	return pool.OutcomeUnknown
}
