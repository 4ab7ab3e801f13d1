package vrrp_test

import (
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// A peer that speaks both versions is told of once by a router of one: what it
// says in the right one does not make the other one news. When it has stopped,
// the disagreement is over.
func TestVersionMismatchOfPeerWithBoth(t *testing.T) {
	r := in(t, vrrp.Backup, with(func(c *vrrp.Config) { c.Version = wire.V2 }))
	other := &vrrp.AdvertRejected{Drop: wire.DropVersion, Source: high, Advertisement: wire.Advertisement{Version: wire.V3}}
	told, now := 0, t0
	hear := func(both bool) {
		now = now.Add(time.Second)
		accepted := heard(200, high)
		accepted.Advertisement.Version = wire.V2
		actions := r.Handle(now, accepted, nil)
		if both {
			actions = r.Handle(now, other, actions)
		}
		for _, action := range actions {
			if _, ok := action.(vrrp.Mismatch); ok {
				told++
			}
		}
	}
	for range 3600 {
		hear(true)
	}
	if told != 1 || len(r.Snapshot().Mismatches) != 1 {
		t.Errorf("told %d times, shows %v", told, r.Snapshot().Mismatches)
	}
	for range 4 {
		hear(false)
	}
	if m := r.Snapshot().Mismatches; len(m) != 0 {
		t.Errorf("still shows %v", m)
	}
}

// Both versions go out, at the same pace: first the one that can say it.
//
//rfc:9568/8.4.2-1 positive negative
func TestBothVersionsAreSent(t *testing.T) {
	for _, tt := range []struct{ interval, v2 time.Duration }{
		{100 * time.Millisecond, time.Second},
		{time.Second, time.Second},
		{1010 * time.Millisecond, 2 * time.Second},
		{40950 * time.Millisecond, 41 * time.Second},
	} {
		r := vrrp.New(with(func(c *vrrp.Config) { c.AlsoV2, c.Interval, c.Announcement = true, tt.interval, vrrp.Announcement{} }))
		r.Handle(t0, vrrp.InterfaceChanged{Exists: true, Up: true, Source: own}, nil)
		at, _ := r.Deadline()
		actions := r.Handle(at, vrrp.DeadlineReached{}, nil)
		var got []wire.Advertisement
		for _, action := range actions {
			if s, ok := action.(*vrrp.SendAdvert); ok {
				got = append(got, s.Advertisement)
				if _, err := s.Advertisement.Append(nil, s.Source, s.Destination, s.Checksum); err != nil {
					t.Errorf("interval %v: %v", tt.interval, err)
				}
			}
		}
		if len(got) != 2 || got[0].Version != wire.V3 || got[0].Interval != tt.interval || got[1].Version != wire.V2 || got[1].Interval != tt.v2 {
			t.Errorf("interval %v: sends %v", tt.interval, got)
		}
		if next, _ := r.Deadline(); next.Sub(at) != tt.interval {
			t.Errorf("interval %v: the next one comes after %v", tt.interval, next.Sub(at))
		}
		if e, also := r.ExpectV2(); !also || e.Version != wire.V2 || e.Interval != tt.v2 {
			t.Errorf("interval %v: expects %+v", tt.interval, e)
		}
	}
	if _, also := vrrp.New(baseConfig()).ExpectV2(); also {
		t.Error("one version is two")
	}
}
