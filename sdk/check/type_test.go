package check_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/schema"
)

type pingSettings struct {
	Word  string        `halo:"word" doc:"What to say." default:"PING"`
	Pause time.Duration `halo:"pause" max:"1s"`
}

type ping struct{ settings pingSettings }

func (p *ping) Check(_ context.Context, t check.Target) check.Result {
	return check.Passed(p.settings.Word + " " + t.VirtualServer)
}

func newPing(s pingSettings) (check.Checker, error) {
	if s.Word == "" {
		return nil, schema.Invalid("word", "a word", "is empty")
	}
	return &ping{settings: s}, nil
}

func TestNewDescribesAndBuilds(t *testing.T) {
	typ := check.New("ping", "Says a word.", newPing)
	described, err := typ.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if described.Name != "ping" || described.Kind != schema.KindCheck || described.Doc != "Says a word." || len(described.Settings) != 2 {
		t.Errorf("schema = %+v", described)
	}
	checker, err := typ.Build([]byte(`{"pause": "1s"}`))
	if err != nil {
		t.Fatal(err)
	}
	got := checker.Check(t.Context(), check.Target{VirtualServer: "web"})
	if got.Outcome != check.Pass || got.Detail != "PING web" {
		t.Errorf("result = %+v, want a pass with the defaulted word", got)
	}
}

func TestBuildReportsSettings(t *testing.T) {
	typ := check.New("ping", "", newPing)
	for _, tc := range []struct{ settings, attribute string }{
		{`{"pause": "2s"}`, "pause"},
		{`{"wrd": "x"}`, "wrd"},
		{`{"word": ""}`, "word"}, // Only the build function can know this one.
	} {
		_, err := typ.Build([]byte(tc.settings))
		var settingsErr *schema.SettingsError
		if !errors.As(err, &settingsErr) || settingsErr.Problems[0].Attribute != tc.attribute {
			t.Errorf("Build(%s) = %v, want a problem with %s", tc.settings, err, tc.attribute)
		}
	}
}

func TestMistakesInADeclarationAreKept(t *testing.T) {
	for _, tc := range []struct {
		name string
		typ  check.Type
		want string
	}{
		{"not a struct", check.New("x", "", func(int) (check.Checker, error) { return &ping{}, nil }), "must be a struct"},
		{"no build", check.New[pingSettings]("x", "", nil), "build function is nil"},
		{"bad name", check.New("No Name", "", newPing), "expected a word"},
		{"reserved key", check.New("x", "", func(struct {
			A string `halo:"timeout"`
		},
		) (check.Checker, error) {
			return &ping{}, nil
		}), "key of halo itself"},
		{"zero", check.Type{}, "not made by check.New"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := tc.typ.Schema(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Schema = %v, want %q", err, tc.want)
			}
			if _, err := tc.typ.Build(nil); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Build = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestBuildWithoutACheckerIsAnError(t *testing.T) {
	typ := check.New("x", "", func(struct{}) (check.Checker, error) { return nil, nil }) //nolint:nilnil // The mistake under test.
	if _, err := typ.Build(nil); err == nil || !strings.Contains(err.Error(), "returned no checker") {
		t.Errorf("Build = %v", err)
	}
}

func TestLogger(t *testing.T) {
	if got := check.Logger(t.Context()); got != slog.Default() {
		t.Error("a plain context does not give the default logger")
	}
	made := 0
	want := slog.New(slog.DiscardHandler)
	ctx := check.WithLogger(t.Context(), func() *slog.Logger { made++; return want })
	if made != 0 {
		t.Error("the logger was made before it was asked for")
	}
	if got := check.Logger(ctx); got != want {
		t.Error("the probe's logger was not returned")
	}
}
