package track_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/track"
)

func drawUses(t *rapid.T, weights []int) []track.Use {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "f", "gone"}), 0, 4, rapid.ID[string]).Draw(t, "uses")
	uses := make([]track.Use, 0, len(names))
	for _, name := range names {
		uses = append(uses, track.Use{
			Tracker: name,
			Weight:  rapid.SampledFrom(weights).Draw(t, "weight"),
			Reverse: rapid.Bool().Draw(t, "reverse"),
		})
	}
	return uses
}

func drawConfig(t *rapid.T) track.Config {
	weights := []int{-300, -253, -60, -1, 0, 0, 1, 2, 60, 253, 300}
	var c track.Config
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "f"}), 0, 4, rapid.ID[string]).Draw(t, "trackers") {
		// Rise and fall follow from the definition: a change of them alone
		// counts from the next observation on, which the model does not know.
		version := rapid.IntRange(0, 5).Draw(t, "version")
		c.Trackers = append(c.Trackers, track.Tracker{
			Name: name, Definition: fmt.Sprint(name, version), Rise: version % 3, Fall: (version + 1) % 4,
			Valued: name == "f", AssumeDown: version == 4, FailOnLoss: version == 5, Grace: time.Second,
		})
	}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"V1", "V2", "V3"}), 0, 3, rapid.ID[string]).Draw(t, "instances") {
		c.Instances = append(c.Instances, track.Instance{
			Name: name, Priority: rapid.SampledFrom([]uint8{1, 2, 100, 150, 254, 255}).Draw(t, "priority"), Uses: drawUses(t, weights),
		})
	}
	if rapid.Bool().Draw(t, "has group") {
		c.Groups = append(c.Groups, track.Group{
			Name: "G", Uses: drawUses(t, weights),
			Members: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"V1", "V2", "V3"}), 1, 3, rapid.ID[string]).Draw(t, "members"),
		})
	}
	return c
}

func drawObserved(t *rapid.T, tracker string) track.Observed {
	return track.Observed{
		Tracker: tracker,
		State:   rapid.SampledFrom([]track.State{track.Unknown, track.Up, track.Up, track.Down, track.Down}).Draw(t, "state"),
		Value:   rapid.SampledFrom([]int{-1 << 31, -254, -5, 0, 0, 1, 7, 253, 1 << 30}).Draw(t, "value"),
	}
}

// model computes everything from everything that was ever said, the slow way.
type model struct {
	config   track.Config
	trackers map[string]*modelTracker
}

type modelTracker struct {
	config  track.Tracker
	held    track.State // from before what was said
	history []track.Observed
	value   int
	lost    time.Time
}

func (m *model) configure(c track.Config) {
	trackers := map[string]*modelTracker{}
	for _, k := range c.Trackers {
		old := m.trackers[k.Name]
		switch {
		case old == nil:
			old = &modelTracker{}
			if k.AssumeDown {
				old.held = track.Down
			}
		case old.config.Definition != k.Definition:
			undecided := old.undecided()
			old = &modelTracker{held: old.verdict(), value: old.value}
			if undecided {
				old.held = track.Unknown
				if k.AssumeDown {
					old.held = track.Down
				}
			}
			if !undecided {
				old.history = []track.Observed{{State: track.Unknown, Reason: "was decided"}}
			}
		}
		old.config = k
		trackers[k.Name] = old
	}
	m.config, m.trackers = c, trackers
}

// verdict counts the history from its beginning.
func (k *modelTracker) verdict() track.State {
	verdict, _ := k.count()
	return verdict
}

func (k *modelTracker) undecided() bool {
	_, decided := k.count()
	return !decided && (len(k.history) == 0 || k.history[0].Reason != "was decided")
}

func (k *modelTracker) count() (verdict track.State, decided bool) {
	verdict = k.held
	run, streak := track.Unknown, 0
	for _, e := range k.history {
		switch {
		case e.Reason == "expired":
			verdict, decided, run, streak = track.Down, true, track.Unknown, 0
			continue
		case e.State == track.Unknown:
			continue
		case e.State != run:
			run, streak = e.State, 0
		}
		streak++
		needed := k.config.Rise
		if e.State == track.Down {
			needed = k.config.Fall
		}
		if streak >= max(needed, 1) {
			verdict, decided = e.State, true
		}
	}
	return verdict, decided
}

