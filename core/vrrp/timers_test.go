package vrrp_test

import (
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

//rfc:9568/6.1-4 positive negative
//rfc:3768/6.1-1 positive negative
func TestTimers(t *testing.T) {
	tests := []struct {
		version  wire.Version
		priority uint8
		interval time.Duration
		skew     time.Duration
		down     time.Duration
	}{
		// RFC 3768 §6.1: the skew does not depend on the interval.
		{wire.V2, 100, time.Second, 609375 * time.Microsecond, 3609375 * time.Microsecond},
		{wire.V2, 254, time.Second, 7812500, 3007812500},
		{wire.V2, 100, 10 * time.Second, 609375 * time.Microsecond, 30609375 * time.Microsecond},
		{wire.V2, 1, 255 * time.Second, 996093750, 765996093750},
		// RFC 9568 §6.1: it is a part of it, and never rounded away.
		{wire.V3, 100, time.Second, 609375 * time.Microsecond, 3609375 * time.Microsecond},
		{wire.V3, 100, 100 * time.Millisecond, 60937500, 360937500},
		{wire.V3, 255, 10 * time.Millisecond, 39062, 30039062},
		{wire.V3, 254, 10 * time.Millisecond, 78125, 30078125},
		{wire.V3, 1, 40950 * time.Millisecond, 40790039062, 163640039062},
	}
	for _, tt := range tests {
		if got := vrrp.SkewTime(tt.version, tt.priority, tt.interval); got != tt.skew {
			t.Errorf("v%d priority %d interval %v: skew %v, want %v", tt.version, tt.priority, tt.interval, got, tt.skew)
		}
		if got := vrrp.ActiveDownInterval(tt.version, tt.priority, tt.interval); got != tt.down {
			t.Errorf("v%d priority %d interval %v: down %v, want %v", tt.version, tt.priority, tt.interval, got, tt.down)
		}
	}
}

// An advertisement that arrives before a late timer is reported counts: the
// timer was not looked at in time, the active router was.
func TestAdvertisementBeforeLateDeadline(t *testing.T) {
	r := in(t, vrrp.Backup, baseConfig())
	at, _ := r.Deadline()
	late := at.Add(200 * time.Millisecond)
	r.Handle(late, heard(200, high), nil)
	if got := lines(r.Handle(late, vrrp.DeadlineReached{}, nil)); got != "" {
		t.Errorf("did %q", got)
	}
}

// How late a backup's timer may be before it is not believed.
func TestLateBackupListensOnce(t *testing.T) {
	r := in(t, vrrp.Backup, baseConfig())
	at, _ := r.Deadline()
	if got := lines(r.Handle(at.Add(time.Second), vrrp.DeadlineReached{}, nil)); got == "" {
		t.Error("one interval late: did nothing")
	}
	r = in(t, vrrp.Backup, baseConfig())
	late := at.Add(time.Second + 1)
	if got := lines(r.Handle(late, vrrp.DeadlineReached{}, nil)); got != "" {
		t.Errorf("later than that: did %q", got)
	}
	next, _ := r.Deadline()
	if next.Sub(late) != 1609375*time.Microsecond {
		t.Errorf("listens for %v, want an interval and the skew", next.Sub(late))
	}
	// Late again: nobody spoke, and waiting for ever helps nobody.
	if got := lines(r.Handle(next.Add(time.Minute), vrrp.DeadlineReached{}, nil)); got == "" {
		t.Error("the second time: did nothing")
	}
}
