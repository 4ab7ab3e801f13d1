package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/sdk/check"
)

// passes is a checker of the plain kind.
type passes struct{}

func (passes) Check(context.Context, check.Target) check.Result { return check.Passed("plain") }

// starts is a checker that answers after a while, from elsewhere.
type starts struct {
	passes

	after time.Duration
}

func (s starts) Start(_ time.Time, _ check.Target, done func(check.Result)) {
	time.AfterFunc(s.after, func() { done(check.Passed("started")) })
}

// TestUnbuiltTriesAgain holds that a probe whose checker could not be made is
// unknown for as long as that is so and no longer, whatever kind the checker is.
func TestUnbuiltTriesAgain(t *testing.T) {
	for name, checker := range map[string]check.Checker{"plain": passes{}, "started": starts{after: time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			missing, builds := true, 0
			u := &unbuilt{build: func() (check.Checker, error) {
				builds++
				if missing {
					return nil, errors.New("no such file")
				}
				return checker, nil
			}}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if r := u.Check(ctx, check.Target{}); r.Outcome != check.Unknown || r.Reason != check.ReasonLocalError || r.Detail != "no such file" {
				t.Errorf("while it cannot be made: %+v", r)
			}
			missing = false
			for range 2 {
				if r := u.Check(ctx, check.Target{}); r.Outcome != check.Pass || r.Detail != name {
					t.Errorf("once it can be made: %+v, want a pass that is %s", r, name)
				}
			}
			if builds != 2 {
				t.Errorf("made %d times, want one failure and one success", builds)
			}
		})
	}
}

// TestUnbuiltKeepsTheDeadline holds that a started checker that never answers
// does not outlive the probe.
func TestUnbuiltKeepsTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &unbuilt{built: starts{after: time.Hour}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r := u.Check(ctx, check.Target{}); r.Outcome != check.Fail || r.Reason != check.ReasonTimeout {
			t.Errorf("after the deadline: %+v", r)
		}
		time.Sleep(2 * time.Hour)
	})
}
