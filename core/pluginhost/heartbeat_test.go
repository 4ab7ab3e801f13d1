package pluginhost

import (
	"testing"
	"time"
)

func TestHeartbeatWatch(t *testing.T) {
	const ms = time.Millisecond
	start := time.Unix(1000, 0)
	type step struct {
		at   time.Duration
		beat bool
		want pulse // of a look; not for a beat
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"a beat every second", []step{
			{at: 1000 * ms, beat: true}, {at: 1900 * ms, want: pulseSteady}, {at: 2000 * ms, beat: true}, {at: 3400 * ms, want: pulseSteady},
		}},
		{"one missing, then back", []step{
			{at: 1500 * ms, want: pulseSuspect}, {at: 2000 * ms, beat: true}, {at: 3400 * ms, want: pulseSteady},
		}},
		{"three missing", []step{
			{at: 1500 * ms, want: pulseSuspect}, {at: 3499 * ms, want: pulseSuspect}, {at: 3500 * ms, want: pulseLost},
		}},
		{"never one at all", []step{
			{at: 1501 * ms, want: pulseSuspect}, {at: 3501 * ms, want: pulseLost},
		}},
		{"this process stood still for a minute", []step{
			{at: 1000 * ms, beat: true}, {at: 61_000 * ms, want: pulseSteady}, {at: 62_500 * ms, want: pulseSuspect}, {at: 64_500 * ms, want: pulseLost},
		}},
		{"this process stood still while the plugin was suspect", []step{
			{at: 1500 * ms, want: pulseSuspect}, {at: 9000 * ms, want: pulseSteady}, {at: 10_500 * ms, want: pulseSuspect},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newHeartbeatWatch(start)
			for _, s := range tt.steps {
				now := start.Add(s.at)
				if s.beat {
					w.beat(now)
					continue
				}
				if got := w.look(now); got != s.want {
					t.Fatalf("at %s the pulse is %d, want %d", s.at, got, s.want)
				}
			}
		})
	}
}

func TestHeartbeatDeadlineIsWhenTheAnswerChanges(t *testing.T) {
	start := time.Unix(1000, 0)
	w := newHeartbeatWatch(start)
	for _, want := range []pulse{pulseSuspect, pulseLost} {
		deadline := w.deadline()
		before := w
		if got := before.look(deadline.Add(-time.Nanosecond)); got == want {
			t.Errorf("the pulse is %d before the deadline", got)
		}
		if got := w.look(deadline); got != want {
			t.Errorf("the pulse is %d at the deadline, want %d", got, want)
		}
	}
}
