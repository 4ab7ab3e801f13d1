package wire

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSequenceNext(t *testing.T) {
	var s Sequence
	for want := uint32(1); want <= 3; want++ {
		if got := s.Next(); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
	s.last = 0xffffffff
	if got := s.Next(); got != 1 {
		t.Errorf("%d behind the last one; 0 is not valid", got)
	}
}

func TestSequenceAccept(t *testing.T) {
	tests := []struct {
		name    string
		last, n uint32
		want    bool
	}{
		{"the first one heard", 0, 1, true},
		{"the first one heard, of an old group", 0, 5000, true},
		{"the first one heard, of a very old group", 0, 0xfffffff0, true},
		{"the next one", 7, 8, true},
		{"some were lost", 7, 700, true},
		{"the same", 7, 7, false},
		{"an older one", 7, 6, false},
		{"zero", 7, 0, false},
		{"zero first", 0, 0, false},
		{"zero behind the last one", 0xffffffff, 0, false},
		{"behind the wrap", 0xffffffff, 1, true},
		{"behind the wrap with a loss", 0xfffffff0, 3, true},
		{"from before the wrap", 3, 0xfffffff0, false},
		{"just ahead", 1, 1 + 0x7fffffff, true},
		{"half of all numbers ahead", 1, 1 + 0x80000000, false},
	}
	for _, tt := range tests {
		s := Sequence{tt.last}
		if got := s.accept(tt.n); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		want := tt.last
		if tt.want {
			want = tt.n
		}
		if s.last != want {
			t.Errorf("%s: goes on from %d, want %d", tt.name, s.last, want)
		}
	}
}

// Whoever becomes active is heard by everybody who has heard the same, also
// across the wrap, and nothing recorded counts again.
func TestSequenceIsShared(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.SampledFrom([]uint32{1, 1000, 0xfffffff0, 0xffffffff}).Draw(t, "start")
		routers := make([]Sequence, rapid.IntRange(2, 5).Draw(t, "routers"))
		for i := range routers {
			routers[i].last = start
		}
		recorded := []uint32{start}
		for range 40 {
			active := rapid.IntRange(0, len(routers)-1).Draw(t, "active")
			n := routers[active].Next()
			for i := range routers {
				if i != active && !routers[i].accept(n) {
					t.Fatalf("router %d at %d does not hear %d", i, routers[i].last, n)
				}
			}
			for _, old := range recorded {
				if routers[rapid.IntRange(0, len(routers)-1).Draw(t, "replayed to")].accept(old) {
					t.Fatalf("%d counts again behind %d", old, n)
				}
			}
			recorded = append(recorded, n)
		}
	})
}

// A router that missed a whole reign is behind. It is not heard at first, learns
// from the next advertisement where the group is, and is heard then.
func TestSequenceCatchesUp(t *testing.T) {
	ahead, behind := Sequence{5000}, Sequence{12}
	if ahead.accept(behind.Next()) {
		t.Error("an old number counts")
	}
	if !behind.accept(ahead.Next()) {
		t.Error("the router that is behind does not hear the other")
	}
	if !ahead.accept(behind.Next()) {
		t.Error("it is not heard after it has caught up")
	}
}
