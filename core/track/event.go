package track

// Event is something that a Tally is told: Observed, Lost, DeadlineReached or
// Reconfigured.
//
//sumtype:decl
type Event interface{ event() }

// State is what was observed, or a verdict about it.
type State uint8

// The states. The zero value is the one that says nothing.
const (
	Unknown State = iota
	Up
	Down
)

// String returns "unknown", "up" or "down".
func (s State) String() string {
	switch s {
	case Up:
		return "up"
	case Down:
		return "down"
	case Unknown:
		return "unknown"
	default:
		return "invalid"
	}
}

// Observed is one observation. Those of trackers that are not configured are
// ignored.
type Observed struct {
	Tracker string
	// Definition is what was observed, as in Tracker.Definition. An observation
	// with another one began before a reload and is ignored. Empty means that
	// the sender knows it to be current.
	Definition string
	// State is Unknown where the observation could not be made.
	State State
	// Value is the number that a valued tracker that is Up was found to have.
	Value int
	// Reason is a word and Detail is for people; both may be empty.
	Reason, Detail string
}

// Lost says that nobody observes a tracker at the moment. The next observation
// of any state ends that.
type Lost struct{ Tracker string }

// DeadlineReached says that the time Deadline returned has come. It may come
// late, early or for nothing.
type DeadlineReached struct{}

// Reconfigured replaces the configuration. What is known stays known.
type Reconfigured struct{ Config Config }

func (Observed) event()        {}
func (Lost) event()            {}
func (DeadlineReached) event() {}
func (Reconfigured) event()    {}
