package sdktest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/halo-ha/halo/sdk"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
	"github.com/halo-ha/halo/sdk/schema"
	"github.com/halo-ha/halo/sdk/sdktest"
	"github.com/halo-ha/halo/sdk/track"
)

type tideSettings struct {
	Level string `halo:"level" doc:"What the water is." enum:"low,high" default:"low"`
}

// tide is a tracker as an author would write it.
type tide tideSettings

func (t tide) Observe(_ context.Context, name string) check.Result {
	weight := 7
	if t.Level == "high" {
		return check.Result{Outcome: check.Fail, Reason: check.ReasonMismatch, Detail: name + " is under water", Weight: &weight}
	}
	return check.Result{Outcome: check.Pass, Weight: &weight}
}

// Warnings has something to say about one that is down for ever.
func (t tide) Warnings() []schema.Problem {
	if t.Level == "high" {
		return []schema.Problem{{Attribute: "level", Message: "never ebbs"}}
	}
	return nil
}

// tides has a type of check and one of tracker under one name.
func tides() sdk.Plugin {
	return sdk.Plugin{
		Name: "halo-track-tide", Version: "1",
		Types:    []check.Type{check.New("tide", "Passes.", func(struct{}) (check.Checker, error) { return &count{}, nil })},
		Trackers: []track.Type{track.New("tide", "Up at low tide.", func(s tideSettings) (track.Tracker, error) { return tide(s), nil })},
	}
}

func TestTrackers(t *testing.T) {
	h := sdktest.Start(t, tides())
	if r := h.Check(sdktest.Observation("tide", `{}`)); r.Outcome != check.Pass || r.Weight != nil {
		t.Errorf("%+v, want a pass without a weight", r)
	}
	r := h.Check(sdktest.Observation("tide", `{"level": "high"}`))
	if r.Outcome != check.Fail || r.Reason != check.ReasonMismatch || r.Detail != "sdktest is under water" || r.Weight != nil {
		t.Errorf("%+v, want a fail that knows the tracker's name, without a weight", r)
	}
	if r := h.Check(sdktest.Probe("tide", `{}`, check.Target{})); r.Weight == nil {
		t.Errorf("%+v: the check of the same name was not asked", r)
	}
}

func TestTrackersAreValidated(t *testing.T) {
	h := sdktest.Start(t, tides())
	for settings, want := range map[string]string{
		`{}`:                  "",
		`{"level": "higher"}`: "level is not one of the allowed words",
		`{"level": "high"}`:   "level never ebbs (warning)",
		`{"depth": 1}`:        "depth is not known",
	} {
		found, err := h.Validate(t.Context(), []host.Probe{sdktest.Observation("tide", settings)})
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 1 {
			t.Fatalf("%s: %v", settings, found)
		}
		said := ""
		if len(found) == 1 {
			said = found[0].Attribute + " " + found[0].Message
			if found[0].Warning {
				said += " (warning)"
			}
		}
		if !strings.HasPrefix(said, want) || (want == "") != (said == "") {
			t.Errorf("%s: %q, want %q", settings, said, want)
		}
	}
	// A type of check is none of tracker.
	found, err := sdktest.Start(t, dialPlugin()).Validate(t.Context(), []host.Probe{sdktest.Observation("count", `{}`)})
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Message, `tracker type "count": not provided`) {
		t.Errorf("%v, %v", found, err)
	}
}

func TestDescribeListsTrackers(t *testing.T) {
	described, err := tides().Describe()
	if err != nil {
		t.Fatal(err)
	}
	if len(described.Types) != 2 || described.Types[0].Kind != schema.KindCheck || described.Types[1].Kind != schema.KindTrack {
		t.Errorf("described as %+v", described)
	}
	if _, err := (sdk.Plugin{Name: "halo-track-x", Version: "1", Trackers: []track.Type{{}}}).Describe(); err == nil {
		t.Error("a type that track.New has not made was accepted")
	}
}
