package track_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/scenario"
	"github.com/halo-ha/halo/core/track"
)

// TestScenarios runs the scripts in testdata. The commands:
//
//	configure               the lines that follow are one configuration:
//	  tracker NAME[@VERSION] [valued] [assume_down] [rise=N] [fall=N] [loss=GRACE]
//	  instance NAME PRIORITY [USE ...]
//	  group NAME MEMBER,MEMBER... [USE ...]
//	up|down|unknown NAME[@VERSION] [VALUE] [REASON] [xTIMES]
//	lost NAME
//	wait DURATION           time passes; a deadline within it is reached on time
//	timer                   a timer fires, due or not
//	status                  prints the snapshot
//	analyze [INSTANCE=PRIORITY ...]   judges the configuration, with these rivals
//
// A USE is TRACKER[:WEIGHT][:reverse], without a weight a fault. A tracker's
// version stands for its definition; without one it is 1.
func TestScenarios(t *testing.T) {
	scenario.Run(t, func(t *testing.T, script string) string {
		t.Helper()
		return newStage(t).play(script)
	})
}

// stage runs one script.
type stage struct {
	tb     testing.TB
	now    time.Time
	start  time.Time
	config track.Config
	tally  *track.Tally
	out    strings.Builder
}

func newStage(tb testing.TB) *stage {
	tb.Helper()
	return &stage{tb: tb, now: scenario.Start(), start: scenario.Start()}
}

// play runs a script and returns it with the traces that it really leaves.
func (s *stage) play(script string) string {
	s.tb.Helper()
	return scenario.Play(script, func(commands []string) string {
		s.out.Reset()
		s.run(commands)
		return s.out.String()
	})
}

// Run implements scenario.Stage.
func (s *stage) Run(script string) {
	s.tb.Helper()
	commands, _ := scenario.Commands(script)
	s.run(commands)
}

// Trace implements scenario.Stage.
func (s *stage) Trace() string { return s.out.String() }

func (s *stage) run(commands []string) {
	s.tb.Helper()
	var config []string
	for _, line := range commands {
		words := strings.Fields(line)
		switch words[0] {
		case "configure":
		case "tracker", "instance", "group":
			config = append(config, line)
		default:
			s.configure(config)
			config = nil
			s.command(words)
		}
	}
	s.configure(config)
}

func (s *stage) configure(lines []string) {
	s.tb.Helper()
	if len(lines) == 0 {
		return
	}
	s.config = parseConfig(s.tb, lines)
	if s.tally == nil {
		s.tally = track.New(s.now, s.config)
		return
	}
	s.handle(track.Reconfigured{Config: s.config})
}

func (s *stage) command(words []string) {
	s.tb.Helper()
	switch words[0] {
	case "up", "down", "unknown":
		e, times := parseObserved(s.tb, words)
		for range times {
			s.handle(e)
		}
	case "lost":
		s.handle(track.Lost{Tracker: words[1]})
	case "wait":
		s.wait(scenario.Duration(s.tb, words[1]))
	case "timer":
		s.handle(track.DeadlineReached{})
	case "status":
		s.status()
	case "analyze":
		s.analyze(words[1:])
	default:
		s.tb.Fatalf("unknown command %q", words)
	}
}

func parseObserved(tb testing.TB, words []string) (track.Observed, int) {
	tb.Helper()
	e := track.Observed{State: map[string]track.State{"up": track.Up, "down": track.Down, "unknown": track.Unknown}[words[0]]}
	e.Tracker, e.Definition = scenario.Versioned(words[1])
	times := 1
	for _, w := range words[2:] {
		n, err := strconv.Atoi(w)
		switch {
		case err == nil:
			e.Value = n
		case w[0] == 'x':
			times = scenario.Number(tb, w[1:])
		default:
			e.Reason = w
		}
	}
	return e, times
}

func (s *stage) wait(d time.Duration) {
	s.now = scenario.Pass(s.now, d, s.tally.Deadline, func(at time.Time) {
		s.now = at
		s.handle(track.DeadlineReached{})
	})
}

func (s *stage) handle(e track.Event) {
	for _, a := range s.tally.Handle(s.now, e, nil) {
		s.out.WriteString(describe(a) + "\n")
	}
}

