package balance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/pool"
)

// sync brings the kernel nearer to what is wanted: all of it when that is due,
// otherwise the services that changed.
func (b *Balancer) sync(ctx context.Context) {
	if !b.configured {
		return
	}
	if !b.inUse() {
		b.status.err, b.status.lastSync = nil, time.Time{}
		return
	}
	if !time.Now().Before(b.nextSync) {
		b.syncAll(ctx)
		return
	}
	if b.status.blind {
		return // The kernel cannot be read; the next attempt has its time.
	}
	var changed []*service
	for s := range b.changed {
		if s.introduced && !s.broken && s.dirty() {
			changed = append(changed, s)
		}
	}
	clear(b.changed)
	switch {
	case len(changed) == 0:
	case 2*len(changed) > len(b.services)+1:
		b.syncAll(ctx) // One by one would cost more questions.
	default:
		b.syncChanged(ctx, changed)
	}
}

// syncAll compares the whole table.
func (b *Balancer) syncAll(ctx context.Context) {
	actual, err := b.look()
	b.status.blind = err != nil
	if err != nil {
		b.finish(err)
		return
	}
	now := time.Now()
	wanted := make(ipvs.Table, 0, len(b.services))
	for _, s := range b.services {
		a := actual.Find(s.key())
		b.introduce(now, s, a)
		b.detect(s, a)
		s.broken = false
		wanted = append(wanted, s.wanted)
	}
	clear(b.changed)
	wanted.Sort()
	b.ops = ipvs.Diff(b.ops[:0], actual, wanted, b.stray)
	err = b.carryOut(ctx, b.ops)
	for _, s := range b.services {
		s.settle()
	}
	b.forget(actual)
	b.finish(err)
}

// look reads the table, as much of it as the time allows. Destinations that there
// was no time for are taken to be what they were.
func (b *Balancer) look() (ipvs.Table, error) {
	for _, s := range b.services {
		s.looked = false
	}
	end := time.Now().Add(b.interval / compareShare)
	deferred := false
	actual, err := b.config.Kernel.Dump(func(k ipvs.ServiceKey) bool {
		s := b.keys[k]
		switch {
		case s == nil:
			return false
		case s.dirty():
			// Whatever it costs.
		case s.round == b.round:
			return false
		case time.Now().After(end):
			deferred = true
			return false
		}
		s.looked, s.round = true, b.round
		return true
	})
	if err != nil {
		return nil, err
	}
	for i := range actual {
		if s := b.keys[actual[i].Key]; s != nil && !s.looked {
			actual[i].Destinations = s.applied.Destinations
		}
	}
	if !deferred {
		b.round++
	}
	return actual, nil
}

// syncChanged compares some services only.
func (b *Balancer) syncChanged(ctx context.Context, changed []*service) {
	slices.SortFunc(changed, func(a, b *service) int { return a.key().Compare(b.key()) })
	b.ops = b.ops[:0]
	for _, s := range changed {
		a, ok, err := b.config.Kernel.Read(s.key())
		if err != nil {
			b.status.blind = true
			b.finish(err)
			return
		}
		var actual ipvs.Table
		if ok {
			actual = ipvs.Table{a}
		}
		b.detect(s, actual.Find(s.key()))
		b.ops = ipvs.Diff(b.ops, actual, ipvs.Table{s.wanted}, nil)
	}
	err := b.carryOut(ctx, b.ops)
	for _, s := range changed {
		s.settle()
	}
	if err != nil {
		b.finish(err)
		return
	}
	b.drift.flush(time.Now(), b.config.Observer)
}

// settle notes that the kernel has what is wanted, unless it refused that.
func (s *service) settle() {
	s.synced = !s.broken
	if s.synced {
		s.applied = s.wanted
	}
}

// introduce tells a pool, once, what the kernel serves under its key.
func (b *Balancer) introduce(now time.Time, s *service, actual *ipvs.Service) {
	if s.introduced {
		return
	}
	s.introduced = true
	var e pool.Adopted
	if actual != nil {
		e.Destinations = actual.Destinations
	}
	b.handle(now, s, e)
}

// stray reports whether a service that nobody wants is ours to remove.
func (b *Balancer) stray(k ipvs.ServiceKey) bool {
	return b.record.owned[k] && b.keys[k] == nil
}

// carryOut applies operations in order. One that fails takes the rest of its
// service with it, since what follows counts on it: a server is not removed
// when the one that was to take its place could not be added. Other services go
// on. It returns what failed.
func (b *Balancer) carryOut(ctx context.Context, ops []ipvs.Op) error {
	b.claim()
	var first error
	more := 0
	var broken map[ipvs.ServiceKey]bool
	for i := range ops {
		op := &ops[i]
		if ctx.Err() != nil {
			return ctx.Err() // The services are about to be removed.
		}
		if broken[op.Service.Key] {
			continue
		}
		err := b.config.Kernel.Apply(*op)
		if err == nil || deletion(op) && errors.Is(err, ipvs.ErrNotFound) {
			b.status.operations++
			if op.Verb == ipvs.DeleteService {
				b.record.remove(op.Service.Key)
			}
			continue
		}
		if broken == nil {
			broken = map[ipvs.ServiceKey]bool{}
		}
		broken[op.Service.Key] = true
		if first == nil {
			first = err
		} else {
			more++
		}
	}
	for k := range broken {
		if s := b.keys[k]; s != nil {
			s.broken = true
		}
	}
	if more > 0 {
		first = fmt.Errorf("%w (and %d more)", first, more)
	}
	return first
}

func deletion(op *ipvs.Op) bool {
	return op.Verb == ipvs.DeleteService || op.Verb == ipvs.DeleteDestination
}

// finish notes how a comparison went and when the next one is due.
func (b *Balancer) finish(err error) {
	now := time.Now()
	b.drift.flush(now, b.config.Observer)
	if err == nil {
		b.status.recovered(b.config.Log)
		b.status.lastSync = now
		b.retry = 0
		b.nextSync = now.Add(b.interval)
		return
	}
	b.status.failed(b.config.Log, err)
	b.retry = min(max(2*b.retry, firstRetry), b.interval)
	if t := now.Add(b.retry); t.Before(b.nextSync) || !now.Before(b.nextSync) {
		b.nextSync = t
	}
}
