package nowait

import "time"

// Alarm is a timer. The zero delay and less are now.
type Alarm interface {
	// Reset makes the channel get a value once, d from now, and no longer when
	// it was to before. A value from before may still be in it.
	Reset(d time.Duration)
	C() <-chan time.Time
	// Stop ends the alarm for good.
	Stop()
}

// timerAlarm is the runtime's timer.
type timerAlarm struct{ timer *time.Timer }

// NewAlarm makes an Alarm of the runtime's timer, which may be a millisecond late.
func NewAlarm() Alarm {
	t := time.NewTimer(0)
	t.Stop()
	return timerAlarm{t}
}

// Reset implements Alarm.
func (a timerAlarm) Reset(d time.Duration) { a.timer.Reset(d) }

// C implements Alarm.
func (a timerAlarm) C() <-chan time.Time { return a.timer.C }

// Stop implements Alarm.
func (a timerAlarm) Stop() { a.timer.Stop() }
