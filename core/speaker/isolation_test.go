package speaker_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

func payloadMeta() wire.Meta { return wire.Meta{} }

// Whoever is told something may hang for ever: advertisements leave on time,
// and what counts in the end is delivered when the listener comes back.
func TestHangingListenersAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		stop := h.run()
		block := make(chan struct{})
		h.block = block
		h.set("VI_1", config(100))
		h.up()
		time.Sleep(3609375 * time.Microsecond)
		synctest.Wait()
		for i := range 2000 {
			// A better router comes and goes: many orders, many events.
			c := config(200)
			h.conn().arrive(payload(t, c))
			c.Priority = 0
			synctest.Wait()
			h.conn().arrive(payload(t, c))
			time.Sleep(time.Second)
			if h.state() != vrrp.Active {
				t.Fatalf("round %d: is %v", i, h.state())
			}
		}
		time.Sleep(time.Minute)
		s := h.snapshot()
		r := s.Routers["VI_1"]
		if r.Gap.Max > time.Second || r.Lateness.Max != 0 || r.Counters.BecameActive != 2001 {
			t.Errorf("largest gap %v, lateness %v, active %d times", r.Gap.Max, r.Lateness.Max, r.Counters.BecameActive)
		}
		// 4,002 transitions; one is being delivered, 1024 wait.
		if s.Counters.EventsDropped != 4002-1025 {
			t.Errorf("%d events dropped", s.Counters.EventsDropped)
		}
		close(block)
		told := h.told()
		if n := len(told); n > 1040 {
			t.Errorf("%d things were told at once", n)
		}
		state := slices.DeleteFunc(slices.Clone(told), func(s string) bool { return s[:5] != "state" })
		orders := slices.DeleteFunc(slices.Clone(told), func(s string) bool { return s[:5] == "state" })
		if last := state[len(state)-1]; last[:len("state VI_1 backup>active")] != "state VI_1 backup>active" {
			t.Errorf("the last event is %q", last)
		}
		// The first was on its way; of the rest only the result counts.
		h.want(orders, "release VI_1", "acquire VI_1", "announce VI_1 5 active")
		stop()
	})
}

// A listener that hangs at the end is waited for, but not for ever; and
// priority 0 has left before that.
func TestStopDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		stop := h.run()
		h.set("VI_1", config(255))
		h.up()
		synctest.Wait()
		block := make(chan struct{})
		h.mu.Lock()
		h.block = block
		h.mu.Unlock()
		before := time.Now()
		stop()
		if took := time.Since(before); took != time.Second {
			t.Errorf("Run ended after %v", took)
		}
		if s := h.conn().sendings(); s[len(s)-1].Priority != 0 || !s[len(s)-1].at.Equal(before) {
			t.Errorf("last sent %v", s[len(s)-1])
		}
		if !h.conn().isClosed() {
			t.Error("the socket is open")
		}
		close(block)
		if s, err := h.Snapshot(t.Context()); err != nil || s.Routers["VI_1"].State != vrrp.Initialize {
			t.Errorf("%v, %v", s.Routers["VI_1"].State, err)
		}
	})
}

// Nobody who leaves a note waits for a loop that is stuck in the kernel.
func TestNotesDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.set("VI_1", config(255))
		h.up()
		synctest.Wait()
		h.conn().hooks(nil, func() error { time.Sleep(time.Minute); return nil })
		time.Sleep(time.Second)
		synctest.Wait() // The loop is in Send.
		before := time.Now()
		for i := range 100 {
			c := config(100)
			c.VRID = uint8(i + 1)
			h.set(fmt.Sprint("r", i), c)
			h.Post(fmt.Sprint("r", i), vrrp.FaultRaised{Cause: vrrp.FaultAddressesLost})
			h.SetLink(speaker.Link{Exists: true, Index: 2, Up: i%2 == 0})
			h.Remove(fmt.Sprint("r", i))
		}
		h.up()
		if time.Since(before) != 0 {
			t.Errorf("leaving notes took %v", time.Since(before))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Snapshot(ctx); err == nil {
			t.Error("a stuck loop answered")
		}
		h.conn().hooks(nil, nil)
		time.Sleep(2 * time.Minute)
		if s := h.snapshot(); len(s.Routers) != 1 || s.Routers["VI_1"].State != vrrp.Active {
			t.Errorf("%d routers, %v", len(s.Routers), s.Routers["VI_1"].State)
		}
	})
}

