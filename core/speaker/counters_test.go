package speaker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

//rfc:9568/7.1-6 negative
//rfc:9568/7.1-11 positive
//rfc:3768/5.2.3-2 negative
//rfc:3768/5.3.2-1 negative
//rfc:3768/5.3.6-1 negative
//rfc:3768/7.1-1 negative
//rfc:3768/7.1-2 negative
//rfc:3768/7.1-3 negative
//rfc:3768/7.1-4 negative
//rfc:3768/7.1-5 negative
//rfc:3768/7.1-7 negative
//rfc:3768/7.1-8 negative
//rfc:3768/7.1-9 positive
//rfc:3768/7.1-12 negative
//rfc:3768/7.1-13 positive
func TestDropsAreCountedByReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		own := config(100)
		own.Version = wire.V2
		password, err := wire.NewPassword("secret")
		if err != nil {
			t.Fatal(err)
		}
		own.Auth = wire.Auth{Type: wire.AuthPassword, Password: password}
		h.set("VI_1", own)
		h.up()
		synctest.Wait()

		tests := []struct {
			drop   wire.DropReason
			change func(*vrrp.Config, *wire.Meta)
			damage func([]byte) []byte
		}{
			{wire.DropLength, nil, func(b []byte) []byte { return b[:len(b)-1] }},
			{wire.DropTTL, func(_ *vrrp.Config, m *wire.Meta) { m.TTL = 254 }, nil},
			{wire.DropVersion, func(c *vrrp.Config, _ *wire.Meta) { c.Version, c.Auth = wire.V3, wire.Auth{} }, nil},
			{wire.DropAuthType, func(c *vrrp.Config, _ *wire.Meta) { c.Auth = wire.Auth{} }, nil},
			{wire.DropPassword, func(c *vrrp.Config, _ *wire.Meta) { c.Auth.Password[0] ^= 1 }, nil},
			{wire.DropInterval, func(c *vrrp.Config, _ *wire.Meta) { c.Interval *= 2 }, nil},
			{wire.DropType, nil, func(b []byte) []byte { b[0] = 0x22; return b }},
			{wire.DropChecksum, nil, func(b []byte) []byte { b[2] ^= 1; return b }},
			{wire.DropDestination, func(_ *vrrp.Config, m *wire.Meta) { m.Destination = h.source }, nil},
		}
		for _, tt := range tests {
			c := own
			c.Priority = 200
			m := wire.Meta{}
			if tt.change != nil {
				tt.change(&c, &m)
			}
			b, meta := payload(t, c)
			if m.TTL != 0 {
				meta.TTL = m.TTL
			}
			if m.Destination.IsValid() {
				meta.Destination = m.Destination
			}
			if tt.damage != nil {
				b = tt.damage(b)
			}
			h.conn().arrive(b, meta)
			synctest.Wait()
			r := h.snapshot().Routers["VI_1"]
			if got := r.Counters.Dropped[tt.drop]; got != 1 {
				t.Errorf("%v: counted %d", tt.drop, got)
			}
			if r.Counters.Received != 0 {
				t.Errorf("%v: it was believed", tt.drop)
			}
		}
		h.conn().arrive([]byte{0x31, 51}, wire.Meta{})
		h.conn().arrive(func() ([]byte, wire.Meta) { c := own; c.VRID = 7; return payload(t, c) }())
		synctest.Wait()
		s := h.snapshot()
		if s.Counters.Short != 1 || s.Counters.Packets != uint64(len(tests)+2) || len(s.Foreign) != 1 || s.Foreign[7] != 1 {
			t.Errorf("%+v, foreign %v", s.Counters, s.Foreign)
		}
		// What is a difference of two configurations is told, once each.
		h.want(h.told("mismatch"), "mismatch VI_1 version 192.0.2.9", "mismatch VI_1 authentication 192.0.2.9", "mismatch VI_1 interval 192.0.2.9")
	})
}

// A hundred thousand advertisements with another list: one report, and every
// one of them counts.
//
//rfc:9568/7.1-14 positive negative
//rfc:3768/7.1-11 positive
func TestMismatchIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.set("VI_1", config(100))
		h.up()
		synctest.Wait()
		peer := config(200)
		peer.Addresses = append(slices.Clone(peer.Addresses), h.source)
		peer.Interval, peer.Checksum = 2*time.Second, wire.Plain
		b, m := payload(t, peer)
		for range 1000 {
			for range 100 {
				h.conn().arrive(b, m)
			}
			time.Sleep(time.Second)
		}
		h.want(h.told("mismatch", "state"), "state VI_1 initialize>backup startup at 0s",
			"mismatch VI_1 addresses 192.0.2.9", "mismatch VI_1 interval 192.0.2.9", "mismatch VI_1 checksum 192.0.2.9")
		r := h.snapshot().Routers["VI_1"]
		if c := r.Counters; c.Received != 100_000 || c.AddressMismatches != 100_000 || c.IntervalMismatches != 100_000 || c.ChecksumMismatches != 100_000 {
			t.Errorf("%+v", c)
		}
		if len(r.Mismatches) != 3 || r.State != vrrp.Backup {
			t.Errorf("%v, %v", r.State, r.Mismatches)
		}
	})
}

