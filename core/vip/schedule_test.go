package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// letter is one packet as the schedule had it sent.
type letter struct {
	at       time.Time
	instance string
	address  netip.Addr
	round    int
	slow     bool // by an interface that does not keep up
}

// wire drives a schedule in virtual time: each batch takes its interface so
// long.
type wire struct {
	schedule
	now     time.Time
	takes   map[string]time.Duration
	letters []letter
	sent    atomic.Uint64
}

func newWire(takes map[string]time.Duration) *wire {
	return &wire{
		schedule: schedule{flights: make(map[string]*batch)}, now: time.Unix(1000, 0), takes: takes,
	}
}

// burst adds one of n addresses, which no other has.
func (w *wire) burst(instance int, iface string, n, repeat int) *burst {
	b := &burst{instance: fmt.Sprintf("VI_%d", instance), iface: iface, repeat: repeat, sent: &w.sent}
	for i := range n {
		b.addresses = append(b.addresses, netip.AddrFrom4([4]byte{10, byte(instance), byte(i / 250), byte(i%250 + 1)}))
	}
	w.add(b)
	return b
}

// run sends what there is, until nothing happens any more or the given time.
func (w *wire) run(until time.Duration) {
	end := w.now.Add(until)
	for !w.now.After(end) {
		for {
			b, wake := w.pick(w.now)
			if b == nil {
				next := wake
				for _, f := range w.flights {
					next = sooner(next, f.since.Add(w.takes[f.iface]))
				}
				if next.IsZero() {
					return
				}
				w.now = next
				break
			}
			rounds := 0
			for _, p := range b.parts {
				for range p.packets {
					w.letters = append(w.letters, letter{
						w.now, p.burst.instance, b.addresses[rounds], b.round, w.takes[b.iface] > stallAfter,
					})
					rounds++
				}
			}
			if w.takes[b.iface] == 0 {
				w.landed(b, w.now, nil)
			}
		}
		for _, f := range w.flights {
			if !w.now.Before(f.since.Add(w.takes[f.iface])) {
				w.landed(f, w.now, nil)
			}
		}
	}
}

// The order in which everybody is announced who becomes active at once, on
// interfaces some of which are slow.
func TestScheduleProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		takes := map[string]time.Duration{"eth0": 0, "eth1": 50 * time.Microsecond, "eth2": time.Second}
		ifaces := []string{"eth0", "eth1", "eth2"}[:rapid.IntRange(1, 3).Draw(rt, "interfaces")]
		w := newWire(takes)
		size := make(map[string]int)
		where := make(map[string]string)
		repeats := make(map[string]int)
		for i := range rapid.IntRange(1, 20).Draw(rt, "instances") {
			iface := rapid.SampledFrom(ifaces).Draw(rt, "interface")
			n := rapid.SampledFrom([]int{1, 2, 4, 7, 40, 100}).Draw(rt, "addresses")
			repeat := rapid.IntRange(1, 5).Draw(rt, "repeat")
			b := w.burst(i, iface, n, repeat)
			size[b.instance], where[b.instance], repeats[b.instance] = n, iface, repeat
		}
		w.run(1000 * time.Hour)

		// Everything is sent as often as it was to be, and the pauses are kept.
		counts := make(map[netip.Addr]int)
		last := make(map[netip.Addr]time.Time)
		for _, l := range w.letters {
			if counts[l.address] != l.round {
				rt.Fatalf("%s is announced for round %d when it was announced %d times", l.address, l.round, counts[l.address])
			}
			if before, ok := last[l.address]; ok && l.at.Sub(before) < roundPause {
				rt.Fatalf("%s after the packet before", l.at.Sub(before))
			}
			counts[l.address]++
			last[l.address] = l.at
		}
		packets := 0
		for name, n := range size {
			packets += n * repeats[name]
		}
		if len(w.letters) != packets || w.sent.Load() != uint64(packets) || len(w.bursts) != 0 {
			rt.Fatalf("%d packets, %d counted, want %d; left: %d", len(w.letters), w.sent.Load(), packets, len(w.bursts))
		}
		wantFirstsFirst(rt, w.letters)
		wantFair(rt, w.letters, size, where)
		wantPaced(rt, w.letters)
	})
}

