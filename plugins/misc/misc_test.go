package misc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/plugins/misc"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/schema"
)

// patience bounds every wait of these tests; reaching it is a failure.
const patience = 30 * time.Second

// write makes an executable shell script and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "check")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func build(t *testing.T, dialect string, command ...string) (check.Checker, error) {
	t.Helper()
	settings := map[string]any{"command": command}
	if dialect != "" {
		settings["dialect"] = dialect
	}
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	return misc.Type().Build(raw)
}

func mustBuild(t *testing.T, dialect string, command ...string) check.Checker {
	t.Helper()
	c, err := build(t, dialect, command...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func probe(t *testing.T, c check.Checker, limit time.Duration) check.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return c.Check(ctx, check.Target{})
}

func TestPluginDescribesItself(t *testing.T) {
	described, err := misc.Plugin().Describe()
	if err != nil {
		t.Fatal(err)
	}
	if described.Name != misc.Name || len(described.Types) != 1 || described.Types[0].Name != "misc" {
		t.Errorf("described as %+v, want %s with the type misc", described, misc.Name)
	}
}

// TestValidate wants a complaint that names the setting and what is wrong.
func TestValidate(t *testing.T) {
	writable := write(t, "exit 0")
	if err := os.Chmod(writable, 0o757); err != nil {
		t.Fatal(err)
	}
	closed := write(t, "exit 0")
	if err := os.Chmod(closed, 0o644); err != nil {
		t.Fatal(err)
	}
	bare := write(t, "")
	if err := os.WriteFile(bare, []byte("exit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		settings  string
		attribute string
		words     []string
	}{
		"no command":     {`{}`, "command", []string{"missing"}},
		"empty command":  {`{"command": []}`, "command", nil},
		"empty program":  {`{"command": [""]}`, "command[0]", []string{"names no program", "absolute path"}},
		"a string":       {`{"command": "/bin/true"}`, "command", nil},
		"dialect":        {`{"command": ["/bin/true"], "dialect": "nagois"}`, "dialect", []string{"nagios"}},
		"unknown key":    {`{"command": ["/bin/true"], "timeot": "1s"}`, "timeot", nil},
		"relative":       {`{"command": ["sh"]}`, "command[0]", []string{"is not an absolute path", "write /"}},
		"missing":        {`{"command": ["/nonexistent/check"]}`, "command[0]", []string{"/nonexistent does not exist"}},
		"writable":       {`{"command": ["` + writable + `"]}`, "command[0]", []string{writable, "is writable by others", "mode 0757", "chmod o-w"}},
		"not executable": {`{"command": ["` + closed + `"]}`, "command[0]", []string{"is not executable", "mode 0644", "chmod a+x"}},
		"no first line":  {`{"command": ["` + bare + `"]}`, "command[0]", []string{"has no #! line"}},
		"zero byte":      {`{"command": ["/bin/true", "a\u0000b"]}`, "command[1]", []string{"zero byte"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := misc.Type().Build(json.RawMessage(test.settings))
			settingsErr, ok := errors.AsType[*schema.SettingsError](err)
			if !ok || len(settingsErr.Problems) != 1 || settingsErr.Problems[0].Attribute != test.attribute {
				t.Fatalf("%v, want a complaint about %s", err, test.attribute)
			}
			for _, word := range test.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("message %q lacks %q", err, word)
				}
			}
		})
	}
}

