package nowait_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/nowait"
)

func TestOutboxDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := nowait.NewOutbox[int](3)
		for i := range 10 {
			o.Put(i)
		}
		var got []int
		go o.Run(func(i int) { got = append(got, i) })
		o.Close()
		<-o.Done()
		if !slices.Equal(got, []int{7, 8, 9}) || o.Drops() != 7 {
			t.Errorf("delivered %v, dropped %d", got, o.Drops())
		}
	})
}

// Whoever hangs while something is delivered holds up nobody who writes, and gets
// the rest when he goes on.
func TestOutboxOfAReaderThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, gate := nowait.NewOutbox[int](3), make(chan struct{})
		var got []int
		go o.Run(func(i int) { <-gate; got = append(got, i) })
		o.Put(0)
		synctest.Wait() // It is being delivered, and does not wait any more.
		for i := 1; i < 6; i++ {
			o.Put(i)
		}
		close(gate)
		synctest.Wait()
		o.Put(6)
		o.Close()
		<-o.Done()
		if !slices.Equal(got, []int{0, 3, 4, 5, 6}) || o.Drops() != 2 {
			t.Errorf("delivered %v, dropped %d", got, o.Drops())
		}
	})
}

// Notes are read in order and once; one signal stands for any number of them.
func TestMailbox(t *testing.T) {
	m := nowait.NewMailbox()
	var read []int
	take := func(spare []nowait.Note) []nowait.Note {
		notes := m.Take(spare)
		for _, n := range notes {
			n(time.Time{})
		}
		return notes
	}
	signalled := func() bool {
		select {
		case <-m.Signal():
			return true
		default:
			return false
		}
	}
	if signalled() {
		t.Error("there is a signal for nothing")
	}
	for i := range 3 {
		m.Put(func(time.Time) { read = append(read, i) })
	}
	if !signalled() || signalled() {
		t.Error("there is not one signal for three notes")
	}
	spare := take(nil)
	m.Put(func(time.Time) { read = append(read, 3) })
	spare = take(spare)
	if spare = take(spare); len(spare) > 0 || !slices.Equal(read, []int{0, 1, 2, 3}) {
		t.Errorf("read %v, and %d are left", read, len(spare))
	}
	if m.Poke(); !signalled() {
		t.Error("a poke is no signal")
	}
}

// The queue against a list that is searched: whatever is set, moved and taken out,
// the first is the earliest.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q nowait.Queue[int]
		var all [8]nowait.Entry[int]
		model := map[int]time.Time{}
		for i := range all {
			all[i].Owner = i
		}
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			i := rapid.IntRange(0, len(all)-1).Draw(t, "entry")
			at := time.Unix(int64(rapid.IntRange(0, 20).Draw(t, "at")), 0)
			ok := rapid.IntRange(0, 3).Draw(t, "in") > 0
			q.Set(&all[i], at, ok)
			delete(model, i)
			if ok {
				model[i] = at
			}
			first := q.First()
			if (first == nil) != (len(model) == 0) {
				t.Fatalf("first is %v, of %d", first, len(model))
			}
			for n, at := range model {
				if at.Before(first.At()) || !all[n].At().Equal(at) {
					t.Fatalf("%d is due at %v, and %d, the first, at %v", n, at, first.Owner, first.At())
				}
			}
			if first != nil && !model[first.Owner].Equal(first.At()) {
				t.Fatalf("the first is %d at %v, which should be %v", first.Owner, first.At(), model[first.Owner])
			}
		}
	})
}

func TestQueueDoesNotAllocate(t *testing.T) {
	var q nowait.Queue[string]
	var a, b nowait.Entry[string]
	now := time.Now()
	q.Set(&b, now, true)
	q.Set(&a, now, true)
	if n := testing.AllocsPerRun(100, func() {
		q.Set(&a, now.Add(time.Second), true)
		q.Set(&a, now.Add(-time.Second), true)
		q.Set(&a, time.Time{}, false)
		q.Set(&a, now, true)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, a := time.Now(), nowait.NewAlarm()
		a.Reset(time.Hour)
		a.Reset(time.Second)
		if at := (<-a.C()).Sub(start); at != time.Second {
			t.Errorf("went off after %v", at)
		}
		a.Reset(-time.Second)
		<-a.C()
		a.Reset(time.Second)
		a.Stop()
		time.Sleep(time.Minute)
		select {
		case <-a.C():
			t.Error("went off although it was stopped")
		default:
		}
	})
}
