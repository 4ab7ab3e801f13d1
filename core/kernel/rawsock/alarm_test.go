package rawsock_test

import (
	"slices"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/rawsock"
)

func newAlarm(t testing.TB) *rawsock.Alarm {
	t.Helper()
	a, err := rawsock.NewAlarm()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Stop)
	return a
}

func goesOff(t testing.TB, a *rawsock.Alarm) time.Time {
	t.Helper()
	select {
	case at := <-a.C():
		return at
	case <-time.After(patience):
		t.Fatal("the alarm does not go off")
		return time.Time{}
	}
}

func TestAlarmGoesOffOnceAndNotEarly(t *testing.T) {
	a := newAlarm(t)
	for _, d := range []time.Duration{20 * time.Millisecond, time.Millisecond, time.Microsecond, 0, -time.Second} {
		set := time.Now()
		a.Reset(d)
		if after := goesOff(t, a).Sub(set); after < d {
			t.Errorf("set to %v, it went off after %v", d, after)
		}
	}
	select {
	case <-a.C():
		t.Error("it went off again")
	case <-time.After(30 * time.Millisecond):
	}
}

func TestAlarmResetReplaces(t *testing.T) {
	a := newAlarm(t)
	a.Reset(time.Hour)
	a.Reset(10 * time.Millisecond)
	goesOff(t, a)
	a.Reset(time.Second)
	set := time.Now()
	a.Reset(2 * time.Second)
	if after := goesOff(t, a).Sub(set); after < 2*time.Second {
		t.Errorf("the earlier setting went off, after %v", after)
	}
}

func TestAlarmStopped(t *testing.T) {
	a := newAlarm(t)
	a.Reset(time.Millisecond)
	a.Stop()
	a.Reset(time.Millisecond) // Neither a crash nor a sound.
	a.Stop()
}

func TestAlarmDoesNotAllocate(t *testing.T) {
	a := newAlarm(t)
	if n := testing.AllocsPerRun(100, func() { a.Reset(time.Hour) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// How late the two kinds of timers wake an idle process. Only told: a number
// here depends on the machine.
func TestAlarmLateness(t *testing.T) {
	const rounds, wait = 50, 10*time.Millisecond + 300*time.Microsecond
	a := newAlarm(t)
	timer := time.NewTimer(time.Hour)
	exact, runtimes := make([]time.Duration, 0, rounds), make([]time.Duration, 0, rounds)
	for range rounds {
		set := time.Now()
		a.Reset(wait)
		<-a.C()
		exact = append(exact, time.Since(set)-wait)
		set = time.Now()
		timer.Reset(wait)
		<-timer.C
		runtimes = append(runtimes, time.Since(set)-wait)
	}
	for name, list := range map[string][]time.Duration{"rawsock.Alarm": exact, "time.Timer": runtimes} {
		slices.Sort(list)
		if len(list) != rounds || list[0] < 0 {
			t.Errorf("%s: %d rounds, earliest %v", name, len(list), list[0])
		}
		t.Logf("%-13s late: median %v, 90 %% %v, worst %v", name, list[rounds/2], list[rounds*9/10], list[rounds-1])
	}
}