// standing is the priority and the faults of an instance.
func (m *model) standing(i track.Instance) (uint8, []string) {
	wanted := map[string]track.Use{}
	add := func(u track.Use) {
		if _, found := wanted[u.Tracker]; !found {
			wanted[u.Tracker] = u
		}
	}
	for _, g := range m.config.Groups {
		if !slices.Contains(g.Members, i.Name) {
			continue
		}
		for _, u := range g.Uses {
			add(u)
		}
		for _, member := range g.Members {
			for _, other := range m.config.Instances {
				for _, u := range other.Uses {
					if other.Name == member && u.Weight != 0 {
						add(u)
					}
				}
			}
		}
	}
	for _, u := range i.Uses {
		add(u)
	}
	sum, faults := int(i.Priority), []string{}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		k, u := m.trackers[name], wanted[name]
		if k == nil {
			continue
		}
		verdict, sign := k.verdict(), 1
		if u.Reverse {
			sign = -1
		}
		good := (verdict == track.Up) != u.Reverse
		switch {
		case verdict == track.Unknown:
		case k.config.Valued && verdict == track.Up && u.Weight == 0:
			if (k.value != 0) != u.Reverse {
				faults = append(faults, name)
			}
		case k.config.Valued && verdict == track.Up:
			product := int64(k.value) * int64(max(-254, min(u.Weight, 254))) * int64(sign)
			if product <= -254 {
				faults = append(faults, name)
			} else {
				sum += int(min(product, 253))
			}
		case u.Weight == 0 && !good:
			faults = append(faults, name)
		case u.Weight > 0 && good, u.Weight < 0 && !good:
			sum += max(-253, min(u.Weight, 253))
		}
	}
	if i.Priority == 255 {
		sum = 255
	} else {
		sum = max(1, min(sum, 254))
	}
	return uint8(sum), faults
}

// told is what somebody knows who applies configurations and carries out actions.
type told struct {
	priority map[string]uint8
	faults   map[string][]string
}

func (o *told) configure(old, c track.Config) {
	priority, faults := map[string]uint8{}, map[string][]string{}
	for _, i := range c.Instances {
		was := slices.IndexFunc(old.Instances, func(j track.Instance) bool { return j.Name == i.Name })
		priority[i.Name] = i.Priority
		if was >= 0 {
			faults[i.Name] = o.faults[i.Name]
			if old.Instances[was].Priority == i.Priority {
				priority[i.Name] = o.priority[i.Name]
			}
		}
	}
	o.priority, o.faults = priority, faults
}

func (o *told) carryOut(t *rapid.T, actions []track.Action) {
	for _, action := range actions {
		switch a := action.(type) {
		case track.TrackerChanged:
			if a.To == track.Unknown {
				t.Fatalf("tracker %s goes from %v to unknown", a.Tracker, a.From)
			}
		case track.PriorityChanged:
			o.priority[a.Instance] = a.To
		case track.FaultChanged:
			o.faults[a.Instance] = a.Faults
		}
	}
}

// TestAlwaysComputedAnew throws anything at a Tally, with reloads between, and
// compares with the model after every event: what it shows, and what it told.
func TestAlwaysComputedAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := t0
		c := drawConfig(t)
		m, o := &model{}, &told{}
		m.configure(c)
		o.configure(track.Config{}, c)
		tally := track.New(now, c)
		handle := func(e track.Event) []track.Action {
			actions := tally.Handle(now, e, nil)
			o.carryOut(t, actions)
			return actions
		}
		handle(track.DeadlineReached{})
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			name := rapid.SampledFrom([]string{"a", "b", "c", "f"}).Draw(t, "tracker")
			k := m.trackers[name]
			switch rapid.IntRange(0, 9).Draw(t, "event") {
			case 0:
				old := c
				c = drawConfig(t)
				m.configure(c)
				o.configure(old, c)
				handle(track.Reconfigured{Config: c})
			case 1:
				if actions := handle(track.Reconfigured{Config: c}); len(actions) > 0 {
					t.Fatalf("the same configuration leads to %v", actions)
				}
			case 2:
				if actions := handle(track.Lost{Tracker: name}); len(actions) > 0 {
					t.Fatalf("a loss alone leads to %v", actions)
				}
				if k != nil && k.lost.IsZero() {
					k.lost = now
				}
			case 3:
				now = now.Add(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second}).Draw(t, "passed"))
				for _, k := range m.trackers {
					if k.config.FailOnLoss && !k.lost.IsZero() && now.Sub(k.lost) >= k.config.Grace {
						k.history = append(k.history, track.Observed{Reason: "expired"})
						k.lost = now.Add(1000 * time.Hour) // Once.
					}
				}
				handle(track.DeadlineReached{})
			default:
				e := drawObserved(t, name)
				actions := handle(e)
				if e.State == track.Unknown && len(actions) > 0 {
					t.Fatalf("what is unknown leads to %v", actions)
				}
				if k != nil {
					k.lost = time.Time{}
					k.history = append(k.history, e)
					if e.State == track.Up {
						k.value = e.Value
					}
				}
			}
			compare(t, m, o, tally)
		}
	})
}

