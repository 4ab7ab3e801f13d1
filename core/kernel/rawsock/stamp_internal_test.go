package rawsock

import (
	"testing"
	"time"
)

func TestArrival(t *testing.T) {
	now := time.Now()
	at := func(age time.Duration) stamp {
		wall := now.Add(-age).UnixNano()
		return stamp{wall / int64(time.Second), wall % int64(time.Second)}
	}
	for name, tc := range map[string]struct {
		stamp stamp
		age   time.Duration
	}{
		"not known":              {stamp{}, 0},
		"just now":               {at(0), 0},
		"a moment ago":           {at(123 * time.Microsecond), 123 * time.Microsecond},
		"as old as is trusted":   {at(trusted), trusted},
		"read after a stall":     {at(trusted + 1), 0},
		"the clock was set back": {at(-time.Nanosecond), 0},
		"by an hour":             {at(-time.Hour), 0},
		"the clock was set on":   {at(time.Hour), 0},
		"nonsense":               {stamp{1 << 62, -5}, 0},
	} {
		if got := now.Sub(arrival(now, tc.stamp)); got != tc.age {
			t.Errorf("%s: %v ago, want %v", name, got, tc.age)
		}
	}
}
