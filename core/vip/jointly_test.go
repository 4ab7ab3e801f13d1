package vip

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeletionsAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := jointly{queues: make(map[string]*deletions)}
		var calls [][]netip.Prefix
		do := func(list []netip.Prefix) error {
			calls = append(calls, slices.Clone(list))
			time.Sleep(time.Second)
			if len(list) > 1 {
				return errRefused
			}
			return nil
		}
		all := prefixes(many(100)...)
		failed := make([]bool, len(all))
		var wait sync.WaitGroup
		for i, p := range all {
			wait.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				failed[i] = errors.Is(j.del("eth0", []netip.Prefix{p}, do), errRefused)
			})
		}
		start := time.Now()
		// Another interface does not wait.
		if err := j.del("eth1", all[:1], func([]netip.Prefix) error { return nil }); err != nil || time.Since(start) != 0 {
			t.Errorf("on another interface: %v after %s", err, time.Since(start))
		}
		wait.Wait()
		if took := time.Since(start); took != 2*time.Second || len(calls) != 2 {
			t.Errorf("%d calls took %s, want the first one and one for all the others", len(calls), took)
		}
		if !slices.Equal(slices.Concat(calls...), all) {
			t.Errorf("deleted %v", calls)
		}
		for i, f := range failed {
			if f != (i > 0) {
				t.Errorf("deletion %d failed: %v", i, f)
			}
		}
		// What comes later is on its own again.
		if err := j.del("eth0", all[:1], do); err != nil || len(calls) != 3 {
			t.Errorf("later: %v, %d calls", err, len(calls))
		}
	})
}
