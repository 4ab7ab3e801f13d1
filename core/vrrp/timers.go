package vrrp

import (
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// SkewTime is what keeps backups from all taking over at once: the higher the
// priority, the shorter. Version 3 scales it with the interval of the active
// router (RFC 9568 §6.1), version 2 with one second (RFC 3768 §6.1). Nothing is
// rounded: at an interval of 10 ms a step of priority is 39 µs.
func SkewTime(version wire.Version, priority uint8, activeAdverInterval time.Duration) time.Duration {
	unit := activeAdverInterval
	if version == wire.V2 {
		unit = time.Second
	}
	return time.Duration(256-int(priority)) * unit / 256
}

// ActiveDownInterval is how long a backup waits before it declares the active
// router down (RFC 9568 §6.1; Master_Down_Interval in RFC 3768 §6.1).
func ActiveDownInterval(version wire.Version, priority uint8, activeAdverInterval time.Duration) time.Duration {
	return 3*activeAdverInterval + SkewTime(version, priority, activeAdverInterval)
}

// earliest is the earlier of two deadlines, of which zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// due says whether a deadline has come.
func due(deadline, now time.Time) bool {
	return !deadline.IsZero() && !now.Before(deadline)
}

// after is a deadline d from now; not positive is never.
func after(now time.Time, d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return now.Add(d)
}
