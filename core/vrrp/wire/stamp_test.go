package wire

import (
	"math"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// noon is a time with seconds 0x68000000, as in the test vectors.
func noon() time.Time { return time.Unix(0x68000000, 0) }

func windowed() *HMAC { return &HMAC{Window: 5 * time.Second} }

func monotonic() *HMAC { return &HMAC{Regime: Monotonic} }

// at is the stamp of a time with so many seconds, and nothing below.
func at(seconds uint32) Stamp { return Stamp(seconds) << stampSecond }

func TestStampOf(t *testing.T) {
	tests := []struct {
		name string
		now  time.Time
		want Stamp
	}{
		{"half a second", time.Unix(0x68000000, 500_000_000), 0x6800000080000000},
		{"a whole one", time.Unix(0x68000000, 0), 0x6800000000000000},
		{"the last nanosecond", time.Unix(0x68000000, 999_999_999), 0x68000000ffff0000},
		{"less than a fraction", time.Unix(0x68000000, 15_258), 0x6800000000000000},
		{"just a fraction", time.Unix(0x68000000, 15_259), 0x6800000000010000},
		{"the last second of 31 bits", time.Unix(math.MaxInt32, 0), 0x7fffffff00000000},
		{"the first of 32", time.Unix(math.MaxInt32+1, 0), 0x8000000000000000},
		{"the last of 32", time.Unix(math.MaxUint32, 0), 0xffffffff00000000},
		{"the first beyond", time.Unix(math.MaxUint32+1, 0), 0},
		{"a clock that was never set", time.Unix(0, 0), 0},
		{"a clock before all", time.Unix(-1, 0), 0xffffffff00000000},
		{"in another zone", noon().In(time.FixedZone("", 3600)), 0x6800000000000000},
	}
	for _, tt := range tests {
		if got := stampOf(tt.now); got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.name, got, tt.want)
		}
	}
}

