package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/convert"
	"github.com/halo-ha/halo/sdk/internal/session"
)

// begin starts one run, without the lock.
func (s *Scheduler) begin(r *run) {
	p, number := r.probe, r.number
	done := func(result check.Result) { s.end(p, number, result) }
	if r.starter != nil {
		r.starter.Start(s.epoch.Add(time.Duration(r.deadline)), *r.target, done)
		return
	}
	go s.check(r.ctx, r.checker, *r.target, done)
}

// check runs a plain Checker in a goroutine of its own. A panic is the
// checker's bug and says nothing about the target; the other probes go on.
func (s *Scheduler) check(ctx context.Context, checker check.Checker, target check.Target, done func(check.Result)) {
	result := check.NotKnown(check.ReasonLocalError, "the checker ended without an answer")
	defer func() {
		if cause := recover(); cause != nil {
			check.Logger(ctx).Error("checker panicked", "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			result = check.NotKnown(check.ReasonLocalError, fmt.Sprintf("the checker panicked: %v", cause))
		}
		// Also after runtime.Goexit: a run that never ends would block its probe.
		done(result)
	}()
	result = checker.Check(ctx, target)
}

// contextOf makes the context that the runs of a probe derive from, once.
func (s *Scheduler) contextOf(p *probe) context.Context {
	if p.ctx == nil {
		log, typ, tracker, target := s.log, p.definition.Type, p.definition.Tracker, &p.definition.Target
		p.ctx = check.WithLogger(s.base, func() *slog.Logger { return log.With(session.Subject(typ, tracker, target)...) })
	}
	return p.ctx
}

// end takes the answer of a run, from whichever goroutine. A second answer to
// one run is ignored.
func (s *Scheduler) end(p *probe, number uint64, result check.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.outstanding || p.run != number {
		return
	}
	now := s.now()
	p.outstanding = false
	if p.cancel != nil {
		p.cancel() // Its timer would otherwise stay until the deadline.
		p.cancel = nil
	}
	if s.inFlight--; s.inFlight == 0 {
		s.tell()
	}
	switch {
	case p.gone:
		return
	case p.stale:
		p.stale = false
		if p.at == never {
			p.at = now
		}
	case p.reported:
		p.reported = false
		return // Its timeout has been told and its next run is planned.
	default:
		s.report(p, result, now)
	}
	s.queue.fix(p)
	if p.at < s.wakeAt {
		s.wakeLoop()
	}
}

// report judges a result, puts it into the outbox and plans the next run. The
// caller restores the order of the queue.
func (s *Scheduler) report(p *probe, result check.Result, now int64) {
	result = s.judge(p, result, now)
	changed := p.remember(&result)
	s.done++
	s.outbox.put(p, result, now)
	if changed {
		s.kickSender()
	}
	started := p.startedAt
	if p.reported {
		// A run that will not end is told about again, at the same cadence.
		started = now
	}
	p.at = p.nextRun(started, now)
}

// judge holds a result against the clock. What comes after the deadline is a
// timeout, whatever it says of the target; but a loop that was itself late
// cannot tell.
func (s *Scheduler) judge(p *probe, result check.Result, now int64) check.Result {
	timeout := int64(p.definition.Schedule.Timeout)
	over := now - p.startedAt - timeout
	if lag := s.lagDuring(p, now); lag > timeout || (over > 0 && lag >= max(over, timeout/2)) {
		return check.Result{
			Outcome: check.Unknown, Reason: check.ReasonLate, Took: time.Duration(now - p.startedAt),
			Detail: fmt.Sprintf("this machine was late by %v", time.Duration(lag).Round(time.Millisecond)),
		}
	}
	if over > 0 && result.Reason != check.ReasonLocalError {
		detail := ""
		if result.Reason == check.ReasonTimeout {
			detail = result.Detail
		}
		if detail == "" {
			detail = fmt.Sprintf("no answer within %v", time.Duration(timeout))
		}
		result = check.Failed(check.ReasonTimeout, detail)
	}
	if result.Took == 0 {
		result.Took = time.Duration(now - p.startedAt)
	}
	return convert.Clean(result)
}

// lagDuring is how late the loop was while the run was out: right now, if it
// has not woken since it should have, or in a stall that ended after the run
// had started.
func (s *Scheduler) lagDuring(p *probe, now int64) int64 {
	lag := max(now-s.wakeAt, 0)
	if p.startedAt < s.stall.until {
		lag = max(lag, s.stall.lag)
	}
	return lag
}
