package check

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/halo-ha/halo/sdk/schema"
)

// Type is one word a person may write as `type = "..."`: its name, its
// settings and how to build a Checker from them. New makes one; the zero value
// is refused by sdk.Serve.
type Type struct {
	describe schema.Type
	build    func(settings json.RawMessage) (Checker, error)
	err      error
}

// New declares a type of checker.
//
// S is a struct whose tagged fields are the settings (see schema.Of); use
// struct{} for a type without any. build turns decoded, defaulted and
// range-checked settings into a Checker. It is called when a configuration is
// validated and again for every probe, so it must be quick and must not touch
// the network. To blame one setting, return schema.Invalid.
//
// A mistake in S is a programming error. It is kept and told by sdk.Serve,
// `describe` and Schema, so that New can stand in a literal.
func New[S any](name, doc string, build func(S) (Checker, error)) Type {
	var zero S
	settings, err := schema.Of(zero)
	t := Type{describe: schema.Type{Name: name, Kind: schema.KindCheck, Doc: doc, Settings: settings}}
	switch {
	case err != nil:
		t.err = fmt.Errorf("check type %s: %w", name, err)
	case build == nil:
		t.err = fmt.Errorf("check type %s: build function is nil", name)
	default:
		if problems := schema.CheckType(t.describe); len(problems) > 0 {
			t.err = fmt.Errorf("check type %s: %w", name, &schema.SettingsError{Problems: problems})
		}
	}
	t.build = func(raw json.RawMessage) (Checker, error) {
		var s S
		if err := schema.Decode(raw, &s); err != nil {
			return nil, err
		}
		c, err := build(s)
		if err == nil && c == nil {
			return nil, fmt.Errorf("check type %s: build returned no checker", name)
		}
		return c, err
	}
	return t
}

// Schema describes the type, or says what is wrong with its declaration.
func (t Type) Schema() (schema.Type, error) {
	if t.err != nil {
		return schema.Type{}, t.err
	}
	if t.build == nil {
		return schema.Type{}, fmt.Errorf("check type %q: not made by check.New", t.describe.Name)
	}
	return t.describe, nil
}

// Build decodes a probe's settings, a JSON object, and makes its Checker. An
// error about the settings is a *schema.SettingsError, possibly wrapped.
func (t Type) Build(settings json.RawMessage) (Checker, error) {
	if _, err := t.Schema(); err != nil {
		return nil, err
	}
	return t.build(settings)
}

// Warner is implemented by a Checker that accepts its settings but has
// something to say about them, such as verification that is switched off. The
// problems reach the person who runs `halo check` as warnings.
type Warner interface {
	Warnings() []schema.Problem
}

type loggerKey struct{}

// Logger returns the logger for the probe whose Check was called with ctx. It
// names the type, the virtual server and the real server in every line, for a
// tracker the type and the tracker. In a
// context that is not the SDK's it is slog.Default.
func Logger(ctx context.Context) *slog.Logger {
	if logger, ok := ctx.Value(loggerKey{}).(func() *slog.Logger); ok {
		return logger()
	}
	return slog.Default()
}

// WithLogger is how the SDK and test harnesses attach the logger. It takes a
// function so that ten thousand probes that never log hold no logger each.
func WithLogger(ctx context.Context, logger func() *slog.Logger) context.Context {
	return context.WithValue(ctx, loggerKey{}, logger)
}
