package netloop

// Asleep reports whether Run waits for an event, with nothing left to do.
func (l *Loop) Asleep() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parked
}

// Ended is ended, which only a late look calls.
var Ended = ended
