package vrrp_test

import (
	"testing"
	"time"
	"unsafe"
)

// stepped is the time as a machine says it whose wall clock was stepped since:
// the monotonic reading is the same. There is no other way to make one than by
// the fields of time.Time; TestSteppedClock proves that they are what they are
// taken for. The step is a whole number of seconds.
func stepped(t time.Time, by time.Duration) time.Time {
	if by != 0 {
		// 33 bits of seconds stand above 30 of nanoseconds.
		*(*int64)(unsafe.Pointer(&t)) += int64(by/time.Second) << 30
	}
	return t
}

func TestSteppedClock(t *testing.T) {
	base := time.Now()
	for _, by := range []time.Duration{time.Hour, -time.Hour, 40 * 24 * time.Hour} {
		s := stepped(base, by)
		if s.Sub(base) != 0 || !s.Equal(base) {
			t.Errorf("a step by %v is seen: %v", by, s.Sub(base))
		}
		if got := s.Round(0).Sub(base.Round(0)); got != by {
			t.Errorf("the wall clock was stepped by %v, want %v", got, by)
		}
		if d := s.Add(time.Minute).Sub(base); d != time.Minute {
			t.Errorf("a minute later is %v later", d)
		}
	}
}
