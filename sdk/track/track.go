// Package track holds what the author of a tracker implements.
//
// A tracker is asked one question, "is what virtual routers depend on as it
// should be?", and answers with a check.Result: it is a check without a target.
// It keeps no schedule, counts nothing and decides nothing: the SDK calls it when
// it is due and enforces the deadline; the core counts rise and fall and moves
// priorities. The package imports the standard library and sdk/check only.
//
// Read Tracker first, then New.
package track

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/schema"
)

// Tracker answers for one [tracker.NAME] of halo.toml. The SDK never calls the
// same Tracker twice at once, but different ones run concurrently. One that also
// implements check.Warner has a word in `halo check`.
type Tracker interface {
	// Observe looks once; name is the tracker's in halo.toml. ctx ends at the
	// deadline (the tracker's timeout); what is returned after it is discarded
	// and counts as check.ReasonTimeout.
	//
	// What this machine could not find out is check.Unknown and never Fail:
	// unknown moves no priority. A Weight is not looked at, since what a tracker
	// weighs is for the configuration to say.
	Observe(ctx context.Context, name string) check.Result
}

// Type is one word a person may write as `type = "..."` in [tracker.NAME]. New
// makes one; the zero value is refused by sdk.Serve.
type Type struct {
	describe schema.Type
	build    func(settings json.RawMessage) (Tracker, error)
	err      error
}

// New declares a type of tracker.
//
// S is a struct whose tagged fields are the settings, as in check.New; build
// turns decoded, defaulted and range-checked settings into a Tracker. It is
// called when a configuration is validated and again for every tracker, so it
// must be quick. To blame one setting, return schema.Invalid.
//
// A mistake in S is a programming error. It is kept and told by sdk.Serve,
// `describe` and Schema, so that New can stand in a literal.
func New[S any](name, doc string, build func(S) (Tracker, error)) Type {
	var zero S
	settings, err := schema.Of(zero)
	t := Type{describe: schema.Type{Name: name, Kind: schema.KindTrack, Doc: doc, Settings: settings}}
	switch {
	case err != nil:
		t.err = fmt.Errorf("tracker type %s: %w", name, err)
	case build == nil:
		t.err = fmt.Errorf("tracker type %s: build function is nil", name)
	default:
		if problems := schema.CheckType(t.describe); len(problems) > 0 {
			t.err = fmt.Errorf("tracker type %s: %w", name, &schema.SettingsError{Problems: problems})
		}
	}
	t.build = func(raw json.RawMessage) (Tracker, error) {
		var s S
		if err := schema.Decode(raw, &s); err != nil {
			return nil, err
		}
		tracker, err := build(s)
		if err == nil && tracker == nil {
			return nil, fmt.Errorf("tracker type %s: build returned no tracker", name)
		}
		return tracker, err
	}
	return t
}

// Schema describes the type, or says what is wrong with its declaration.
func (t Type) Schema() (schema.Type, error) {
	if t.err != nil {
		return schema.Type{}, t.err
	}
	if t.build == nil {
		return schema.Type{}, fmt.Errorf("tracker type %q: not made by track.New", t.describe.Name)
	}
	return t.describe, nil
}

// Build decodes a tracker's settings, a JSON object, and makes the Tracker. An
// error about the settings is a *schema.SettingsError, possibly wrapped.
func (t Type) Build(settings json.RawMessage) (Tracker, error) {
	if _, err := t.Schema(); err != nil {
		return nil, err
	}
	return t.build(settings)
}