func TestStampAfter(t *testing.T) {
	tests := []struct {
		name string
		a, b Stamp
		want bool
	}{
		{"the next", 8, 7, true},
		{"the same", 7, 7, false},
		{"the one before", 6, 7, false},
		{"of the next second", at(8), at(7) | 0xffffffff, true},
		{"behind the wrap", at(0), at(0xffffffff), true},
		{"before the wrap", at(0xffffffff), at(0), false},
		{"the vectors C4 and C3", 0x10000, 0xfffffffe12345678, true},
		{"just ahead", 1<<63 - 1, 0, true},
		{"half of all ahead", 1 << 63, 0, false},
		{"half of all behind", 0, 1 << 63, false},
		{"more than half ahead", 1<<63 + 1, 0, false},
		{"behind 31 bits of seconds", at(0x80000000), at(0x7fffffff), true},
	}
	for _, tt := range tests {
		if got := tt.a.After(tt.b); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestStampAge(t *testing.T) {
	tests := []struct {
		name  string
		stamp Stamp
		now   time.Time
		want  time.Duration
	}{
		{"now", at(0x68000000), noon(), 0},
		{"fractions do not count", at(0x68000000) | 0xffffffff, noon(), 0},
		{"nor do the clock's", at(0x68000000), noon().Add(999 * time.Millisecond), 0},
		{"behind", at(0x68000000 - 7), noon(), 7 * time.Second},
		{"ahead", at(0x68000000 + 7), noon(), -7 * time.Second},
		{"across 31 bits", at(0x7fffffff), time.Unix(0x80000001, 0), 2 * time.Second},
		{"across 32 bits", at(0xffffffff), time.Unix(1<<32, 0), time.Second},
		{"ahead across 32 bits", at(0), time.Unix(1<<32-1, 0), -time.Second},
		{"as old as it gets", at(0), time.Unix(math.MaxInt32, 0), math.MaxInt32 * time.Second},
		{"as far ahead as it gets", at(0), time.Unix(1<<31, 0), math.MinInt32 * time.Second},
	}
	for _, tt := range tests {
		if got := tt.stamp.Age(tt.now); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestStampsNext(t *testing.T) {
	ahead := noon().Add(time.Hour)
	tests := []struct {
		name string
		last Stamp
		none bool
		now  time.Time
		h    *HMAC
		want Stamp
	}{
		{"the first", 0, true, noon(), windowed(), at(0x68000000)},
		{"the first, monotonic", 0, true, noon(), monotonic(), at(0x68000000)},
		// Keepalived takes zero for one it has sent, and counts 1, 2, 3 from 2038 on.
		{"the first behind 31 bits", 0, true, time.Unix(1<<31+5, 0), windowed(), at(1<<31 + 5)},
		{"the first behind 31 bits, monotonic", 0, true, time.Unix(1<<31+5, 0), monotonic(), at(1<<31 + 5)},
		{"the first of a clock that was never set", 0, true, time.Unix(0, 0), windowed(), 0},
		{"the clock moved on", at(0x67ffffff), false, noon(), windowed(), at(0x68000000)},
		{"the clock moved on beyond 31 bits", at(0x7fffffff), false, time.Unix(1<<31, 0), monotonic(), at(1 << 31)},
		{"the clock moved on beyond 32 bits", at(0xffffffff), false, time.Unix(1<<32, 0), windowed(), at(0)},
		{"the same time once more", at(0x68000000), false, noon(), windowed(), at(0x68000000) + 1},
		{"the same time once more, monotonic", at(0x68000000), false, noon(), monotonic(), at(0x68000000) + 1},
		{"the counter is full", at(0x68000000) | 0xffff, false, noon(), windowed(), at(0x68000000) | 0x10000},
		{"the fraction is full, too", at(0x68000000) | 0xffffffff, false, noon(), windowed(), at(0x68000001)},
		{"everything is full", math.MaxUint64, false, time.Unix(math.MaxUint32, 0), monotonic(), 0},
		{"set back as far as the window", at(0x68000005), false, noon(), windowed(), at(0x68000005) + 1},
		{"set back further", at(0x68000006), false, noon(), windowed(), at(0x68000000)},
		{"set back by an hour", stampOf(ahead), false, noon(), windowed(), at(0x68000000)},
		{"set back by an hour, monotonic", stampOf(ahead), false, noon(), monotonic(), stampOf(ahead) + 1},
		{"set back across 32 bits", at(20), false, time.Unix(1<<32-1, 0), windowed(), at(0xffffffff)},
		{"never set, then set behind 31 bits", at(10), false, time.Unix(1<<31+100, 0), windowed(), at(1<<31 + 100)},
		{"never set, then set to 31 bits further", at(10), false, time.Unix(1<<31+10, 0), windowed(), at(1<<31 + 10)},
		{"set forward by years", at(10), false, noon(), monotonic(), at(0x68000000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Stamps{last: tt.last, any: !tt.none}
			if got := s.Next(tt.now, tt.h); got != tt.want || s.last != got || !s.any {
				t.Errorf("%#x, want %#x; goes on from %+v", got, tt.want, s)
			}
		})
	}
}

func TestMarksAccept(t *testing.T) {
	tests := []struct {
		name  string
		last  Stamp
		stamp Stamp
		now   time.Time
		h     *HMAC
		want  bool
	}{
		{"the next", at(0x68000000), at(0x68000001), noon(), windowed(), true},
		{"the same", at(0x68000000), at(0x68000000), noon(), windowed(), false},
		{"the next in the same fraction", at(0x68000000), at(0x68000000) + 1, noon(), windowed(), true},
		{"an older one", at(0x68000000), at(0x68000000) - 1, noon(), windowed(), false},
		{"the mark is as old as the window", at(0x67fffffb), at(0x67fffffb), noon(), windowed(), false},
		{"the mark is older, which frees it", at(0x67fffffa), at(0x67fffffa), noon(), windowed(), true},
		{"the mark is as far ahead as the window", at(0x68000005), at(0x68000004), noon(), windowed(), false},
		{"the mark is further ahead", at(0x68000006), at(0x68000000), noon(), windowed(), true},
		{"the mark is an hour ahead", stampOf(noon().Add(time.Hour)), at(0x68000000), noon(), windowed(), true},
		{"the mark is ahead, monotonic", stampOf(noon().Add(2 * time.Hour)), stampOf(noon().Add(time.Hour)), noon(), monotonic(), false},
		{"the mark is old, monotonic", at(1), at(1), noon(), monotonic(), false},
		{"the mark is old and the stamp a bit younger, monotonic", at(1), at(1) + 1, noon(), monotonic(), true},
		{"a mark of zero is one", 0, 0, time.Unix(0, 0), windowed(), false},
		{"a mark of zero is one, monotonic", 0, 0, noon(), monotonic(), false},
		{"across 31 bits", at(0x7fffffff), at(0x80000000), time.Unix(1<<31, 0), windowed(), true},
		{"back across 31 bits", at(0x80000000), at(0x7fffffff), time.Unix(1<<31, 0), windowed(), false},
		{"across 32 bits", at(0xffffffff), at(0), time.Unix(1<<32, 0), windowed(), true},
		{"across 32 bits, monotonic", at(0xffffffff), at(0), noon(), monotonic(), true},
		{"back across 32 bits", at(0), at(0xffffffff), time.Unix(1<<32, 0), windowed(), false},
		{"half of all ahead, monotonic", at(0), 1 << 63, noon(), monotonic(), false},
	}
	source := netip.MustParseAddr("192.0.2.1")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := NewMarks(1)
			m.heard = append(m.heard, mark{source, tt.last})
			if got := m.accept(source, tt.stamp, tt.now, tt.h); got != tt.want {
				t.Errorf("accepted: %v", got)
			}
			want := tt.last
			if tt.want {
				want = tt.stamp
			}
			if len(m.heard) != 1 || m.heard[0].last != want {
				t.Errorf("goes on from %+v, want %#x", m.heard, want)
			}
		})
	}
}

// Whatever a sender's first stamp is, it counts.
func TestMarksFirst(t *testing.T) {
	for _, s := range []Stamp{0, 1, 1 << 63, math.MaxUint64} {
		for _, h := range []*HMAC{windowed(), monotonic()} {
			if !NewMarks(1).accept(netip.MustParseAddr("192.0.2.1"), s, noon(), h) {
				t.Errorf("%#x does not count, %v", s, h.Regime)
			}
		}
	}
	var none Marks
	if none.accept(netip.MustParseAddr("192.0.2.1"), 1, noon(), monotonic()) {
		t.Error("believed without room to remember it")
	}
}

// Each sender has its own; the one heard longest ago makes room.
func TestMarksBySender(t *testing.T) {
	h := monotonic()
	a, b, c := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("fe80::3")
	m := NewMarks(2)
	for i, step := range []struct {
		source netip.Addr
		stamp  Stamp
		want   bool
	}{
		{a, 100, true},
		{b, 50, true},
		{a, 100, false},
		{b, 50, false},
		{a, 101, true},
		{c, 7, true}, // In the place of b.
		{a, 101, false},
		{c, 7, false},
		{a, 102, true},
		{b, 50, true}, // In the place of c.
		{a, 102, false},
		{b, 50, false},
		{c, 6, true}, // In the place of a.
		{b, 50, false},
	} {
		if got := m.accept(step.source, step.stamp, noon(), h); got != step.want {
			t.Fatalf("step %d: accepted: %v", i, got)
		}
		if len(m.heard) > 2 || cap(m.heard) != 2 {
			t.Fatalf("step %d: %d of %d", i, len(m.heard), cap(m.heard))
		}
	}
	// The same address on a link with another name is the same sender: a virtual
	// router is on one link.
	if m.accept(netip.MustParseAddr("fe80::3%eth0"), 6, noon(), h) {
		t.Error("a zone makes another sender")
	}
}

func TestMarksResize(t *testing.T) {
	h, m := monotonic(), NewMarks(3)
	source := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }
	for i := range 3 {
		m.accept(source(i), 9, noon(), h)
	}
	m.Resize(5)
	if len(m.heard) != 3 || cap(m.heard) != 5 || m.accept(source(0), 9, noon(), h) {
		t.Errorf("larger: %d of %d", len(m.heard), cap(m.heard))
	}
	m.Resize(2)
	if len(m.heard) != 2 || cap(m.heard) != 2 || m.accept(source(2), 9, noon(), h) || m.accept(source(1), 9, noon(), h) {
		t.Errorf("smaller: %d of %d, with those heard longest ago", len(m.heard), cap(m.heard))
	}
	m.Resize(0)
	if cap(m.heard) != 1 || m.accept(source(2), 9, noon(), h) {
		t.Errorf("smallest: %d of %d", len(m.heard), cap(m.heard))
	}
	var zero Marks
	zero.Resize(1)
	if !zero.accept(source(1), 9, noon(), h) {
		t.Error("the zero value cannot be given room")
	}
}

