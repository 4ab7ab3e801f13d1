package pluginhost

import (
	"math"
	"time"

	"github.com/halo-ha/halo/sdk/host"
)

// The limit on what a plugin may send: floodFactor times the results its
// probes can honestly produce, and never less than floodFloor per second so
// that a plugin with one slow probe may still batch and catch up. floodBurst
// seconds of that rate may arrive at once, which is what a process sends after
// it, or this one, stood still.
const (
	floodFactor = 10
	floodFloor  = 100
	floodBurst  = 10
)

// flood is a token bucket over what a plugin sends. Every result costs a token
// and so does every message, so that empty ones are not free.
type flood struct {
	tokens float64
	last   time.Time
}

// allow takes the cost of m at now out of the bucket of a process whose probes
// produce at most perSecond results. It reports false when the bucket is dry.
func (f *flood) allow(now time.Time, m host.Message, perSecond float64) bool {
	rate := math.Max(floodFloor, floodFactor*perSecond)
	if f.last.IsZero() {
		f.tokens = floodBurst * rate
	} else {
		f.tokens = math.Min(floodBurst*rate, f.tokens+rate*now.Sub(f.last).Seconds())
	}
	f.last = now
	cost := 1.0
	if results, ok := m.(*host.Results); ok {
		cost += float64(len(results.Results))
	}
	f.tokens -= cost
	return f.tokens >= 0
}

// perSecond is the most results s can honestly produce in a second.
func perSecond(s host.Schedule) float64 {
	shortest := s.Interval
	if s.RetryInterval > 0 && s.RetryInterval < shortest {
		shortest = s.RetryInterval
	}
	if shortest <= 0 {
		return 1
	}
	return 1 / shortest.Seconds()
}
