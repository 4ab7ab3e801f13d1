package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/sdk/host"
)

func sumOf(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	problems := map[string]string{
		stubGood: "", stubDies: "", stubEnv: "",
		stubSlow:  "no answer within 10s",
		stubBig:   "more than 1048576 bytes of output",
		stubFails: "exited with status 3: no idea who I am",
		stubNewer: "speaks protocols 3 to 4, this halo speaks protocol 1: upgrade halo",
	}
	var names []string
	for name := range problems {
		names = append(names, name)
	}
	o := open(t, names...)
	mustDo(t, os.WriteFile(filepath.Join(o.dir, "halo-check-open"), []byte("x"), 0o600))
	mustDo(t, os.Chmod(filepath.Join(o.dir, "halo-check-open"), 0o777)) //nolint:gosec // that is the point.
	problems["halo-check-open"] = "is writable by its group and by others"
	installed, err := o.Discover(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(installed) != len(problems) {
		t.Fatalf("found %d plugins, want %d", len(installed), len(problems))
	}
	for _, in := range installed {
		want := problems[in.Name]
		switch {
		case want == "" && in.Problem != nil:
			t.Errorf("%s: %v", in.Name, in.Problem)
		case want == "" && (in.Description.Types[0].Name != "stub" || in.Path != filepath.Join(o.dir, in.Name) || in.Target == in.Path):
			t.Errorf("%s: %+v", in.Name, in)
		case want != "" && (in.Problem == nil || !strings.Contains(in.Problem.Error(), want) || !strings.Contains(in.Problem.Error(), in.Path)):
			t.Errorf("%s: %v, want %q", in.Name, in.Problem, want)
		}
	}
	for _, s := range o.Snapshots() {
		want := StateInstalled
		if problems[s.Plugin] != "" {
			want = StateRefused
		}
		if s.State != want || (s.LastError == "") != (want == StateInstalled) {
			t.Errorf("%s is shown as %s (%s)", s.Plugin, s.State, s.LastError)
		}
		if s.Plugin == stubGood && (s.Version != "1.0" || s.Protocol != 1 || s.Path == "") {
			t.Errorf("%+v", s)
		}
	}
}

func TestDiscoverAsksAnUnchangedFileOnce(t *testing.T) {
	o := open(t)
	path := filepath.Join(o.dir, "halo-check-script")
	asked := filepath.Join(runtimeDir(t), "asked")
	mustDo(t, os.Mkdir(asked, 0o777))
	mustDo(t, os.Chmod(asked, 0o777)) //nolint:gosec // the plugin's user writes there.
	script := func(version string) {
		t.Helper()
		mustDo(t, os.WriteFile(path, []byte(`#!/bin/sh
/bin/mktemp -p `+asked+` >/dev/null
echo '{"name":"halo-check-script","version":"`+version+`","sdk":"","protocols":[1],"types":[{"name":"s","kind":"check","doc":"","settings":[]}]}'
`), 0o755)) //nolint:gosec // a program.
	}
	discover := func(wantVersion string, wantAsked int) {
		t.Helper()
		installed, err := o.Discover(t.Context(), nil)
		if err != nil || len(installed) != 1 || installed[0].Problem != nil || installed[0].Description.Version != wantVersion {
			t.Fatalf("Discover = %+v, %v; want version %s", installed, err, wantVersion)
		}
		times, err := os.ReadDir(asked)
		if err != nil || len(times) != wantAsked {
			t.Errorf("it was asked %d times, want %d (%v)", len(times), wantAsked, err)
		}
	}
	script("1")
	discover("1", 1)
	discover("1", 1)
	script("2")
	discover("2", 2)
	mustDo(t, os.Remove(path))
	if installed, err := o.Discover(t.Context(), nil); err != nil || len(installed) != 0 || len(o.describer.known) != 0 {
		t.Errorf("afterwards: %v, %v, %v", installed, err, o.describer.known)
	}
}

func TestDiscoverDoesNotRunAFileWithAnotherSum(t *testing.T) {
	o := open(t, stubGood)
	installed, err := o.Discover(t.Context(), map[string]string{stubGood: strings.Repeat("0", 64)})
	if err != nil || installed[0].Problem == nil || !strings.Contains(installed[0].Problem.Error(), "update sha256") {
		t.Errorf("%+v, %v", installed, err)
	}
	if len(o.describer.known) != 0 {
		t.Error("it was asked")
	}
}

func TestValidateWithAndWithoutARunningProcess(t *testing.T) {
	t.Parallel()
	o := open(t, stubGood, stubLiar)
	spec := Spec{Identity: Identity{stubGood, testUser()}}
	schedule := host.Schedule{Interval: time.Second, RetryInterval: time.Second, Timeout: time.Second, Rise: 1, Fall: 1}
	probes := []host.Probe{
		{ID: 1, Type: "stub", Schedule: schedule, Settings: []byte(`{"do":"pass"}`)},
		{ID: 2, Type: "stub", Schedule: schedule, Settings: []byte(`{"do":"dance"}`)},
	}
	check := func() {
		t.Helper()
		diagnostics, err := o.Validate(t.Context(), spec, probes)
		if err != nil || len(diagnostics) != 1 || diagnostics[0].ProbeID != 2 || diagnostics[0].Attribute != "do" {
			t.Errorf("Validate = %+v, %v", diagnostics, err)
		}
	}
	check()
	if entries, err := os.ReadDir(o.sockets.root); err != nil || len(entries) != 0 {
		t.Errorf("it leaves %v, %v", entries, err)
	}
	o.Apply([]Spec{spec})
	o.session(t)
	last := o.last.Load()
	check()
	if o.last.Load() != last || o.sockets.last.Load() != 2 {
		t.Error("a process was started although one runs")
	}
	var incompatible *IncompatibleError
	if _, err := o.Validate(t.Context(), Spec{Identity: Identity{stubLiar, testUser()}}, probes); !errors.As(err, &incompatible) {
		t.Errorf("a plugin of another protocol: %v", err)
	}
}

func TestHostWithADirectoryOfItsOwn(t *testing.T) {
	h, err := Open(Config{Dirs: []string{install(t, stubGood)}, User: testUser(), Logger: quiet()})
	mustDo(t, err)
	diagnostics, err := h.Validate(t.Context(), Spec{Identity: Identity{stubGood, testUser()}}, []host.Probe{{ID: 1, Type: "dance"}})
	if err != nil || len(diagnostics) != 1 || diagnostics[0].ProbeID != 1 {
		t.Errorf("Validate = %v, %v", diagnostics, err)
	}
	mustDo(t, h.Close(t.Context()))
	if _, err := os.Stat(h.temporary); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", h.temporary, err)
	}
}