func TestFacts(t *testing.T) {
	c := mustBuild(t, "", write(t, "env | grep ^HALO_ | sort | tr '\\n' ' '"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	t.Setenv("HALO_PLUGIN_MAGIC_COOKIE", "secret")
	r := c.Check(ctx, check.Target{
		Address: netip.MustParseAddr("192.0.2.31"), Port: 8080,
		RealServer:    netip.MustParseAddrPort("192.0.2.30:80"),
		VirtualServer: "web", VirtualAddress: netip.MustParseAddrPort("[2001:db8::1]:80"),
		Protocol: "tcp", Bind: netip.MustParseAddr("192.0.2.1"),
	})
	want := []string{
		"HALO_ADDRESS=192.0.2.31", "HALO_BIND=192.0.2.1", "HALO_PORT=8080", "HALO_PROTOCOL=tcp",
		"HALO_REAL_SERVER=192.0.2.30:80", "HALO_TIMEOUT=", "HALO_VIRTUAL_ADDRESS=[2001:db8::1]:80", "HALO_VIRTUAL_SERVER=web",
	}
	got := strings.Fields(r.Detail)
	if len(got) != len(want) {
		t.Fatalf("%+v, want %q", r, want)
	}
	for i := range want {
		if left, ok := strings.CutPrefix(got[i], "HALO_TIMEOUT="); ok {
			if seconds, err := strconv.ParseFloat(left, 64); err != nil || seconds <= 0 || seconds > patience.Seconds() {
				t.Errorf("HALO_TIMEOUT is %q", left)
			}
			continue
		}
		if got[i] != want[i] {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
	if r := c.Check(t.Context(), check.Target{}); r.Detail != "" {
		t.Errorf("without facts the script got %q", r.Detail)
	}
}

// TestWeightAndTimeoutAlternate is a script that hangs every other time: no
// weight is ever carried over, and none leaves its range.
func TestWeightAndTimeoutAlternate(t *testing.T) {
	order := filepath.Join(t.TempDir(), "order")
	tell := func(what string) {
		t.Helper()
		if err := os.WriteFile(order, []byte(what+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := mustBuild(t, "keepalived-dynamic", write(t, "read what < "+order+"; [ $what = hang ] && exec sleep 3600; exit $what"))
	for turn := range 100 {
		want := turn * 13 % 254
		tell(strconv.Itoa(want + 2))
		if r := probe(t, c, patience); r.Outcome != check.Pass || r.Weight == nil || *r.Weight != want {
			t.Fatalf("turn %d: %+v, want weight %d", turn, r, want)
		}
		tell("hang")
		if r := probe(t, c, 20*time.Millisecond); r.Outcome != check.Fail || r.Reason != check.ReasonTimeout || r.Weight != nil {
			t.Fatalf("turn %d: %+v, want a timeout without a weight", turn, r)
		}
	}
}

// TestTimeoutTakesTheGroup is "sleep 3600 & wait": at the timeout all of it
// goes, and the next run starts at once.
func TestTimeoutTakesTheGroup(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	c := mustBuild(t, "", write(t, "echo waiting; sleep 3600 & echo $! >> "+pids+"; wait"))
	for range 3 {
		r := probe(t, c, 200*time.Millisecond)
		if r.Outcome != check.Fail || r.Reason != check.ReasonTimeout || r.Detail != "still running at the timeout, ended: waiting" {
			t.Fatalf("%+v, want a timeout", r)
		}
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	started := strings.Fields(string(text))
	if len(started) != 3 {
		t.Fatalf("%d runs, want 3", len(started))
	}
	for _, text := range started {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			t.Errorf("grandchild %d is alive", pid)
		}
	}
}

// TestWorldChanges: what breaks after the configuration was accepted makes the
// probe unknown, and mending it heals the probe without a reload.
func TestWorldChanges(t *testing.T) {
	path := write(t, "exit 1")
	c := mustBuild(t, "", path)
	moved := path + ".moved"
	steps := []struct {
		name  string
		spoil func() error
		mend  func() error
		words []string
	}{
		{"removed", func() error { return os.Rename(path, moved) }, func() error { return os.Rename(moved, path) }, []string{"does not exist"}},
		{"not executable", func() error { return os.Chmod(path, 0o644) }, func() error { return os.Chmod(path, 0o755) }, []string{"is not executable", "mode 0644"}},
		{"writable", func() error { return os.Chmod(path, 0o757) }, func() error { return os.Chmod(path, 0o755) }, []string{"is writable by others"}},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			if err := step.spoil(); err != nil {
				t.Fatal(err)
			}
			r := probe(t, c, patience)
			if r.Outcome != check.Unknown || r.Reason != check.ReasonLocalError {
				t.Errorf("%+v, want unknown", r)
			}
			for _, word := range step.words {
				if !strings.Contains(r.Detail, word) {
					t.Errorf("detail %q lacks %q", r.Detail, word)
				}
			}
			if err := step.mend(); err != nil {
				t.Fatal(err)
			}
			if r := probe(t, c, patience); r.Outcome != check.Fail || r.Reason != check.ReasonExit {
				t.Errorf("mended: %+v, want the script's own verdict", r)
			}
		})
	}
}

// TestNoDescriptors: a machine that cannot fork knows nothing of the server.
func TestNoDescriptors(t *testing.T) {
	c := mustBuild(t, "", "/bin/true")
	if r := probe(t, c, patience); r.Outcome != check.Pass {
		t.Fatalf("%+v", r)
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	r := probe(t, c, patience)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if r.Outcome != check.Unknown || r.Reason != check.ReasonLocalError {
		t.Errorf("%+v, want unknown", r)
	}
	if r := probe(t, c, patience); r.Outcome != check.Pass {
		t.Errorf("afterwards: %+v", r)
	}
}

func TestCancelledProbeIsUnknown(t *testing.T) {
	c := mustBuild(t, "", write(t, "exec sleep 3600"))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if r := c.Check(ctx, check.Target{}); r.Outcome != check.Unknown {
		t.Errorf("%+v, want unknown", r)
	}
}

func TestNagiosEndToEnd(t *testing.T) {
	c := mustBuild(t, "nagios", write(t, "echo \"LOAD WARNING - 7 | load1=7.5;5;10 'run queue'=3\"; exit 1"))
	r := probe(t, c, patience)
	if r.Outcome != check.Pass || r.Detail != "LOAD WARNING - 7" || len(r.Metrics) != 2 || r.Metrics["load1"] != 7.5 || r.Metrics["run_queue"] != 3 {
		t.Errorf("%+v", r)
	}
}