// After a stall, what was said in the meantime comes before the deadline that
// has passed: a backup whose active router was never silent stays backup.
func TestReadsBeforeActing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.set("VI_1", config(100))
		h.up()
		synctest.Wait()
		peer := config(200)
		h.conn().arrive(payload(t, peer))
		synctest.Wait()
		// The process is not run for four seconds: it hangs in the next call.
		stalled := false
		h.conn().hooks(func() error {
			if !stalled {
				stalled = true
				time.Sleep(4 * time.Second)
			}
			return nil
		}, nil)
		for range 4 {
			time.Sleep(time.Second)
			h.conn().arrive(payload(t, peer))
		}
		time.Sleep(time.Second)
		h.want(h.told("state"), "state VI_1 initialize>backup startup at 0s")
		r := h.snapshot().Routers["VI_1"]
		if r.State != vrrp.Backup || r.Counters.Received != 5 {
			t.Errorf("%v, received %d", r.State, r.Counters.Received)
		}
	})
}

// An active router that was frozen while another took over: it reads, answers,
// announces at once and once more later.
func TestFrozenActiveRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		a, b := newHost(t, n, "192.0.2.1"), newHost(t, n, "192.0.2.2")
		defer a.run()()
		defer b.run()()
		for h, priority := range map[*host]uint8{a: 150, b: 100} {
			c := config(priority)
			c.Announcement.LowerPriorityDelay = 5 * time.Second
			h.set("VI_1", c)
			h.up()
		}
		time.Sleep(4 * time.Second)
		frozen := false
		a.conn().hooks(func() error {
			if !frozen {
				frozen = true
				time.Sleep(5 * time.Second)
			}
			return nil
		}, nil)
		time.Sleep(5 * time.Second)
		if b.state() != vrrp.Active {
			t.Errorf("b is %v while a is frozen", b.state())
		}
		a.told()
		time.Sleep(time.Second)
		b.want(b.told("state"), "state VI_1 initialize>backup startup at 0s", "state VI_1 backup>active active_down at 7.0234375s",
			"state VI_1 active>backup higher_priority at 9.4140625s")
		time.Sleep(5 * time.Second)
		a.want(a.told("announce"), "announce VI_1 5 lower_priority", "announce VI_1 5 lower_priority")
	})
}

// A flood of packets cannot keep an advertisement from going out.
func TestFloodDoesNotDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		stop := h.run()
		h.set("VI_1", config(255))
		h.up()
		synctest.Wait()
		foreign := config(200)
		foreign.VRID = 99
		b, m := payload(t, foreign)
		c := h.conn()
		flood := true
		c.hooks(func() error {
			time.Sleep(10 * time.Microsecond) // What a packet costs, and more.
			c.mu.Lock()
			defer c.mu.Unlock()
			if flood {
				c.queue = append(c.queue, datagram{b, m})
			}
			return nil
		}, nil)
		c.arrive(b, m)
		time.Sleep(5500 * time.Millisecond)
		c.mu.Lock()
		flood = false
		c.mu.Unlock()
		s := h.snapshot()
		r := s.Routers["VI_1"]
		if r.Lateness.Max > 1025*10*time.Microsecond || r.Counters.Sent < 5 {
			t.Errorf("lateness %v, %d sent", r.Lateness.Max, r.Counters.Sent)
		}
		if s.Foreign[99] < 500_000 {
			t.Errorf("%d foreign packets counted", s.Foreign[99])
		}
		stop()
	})
}
