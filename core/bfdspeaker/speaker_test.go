package bfdspeaker_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/bfdspeaker"
)

// two hosts with a session between them, both up after a second and a bit.
func two(t *testing.T) (n *network, a, b *host) {
	t.Helper()
	n = &network{}
	a, b = newHost(t, n, "192.0.2.1"), newHost(t, n, "192.0.2.2")
	a.set("peer", "192.0.2.2")
	b.set("peer", "192.0.2.1")
	return n, a, b
}

func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := two(t)
		stopA, stopB := a.run(), b.run()
		defer stopB()
		defer stopA()
		time.Sleep(1500 * ms)
		for _, h := range []*host{a, b} {
			told := h.told()
			if last := told[len(told)-1]; !strings.Contains(last, ">up") {
				t.Errorf("%v: %q", h.address, told)
			}
			s := h.snapshot().Sessions["peer"]
			if s.State != bfd.Up || s.TransmitInterval != 100*ms || s.DetectionTime != 300*ms || s.Polling || s.Port != 50000 ||
				s.Counters.BecameUp != 1 || s.Counters.SendErrors != 0 || s.SendError != "" {
				t.Errorf("%v: %+v", h.address, s)
			}
		}
		// Packets leave to the nanosecond.
		a.sendings()
		time.Sleep(10 * time.Second)
		list := a.sendings()
		for i := 1; i < len(list); i++ {
			if gap := list[i].at.Sub(list[i-1].at); gap != 100*ms {
				t.Errorf("packet %d came after %v", i, gap)
			}
		}
		if len(list) != 100 || a.snapshot().Lateness != 0 {
			t.Errorf("%d packets, late by %v", len(list), a.snapshot().Lateness)
		}

		// The path fails: both notice 300 ms after what they heard last.
		n.cut(func(_, _ netip.Addr) bool { return true })
		failed := time.Since(a.start)
		time.Sleep(301 * ms)
		for _, h := range []*host{a, b} {
			told := h.told()
			if len(told) != 1 || !strings.HasPrefix(told[0], "peer up>down detection_time_expired at ") {
				t.Fatalf("%v: %q", h.address, told)
			}
			_, at, _ := strings.Cut(told[0], " at ")
			if d, err := time.ParseDuration(at); err != nil || d-failed < 200*ms || d-failed > 300*ms {
				t.Errorf("%v: noticed after %v", h.address, d-failed)
			}
		}
		n.cut(nil)
		time.Sleep(2 * time.Second)
		if a.state() != bfd.Up || b.state() != bfd.Up {
			t.Errorf("are %v and %v", a.state(), b.state())
		}
	})
}

// SIGTERM: one packet that says AdminDown, and the peer knows at once. Both are
// told of it.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := two(t)
		stopA, stopB := a.run(), b.run()
		defer stopB()
		time.Sleep(1500 * ms)
		a.told()
		b.told()
		a.sendings()
		stopA()
		a.want(a.told(), "peer up>admin_down administratively_down at 1.5s")
		b.want(b.told(), "peer up>down neighbor_signaled_down at 1.5s")
		list := a.sendings()
		if len(list) != 1 || list[0].State != bfd.AdminDown || list[0].Diagnostic != bfd.DiagAdministrativelyDown {
			t.Errorf("%+v", list)
		}
		s := a.snapshot()
		if v := s.Sessions["peer"]; v.State != bfd.AdminDown || v.Counters.BecameUp != 1 {
			t.Errorf("final %+v", v)
		}
		if r := b.snapshot().Sessions["peer"]; r.RemoteState != bfd.AdminDown || r.RemoteDiagnostic != bfd.DiagAdministrativelyDown {
			t.Errorf("%+v", r)
		}
		for _, s := range a.senders {
			if !s.closed {
				t.Error("a socket is open")
			}
		}
		if len(a.receivers) != 0 {
			t.Errorf("%d sockets are open", len(a.receivers))
		}
	})
}

// A reload: what has not changed is not touched, other intervals keep the
// session, another path is another session.
func TestReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := two(t)
		c := newHost(t, n, "192.0.2.3")
		c.set("peer", "192.0.2.1")
		for _, h := range []*host{a, b, c} {
			t.Cleanup(h.run())
		}
		time.Sleep(1500 * ms)
		for _, h := range []*host{a, b} {
			h.told()
		}
		before := a.snapshot().Sessions["peer"]
		a.set("peer", "192.0.2.2")
		synctest.Wait()
		if after := a.snapshot().Sessions["peer"]; after != before {
			t.Errorf("%+v, before %+v", after, before)
		}
		for i := range 20 {
			a.set("peer", "192.0.2.2", func(c *bfd.Config) {
				c.MinTx, c.MinRx = time.Duration(20+30*i%200)*ms, time.Duration(20+70*i%300)*ms
				c.Multiplier = uint8(2 + i%5)
			})
			time.Sleep(130 * ms)
		}
		a.set("peer", "192.0.2.2", func(c *bfd.Config) { c.MinTx = 40 * ms })
		time.Sleep(2 * time.Second)
		a.want(a.told())
		b.want(b.told())
		if s := b.snapshot().Sessions["peer"]; s.DetectionTime != 300*ms || s.RemoteMinTx != 40*ms {
			t.Errorf("%+v", s)
		}
		if s := a.snapshot().Sessions["peer"]; s.Port != before.Port || s.Discriminator != before.Discriminator {
			t.Errorf("%+v", s)
		}

		a.set("peer", "192.0.2.3")
		time.Sleep(2 * time.Second)
		if s := a.snapshot().Sessions["peer"]; s.State != bfd.Up || s.Port == before.Port || s.Discriminator == before.Discriminator {
			t.Errorf("%+v", s)
		}
		if told := b.told(); len(told) != 1 || !strings.Contains(told[0], "up>down neighbor_signaled_down") {
			t.Errorf("%q", told)
		}
	})
}