func compare(t *rapid.T, m *model, o *told, tally *track.Tally) {
	for _, i := range m.config.Instances {
		priority, faults := m.standing(i)
		v, ok := tally.Instance(i.Name)
		if !ok || v.Effective != priority || !slices.Equal(v.Faults, faults) {
			t.Fatalf("%s is %d %v, want %d %v", i.Name, v.Effective, v.Faults, priority, faults)
		}
		if o.priority[i.Name] != priority || !slices.Equal(o.faults[i.Name], faults) {
			t.Fatalf("%s was told %d %v, and is %d %v", i.Name, o.priority[i.Name], o.faults[i.Name], priority, faults)
		}
	}
	if v := tally.Snapshot(); len(v.Instances) != len(m.config.Instances) || len(v.Trackers) != len(m.config.Trackers) {
		t.Fatalf("%d instances and %d trackers", len(v.Instances), len(v.Trackers))
	}
}

// TestOrderDoesNotMatter deals the same observations in two orders that keep
// each tracker's own in sequence: the same comes out.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		streams := make([][]track.Event, len(c.Trackers))
		for i, k := range c.Trackers {
			for range rapid.IntRange(0, 8).Draw(t, "observations") {
				streams[i] = append(streams[i], drawObserved(t, k.Name))
			}
		}
		deal := func(label string) track.Snapshot {
			tally := track.New(t0, c)
			rest := slices.Clone(streams)
			for {
				rest = slices.DeleteFunc(rest, func(e []track.Event) bool { return len(e) == 0 })
				if len(rest) == 0 {
					break
				}
				i := rapid.IntRange(0, len(rest)-1).Draw(t, label)
				tally.Handle(t0, rest[i][0], nil)
				rest[i] = rest[i][1:]
			}
			v := tally.Snapshot()
			for i := range v.Instances {
				v.Instances[i].Why = track.Why{} // The last one differs, rightly.
			}
			return v
		}
		if d := cmp.Diff(deal("first order"), deal("second order")); d != "" {
			t.Fatalf("the order makes a difference (-first +second):\n%s", d)
		}
	})
}

// TestAnalyzeIsExact tries every combination of trackers in a Tally and compares
// what was reached with what Analyze says can be, and what it says of a rival
// with whether there is a combination that falls behind it.
func TestAnalyzeIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		rivals := make([]track.Rival, 0, len(c.Instances))
		for _, i := range c.Instances {
			rivals = append(rivals, track.Rival{Instance: i.Name, Name: "peer", Priority: rapid.Uint8Range(1, 254).Draw(t, "rival")})
		}
		for n := range c.Trackers {
			c.Trackers[n].Rise, c.Trackers[n].Fall, c.Trackers[n].AssumeDown = 1, 1, false
		}
		a := track.Analyze(c, rivals)
		low, high, faulty := map[string]uint8{}, map[string]uint8{}, map[string]bool{}
		for _, i := range c.Instances {
			low[i.Name], high[i.Name] = 255, 1
		}
		values := []int{-1000, 1000, 0, 1, -1, 4, -4, 126, -126, 253, -253}
		for combination := range 1 << len(c.Trackers) {
			for _, value := range values {
				tally := track.New(t0, c)
				for n, k := range c.Trackers {
					e := track.Observed{Tracker: k.Name, State: track.Up, Value: value}
					if combination&(1<<n) != 0 {
						e.State = track.Down
					}
					if k.Valued {
						e.State = track.Up // Files are, always.
					}
					tally.Handle(t0, e, nil)
				}
				for _, v := range tally.Snapshot().Instances {
					low[v.Instance], high[v.Instance] = min(low[v.Instance], v.Effective), max(high[v.Instance], v.Effective)
					faulty[v.Instance] = faulty[v.Instance] || len(v.Faults) > 0
				}
			}
		}
		for n, r := range a.Reaches {
			if r.Low != low[r.Instance] || r.High != high[r.Instance] || r.Faulty != faulty[r.Instance] {
				t.Fatalf("%+v, tried %d..%d, fault %v", r, low[r.Instance], high[r.Instance], faulty[r.Instance])
			}
			if r.Healthy < r.Low || r.Healthy > r.High {
				t.Fatalf("%+v", r)
			}
			rival := rivals[slices.IndexFunc(rivals, func(o track.Rival) bool { return o.Instance == r.Instance })]
			stuck := r.Weighted && r.Priority != track.Owner && r.Healthy > rival.Priority && low[r.Instance] > rival.Priority
			warned := slices.ContainsFunc(a.Findings, func(f track.Finding) bool {
				return f.Kind == track.CannotYield && f.Instance == r.Instance
			})
			if warned != stuck {
				t.Fatalf("%+v against %d: warned %v (instance %d)", r, rival.Priority, warned, n)
			}
		}
	})
}
