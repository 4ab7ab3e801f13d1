package pluginhost

import "time"

// A heartbeat leaves the plugin's scheduler loop every heartbeatInterval. One
// that is half an interval late makes the process suspect; three missing ones
// make it dead.
const (
	heartbeatInterval = time.Second
	suspectAfter      = heartbeatInterval + heartbeatInterval/2
	lostAfter         = 3*heartbeatInterval + heartbeatInterval/2
	// ownStall is how late this process may look at the clock before it is
	// this process that stood still, and the silence proves nothing.
	ownStall = heartbeatInterval / 2
)

// pulse is what the heartbeats say about a process.
type pulse uint8

const (
	pulseSteady pulse = iota
	pulseSuspect
	pulseLost
)

// heartbeatWatch compares the time since the last heartbeat with the limits.
type heartbeatWatch struct {
	last    time.Time
	suspect bool
}

func newHeartbeatWatch(now time.Time) heartbeatWatch { return heartbeatWatch{last: now} }

// beat records a heartbeat.
func (w *heartbeatWatch) beat(now time.Time) { w.last, w.suspect = now, false }

// deadline is when to look next, if no heartbeat comes before.
func (w *heartbeatWatch) deadline() time.Time {
	if w.suspect {
		return w.last.Add(lostAfter)
	}
	return w.last.Add(suspectAfter)
}

// look judges the silence at now. A look that comes far too late finds that
// this process was stopped or starved; the plugin's heartbeats may be waiting
// unread, so it gets the whole time again.
func (w *heartbeatWatch) look(now time.Time) pulse {
	deadline := w.deadline()
	switch {
	case now.Before(deadline):
	case now.Sub(deadline) > ownStall:
		w.beat(now)
	case w.suspect:
		return pulseLost
	default:
		w.suspect = true
	}
	if w.suspect {
		return pulseSuspect
	}
	return pulseSteady
}
