package kerneltest

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// OpenDescriptors is how many descriptors this process has open.
func OpenDescriptors(tb testing.TB) int {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	return len(entries)
}

// LeavesNothing goes through a cycle many times and holds that neither a descriptor
// nor a goroutine is left of it. What is opened once may stay open.
func LeavesNothing(tb testing.TB, cycle func()) {
	tb.Helper()
	cycle()
	goroutines, descriptors := runtime.NumGoroutine(), OpenDescriptors(tb)
	for range 50 {
		cycle()
	}
	if n := OpenDescriptors(tb); n > descriptors {
		tb.Errorf("%d descriptors, before %d", n, descriptors)
	}
	// Goroutines end on their own time.
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), goroutines)
		}
	}
}
