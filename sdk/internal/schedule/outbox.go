package schedule

import (
	"context"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/session"
)

// outbox is what waits to be sent. Its size is bounded by the probes: while
// the sender is busy, the newest result of a probe replaces the one that
// waits.
type outbox struct {
	// number counts the batches; a probe's place is good for its batch alone.
	number  uint64
	waiting []record
	spare   []record // memory for the next batch
	flushAt int64    // when waiting has waited long enough; 0 is nothing waits
	commits []uint64
	beat    *session.Heartbeat
	sending bool
}

// record is a result with its probe; Age holds the time it ended until it is sent.
type record struct {
	session.ProbeResult

	probe *probe
}

func (o *outbox) put(p *probe, result check.Result, now int64) {
	r := record{probe: p, ProbeResult: session.ProbeResult{ID: p.definition.ID, Result: result, Age: time.Duration(now)}}
	if o.sending && p.batch == o.number {
		o.waiting[p.place] = r
		return
	}
	if o.flushAt == 0 {
		o.flushAt = now + int64(batchTime)
	}
	p.batch, p.place = o.number, len(o.waiting)
	o.waiting = append(o.waiting, r)
}

// forgetStale takes out what waits for probes that are gone or have been
// replaced since: replacing a probe has taken its place away.
func (o *outbox) forgetStale() {
	kept := o.waiting[:0]
	for _, r := range o.waiting {
		if r.probe.gone || r.probe.batch != o.number {
			continue
		}
		kept = append(kept, r)
	}
	clear(o.waiting[len(kept):])
	o.waiting = kept
	for i := range kept {
		// Of two results of one probe the later one has the place.
		kept[i].probe.place = i
	}
}

func (o *outbox) idle() bool {
	return !o.sending && len(o.waiting) == 0 && len(o.commits) == 0 && o.beat == nil
}

// delivery is what the sender took out of the outbox at once. Commits come
// before results: what waits has been brought up to the last commit.
type delivery struct {
	generation uint64
	beat       *session.Heartbeat
	commits    []uint64
	batch      []record
	results    []session.ProbeResult // memory for one message
}

// send sends whatever waits each time it is kicked, until ctx ends or the sink
// fails.
func (s *Scheduler) send(ctx context.Context) error {
	var d delivery
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.kick:
		}
		s.take(&d)
		if err := s.deliver(&d); err != nil {
			return err
		}
		s.sent(&d)
	}
}

// take empties the outbox. What comes in while it is sent waits for the next
// kick, or every batch would be followed by a crumb.
func (s *Scheduler) take(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.outbox
	o.sending = true
	d.generation, d.beat, d.batch = s.generation, o.beat, o.waiting
	d.commits = append(d.commits[:0], o.commits...)
	o.waiting, o.commits, o.beat, o.flushAt = o.spare, o.commits[:0], nil, 0
	o.number++
}

// sent gives the memory of the delivery back.
func (s *Scheduler) sent(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(d.batch)
	s.outbox.spare, d.batch = d.batch[:0], nil
	s.outbox.sending = false
	if s.outbox.idle() {
		s.tell()
	}
}

func (s *Scheduler) deliver(d *delivery) error {
	if d.beat != nil {
		if err := s.sink.Heartbeat(d.beat); err != nil {
			return err
		}
	}
	for _, generation := range d.commits {
		if err := s.sink.Committed(&session.Committed{Generation: generation}); err != nil {
			return err
		}
	}
	for batch := d.batch; len(batch) > 0; {
		n := min(len(batch), session.MaxChunk)
		now := s.now()
		d.results = d.results[:0]
		for i := range batch[:n] {
			r := batch[i].ProbeResult
			r.Age = time.Duration(now) - r.Age
			d.results = append(d.results, r)
		}
		if err := s.sink.Results(d.generation, d.results); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}
