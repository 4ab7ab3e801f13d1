package netloop

// Asleep reports whether Run waits for an event, with nothing left to do.
func (l *Loop) Asleep() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parked
}
