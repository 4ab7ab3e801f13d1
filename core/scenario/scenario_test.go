package scenario_test

import (
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/scenario"
)

// The old traces are not looked at, the remarks are kept, and a script that says
// what is so comes back as it was.
func TestPlay(t *testing.T) {
	t.Parallel()
	var ran []string
	run := func(commands []string) string {
		ran = append(ran, strings.Join(commands, ";"))
		return strings.ToUpper(strings.Join(commands, "\n")) + "\n"
	}
	const script = `# A remark alone.

# A remark, and
one
# another.
  two
----
an old
trace

three
`
	const want = `# A remark alone.

# A remark, and
one
# another.
  two
----
ONE
TWO

three
----
THREE
`
	if got := scenario.Play(script, run); got != want {
		t.Errorf("played\n%s\nwant\n%s", got, want)
	}
	if got := strings.Join(ran, "|"); got != "one;two|three" {
		t.Errorf("ran %q", got)
	}
	if got := scenario.Play(want, run); got != want {
		t.Errorf("played again\n%s", got)
	}
}

func TestPass(t *testing.T) {
	t.Parallel()
	var fired []time.Duration
	next := scenario.Start().Add(time.Second)
	end := scenario.Pass(scenario.Start(), 3*time.Second, func() (time.Time, bool) { return next, len(fired) < 3 }, func(at time.Time) {
		fired = append(fired, at.Sub(scenario.Start()))
		next = at.Add(1500 * time.Millisecond)
	})
	if end != scenario.Start().Add(3*time.Second) || len(fired) != 2 || fired[1] != 2500*time.Millisecond {
		t.Errorf("fired at %v, ended at %v", fired, end)
	}
}

// The script of this package is played as those of others are.
func TestRun(t *testing.T) {
	scenario.Run(t, func(t *testing.T, script string) string {
		t.Helper()
		return scenario.Play(script, func(commands []string) string {
			var trace strings.Builder
			for _, c := range commands {
				name, version := scenario.Versioned(c)
				trace.WriteString(name + " in version " + version + "\n")
			}
			return trace.String()
		})
	})
}

// stage writes down what it is given.
type stage struct{ ran string }

func (s *stage) Run(script string) { s.ran += script }
func (s *stage) Standing() string  { return s.ran }
func (s *stage) Trace() string     { return "" }

func TestMatrix(t *testing.T) {
	cells := 0
	scenario.Matrix(t,
		[]scenario.Column{{Name: "add", Script: " v%"}, {Name: "nothing"}},
		[]scenario.Row{{Name: "a", Version: "7", Script: "x", Want: []string{"x v7", "x"}}, {Name: "b", Script: "y", Want: []string{"y v", "y"}}},
		func(*testing.T) scenario.Stage { cells++; return &stage{} })
	if cells != 4 {
		t.Errorf("%d cells", cells)
	}
}