// One that is removed says goodbye for as long as the peer may wait, and takes
// nothing with it after that.
func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := two(t)
		defer a.run()()
		defer b.run()()
		time.Sleep(1500 * ms)
		a.sendings()
		a.Remove("peer")
		a.Remove("peer")
		a.Remove("nobody")
		synctest.Wait()
		if s := a.snapshot(); len(s.Sessions) != 0 || len(s.Sockets) != 1 {
			t.Errorf("%+v", s)
		}
		time.Sleep(10 * time.Second)
		list := a.sendings()
		if len(list) != 4 || list[3].at.Sub(list[0].at) != 3*time.Second || list[3].State != bfd.AdminDown {
			t.Errorf("%+v", list)
		}
		if s := a.snapshot(); len(s.Sockets) != 0 || len(a.receivers) != 0 {
			t.Errorf("%+v, %v", s, a.receivers)
		}
		if !a.senders[0].closed {
			t.Error("the socket is open")
		}

		// Added again before the goodbye is over, it is not held down by it.
		a.set("peer", "192.0.2.2")
		time.Sleep(1500 * ms)
		a.Remove("peer")
		synctest.Wait()
		a.set("peer", "192.0.2.2")
		time.Sleep(1500 * ms)
		b.told()
		a.sendings()
		time.Sleep(5 * time.Second)
		if a.state() != bfd.Up || b.state() != bfd.Up {
			t.Errorf("are %v and %v", a.state(), b.state())
		}
		b.want(b.told())
		for _, s := range a.sendings() {
			if s.State != bfd.Up {
				t.Errorf("sent %+v", s)
			}
		}
	})
}

func TestRefusedConfigurations(t *testing.T) {
	s := bfdspeaker.New(bfdspeaker.Options{})
	if err := s.Set("x", bfd.Path{}, bfd.Defaults()); err == nil || !strings.Contains(err.Error(), "configure BFD session x: peer") {
		t.Errorf("error %v", err)
	}
	path := bfd.Path{Peer: netip.MustParseAddr("192.0.2.2")}
	if err := s.Set("x", path, bfd.Config{}); err == nil || !strings.Contains(err.Error(), "configure BFD session x: minimum") {
		t.Errorf("error %v", err)
	}
}

func TestRunWithoutAnAlarm(t *testing.T) {
	h := newHost(t, &network{}, "192.0.2.1", func(o *bfdspeaker.Options) {
		o.Alarm = func() (bfdspeaker.Alarm, error) { return nil, errDenied }
	})
	if err := h.Run(t.Context()); !errors.Is(err, errDenied) || !strings.Contains(err.Error(), "BFD") {
		t.Errorf("Run: %v", err)
	}
	// It has ended, and says so.
	if _, err := h.Snapshot(t.Context()); err != nil {
		t.Errorf("Snapshot after the end: %v", err)
	}
}

func TestSnapshotOfOneThatDoesNotRun(t *testing.T) {
	h := newHost(t, &network{}, "192.0.2.1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Snapshot(ctx); !errors.Is(err, bfdspeaker.ErrNotRunning) || !errors.Is(err, context.Canceled) {
		t.Errorf("Snapshot: %v", err)
	}
}

// Whoever is told something may hang for ever: packets leave on time.
func TestHangingObserverIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := two(t)
		block := make(chan struct{})
		a.block = block
		stop := a.run()
		defer b.run()()
		time.Sleep(1500 * ms)
		a.sendings()
		for i := range 1000 {
			// Down and up again.
			b.set("peer", "192.0.2.1", func(c *bfd.Config) { c.Disabled = i%2 == 0 })
			time.Sleep(200 * ms)
		}
		s := a.snapshot()
		if s.Lateness != 0 || s.Counters.EventsDropped == 0 || s.Sessions["peer"].State != bfd.Up {
			t.Errorf("%+v", s)
		}
		if s.Counters.EventsDropped+1025 != s.Sessions["peer"].Counters.Transitions {
			t.Errorf("%d dropped of %d", s.Counters.EventsDropped, s.Sessions["peer"].Counters.Transitions)
		}
		// Nor at the end, for ever; and AdminDown has left before that.
		a.sendings()
		before := time.Now()
		stop()
		if waited := time.Since(before); waited != time.Second {
			t.Errorf("waited %v", waited)
		}
		if list := a.sendings(); len(list) == 0 || list[0].State != bfd.AdminDown || !list[0].at.Equal(before) {
			t.Errorf("%+v", list)
		}
		close(block)
		told := a.told()
		if last := told[len(told)-1]; len(told) > 1026 || !strings.Contains(last, ">admin_down") {
			t.Errorf("%d events, the last %q", len(told), last)
		}
	})
}
