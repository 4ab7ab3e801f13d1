package schedule

import (
	"context"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/session"
)

// mostStarts is how many runs start between two looks at the clock, so that a
// large burst leaves room for results to come in.
const mostStarts = 256

// loop sleeps until the next event and handles what is due, until ctx ends.
func (s *Scheduler) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	s.mu.Lock()
	s.wakeAt = s.now()
	s.nextAt = s.wakeAt + int64(beatTime)
	s.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		timer.Reset(s.turn())
	}
}

// turn handles what is due and returns how long to sleep.
func (s *Scheduler) turn() time.Duration {
	s.mu.Lock()
	now := s.now()
	stalled := s.measure(now)
	s.beat(now)
	for {
		s.started = s.collect(now, stalled, s.started[:0])
		if len(s.started) == 0 {
			break
		}
		// The lock is not held while authors' code runs: a Starter may be done
		// at once. The process may stand still there as well as in its sleep.
		s.wakeAt = now
		s.mu.Unlock()
		for i := range s.started {
			s.begin(&s.started[i])
		}
		clear(s.started)
		s.mu.Lock()
		now = s.now()
		stalled = s.measure(now)
	}
	if s.outbox.flushAt != 0 && now >= s.outbox.flushAt {
		s.outbox.flushAt = 0
		s.kickSender()
	}
	s.wakeAt = s.sleepUntil(now)
	s.mu.Unlock()
	return time.Duration(s.wakeAt - now)
}

// measure notes how late the loop is and reports a stall.
func (s *Scheduler) measure(now int64) (stalled bool) {
	lag := max(now-s.wakeAt, 0)
	s.worst = max(s.worst, lag)
	// A small lag does not hide a large one that ended just before.
	if lag >= int64(slack) && (lag >= s.stall.lag || now-s.stall.until > int64(2*grace)) {
		s.stall = stall{until: now, lag: lag}
	}
	return lag > int64(stallTime)
}

// beat leaves a heartbeat each second. It stands in the loop and nowhere else:
// a loop that hangs must look dead.
func (s *Scheduler) beat(now int64) {
	if now < s.nextAt {
		return
	}
	s.outbox.beat = &session.Heartbeat{
		LoopLag:  time.Duration(s.worst),
		Probes:   len(s.probes),
		InFlight: s.inFlight,
		Overdue:  s.queue.countBefore(now - int64(overdueTime)),
		Done:     s.done,
	}
	s.worst = 0
	if s.nextAt += int64(beatTime); s.nextAt <= now {
		s.nextAt = now + int64(beatTime)
	}
	s.kickSender()
}

func (s *Scheduler) sleepUntil(now int64) int64 {
	at := s.nextAt
	if len(s.queue) > 0 {
		at = min(at, s.queue[0].at)
	}
	if s.outbox.flushAt != 0 {
		at = min(at, s.outbox.flushAt)
	}
	if s.inFlight > 0 {
		at = min(at, now+int64(watchTime))
	}
	return max(at, now+int64(slack))
}

// run is a start that is due, taken out of reach of the lock.
type run struct {
	probe    *probe
	number   uint64
	checker  check.Checker
	starter  check.Starter
	target   *check.Target
	ctx      context.Context //nolint:containedctx // From collect to begin.
	deadline int64
}

// collect handles every event that is due but the starts, of which it returns
// at most mostStarts.
func (s *Scheduler) collect(now int64, stalled bool, starts []run) []run {
	for len(s.queue) > 0 && s.queue[0].at <= now && len(starts) < mostStarts {
		p := s.queue[0].probe
		switch {
		case p.outstanding && p.stale:
			// The end of the old run wakes it.
			p.at = never
		case p.outstanding:
			// The deadline has passed, or the next run is due while one that
			// will not end is still out: no second copy, and the same answer.
			again := ""
			if p.reported {
				again = "the run before has not ended"
			}
			p.reported = true
			s.report(p, check.Failed(check.ReasonTimeout, again), now)
		case s.draining:
			p.at = never
		case stalled:
			p.at = p.spreadAfterStall(now)
		default:
			starts = append(starts, s.prepare(p, now))
		}
		s.queue.fix(p)
	}
	return starts
}

func (s *Scheduler) prepare(p *probe, now int64) run {
	p.run++
	p.outstanding, p.reported, p.stale = true, false, false
	p.startedAt = now
	s.inFlight++
	deadline := now + int64(p.definition.Schedule.Timeout)
	p.at = deadline + int64(grace)
	r := run{probe: p, number: p.run, checker: p.checker, starter: p.starter, target: &p.definition.Target, deadline: deadline}
	if p.starter == nil {
		r.ctx, p.cancel = context.WithDeadline(s.contextOf(p), s.epoch.Add(time.Duration(deadline)))
	}
	return r
}
