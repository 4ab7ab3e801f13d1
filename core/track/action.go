package track

// Action is something that followed from an event: TrackerChanged,
// PriorityChanged or FaultChanged.
//
//sumtype:decl
type Action interface{ action() }

// TrackerChanged tells that a tracker has decided otherwise than before. From is
// Unknown the first time, To never is.
type TrackerChanged struct {
	Tracker  string
	From, To State
	// Value is the number of a valued tracker that is up.
	Value int
	Why
}

// PriorityChanged tells that an instance's effective priority is another one, or
// that the configured one has changed and it is still not that: whoever applies
// a configuration starts from the configured priority and carries this out
// after it.
type PriorityChanged struct {
	Instance string
	From, To uint8
	Why
}

// FaultChanged tells that an instance is kept from taking part by other trackers
// than before.
type FaultChanged struct {
	Instance string
	// Faults are the trackers' names, sorted; none means that the fault is over.
	// The receiver may keep them but must not change them.
	Faults []string
	Why
}

func (TrackerChanged) action()  {}
func (PriorityChanged) action() {}
func (FaultChanged) action()    {}