// A sender's clock steps at random, by less or more than the window: its stamps
// only ever go back where Windowed has to follow the clock, and then a receiver
// whose clock is right believes it at once.
func TestStampsUnderClockSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := windowed()
		if rapid.Bool().Draw(t, "monotonic") {
			h = monotonic()
		}
		start := rapid.SampledFrom([]int64{0x68000000, math.MaxInt32 - 5, math.MaxUint32 - 5}).Draw(t, "start")
		now, off := time.Unix(start, 0), time.Duration(0)
		var s Stamps
		marks, source := NewMarks(1), netip.MustParseAddr("192.0.2.1")
		var recorded []Stamp
		for range 60 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "passed")))
			switch rapid.IntRange(0, 5).Draw(t, "clock") {
			case 0:
				off = time.Duration(rapid.Int64Range(int64(-time.Hour), int64(time.Hour)).Draw(t, "wrong by"))
			case 1:
				off = 0
			}
			before, clock := s, now.Add(off)
			stamp := s.Next(clock, h)
			if before.any && !stamp.After(before.last) && (h.Regime == Monotonic || before.last.Age(clock) >= -h.Window) {
				t.Fatalf("%#x after %#x", stamp, before.last)
			}
			if h.Regime == Windowed && stamp.Age(clock).Abs() > h.Window {
				t.Fatalf("%#x is %v old to its own clock", stamp, stamp.Age(clock))
			}
			fresh := h.Regime == Monotonic || h.fresh(stamp, now)
			if !fresh {
				continue
			}
			if !marks.accept(source, stamp, now, h) {
				// Only a stamp that went back, by a step of the window at most as
				// the receiver sees it, is behind a mark.
				last := marks.heard[0].last
				if h.Regime == Monotonic || !h.fresh(last, now) || stamp.After(last) {
					t.Fatalf("%#x is not believed behind %#x", stamp, last)
				}
			} else {
				recorded = append(recorded, stamp)
			}
			for _, old := range recorded {
				if (h.Regime == Monotonic || h.fresh(old, now)) && marks.accept(source, old, now, h) {
					t.Fatalf("%#x counts again behind %#x", old, stamp)
				}
			}
		}
	})
}

// A whole life, with the sender's and the receiver's clocks apart: it is heard as
// long as they are no further apart than the window, and across both ends of the
// seconds.
func TestWindowBetweenClocks(t *testing.T) {
	h, source := windowed(), netip.MustParseAddr("192.0.2.1")
	for _, start := range []int64{0x68000000, math.MaxInt32 - 3, math.MaxUint32 - 3} {
		for off := -7; off <= 7; off++ {
			t.Run(strconv.FormatInt(start, 10)+" "+strconv.Itoa(off), func(t *testing.T) {
				var s Stamps
				marks := NewMarks(1)
				for i := range 10 {
					now := time.Unix(start+int64(i), 0)
					stamp := s.Next(now.Add(time.Duration(off)*time.Second), h)
					want := off >= -5 && off <= 5
					if h.fresh(stamp, now) != want {
						t.Fatalf("after %d s: fresh is not %v", i, want)
					}
					if want && !marks.accept(source, stamp, now, h) {
						t.Fatalf("after %d s: a replay", i)
					}
				}
			})
		}
	}
}
