package speaker_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp"
)

// The interface is absent at the start, appears without an address, loses its
// carrier, is replaced by another of the same name.
func TestInterfaceComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.set("VI_1", config(100))
		h.want(h.told())

		h.SetLink(speaker.Link{})
		h.want(h.told("state"), "state VI_1 initialize>fault interface_missing at 0s")
		h.SetLink(speaker.Link{Exists: true, Index: 2, Up: true})
		if s := h.snapshot(); s.Routers["VI_1"].Reason != vrrp.ReasonNoSourceAddress || s.Counters.SocketOpened != 1 {
			t.Errorf("%+v", s)
		}
		h.up()
		h.want(h.told("state"), "state VI_1 fault>backup healed at 0s")
		time.Sleep(4 * time.Second)
		h.want(h.told("state"), "state VI_1 backup>active active_down at 3.609375s")

		h.SetLink(speaker.Link{Exists: true, Index: 2, Addresses: []netip.Addr{h.source}})
		h.want(h.told("state", "release"), "release VI_1", "state VI_1 active>fault link_down at 4s")
		h.up()
		time.Sleep(4 * time.Second)
		h.told()

		// The same interface with one more address: nothing to tell.
		h.SetLink(speaker.Link{Exists: true, Index: 2, Up: true, Addresses: []netip.Addr{h.source, netip.MustParseAddr("192.0.2.10")}})
		h.want(h.told())

		// Replaced so fast that its absence is not seen.
		old := h.conn()
		h.SetLink(speaker.Link{Exists: true, Index: 7, Up: true, Addresses: []netip.Addr{h.source}})
		h.want(h.told("state"), "state VI_1 active>fault interface_missing at 8s", "state VI_1 fault>backup healed at 8s")
		if c := h.conn(); c == old || c.Index != 7 || !old.isClosed() {
			t.Errorf("socket on interface %d, the old one closed: %v", c.Index, old.isClosed())
		}
		if s := h.snapshot(); s.Counters.SocketOpened != 2 {
			t.Errorf("opened %d sockets", s.Counters.SocketOpened)
		}
	})
}

// Without a socket a router is in fault, says why, tries again, and heals.
func TestSocketFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.failOpen(errDenied)
		h.set("VI_1", config(100))
		h.up()
		h.want(h.told("state", "socket"), "socket eth0 "+errDenied.Error(), "state VI_1 initialize>fault no_socket at 0s")
		time.Sleep(20 * time.Second)
		h.want(h.told())
		s := h.snapshot()
		// 0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 11.3, 16.3 seconds.
		if s.SocketError != errDenied.Error() || s.Counters.SocketErrors != 9 {
			t.Errorf("error %q, %d attempts", s.SocketError, s.Counters.SocketErrors)
		}
		// A router that is added meanwhile has the same fault.
		late := config(100)
		late.VRID = 52
		h.set("VI_2", late)
		h.want(h.told("state"), "state VI_2 initialize>fault no_socket at 20s")

		h.failOpen(nil)
		time.Sleep(5 * time.Second)
		told := strings.Join(h.told("state", "socket"), "\n")
		for _, want := range []string{"socket eth0 <nil>", "state VI_1 fault>backup healed at 21.3s", "state VI_2 fault>backup healed at 21.3s"} {
			if !strings.Contains(told, want) {
				t.Errorf("%q was not told in\n%s", want, told)
			}
		}
		time.Sleep(4 * time.Second)
		if h.state() != vrrp.Active {
			t.Errorf("is %v", h.state())
		}

		// It breaks while in use.
		h.told()
		h.conn().hooks(func() error { return errors.New("network is down") }, nil)
		h.conn().arrive(nil, payloadMeta())
		h.want(h.told("socket"), "socket eth0 receive on eth0: network is down")
		if s := h.snapshot(); s.Routers["VI_1"].State != vrrp.Fault || s.Counters.ReceiveErrors != 1 {
			t.Errorf("%v, %d errors", s.Routers["VI_1"].State, s.Counters.ReceiveErrors)
		}
		time.Sleep(time.Second)
		if h.state() != vrrp.Backup {
			t.Errorf("is %v with a new socket", h.state())
		}

		// A missing interface needs no socket, and says so.
		h.failOpen(errDenied)
		h.SetLink(speaker.Link{})
		time.Sleep(time.Minute)
		s = h.snapshot()
		if f := s.Routers["VI_1"].Faults; f.String() != "interface_missing" || s.SocketError != "" {
			t.Errorf("faults %v, %q", f, s.SocketError)
		}
	})
}

func TestSendErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.set("VI_1", config(255))
		h.up()
		synctest.Wait()
		h.conn().hooks(nil, func() error { return errors.New("no buffer space available") })
		time.Sleep(3500 * time.Millisecond)
		s := h.snapshot().Routers["VI_1"]
		if s.State != vrrp.Active || s.Counters.Sent != 1 || s.Counters.SendErrors != 3 || s.SendError != "no buffer space available" {
			t.Errorf("%v, %+v, %q", s.State, s.Counters, s.SendError)
		}
		// The gap counts from the last one that went out.
		h.conn().hooks(nil, nil)
		time.Sleep(time.Second)
		if s := h.snapshot().Routers["VI_1"]; s.Gap.Max != 4*time.Second || s.Gap.Count() != 1 {
			t.Errorf("gap %v, %d", s.Gap.Max, s.Gap.Count())
		}
	})
}

func TestRunWithoutAnAlarm(t *testing.T) {
	h := newHost(t, &network{}, "192.0.2.1", func(o *speaker.Options) {
		o.Alarm = func() (speaker.Alarm, error) { return nil, errDenied }
	})
	if err := h.Run(t.Context()); !errors.Is(err, errDenied) || !strings.Contains(err.Error(), "eth0") {
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
	if _, err := h.Snapshot(ctx); !errors.Is(err, speaker.ErrNotRunning) || !errors.Is(err, context.Canceled) {
		t.Errorf("Snapshot: %v", err)
	}
}

func TestStopWithLinkNeverTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		stop := h.run()
		h.set("VI_1", config(255))
		synctest.Wait()
		stop()
		h.want(h.told(), "release VI_1", "state VI_1 initialize>initialize stopped at 0s")
	})
}
