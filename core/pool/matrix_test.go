package pool_test

import (
	"fmt"
	"strings"
	"testing"
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
	// The version that the check has in the state is put in place of V.
	events := []struct{ name, script string }{
		{"pass", "pass A tcp@V"},
		{"rise passes", "pass A tcp@V x2"},
		{"fail", "fail A tcp@V"},
		{"fall fails", "fail A tcp@V x3"},
		{"unknown", "unknown A tcp@V x9"},
		{"plugin lost, hold", "lost A tcp\nwait 1h"},
		{"plugin lost, fail", "configure\nservice\nserver A tcp@V:loss=30s\nlost A tcp\nwait 30s"},
		{"adopted", "adopt A=1"},
		{"adopted, absent", "adopt B=1"},
		{"timer, long past", "wait 24h\ntimer"},
		{"reload, same", "configure\nservice\nserver A tcp@V"},
		{"reload, weight", "configure\nservice\nserver A weight=5 tcp@V"},
		{"reload, check changed", "configure\nservice\nserver A tcp@9"},
		{"reload, check added", "configure\nservice\nserver A tcp@V http"},
		{"reload, check removed", "configure\nservice\nserver A"},
		{"reload, server removed", "configure\nservice\nserver B tcp"},
		{"stale result", "pass A tcp@0 x9\nfail A tcp@0 x9"},
	}
	states := []struct {
		name, version, script string
		want                  []string
	}{
		{"new", "1", newcomer, []string{
			"out unknown", "in up", "out unknown", "out down", "out unknown",
			"out unknown", "out down", "in unknown", "out unknown", "out unknown",
			"out unknown", "out unknown", "out unknown", "out unknown", "in up", "gone", "out unknown",
		}},
		{"adopted", "1", inAdopt, []string{
			"in unknown", "in up", "in unknown", "out down", "in unknown",
			"in unknown", "out down", "in unknown", "in unknown", "in unknown",
			"in unknown", "in unknown", "in unknown", "in unknown", "in up", "gone", "in unknown",
		}},
		{"up", "1", up, []string{
			"in up", "in up", "in up", "out down", "in unknown",
			"in unknown", "out down", "in up", "in up", "in up",
			"in up", "in up", "in unknown", "in unknown", "in up", "gone", "in up",
		}},
		{"down", "1", down, []string{
			"out down", "in up", "out down", "out down", "out unknown",
			"out unknown", "out down", "out down", "out down", "out down",
			"out down", "out down", "out unknown", "out down", "in up", "gone", "out down",
		}},
		{"up, plugin lost", "1", up + "lost A tcp\n", []string{
			"in up", "in up", "in up", "out down", "in unknown",
			"in unknown", "out down", "in unknown", "in unknown", "in unknown",
			"in unknown", "in unknown", "in unknown", "in unknown", "in up", "gone", "in unknown",
		}},
		{"down, plugin lost", "1", down + "lost A tcp\n", []string{
			"out down", "in up", "out down", "out down", "out unknown",
			"out unknown", "out down", "out unknown", "out unknown", "out unknown",
			"out unknown", "out unknown", "out unknown", "out unknown", "in up", "gone", "out unknown",
		}},
		{"failed by plugin loss", "1", strict + "adopt\npass A tcp x2\nlost A tcp\nwait 30s\n", []string{
			"out down", "in up", "out down", "out down", "out unknown",
			"out down", "out down", "out down", "out down", "out down",
			"out down", "out down", "out unknown", "out down", "in up", "gone", "out down",
		}},
		{"up, check changed", "2", up + changed, []string{
			"in unknown", "in up", "in unknown", "out down", "in unknown",
			"in unknown", "out down", "in unknown", "in unknown", "in unknown",
			"in unknown", "in unknown", "in unknown", "in unknown", "in up", "gone", "in unknown",
		}},
		{"down, check changed", "2", down + changed, []string{
			"out unknown", "in up", "out unknown", "out down", "out unknown",
			"out unknown", "out down", "in unknown", "out unknown", "out unknown",
			"out unknown", "out unknown", "out unknown", "out unknown", "in up", "gone", "out unknown",
		}},
	}
	for _, state := range states {
		if len(state.want) != len(events) {
			t.Fatalf("%s: %d cells for %d events", state.name, len(state.want), len(events))
		}
		for i, event := range events {
			t.Run(state.name+"/"+event.name, func(t *testing.T) {
				s := newStage(t)
				s.run(state.script)
				s.run(strings.ReplaceAll(event.script, "V", state.version))
				if got := s.standing(); got != state.want[i] {
					t.Errorf("server is %q, want %q; trace:\n%s", got, state.want[i], s.out.String())
				}
			})
		}
	}
}

// standing says how server A stands, and checks that the table agrees.
func (s *stage) standing() string {
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