// wantFirstsFirst: no address is announced again before every other has been
// announced as often, interfaces that do not keep up left aside.
func wantFirstsFirst(rt *rapid.T, letters []letter) {
	round := 0
	for _, l := range letters {
		if l.slow {
			continue
		}
		if l.round < round {
			rt.Fatalf("packet %d for %s goes out after packet %d for another", l.round+1, l.address, round+1)
		}
		round = l.round
	}
}

// wantFair: within a round and an interface, nobody who has something left is
// ahead of another by more than one turn.
func wantFair(rt *rapid.T, letters []letter, size map[string]int, where map[string]string) {
	done := make(map[string]int) // of the first round
	for _, l := range letters {
		if l.round > 0 {
			continue
		}
		done[l.instance]++
		for other, n := range size {
			if where[other] == where[l.instance] && done[other] < n && done[l.instance] > done[other]+quantum {
				rt.Fatalf("%s has sent %d when %s has sent %d of %d", l.instance, done[l.instance], other, done[other], n)
			}
		}
	}
}

// wantPaced: in no ten milliseconds more goes out than the pace and the reserve
// allow, repetitions counted for what they cost.
func wantPaced(rt *rapid.T, letters []letter) {
	const window = 10 * time.Millisecond
	cost, from := 0.0, 0
	weight := func(l letter) float64 {
		if l.round > 0 {
			return repeatCost
		}
		return 1
	}
	for _, l := range letters {
		cost += weight(l)
		for l.at.Sub(letters[from].at) >= window {
			cost -= weight(letters[from])
			from++
		}
		if limit := float64(reserve + rate*10); cost > limit+1 {
			rt.Fatalf("packets that cost %.0f within %s, want at most %.0f", cost, window, limit)
		}
	}
}

// 255 instances of four addresses take over: everything is reachable within a
// few milliseconds of sending, and quiet soon after.
func TestScheduleOfAMassTakeover(t *testing.T) {
	w := newWire(map[string]time.Duration{"eth0": 30 * time.Microsecond})
	for i := range 255 {
		w.burst(i, "eth0", 4, 5)
	}
	start := w.now
	w.run(time.Hour)
	reachable := slices.IndexFunc(w.letters, func(l letter) bool { return l.round > 0 })
	if reachable != 4*255 {
		t.Fatalf("%d packets before the first repetition, want one for each of %d addresses", reachable, 4*255)
	}
	if took := w.letters[reachable-1].at.Sub(start); took > 10*time.Millisecond {
		t.Errorf("everything is announced once after %s, want 10 ms at most", took)
	}
	if took := w.letters[len(w.letters)-1].at.Sub(start); took > 200*time.Millisecond {
		t.Errorf("quiet after %s, want 200 ms at most", took)
	}
}

// Who becomes active while others repeat themselves goes first.
func TestScheduleLetsNewOwnersGoFirst(t *testing.T) {
	w := newWire(nil)
	for i := range 100 {
		w.burst(i, "eth0", 10, 5)
	}
	w.run(40 * time.Millisecond)
	before := len(w.letters)
	if left := 5*1000 - before; left < 1000 {
		t.Fatalf("only %d packets are left", left)
	}
	w.burst(200, "eth0", 10, 2)
	w.run(time.Hour)
	for i, l := range w.letters[before : before+10] {
		if l.instance != "VI_200" || l.round != 0 {
			t.Errorf("packet %d afterwards is for round %d of %s", i, l.round, l.instance)
		}
	}
}

// An interface that takes a second for a batch is not waited for: the others
// get to their repetitions.
func TestScheduleDoesNotWaitForAStalledInterface(t *testing.T) {
	w := newWire(map[string]time.Duration{"eth1": time.Hour})
	w.burst(1, "eth1", 100, 5)
	w.burst(2, "eth0", 100, 5)
	start := w.now
	w.run(time.Second)
	n := 0
	for _, l := range w.letters {
		if l.instance == "VI_2" {
			n++
		}
		if l.round > 0 && l.at.Sub(start) < stallAfter {
			t.Fatalf("a repetition after %s, when the other interface may still keep up", l.at.Sub(start))
		}
	}
	if n != 500 {
		t.Errorf("%d packets on the other interface, want 500", n)
	}
}

