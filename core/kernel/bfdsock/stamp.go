package bfdsock

import "time"

// trusted is how old a time stamp may say that a packet is. A program that gets
// to its packets later than that was held up; and where the wall clock was set
// between the stamp and the reading, which is all that this compares, the error
// stays below what the shortest Detection Times tolerate.
const trusted = 5 * time.Millisecond

// stamp is when the kernel took in a packet, by the wall clock: struct
// __kernel_timespec. Zero means that it does not know.
type stamp struct{ seconds, nanoseconds int64 }

// arrival is the stamp as a time that can be compared with other times of this
// process: now, less what the wall clock says has passed since. It is now where
// that cannot be.
func arrival(now time.Time, s stamp) time.Time {
	age := now.Sub(time.Unix(s.seconds, s.nanoseconds))
	if age < 0 || age > trusted {
		return now
	}
	return now.Add(-age)
}
