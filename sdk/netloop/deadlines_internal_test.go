package netloop

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestDeadlinesProperty compares the heap with a sorted list under any order
// of additions and removals.
func TestDeadlinesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var heap deadlines
		var attempts []attempt
		var inside []int32
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(inside) == 0 || rapid.Bool().Draw(t, "add") {
				slot := int32(len(attempts))
				attempts = append(attempts, attempt{deadline: int64(rapid.IntRange(0, 50).Draw(t, "deadline"))})
				heap.add(attempts, slot)
				inside = append(inside, slot)
			} else {
				i := rapid.IntRange(0, len(inside)-1).Draw(t, "which")
				heap.remove(attempts, attempts[inside[i]].place)
				inside = slices.Delete(inside, i, i+1)
			}
			if len(heap) != len(inside) {
				t.Fatalf("heap holds %d, want %d", len(heap), len(inside))
			}
			for place, slot := range heap {
				if attempts[slot].place != int32(place) {
					t.Fatalf("slot %d believes it is at %d, is at %d", slot, attempts[slot].place, place)
				}
				if !slices.Contains(inside, slot) {
					t.Fatalf("slot %d was removed", slot)
				}
				if attempts[slot].deadline < attempts[heap[0]].deadline {
					t.Fatalf("the first is not the earliest")
				}
			}
		}
		last := int64(-1)
		for len(heap) > 0 {
			if d := attempts[heap[0]].deadline; d < last {
				t.Fatalf("deadline %d after %d", d, last)
			} else {
				last = d
			}
			heap.remove(attempts, 0)
		}
	})
}