// Repetitions yield where sending is slow.
func TestScheduleRestsAfterSlowRepetitions(t *testing.T) {
	takes := 2 * time.Millisecond
	w := newWire(map[string]time.Duration{"eth0": takes})
	w.burst(1, "eth0", 320, 3)
	w.run(time.Hour)
	var last time.Time
	for _, l := range w.letters {
		if l.round > 0 && !last.IsZero() && l.at.After(last) && l.at.Sub(last) < (1+restFactor)*takes {
			t.Fatalf("repetitions %s apart, want %s at least", l.at.Sub(last), (1+restFactor)*takes)
		}
		if l.round > 0 {
			last = l.at
		}
	}
}

func TestScheduleOfAGrowingBurst(t *testing.T) {
	all := func(n int) []netip.Addr {
		return newWire(nil).burst(1, "eth0", n, 1).addresses
	}
	grown := func(w *wire, first, second int) *burst {
		b := &burst{instance: "VI_1", iface: "eth0", repeat: 2, open: true, sent: &w.sent}
		w.add(b)
		w.run(time.Second)
		b.addresses = append(b.addresses, all(first)...)
		w.run(time.Second)
		b.addresses = append(b.addresses, all(first + second)[first:]...)
		w.run(time.Second)
		return b
	}
	t.Run("is announced as it grows", func(t *testing.T) {
		w := newWire(nil)
		b := grown(w, 10, 5)
		if len(w.letters) != 15 {
			t.Errorf("%d packets before the end, want the first 15", len(w.letters))
		}
		w.finish(b, all(15), 3, w.now)
		if w.run(time.Second); len(w.letters) != 45 {
			t.Errorf("%d packets in the end, want three for each of 15", len(w.letters))
		}
		if pause := w.letters[15].at.Sub(w.letters[14].at); pause < roundPause {
			t.Errorf("the second round begins %s after the first", pause)
		}
	})
	t.Run("forgets what is not there in the end, and takes in the rest", func(t *testing.T) {
		w := newWire(nil)
		b := grown(w, 3, 0)
		wanted := []netip.Addr{all(3)[0], all(3)[2], all(9)[8]}
		w.finish(b, wanted, 2, w.now)
		w.run(time.Second)
		counts := make(map[netip.Addr]int)
		for _, l := range w.letters {
			counts[l.address]++
		}
		for i, want := range map[int]int{0: 2, 1: 1, 2: 2, 8: 2} {
			if got := counts[all(9)[i]]; got != want {
				t.Errorf("address %d is announced %d times, want %d", i, got, want)
			}
		}
	})
	t.Run("may be left with nothing", func(t *testing.T) {
		w := newWire(nil)
		b := grown(w, 3, 0)
		w.finish(b, nil, 2, w.now)
		w.run(time.Second)
		if len(w.letters) != 3 || len(w.bursts) != 0 {
			t.Errorf("%d packets and %d bursts", len(w.letters), len(w.bursts))
		}
	})
	t.Run("may be dropped", func(t *testing.T) {
		w := newWire(nil)
		b := grown(w, 3, 0)
		w.drop("VI_1")
		w.finish(b, all(3), 2, w.now)
		w.run(time.Second)
		if len(w.letters) != 3 {
			t.Errorf("%d packets, want the three from before", len(w.letters))
		}
	})
}

func TestScheduleCountsWhatWasSent(t *testing.T) {
	w := newWire(nil)
	w.burst(1, "eth0", 40, 1)
	first, _ := w.pick(w.now)
	if second, wake := w.pick(w.now); second != nil || wake != w.now.Add(stallAfter) || !w.flying("VI_1") || w.flying("VI_2") {
		t.Errorf("with a batch on its way: %+v, wake at %s", second, wake)
	}
	w.landed(first, w.now, errors.New("lost"))
	second, _ := w.pick(w.now)
	w.landed(second, w.now, nil)
	if got := w.sent.Load(); got != 40-batchLimit || w.flying("VI_1") {
		t.Errorf("%d packets counted, want %d", got, 40-batchLimit)
	}
	if w.burst(2, "eth0", 0, 5); len(w.bursts) != 0 {
		t.Error("nothing to announce is something to do")
	}
	if w.burst(2, "eth0", 5, 0); len(w.bursts) != 0 {
		t.Error("no times is something to do")
	}
}
