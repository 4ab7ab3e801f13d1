package schedule

import (
	"math/bits"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/session"
)

// The numbers of the cadence. They are part of what the SDK promises its users
// and stand in sdk/README.md.
const (
	// warmUp is the time over which the first runs of probes are spread whose
	// state nobody knows: short, since until then their servers get no traffic.
	// It is never longer than the probe's interval.
	warmUp = time.Second
	// firstRunSpacing stretches the warm-up of a large set to at most 10,000
	// first runs a second.
	firstRunSpacing = 100 * time.Microsecond
	// slack is the shortest sleep of the loop. Probes that become due within it
	// start together, up to this late: ten thousand probes a second would
	// otherwise be ten thousand wake-ups.
	slack = 10 * time.Millisecond
	// grace is how long after its deadline a probe may still hand in its own
	// account of the timeout before the scheduler writes one.
	grace = 50 * time.Millisecond
	// batchTime is how long an unsurprising result may wait for company.
	batchTime = 100 * time.Millisecond
	// beatTime is the interval of heartbeats.
	beatTime = time.Second
	// watchTime bounds the sleep while something is in flight, so that the
	// loop knows within this how late it was when the process stood still.
	watchTime = 100 * time.Millisecond
	// stallTime is the lateness from which the loop counts as stalled: what is
	// overdue then is spread over its interval and not started at once.
	stallTime = 500 * time.Millisecond
	// overdueTime is how far behind its time a probe counts as overdue.
	overdueTime = 100 * time.Millisecond
)

// never is later than every time.
const never = int64(1<<63 - 1)

// fraction gives a probe its place between 0 and 1 (as a 64-bit fixed-point
// number) from its id. Multiples of the golden ratio: ids that follow each
// other, as a host gives them, fall as evenly as points can, whatever their
// number. The seed turns the whole circle, so that two machines with one
// configuration do not probe at the same moments.
func fraction(seed, id uint64) uint64 {
	const golden = 0x9E3779B97F4A7C15
	return seed + id*golden
}

// part returns that fraction of a duration.
func part(fraction uint64, d time.Duration) int64 {
	hi, _ := bits.Mul64(fraction, uint64(max(d, 0)))
	return int64(hi) //nolint:gosec // Below d.
}

// gridAfter returns the first time after now at which a settled probe runs: a
// fixed place in every interval, so that neither slow answers nor a late loop
// make it drift.
func (p *probe) gridAfter(now int64) int64 {
	interval := int64(p.definition.Schedule.Interval)
	offset := part(p.fraction, p.definition.Schedule.Interval)
	if now < offset {
		return offset
	}
	return offset + ((now-offset)/interval+1)*interval
}

// firstRun places a probe that was just committed. One whose state the host
// knows has an interval's time; any other runs within the warm-up.
func (p *probe) firstRun(now int64, window time.Duration) int64 {
	if p.settled() {
		return p.gridAfter(now)
	}
	return now + part(p.fraction, min(window, p.definition.Schedule.Interval))
}

// warmUpFor is the window in which n probes have their first runs.
func warmUpFor(n int) time.Duration {
	return max(warmUp, time.Duration(n)*firstRunSpacing)
}

// nextRun places the run after the one that started at started: after the
// retry interval, start to start, while the last outcome has not been seen
// rise or fall times; then back on the grid.
func (p *probe) nextRun(started, now int64) int64 {
	if p.settled() {
		return p.gridAfter(now)
	}
	return max(started+int64(p.definition.Schedule.RetryInterval), now)
}

// spreadAfterStall places a probe whose time passed while the process stood
// still: anywhere within the interval it is on.
func (p *probe) spreadAfterStall(now int64) int64 {
	if p.settled() {
		return p.gridAfter(now)
	}
	return now + part(p.fraction, p.definition.Schedule.RetryInterval)
}

// settled reports whether the last outcome has been seen often enough for the
// core to have made up its mind: the only use the SDK has for rise and fall.
func (p *probe) settled() bool { return p.seen >= needed(p.last, &p.definition.Schedule) }

// needed treats a probe that cannot find out like one that fails: it is tried
// again soon at first and does not hammer a machine that is in trouble.
func needed(o check.Outcome, s *session.Schedule) int {
	if o == check.Pass {
		return s.Rise
	}
	return s.Fall
}

// remember counts an outcome and reports whether it differs from the one
// before. A late loop learnt nothing, so it changes nothing.
func (p *probe) remember(r *check.Result) (changed bool) {
	if r.Reason == check.ReasonLate {
		return false
	}
	if r.Outcome == p.last {
		p.seen = min(p.seen+1, 1<<30)
		return false
	}
	p.last, p.seen = r.Outcome, 1
	return true
}

// forget starts the history from what the host believes.
func (p *probe) forget() {
	p.last, p.seen = p.definition.LastOutcome, 0
	if p.last != check.Unknown {
		p.seen = needed(p.last, &p.definition.Schedule)
	}
}
