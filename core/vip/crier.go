package vip

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// crier announces addresses. Its goroutine (run) decides what is next, and
// hands it to the goroutine of the interface that it goes to (voice), so that
// an interface which takes nothing delays only itself.
type crier struct {
	announcer Announcer
	log       *slog.Logger
	wake      chan struct{}

	mu       sync.Mutex
	landing  sync.Cond // something on its way has arrived
	schedule schedule
	voices   map[string]*voice
}

// voice sends what is announced on one interface.
type voice struct {
	batches chan *batch // of capacity one: never more than one is on its way
	failing bool        // keeps a lasting error from being logged for every batch
}

func newCrier(announcer Announcer, log *slog.Logger) *crier {
	c := &crier{
		announcer: announcer, log: log, wake: make(chan struct{}, 1),
		schedule: schedule{flights: make(map[string]*batch)}, voices: make(map[string]*voice),
	}
	c.landing.L = &c.mu
	return c
}

// announce announces addresses of an instance, behind what is waiting.
func (c *crier) announce(instance, iface string, addresses []netip.Addr, repeat int, sent *atomic.Uint64) {
	c.add(&burst{instance: instance, iface: iface, addresses: addresses, repeat: repeat, sent: sent})
}

// open begins a burst whose addresses are not all known yet.
func (c *crier) open(instance, iface string, addresses []netip.Addr, repeat int, sent *atomic.Uint64) *burst {
	b := &burst{instance: instance, iface: iface, addresses: addresses, repeat: repeat, sent: sent, open: true}
	c.add(b)
	return b
}

func (c *crier) add(b *burst) {
	c.mu.Lock()
	c.schedule.add(b)
	c.mu.Unlock()
	poke(c.wake)
}

// extend adds addresses to an open burst.
func (c *crier) extend(b *burst, addresses []netip.Addr) {
	c.mu.Lock()
	b.addresses = append(b.addresses, addresses...)
	c.mu.Unlock()
	poke(c.wake)
}

// finish says which addresses an open burst has in the end, and how many times
// each is announced at least.
func (c *crier) finish(b *burst, addresses []netip.Addr, repeat int) {
	c.mu.Lock()
	c.schedule.finish(b, addresses, repeat, time.Now())
	c.mu.Unlock()
	poke(c.wake)
}

// drop forgets what is waiting for an instance. When it returns, nothing of it
// is on its way out either.
func (c *crier) drop(instance string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.schedule.drop(instance)
	for c.schedule.flying(instance) {
		c.landing.Wait()
	}
}

// run announces until ctx ends. What is waiting then is dropped: instances that
// have all released their addresses have nothing waiting.
func (c *crier) run(ctx context.Context) {
	var voices sync.WaitGroup
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		c.mu.Lock()
		next, wake := c.schedule.pick(time.Now())
		c.mu.Unlock()
		if next != nil {
			c.voice(next.iface, &voices) <- next
			continue
		}
		timer.Stop()
		if !wake.IsZero() {
			timer.Reset(time.Until(wake))
		}
		select {
		case <-c.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	for _, v := range c.voices {
		close(v.batches)
	}
	voices.Wait()
}

// voice is the goroutine of an interface. It is called from run alone.
func (c *crier) voice(iface string, voices *sync.WaitGroup) chan<- *batch {
	v, ok := c.voices[iface]
	if !ok {
		v = &voice{batches: make(chan *batch, 1)}
		c.voices[iface] = v
		voices.Go(func() {
			for b := range v.batches {
				c.send(v, b)
			}
		})
	}
	return v.batches
}

func (c *crier) send(v *voice, b *batch) {
	err := c.announcer.Announce(b.iface, b.addresses)
	switch {
	case err == nil:
		v.failing = false
	case !v.failing:
		v.failing = true
		c.log.Warn("cannot announce addresses", "iface", b.iface, "instance", b.parts[0].burst.instance, "reason", err)
	}
	c.mu.Lock()
	c.schedule.landed(b, time.Now(), err)
	c.landing.Broadcast()
	c.mu.Unlock()
	poke(c.wake)
}