// 255 routers on one interface: a packet costs one read and reaches one router.
//
//rfc:9568/7.1-6 positive
//rfc:3768/7.1-5 positive
func TestAllVRIDsOnOneInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		for vrid := 1; vrid <= 255; vrid++ {
			c := config(100)
			c.VRID = uint8(vrid)
			h.set(fmt.Sprint("VI_", vrid), c)
		}
		h.up()
		synctest.Wait()
		c := h.conn()
		before := c.calls()
		for range 3 {
			for vrid := 1; vrid <= 255; vrid++ {
				peer := config(200)
				peer.VRID = uint8(vrid)
				c.arrive(payload(t, peer))
			}
			time.Sleep(time.Second)
		}
		s := h.snapshot()
		for name, r := range s.Routers {
			if r.Counters.Received != 3 || r.State != vrrp.Backup {
				t.Errorf("%s: %v, received %d", name, r.State, r.Counters.Received)
			}
		}
		// One call per packet, and one for each time there was none left.
		if calls := c.calls() - before; calls > 2*int(s.Counters.Packets) {
			t.Errorf("%d reads for %d packets", calls, s.Counters.Packets)
		}
		time.Sleep(4 * time.Second)
		for name, r := range h.snapshot().Routers {
			if r.State != vrrp.Active {
				t.Errorf("%s is %v", name, r.State)
			}
		}
	})
}

// lateAlarm goes off too late.
type lateAlarm struct {
	timer *time.Timer
	late  time.Duration
}

func (a lateAlarm) Reset(d time.Duration) { a.timer.Reset(d + a.late) }
func (a lateAlarm) C() <-chan time.Time   { return a.timer.C }
func (a lateAlarm) Stop()                 { a.timer.Stop() }

func TestLatenessIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1", func(o *speaker.Options) {
			o.Alarm = func() (speaker.Alarm, error) {
				timer := time.NewTimer(time.Hour)
				timer.Stop()
				return lateAlarm{timer, 3 * time.Millisecond}, nil
			}
		})
		defer h.run()()
		h.set("VI_1", config(255))
		h.up()
		time.Sleep(5500 * time.Millisecond)
		r := h.snapshot().Routers["VI_1"]
		if r.Lateness.Max != 3*time.Millisecond || r.Lateness.Last != 3*time.Millisecond || r.Lateness.Sum != 15*time.Millisecond {
			t.Errorf("lateness %+v", r.Lateness)
		}
		if r.Gap.Max != 1003*time.Millisecond || r.Gap.Count() != 5 {
			t.Errorf("gap %+v", r.Gap)
		}
		// Three milliseconds are above 2 ms and not above 5 ms.
		i := slices.Index(r.Lateness.Bounds, 5*time.Millisecond)
		if r.Lateness.Counts[i] != 5 {
			t.Errorf("buckets %v of %v", r.Lateness.Counts, r.Lateness.Bounds)
		}
	})
}

// A snapshot is a copy.
func TestSnapshotIsACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, &network{}, "192.0.2.1")
		defer h.run()()
		h.set("VI_1", config(255))
		h.up()
		time.Sleep(2 * time.Second)
		s := h.snapshot()
		s.Routers["VI_1"].Lateness.Counts[0] = 1000
		s.Routers["VI_1"].Addresses[0] = h.source
		s.Link.Addresses[0] = s.Routers["VI_1"].Addresses[0].Next()
		delete(s.Routers, "VI_1")
		again := h.snapshot()
		r := again.Routers["VI_1"]
		if r.Lateness.Counts[0] == 1000 || r.Addresses[0] == h.source || again.Link.Addresses[0] != h.source {
			t.Errorf("%+v", again)
		}
		if again.Interface != "eth0" || r.VRID != 51 || r.Version != wire.V3 || r.Interval != time.Second || !r.Preempt {
			t.Errorf("%+v", again)
		}
	})
}

// Times must carry the monotonic reading, or a step of the wall clock would be
// one of the timers.
func TestDeadlinesAreMonotonic(t *testing.T) {
	r := vrrp.New(config(100))
	now := time.Now()
	r.Handle(now, vrrp.InterfaceChanged{Exists: true, Up: true, Source: config(1).Addresses[0]}, nil)
	at, ok := r.Deadline()
	if !ok || !strings.Contains(at.String(), " m=") {
		t.Errorf("deadline %v lost its monotonic reading", at)
	}
}
