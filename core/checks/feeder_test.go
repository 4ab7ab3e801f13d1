package checks

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
)

// While a process hangs, reloads neither wait nor pile up, and results of
// others flow.
func TestHungProcessHoldsNobodyUp(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		const n = 5000
		hung := newSession()
		hung.blocked = make(chan struct{})
		b.Opened(tcp, 1, hung)
		b.Opened(misc, 2, newSession())
		before := time.Now()
		for round := range 20 {
			probes := make([]Probe, 0, n+1)
			for i := range n {
				probes = append(probes, want(tcp, i, string(rune('a'+round))))
			}
			b.Apply(append(probes, want(misc, 1, "m")))
		}
		synctest.Wait()
		if took := time.Since(before); took != 0 {
			t.Errorf("the reloads waited %s", took)
		}
		b.mu.Lock()
		f := b.processes[tcp].feeder
		miscID := b.processes[misc].sorted()[0].id
		b.mu.Unlock()
		f.mu.Lock()
		upserts := len(f.upserts)
		f.mu.Unlock()
		if upserts != n {
			t.Errorf("%d upserts wait, want those of the last reload", upserts)
		}
		b.sink.take()
		b.Received(misc, 2, results(20, result(miscID, check.Pass)))
		equal(t, "results of another process", b.sink.take(), `web 192.0.2.2:80 c m: pass none ""`)

		hung.unblock()
		if got := hung.probes(); len(got) != n || hung.generation != 20 || hung.commits > 3 {
			t.Errorf("afterwards it has %d probes of generation %d, in %d commits", len(got), hung.generation, hung.commits)
		}
	})
}

func TestRemovalIsTheLastWord(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		s := newSession()
		b.Opened(tcp, 1, s)
		equal(t, "at first", s.told(), "commit 0")
		s.mu.Lock()
		s.blocked = make(chan struct{})
		s.mu.Unlock()
		b.Apply([]Probe{want(tcp, 1, "a")})
		synctest.Wait() // it is under way, and held up
		b.Apply([]Probe{want(tcp, 2, "a")})
		b.Apply([]Probe{want(tcp, 3, "a")})
		s.unblock()
		equal(t, "the calls", s.told(), "upsert [1]", "commit 1", "remove [1 2]", "upsert [3]", "commit 3")
		if got := s.probes(); len(got) != 1 || got[3].ID != 3 {
			t.Errorf("the set is %v", got)
		}
	})
}

// A wake-up for what has been told already is no reason for another commit.
func TestFeederWokenForNothingIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession()
		f := newFeeder(s)
		f.tell(nil, []uint64{1}, 1)
		f.take()
		go func() { _ = f.run() }()
		equal(t, "calls", s.told())
		f.tell(nil, []uint64{2}, 2)
		equal(t, "calls", s.told(), "remove [2]", "commit 2")
		f.end()
	})
}

// Whatever happens in whatever order, a process that lives ends up with
// exactly the probes that are wanted of it, and ids keep their meaning.
func TestProcessesConverge(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				kind:    rapid.SampledFrom([]string{"apply", "apply", "apply", "open", "lose", "block", "unblock", "result", "wait"}).Draw(rt, "kind"),
				process: rapid.SampledFrom([]Process{tcp, misc, nagios}).Draw(rt, "process"),
				wanted: rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) Probe {
					p := want(rapid.SampledFrom([]Process{tcp, misc, nagios}).Draw(rt, "of"),
						rapid.IntRange(0, 3).Draw(rt, "server"), rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "definition"))
					p.Wire.Schedule.Interval = time.Duration(rapid.IntRange(1, 2).Draw(rt, "interval")) * time.Second
					return p
				}), 0, 8).Draw(rt, "wanted"),
			}
		}), 1, 40).Draw(rt, "steps")
		synctest.Test(t, func(t *testing.T) { converge(t, rt, steps) })
	})
}

type step struct {
	kind    string
	process Process
	wanted  []Probe
}

func converge(t *testing.T, rt *rapid.T, steps []step) {
	t.Helper()
	b := &bench{sink: &sink{}}
	b.Checks = New(b.sink, discardLog())
	live := make(map[Process]*session)
	incarnation := uint64(0)
	current := make(map[Process]uint64)
	var wanted []Probe
	for _, s := range steps {
		switch s.kind {
		case "apply":
			wanted = s.wanted
			b.Apply(wanted)
		case "open":
			incarnation++
			if old := live[s.process]; old != nil {
				old.unblock()
			}
			live[s.process], current[s.process] = newSession(), incarnation
			b.Opened(s.process, incarnation, live[s.process])
		case "lose":
			if old := live[s.process]; old != nil {
				old.unblock()
				b.Lost(s.process, current[s.process])
				delete(live, s.process)
			}
		case "block":
			if p := live[s.process]; p != nil {
				p.mu.Lock()
				if p.blocked == nil {
					p.blocked = make(chan struct{})
				}
				p.mu.Unlock()
			}
		case "unblock":
			if p := live[s.process]; p != nil {
				p.unblock()
			}
		case "result":
			b.Received(s.process, current[s.process], results(1<<30, result(uint64(len(s.wanted)), check.Pass)))
		case "wait":
			synctest.Wait()
		}
	}
	for _, s := range live {
		s.unblock()
	}
	for id, s := range live {
		count := make(map[string]int)
		for _, p := range wanted {
			if p.Process == id {
				count[key(p.Wire)+p.Definition]++
			}
		}
		definitions := make(map[uint64]string)
		b.mu.Lock()
		for _, p := range b.assignment(id).probes {
			definitions[p.id] = p.Definition
		}
		b.mu.Unlock()
		for probeID, p := range s.probes() {
			count[key(p)+definitions[probeID]]--
		}
		for what, n := range count {
			if n != 0 {
				rt.Errorf("%v: %d too few of %s", id, n, what)
			}
		}
	}
	b.Close()
}

func key(p host.Probe) string {
	return p.Target.RealServer.String() + " every " + p.Schedule.Interval.String() + " "
}
