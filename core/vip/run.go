package vip

import (
	"context"
	"sync"
	"time"
)

// comparePause is the least time between two comparisons with what the kernel
// shows, so that thousands of changes by others cost little. Within the second
// in which drift is to be repaired it does not matter.
const comparePause = 20 * time.Millisecond

// Run does the work until ctx ends. Then it releases everything that is held,
// except the addresses that AddressOwner spares, and returns nil. What the
// kernel refuses to delete is given up after a few attempts.
func (o *Owner) Run(ctx context.Context) error {
	var keepers, crying sync.WaitGroup
	cryCtx, hush := context.WithCancel(context.WithoutCancel(ctx))
	defer hush()
	crying.Go(func() { o.crier.run(cryCtx) })

	timer := time.NewTimer(0)
	defer timer.Stop()
	var compared time.Time
	for armed := true; ctx.Err() == nil; {
		if due := o.start(&keepers); due && !armed {
			timer.Reset(time.Until(compared.Add(comparePause)))
			armed = true
		}
		select {
		case <-o.wake:
		case <-timer.C:
			armed, compared = false, time.Now()
			o.compare()
		case <-ctx.Done():
		}
	}
	o.mu.Lock()
	o.stop = true
	for _, k := range o.keepers {
		k.tell(func(n *notes) { n.final = true })
	}
	o.mu.Unlock()
	keepers.Wait()
	hush()
	crying.Wait()
	return nil
}

// start starts what was added since the last time. It is due when there is
// something to compare.
func (o *Owner) start(keepers *sync.WaitGroup) (due bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range o.keepers {
		if !k.started {
			k.started = true
			keepers.Go(k.run)
		}
	}
	return o.news
}

// forget removes a keeper that has ended, unless it has been given work in the
// meantime.
func (o *Owner) forget(k *keeper) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !k.ended() {
		return false
	}
	if o.keepers[k.name] == k && !o.stop {
		delete(o.keepers, k.name)
	}
	return true
}
