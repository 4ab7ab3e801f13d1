package speaker

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/vrrp"
)

// ledger is an Addresses that writes down what it is told, and hangs on demand.
type ledger struct {
	gate chan struct{} // nil: does not hang
	list []string
}

func (l *ledger) say(s string) {
	if l.gate != nil {
		<-l.gate
	}
	l.list = append(l.list, s)
}

func (l *ledger) Acquire(name string) { l.say("acquire " + name) }
func (l *ledger) Release(name string) { l.say("release " + name) }
func (l *ledger) Announce(name string, a vrrp.Announce) {
	l.say(fmt.Sprint("announce ", name, " ", a.Repeat))
}

func TestOrdersAreCarriedOutInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := newOrders(), &ledger{}
		go o.run(l)
		o.acquire("a")
		synctest.Wait()
		o.announce("a", vrrp.Announce{Repeat: 5})
		synctest.Wait()
		o.release("a")
		synctest.Wait()
		o.outbox.Close()
		<-o.outbox.Done()
		want := []string{"acquire a", "announce a 5", "release a"}
		if !slices.Equal(l.list, want) {
			t.Errorf("told %v, want %v", l.list, want)
		}
	})
}

// While the owner of addresses hangs, orders for an instance give way to later
// ones.
func TestOrdersReplaceEachOther(t *testing.T) {
	tests := []struct {
		name string
		give func(*orders)
		want []string
	}{
		{"acquire, release", func(o *orders) { o.acquire("a"); o.release("a") }, []string{"release a"}},
		{"release, acquire", func(o *orders) { o.release("a"); o.acquire("a") }, []string{"acquire a"}},
		{"an announcement stays behind its acquire", func(o *orders) {
			o.release("a")
			o.acquire("a")
			o.announce("a", vrrp.Announce{Repeat: 5})
		}, []string{"acquire a", "announce a 5"}},
		{"an announcement of addresses that go is pointless", func(o *orders) {
			o.acquire("a")
			o.announce("a", vrrp.Announce{Repeat: 5})
			o.release("a")
		}, []string{"release a"}},
		{"of two announcements the larger", func(o *orders) {
			o.announce("a", vrrp.Announce{Repeat: 5})
			o.announce("a", vrrp.Announce{Repeat: 1})
		}, []string{"announce a 5"}},
		{"instances do not mix", func(o *orders) {
			o.acquire("a")
			o.release("b")
			o.announce("a", vrrp.Announce{Repeat: 1})
		}, []string{"acquire a", "announce a 1", "release b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, l := newOrders(), &ledger{gate: make(chan struct{})}
				go o.run(l)
				o.acquire("first")
				synctest.Wait() // It hangs in this one.
				tt.give(o)
				close(l.gate)
				o.outbox.Close()
				<-o.outbox.Done()
				if want := append([]string{"acquire first"}, tt.want...); !slices.Equal(l.list, want) {
					t.Errorf("told %v, want %v", l.list, want)
				}
			})
		})
	}
}

// Whatever the owner is too slow for, the last order for each instance arrives,
// last.
func TestLastOrderArrives(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type step struct {
			name    string
			acquire bool
			pause   bool
		}
		var steps []step
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			steps = append(steps, step{
				rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "name"),
				rapid.Bool().Draw(rt, "acquire"), rapid.Bool().Draw(rt, "pause"),
			})
		}
		var told []string
		synctest.Test(t, func(*testing.T) {
			o, l := newOrders(), &ledger{gate: make(chan struct{}, len(steps))}
			go o.run(l)
			for _, s := range steps {
				if s.acquire {
					o.acquire(s.name)
				} else {
					o.release(s.name)
				}
				if s.pause {
					l.gate <- struct{}{}
					synctest.Wait()
				}
			}
			close(l.gate)
			o.outbox.Close()
			<-o.outbox.Done()
			told = l.list
		})
		for _, name := range []string{"a", "b", "c"} {
			want, got := "", ""
			for _, s := range steps {
				if s.name == name {
					want = map[bool]string{true: "acquire ", false: "release "}[s.acquire] + name
				}
			}
			for _, line := range told {
				if line[len("acquire "):] == name {
					got = line
				}
			}
			if got != want {
				rt.Fatalf("the last order for %s was %q, told %q", name, want, got)
			}
		}
	})
}

func TestHistogram(t *testing.T) {
	h := newHistogram(latenessBounds())
	for _, b := range h.Bounds {
		h.observe(b)     // A bound belongs to its bucket.
		h.observe(b + 1) // What is above, to the next.
	}
	if h.Counts[0] != 1 || h.Counts[len(h.Counts)-1] != 1 || h.Count() != uint64(2*len(h.Bounds)) {
		t.Errorf("counts %v", h.Counts)
	}
	for i := 1; i < len(h.Counts)-1; i++ {
		if h.Counts[i] != 2 {
			t.Errorf("bucket %d has %d", i, h.Counts[i])
		}
	}
	for _, bounds := range [][]int64{durations(latenessBounds()), durations(gapBounds())} {
		if !slices.IsSorted(bounds) {
			t.Errorf("bounds %v are not in order", bounds)
		}
	}
}

func durations[T ~int64](list []T) []int64 {
	out := make([]int64, 0, len(list))
	for _, d := range list {
		out = append(out, int64(d))
	}
	return out
}