func describe(action track.Action) string {
	switch a := action.(type) {
	case track.TrackerChanged:
		return fmt.Sprintf("tracker %s: %v > %v, value %d (%s)", a.Tracker, a.From, a.To, a.Value, a.Why)
	case track.PriorityChanged:
		return fmt.Sprintf("%s: priority %d > %d (%s)", a.Instance, a.From, a.To, a.Why)
	case track.FaultChanged:
		if len(a.Faults) == 0 {
			return fmt.Sprintf("%s: fault over (%s)", a.Instance, a.Why)
		}
		return fmt.Sprintf("%s: fault by %s (%s)", a.Instance, strings.Join(a.Faults, ","), a.Why)
	default:
		return "?"
	}
}

func (s *stage) status() {
	v := s.tally.Snapshot()
	for _, k := range v.Trackers {
		fmt.Fprintf(&s.out, "tracker %s %v (verdict %v), since %v (%s)", k.Tracker, k.State, k.Verdict, k.Since.Sub(s.start), k.Why)
		if k.Valued {
			fmt.Fprintf(&s.out, ", value %d", k.Value)
		}
		fmt.Fprintln(&s.out)
	}
	for _, i := range v.Instances {
		fmt.Fprintf(&s.out, "%s %d of %d, faults %q, since %v (%s)\n", i.Instance, i.Effective, i.Priority, i.Faults, i.Since.Sub(s.start), i.Why)
		for _, u := range i.Uses {
			fmt.Fprintf(&s.out, "  %s %+d", u.Tracker, u.Adjustment)
			if u.Fault {
				fmt.Fprint(&s.out, " fault")
			}
			if u.Via != "" {
				fmt.Fprintf(&s.out, " via %s", u.Via)
			}
			fmt.Fprintln(&s.out)
		}
	}
	for _, g := range v.Groups {
		fmt.Fprintf(&s.out, "group %s %+d, faults %q\n", g.Group, g.Adjustment, g.Faults)
	}
}

func (s *stage) analyze(words []string) {
	s.tb.Helper()
	rivals := make([]track.Rival, 0, len(words))
	for _, w := range words {
		instance, priority, _ := strings.Cut(w, "=")
		rivals = append(rivals, track.Rival{Instance: instance, Name: "peer.toml", Priority: uint8(scenario.Number(s.tb, priority))})
	}
	a := track.Analyze(s.config, rivals)
	for _, r := range a.Reaches {
		fmt.Fprintf(&s.out, "%s %d: healthy %d, %d..%d", r.Instance, r.Priority, r.Healthy, r.Low, r.High)
		if r.Faulty {
			fmt.Fprint(&s.out, ", or fault")
		}
		fmt.Fprintln(&s.out)
	}
	for _, f := range a.Findings {
		level := "warning"
		if f.Kind.IsError() {
			level = "error"
		}
		fmt.Fprintf(&s.out, "%s %v: %v\n", level, f.Kind, f)
	}
}

func parseConfig(tb testing.TB, lines []string) track.Config {
	tb.Helper()
	var c track.Config
	for _, line := range lines {
		words := strings.Fields(line)
		switch words[0] {
		case "tracker":
			c.Trackers = append(c.Trackers, parseTracker(tb, words[1:]))
		case "instance":
			c.Instances = append(c.Instances, track.Instance{
				Name: words[1], Priority: uint8(scenario.Number(tb, words[2])), Uses: parseUses(tb, words[3:]),
			})
		case "group":
			c.Groups = append(c.Groups, track.Group{
				Name: words[1], Members: strings.Split(words[2], ","), Uses: parseUses(tb, words[3:]),
			})
		default:
			tb.Fatalf("unknown word %q", words[0])
		}
	}
	return c
}

func parseTracker(tb testing.TB, words []string) track.Tracker {
	tb.Helper()
	k := track.Tracker{Rise: 1, Fall: 1}
	k.Name, k.Definition = scenario.Versioned(words[0])
	for _, w := range words[1:] {
		switch key, value, _ := strings.Cut(w, "="); key {
		case "valued":
			k.Valued = true
		case "assume_down":
			k.AssumeDown = true
		case "rise":
			k.Rise = scenario.Number(tb, value)
		case "fall":
			k.Fall = scenario.Number(tb, value)
		case "loss":
			k.FailOnLoss, k.Grace = true, scenario.Duration(tb, value)
		default:
			tb.Fatalf("unknown word %q", w)
		}
	}
	return k
}

func parseUses(tb testing.TB, words []string) []track.Use {
	tb.Helper()
	uses := make([]track.Use, 0, len(words))
	for _, w := range words {
		parts := strings.Split(w, ":")
		u := track.Use{Tracker: parts[0]}
		for _, p := range parts[1:] {
			if p == "reverse" {
				u.Reverse = true
			} else {
				u.Weight = scenario.Number(tb, p)
			}
		}
		uses = append(uses, u)
	}
	return uses
}
