package track_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/schema"
	"github.com/halo-ha/halo/sdk/track"
)

// mounted is a tracker that wants something at a path.
type mounted struct {
	Path string `halo:"path" doc:"What has to be there." default:"/proc"`
}

func (m mounted) Observe(_ context.Context, name string) check.Result {
	if _, err := os.Stat(m.Path); err != nil {
		return check.Failed(check.ReasonMismatch, name+" is not there")
	}
	return check.Passed("")
}

func newMounted(m mounted) (track.Tracker, error) {
	if !strings.HasPrefix(m.Path, "/") {
		return nil, schema.Invalid("path", "an absolute path", "is %q", m.Path)
	}
	return m, nil
}

func ExampleNew() {
	t := track.New("mounted", "Down when nothing is mounted.", newMounted)
	for _, settings := range []string{`{}`, `{"path": "/nowhere/at/all"}`, `{"path": "srv"}`, `{"pth": "/srv"}`} {
		tracker, err := t.Build([]byte(settings))
		if err != nil {
			fmt.Println(err)
			continue
		}
		r := tracker.Observe(context.Background(), "data")
		fmt.Println(strings.TrimSpace(fmt.Sprint(r.Outcome, " ", r.Reason, " ", r.Detail)))
	}
	// Output:
	// pass none
	// fail mismatch data is not there
	// settings: path is "srv" (expected an absolute path)
	// settings: pth is not known (expected one of path); did you mean path?
}

func TestNewDescribes(t *testing.T) {
	described, err := track.New("mounted", "Down when nothing is mounted.", newMounted).Schema()
	if err != nil {
		t.Fatal(err)
	}
	if described.Name != "mounted" || described.Kind != schema.KindTrack || len(described.Settings) != 1 || described.Settings[0].Default != `"/proc"` {
		t.Errorf("described as %+v", described)
	}
}

func TestMistakesOfTheAuthor(t *testing.T) {
	type reserved struct {
		Weight int `halo:"weight"`
	}
	type later struct {
		InitFail bool `halo:"init_fail"`
	}
	type wrong struct {
		Channel chan int `halo:"channel"`
	}
	for want, typ := range map[string]track.Type{
		"not made by track.New":          {},
		"build function is nil":          track.New[struct{}]("a", "", nil),
		"weight is a key of halo itself": track.New("b", "", func(reserved) (track.Tracker, error) { return mounted{}, nil }),
		"init_fail is a key of halo":     track.New("c", "", func(later) (track.Tracker, error) { return mounted{}, nil }),
		"type chan int cannot be":        track.New("d", "", func(wrong) (track.Tracker, error) { return mounted{}, nil }),
	} {
		if _, err := typ.Schema(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want a complaint: %s", err, want)
		}
		if _, err := typ.Build([]byte(`{}`)); err == nil {
			t.Errorf("it can be built all the same: %s", want)
		}
	}
	nothing := track.New("e", "", func(struct{}) (track.Tracker, error) { return nil, nil }) //nolint:nilnil // the mistake
	if _, err := nothing.Build([]byte(`{}`)); err == nil || !strings.Contains(err.Error(), "returned no tracker") {
		t.Errorf("%v", err)
	}
	broken := errors.New("no such disk")
	failing := track.New("f", "", func(struct{}) (track.Tracker, error) { return nil, broken })
	if _, err := failing.Build([]byte(`{}`)); !errors.Is(err, broken) {
		t.Errorf("%v, want what build said", err)
	}
}
