package bfdspeaker

import "time"

// timerAlarm is the runtime's timer.
type timerAlarm struct{ timer *time.Timer }

func newTimerAlarm() timerAlarm {
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
