package pluginhost

import (
	"math/rand/v2"
	"testing"
	"time"
)

func newTestBackoff(seed uint64) *backoff {
	return &backoff{random: rand.New(rand.NewPCG(seed, seed))}
}

// within reports whether got is want give or take the jitter.
func within(got, want time.Duration) bool {
	slack := time.Duration(jitterShare * float64(want))
	return got >= want-slack && got <= want+slack
}

func TestBackoffDoublesUpToItsLimit(t *testing.T) {
	b := newTestBackoff(1)
	now := time.Unix(1000, 0)
	for i, milliseconds := range []int{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000} {
		want := time.Duration(milliseconds) * time.Millisecond
		// Far enough apart never to open the breaker.
		now = now.Add(time.Minute)
		wait, open := b.failed(now, 0)
		if open {
			t.Fatalf("failure %d: the breaker is open, but failures are a minute apart", i+1)
		}
		if !within(wait, want) {
			t.Errorf("failure %d: waits %s, want %s give or take a fifth", i+1, wait, want)
		}
	}
}

func TestBackoffJitterSpreads(t *testing.T) {
	low, high := time.Hour, time.Duration(0)
	for seed := range uint64(200) {
		wait, _ := newTestBackoff(seed).failed(time.Unix(0, 0), 0)
		low, high = min(low, wait), max(high, wait)
	}
	if low > 85*time.Millisecond || high < 115*time.Millisecond {
		t.Errorf("200 first waits lie within %s and %s: not spread over 80 to 120 ms", low, high)
	}
}

func TestBackoffStartsAgainAfterHealth(t *testing.T) {
	b := newTestBackoff(1)
	now := time.Unix(1000, 0)
	for range 5 {
		b.failed(now, 0)
	}
	if wait, _ := b.failed(now, healthyAfter-time.Nanosecond); !within(wait, 3200*time.Millisecond) {
		t.Errorf("not quite healthy: waits %s, want 3.2 s", wait)
	}
	if wait, _ := b.failed(now, healthyAfter); !within(wait, firstDelay) {
		t.Errorf("after a minute of health: waits %s, want %s", wait, firstDelay)
	}
}

func TestBreakerOpensAtTenFailuresInFiveMinutes(t *testing.T) {
	b := newTestBackoff(1)
	now := time.Unix(1000, 0)
	for i := range breakerFailures - 1 {
		now = now.Add(30 * time.Second)
		if _, open := b.failed(now, 0); open {
			t.Fatalf("the breaker opens at failure %d", i+1)
		}
	}
	now = now.Add(30 * time.Second)
	wait, open := b.failed(now, 0)
	if !open || !within(wait, breakerRetry) {
		t.Fatalf("tenth failure in 270 s: open %v, waits %s; want open, %s", open, wait, breakerRetry)
	}
	// The retry five minutes later leaves nine of the ten outside the window,
	// and must not start the fast attempts again.
	if wait, open = b.failed(now.Add(wait), time.Second); !open || !within(wait, breakerRetry) {
		t.Errorf("after a failed retry: open %v, waits %s; want still open", open, wait)
	}
	if _, open = b.failed(now.Add(2*wait), healthyAfter); open {
		t.Error("the breaker is open after a minute of health")
	}
}

func TestBreakerStaysShutWhenFailuresAreRare(t *testing.T) {
	b := newTestBackoff(1)
	now := time.Unix(1000, 0)
	for i := range 50 {
		now = now.Add(34 * time.Second) // ten of them take more than five minutes
		if _, open := b.failed(now, 0); open {
			t.Fatalf("the breaker opens at failure %d, one every 34 s", i+1)
		}
	}
}

// A plugin that dies at once is started fewer than twenty times in a minute.
func TestCrashLoopIsSlow(t *testing.T) {
	for seed := range uint64(50) {
		b := newTestBackoff(seed)
		start := time.Unix(1000, 0)
		starts := 0
		for now := start; now.Sub(start) < time.Minute; starts++ {
			wait, _ := b.failed(now, 0)
			now = now.Add(wait)
		}
		if starts >= 20 {
			t.Fatalf("seed %d: %d starts in a minute", seed, starts)
		}
	}
}
