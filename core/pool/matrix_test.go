package pool_test

import (
	"fmt"
	"testing"

	"github.com/halo-ha/halo/core/scenario"
)

// TestStateEventMatrix has a row for every state a real server can be in and a
// column for every event. A cell says whether the server is in the table
// afterwards and what is known about it: "in up", "out unknown".
func TestStateEventMatrix(t *testing.T) {
	const (
		plain    = "configure\nservice\nserver A tcp\n"
		strict   = "configure\nservice\nserver A tcp:loss=30s\n"
		changed  = "configure\nservice\nserver A tcp@2\n"
		up       = plain + "adopt\npass A tcp x2\n"
		down     = plain + "adopt\nfail A tcp x3\n"
		inAdopt  = plain + "adopt A=1\n"
		newcomer = plain + "adopt\n"
	)
	// The version that the check has in the state is put in place of %.
	events := []scenario.Column{
		{Name: "pass", Script: "pass A tcp@%"},
		{Name: "rise passes", Script: "pass A tcp@% x2"},
		{Name: "fail", Script: "fail A tcp@%"},
		{Name: "fall fails", Script: "fail A tcp@% x3"},
		{Name: "unknown", Script: "unknown A tcp@% x9"},
		{Name: "plugin lost, hold", Script: "lost A tcp\nwait 1h"},
		{Name: "plugin lost, fail", Script: "configure\nservice\nserver A tcp@%:loss=30s\nlost A tcp\nwait 30s"},
		{Name: "adopted", Script: "adopt A=1"},
		{Name: "adopted, absent", Script: "adopt B=1"},
		{Name: "timer, long past", Script: "wait 24h\ntimer"},
		{Name: "reload, same", Script: "configure\nservice\nserver A tcp@%"},
		{Name: "reload, weight", Script: "configure\nservice\nserver A weight=5 tcp@%"},
		{Name: "reload, check changed", Script: "configure\nservice\nserver A tcp@9"},
		{Name: "reload, check added", Script: "configure\nservice\nserver A tcp@% http"},
		{Name: "reload, check removed", Script: "configure\nservice\nserver A"},
		{Name: "reload, server removed", Script: "configure\nservice\nserver B tcp"},
		{Name: "stale result", Script: "pass A tcp@0 x9\nfail A tcp@0 x9"},
	}
	states := []scenario.Row{
		{Name: "new", Version: "1", Script: newcomer, Want: []string{
			"out unknown", "in up", "out unknown", "out down", "out unknown",
			"out unknown", "out down", "in unknown", "out unknown", "out unknown",
			"out unknown", "out unknown", "out unknown", "out unknown", "in up", "gone", "out unknown",
		}},
		{Name: "adopted", Version: "1", Script: inAdopt, Want: []string{
			"in unknown", "in up", "in unknown", "out down", "in unknown",
			"in unknown", "out down", "in unknown", "in unknown", "in unknown",
			"in unknown", "in unknown", "in unknown", "in unknown", "in up", "gone", "in unknown",
		}},
		{Name: "up", Version: "1", Script: up, Want: []string{
			"in up", "in up", "in up", "out down", "in unknown",
			"in unknown", "out down", "in up", "in up", "in up",
			"in up", "in up", "in unknown", "in unknown", "in up", "gone", "in up",
		}},
		{Name: "down", Version: "1", Script: down, Want: []string{
			"out down", "in up", "out down", "out down", "out unknown",
			"out unknown", "out down", "out down", "out down", "out down",
			"out down", "out down", "out unknown", "out down", "in up", "gone", "out down",
		}},
		{Name: "up, plugin lost", Version: "1", Script: up + "lost A tcp\n", Want: []string{
			"in up", "in up", "in up", "out down", "in unknown",
			"in unknown", "out down", "in unknown", "in unknown", "in unknown",
			"in unknown", "in unknown", "in unknown", "in unknown", "in up", "gone", "in unknown",
		}},
		{Name: "down, plugin lost", Version: "1", Script: down + "lost A tcp\n", Want: []string{
			"out down", "in up", "out down", "out down", "out unknown",
			"out unknown", "out down", "out unknown", "out unknown", "out unknown",
			"out unknown", "out unknown", "out unknown", "out unknown", "in up", "gone", "out unknown",
		}},
		{Name: "failed by plugin loss", Version: "1", Script: strict + "adopt\npass A tcp x2\nlost A tcp\nwait 30s\n", Want: []string{
			"out down", "in up", "out down", "out down", "out unknown",
			"out down", "out down", "out down", "out down", "out down",
			"out down", "out down", "out unknown", "out down", "in up", "gone", "out down",
		}},
		{Name: "up, check changed", Version: "2", Script: up + changed, Want: []string{
			"in unknown", "in up", "in unknown", "out down", "in unknown",
			"in unknown", "out down", "in unknown", "in unknown", "in unknown",
			"in unknown", "in unknown", "in unknown", "in unknown", "in up", "gone", "in unknown",
		}},
		{Name: "down, check changed", Version: "2", Script: down + changed, Want: []string{
			"out unknown", "in up", "out unknown", "out down", "out unknown",
			"out unknown", "out down", "in unknown", "out unknown", "out unknown",
			"out unknown", "out unknown", "out unknown", "out unknown", "in up", "gone", "out unknown",
		}},
	}
	scenario.Matrix(t, events, states, func(t *testing.T) scenario.Stage { t.Helper(); return newStage(t) })
}

// Standing says how server A stands, and checks that the table agrees.
func (s *stage) Standing() string {
	v := s.server.Snapshot()
	in := false
	for _, d := range v.Service.Destinations {
		in = in || d.Address == address("A")
	}
	for _, r := range v.Servers {
		if r.Address != address("A") {
			continue
		}
		if r.InService != in || in != (r.Weight > 0) {
			s.tb.Errorf("snapshot says in service %v with weight %d, the table %v", r.InService, r.Weight, in)
		}
		return fmt.Sprintf("%s %v", map[bool]string{true: "in", false: "out"}[in], r.State)
	}
	if in {
		return "in the table only"
	}
	return "gone"
}
