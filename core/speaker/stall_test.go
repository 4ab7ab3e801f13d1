package speaker_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
)

// An active router that was stopped for longer than its peers wait reads all that
// was said meanwhile before it speaks, wherever it was when it was stopped: who is
// better placed and has taken over does not hear it claim the addresses again.
func TestActiveReadsBeforeItSpeaks(t *testing.T) {
	for name, inSend := range map[string]bool{"stopped while reading": false, "stopped while sending": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &network{}
				a, b := newHost(t, n, "192.0.2.1"), newHost(t, n, "192.0.2.2")
				defer a.run()()
				defer b.run()()
				a.set("VI_1", config(100))
				a.up()
				time.Sleep(4 * time.Second)
				c := a.conn()
				var stopped atomic.Bool
				var behind atomic.Int32
				stop := func() {
					if stopped.CompareAndSwap(false, true) {
						time.Sleep(10 * time.Second)
					}
				}
				c.hooks(func() error {
					if !inSend {
						stop()
					}
					return nil
				}, func() error {
					c.mu.Lock()
					if stopped.Load() && len(c.queue) > 0 {
						behind.Add(1)
					}
					c.mu.Unlock()
					if inSend {
						stop()
					}
					return nil
				})
				time.Sleep(2 * time.Second)
				b.set("VI_1", config(150))
				b.up()
				time.Sleep(6 * time.Second)
				if !stopped.Load() || b.state() != vrrp.Active {
					t.Fatalf("stopped %v, the other one is %v", stopped.Load(), b.state())
				}
				before := len(c.sendings())
				time.Sleep(10 * time.Second)
				// The first packet that is read makes it yield, and say so.
				if n := behind.Load(); n > 1 {
					t.Errorf("sent %d times with packets waiting", n)
				}
				if a.state() != vrrp.Backup || b.state() != vrrp.Active {
					t.Errorf("%v and %v", a.state(), b.state())
				}
				// One was on its way, and one is what it says when it yields.
				if sent := c.sendings()[before:]; len(sent) > 2 {
					t.Errorf("sent %d times after the stop: %v", len(sent), sent)
				}
				if r := b.snapshot().Routers["VI_1"]; r.Counters.BecameActive != 1 {
					t.Errorf("the other one became active %d times", r.Counters.BecameActive)
				}
			})
		})
	}
}
