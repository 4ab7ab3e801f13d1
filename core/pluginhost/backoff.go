package pluginhost

import (
	"math/rand/v2"
	"time"
)

// The restart policy. A process that dies is started again after firstDelay,
// doubling to longestDelay; one that stayed healthy for healthyAfter starts
// from the beginning. breakerFailures failures within breakerWindow open the
// breaker: from then on there is one attempt per breakerRetry.
const (
	firstDelay      = 100 * time.Millisecond
	longestDelay    = 30 * time.Second
	healthyAfter    = 60 * time.Second
	breakerFailures = 10
	breakerWindow   = 5 * time.Minute
	breakerRetry    = 5 * time.Minute
	jitterShare     = 0.2
)

// backoff says how long to wait before the next start. The zero value is not
// usable: random must be set, so that a test is repeatable.
type backoff struct {
	random *rand.Rand
	// delay is the wait before jitter after the next failure; zero means firstDelay.
	delay time.Duration
	// failures holds the times of the last failures, oldest first, at most breakerFailures.
	failures []time.Time
	open     bool
}

// failed records a failure at now of a process that had been running for
// healthy, which is zero when it did not get that far. It returns the wait
// until the next start, and whether the breaker is open.
func (b *backoff) failed(now time.Time, healthy time.Duration) (wait time.Duration, open bool) {
	if healthy >= healthyAfter {
		b.reset()
	}
	b.failures = append(b.failures, now)
	if len(b.failures) > breakerFailures {
		b.failures = b.failures[1:]
	}
	if len(b.failures) == breakerFailures && now.Sub(b.failures[0]) <= breakerWindow {
		b.open = true
	}
	if b.open {
		return b.jitter(breakerRetry), true
	}
	if b.delay == 0 {
		b.delay = firstDelay
	}
	wait = b.jitter(b.delay)
	b.delay = min(2*b.delay, longestDelay)
	return wait, false
}

// reset forgets every failure: the process was healthy, the file changed or a
// person asked for a restart.
func (b *backoff) reset() {
	b.delay, b.open = 0, false
	b.failures = b.failures[:0]
}

// jitter spreads d by a fifth either way, so that plugins that died together
// do not all come back in the same instant.
func (b *backoff) jitter(d time.Duration) time.Duration {
	return d + time.Duration((b.random.Float64()*2-1)*jitterShare*float64(d))
}
