package balance

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/pool"
)

// TestMergingLosesNothing posts results in lumps of any size: what comes out,
// unfolded, is for each check what went in, as long as nothing was counted as
// dropped; and then what is missing is the oldest.
func TestMergingLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := mailbox{wake: make(chan struct{}, 1), room: rapid.IntRange(0, 10).Draw(t, "room")}
		in, out := map[slotKey][]letter{}, map[slotKey][]letter{}
		take := func() {
			before := len(m.order)+len(m.fresh) > 0
			if awake := len(m.wake) > 0; before && !awake {
				t.Fatal("there is something to take and nobody is told")
			}
			select {
			case <-m.wake:
			default:
			}
			for _, d := range m.take(nil).letters {
				k := slotKey{d.service, d.result.Server, d.result.Check}
				times := d.times
				d.times = 1
				for range times {
					out[k] = append(out[k], d.letter)
				}
			}
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 12).Draw(t, "step") {
			case 0:
				take()
			case 1:
				m.apply(Wanted{})
			default:
				l := letter{result: pool.CheckResult{
					Server:  addr(rapid.SampledFrom([]string{"30", "31"}).Draw(t, "server")),
					Check:   rapid.SampledFrom([]string{"x", "y"}).Draw(t, "check"),
					Outcome: pool.Outcome(rapid.IntRange(0, 2).Draw(t, "outcome")),
				}, lost: rapid.Bool().Draw(t, "lost")}
				k := slotKey{"web", l.result.Server, l.result.Check}
				m.post("web", l)
				l.times = 1
				in[k] = append(in[k], l)
			}
		}
		take()
		lost := uint64(0)
		for k, posted := range in {
			got := out[k]
			if m.dropped == 0 && len(got) != len(posted) {
				t.Fatalf("%v: %d results came of %d", k, len(got), len(posted))
			}
			if len(got) < len(posted) {
				lost++
			}
			for i := range min(len(got), 2*maxLetters) {
				g, p := got[len(got)-1-i], posted[len(posted)-1-i]
				if m.dropped == 0 && (g.lost != p.lost || g.result.Outcome != p.result.Outcome) {
					t.Fatalf("%v: result %d from the end is %+v, was %+v", k, i, g, p)
				}
			}
		}
		if lost > 0 && m.dropped == 0 {
			t.Fatal("results are lost and nothing is counted")
		}
	})
}

func TestMergedResultsKeepTheNewestWords(t *testing.T) {
	m := mailbox{wake: make(chan struct{}, 1)}
	for _, detail := range []string{"old", "newer", "newest"} {
		m.post("web", letter{result: pool.CheckResult{Server: addr("30"), Check: "tcp", Outcome: pool.OutcomeFail, Detail: detail}})
	}
	got := m.take(nil).letters
	if len(got) != 1 || got[0].times != 3 || got[0].result.Detail != "newest" {
		t.Errorf("got %+v", got)
	}
	// A weight or a definition makes a difference.
	for _, r := range []pool.CheckResult{
		{Outcome: pool.OutcomePass},
		{Outcome: pool.OutcomePass, Weighted: true, Weight: 1},
		{Outcome: pool.OutcomePass, Weighted: true, Weight: 2},
		{Outcome: pool.OutcomePass, Weighted: true, Weight: 2, Definition: "2"},
	} {
		r.Server, r.Check = addr("30"), "tcp"
		m.post("web", letter{result: r})
	}
	if got := m.take(nil).letters; len(got) != 4 {
		t.Errorf("%d letters, want 4", len(got))
	}
}

// What is taken leaves nothing behind, so that names that come and go do not
// pile up; a reload does not separate results that wait.
func TestTakenSlotsAreForgotten(t *testing.T) {
	m := mailbox{wake: make(chan struct{}, 1)}
	for _, check := range []string{"a", "b", "c"} {
		m.post("web", letter{result: pool.CheckResult{Server: addr("30"), Check: check}})
	}
	if len(m.slots) != 3 {
		t.Errorf("%d slots before", len(m.slots))
	}
	m.take(nil)
	if len(m.slots)+len(m.order)+len(m.fresh) != 0 {
		t.Errorf("%d slots, %d in order, %d fresh", len(m.slots), len(m.order), len(m.fresh))
	}
	m.post("web", letter{result: pool.CheckResult{Server: addr("30"), Check: "b"}})
	m.apply(Wanted{})
	m.post("web", letter{result: pool.CheckResult{Server: addr("30"), Check: "b"}})
	if got := m.take(nil).letters; len(got) != 1 || got[0].times != 2 {
		t.Errorf("got %+v", got)
	}
}

// What was merged is older than what was not.
func TestMergedComeBeforeFresh(t *testing.T) {
	m := mailbox{wake: make(chan struct{}, 1), room: 2}
	for _, detail := range []string{"1", "2", "3", "4"} {
		m.post("web", letter{result: pool.CheckResult{Server: addr("30"), Check: "tcp", Detail: detail}})
	}
	got := m.take(nil).letters
	if len(got) != 2 || got[0].times != 3 || got[0].result.Detail != "3" || got[1].result.Detail != "4" {
		t.Errorf("got %+v", got)
	}
}

func TestPostAllocatesNothing(t *testing.T) {
	m := mailbox{wake: make(chan struct{}, 1), room: mailRoom}
	var letters []delivery
	round := func() {
		for _, host := range []string{"192.0.2.30:80", "192.0.2.31:80"} {
			r := pool.CheckResult{Server: addr(host), Check: "tcp", Outcome: pool.OutcomePass}
			m.post("web", letter{result: r})
			r.Outcome = pool.OutcomeFail
			m.post("web", letter{result: r})
		}
		letters = m.take(letters[:0]).letters
	}
	round()
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
