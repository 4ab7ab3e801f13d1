package pluginhost

import (
	"testing"
	"time"

	"github.com/halo-ha/halo/sdk/host"
)

func results(n int) *host.Results {
	return &host.Results{Results: make([]host.ProbeResult, n)}
}

func TestFloodLetsHonestPluginsThrough(t *testing.T) {
	tests := []struct {
		name      string
		perSecond float64
		every     time.Duration
		batch     int
	}{
		{"ten thousand a second in batches", 10_000, 100 * time.Millisecond, 1000},
		{"one probe every five seconds", 0.2, 5 * time.Second, 1},
		{"nothing but heartbeats", 0, time.Second, 0},
		{"just below the limit", 50, 10 * time.Millisecond, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f flood
			now := time.Unix(1000, 0)
			for i := range 10_000 {
				if !f.allow(now, results(tt.batch), tt.perSecond) {
					t.Fatalf("message %d is called a flood", i)
				}
				now = now.Add(tt.every)
			}
		})
	}
}

func TestFloodAllowsWhatPiledUp(t *testing.T) {
	var f flood
	now := time.Unix(1000, 0)
	f.allow(now, results(0), 1000)
	// Everything that 1,000 probes found in ten seconds, at once.
	for range 10 {
		if !f.allow(now.Add(10*time.Second), results(1000), 1000) {
			t.Fatal("ten seconds of results at once are called a flood")
		}
	}
}

func TestFloodIsNoticed(t *testing.T) {
	tests := []struct {
		name      string
		perSecond float64
		message   host.Message
		rate      int // messages a second
	}{
		{"eleven times what its probes can produce", 1000, results(99), 111},
		{"results of no probe at all", 0, results(1000), 2},
		{"empty batches", 10, results(0), 200},
		{"commits", 10, &host.Committed{}, 200},
		{"heartbeats", 10, &host.Heartbeat{}, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f flood
			start := time.Unix(1000, 0)
			for i := range 600 * tt.rate {
				if !f.allow(start.Add(time.Duration(i)*time.Second/time.Duration(tt.rate)), tt.message, tt.perSecond) {
					return
				}
			}
			t.Error("ten minutes of it are let through")
		})
	}
}

func TestPerSecondIsTheFastestHonestPace(t *testing.T) {
	tests := []struct {
		schedule host.Schedule
		want     float64
	}{
		{host.Schedule{Interval: 5 * time.Second, RetryInterval: time.Second}, 1},
		{host.Schedule{Interval: time.Second, RetryInterval: 5 * time.Second}, 1},
		{host.Schedule{Interval: 100 * time.Millisecond}, 10},
		{host.Schedule{}, 1},
	}
	for _, tt := range tests {
		if got := perSecond(tt.schedule); got != tt.want {
			t.Errorf("perSecond(%+v) = %v, want %v", tt.schedule, got, tt.want)
		}
	}
}

type discard struct{}

func (discard) Upsert([]host.Probe) error { return nil }
func (discard) Remove([]uint64) error     { return nil }
func (discard) Commit(uint64) error       { return nil }

func TestSessionKnowsItsLoad(t *testing.T) {
	s := newSession(discard{})
	probe := func(id uint64, every time.Duration) host.Probe {
		return host.Probe{ID: id, Schedule: host.Schedule{Interval: every}}
	}
	check := func(wantProbes int, wantRate float64) {
		t.Helper()
		probes, rate := s.load()
		if probes != wantProbes || rate != wantRate {
			t.Errorf("load is %d probes, %v/s; want %d, %v/s", probes, rate, wantProbes, wantRate)
		}
	}
	_ = s.Upsert([]host.Probe{probe(1, time.Second), probe(2, time.Second/2)})
	check(2, 3)
	_ = s.Upsert([]host.Probe{probe(1, time.Second/4)})
	check(2, 6)
	_ = s.Remove([]uint64{2, 99})
	check(1, 4)
	_ = s.Remove([]uint64{1})
	check(0, 0)
}
