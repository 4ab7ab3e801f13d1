package script_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/plugins/script"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/schema"
	"github.com/halo-ha/halo/sdk/sdktest"
)

// write makes an executable shell script and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "track")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func settings(t *testing.T, dialect string, command ...string) string {
	t.Helper()
	table := map[string]any{"command": command}
	if dialect != "" {
		table["dialect"] = dialect
	}
	raw, err := json.Marshal(table)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestPluginDescribesItself(t *testing.T) {
	described, err := script.Plugin().Describe()
	if err != nil {
		t.Fatal(err)
	}
	if described.Name != script.Name || len(described.Types) != 1 || described.Types[0].Name != "script" || described.Types[0].Kind != schema.KindTrack {
		t.Errorf("described as %+v, want %s with the tracker type script", described, script.Name)
	}
}

// TestValidate wants a complaint that names the setting and what is wrong.
func TestValidate(t *testing.T) {
	closed := write(t, "exit 0")
	if err := os.Chmod(closed, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ settings, attribute, word string }{
		"no command":     {`{}`, "command", "missing"},
		"empty program":  {`{"command": [""]}`, "command[0]", "names no program"},
		"a string":       {`{"command": "/bin/true"}`, "command", "list"},
		"relative":       {`{"command": ["true"]}`, "command[0]", "is not an absolute path"},
		"missing":        {`{"command": ["/nonexistent/track"]}`, "command[0]", "does not exist"},
		"not executable": {settings(t, "", closed), "command[0]", "chmod a+x"},
		"weights":        {`{"command": ["/bin/true"], "dialect": "keepalived-dynamic"}`, "dialect", "nagios"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := script.Type().Build(json.RawMessage(test.settings))
			found, ok := errors.AsType[*schema.SettingsError](err)
			if !ok || len(found.Problems) != 1 || found.Problems[0].Attribute != test.attribute || !strings.Contains(err.Error(), test.word) {
				t.Errorf("%v, want a complaint about %s with %q", err, test.attribute, test.word)
			}
		})
	}
}

// TestVerdicts goes the whole way of a tracker in production: settings, schedule,
// deadline, wire.
func TestVerdicts(t *testing.T) {
	h := sdktest.Start(t, script.Plugin())
	for name, test := range map[string]struct {
		dialect, line string
		outcome       check.Outcome
		reason        check.Reason
		detail        string
	}{
		"good":      {"", "echo fine; exit 0", check.Pass, check.ReasonNone, "fine"},
		"bad":       {"", "echo no uplink; exit 1", check.Fail, check.ReasonExit, "exit code 1: no uplink"},
		"worse":     {"", "exit 17", check.Fail, check.ReasonExit, "exit code 17"},
		"not found": {"", "no-such-program-anywhere 2>/dev/null", check.Fail, check.ReasonExit, "exit code 127"},
		"signal":    {"", "kill -SEGV $$", check.Fail, check.ReasonSignal, "ended by SIGSEGV"},
		"its name":  {"", "echo $HALO_TRACKER", check.Pass, check.ReasonNone, "sdktest"},
		"warning":   {"nagios", "echo 'WARNING - so so | load=3'; exit 1", check.Pass, check.ReasonNone, "WARNING - so so"},
		"critical":  {"nagios", "echo CRITICAL; exit 2", check.Fail, check.ReasonExit, "CRITICAL"},
		"no idea":   {"nagios", "exit 3", check.Unknown, check.ReasonExit, "exit code 3"},
	} {
		t.Run(name, func(t *testing.T) {
			p := sdktest.Observation("script", settings(t, test.dialect, write(t, test.line)))
			p.Schedule.Timeout = 20 * time.Second
			r := h.Check(p)
			if r.Outcome != test.outcome || r.Reason != test.reason || r.Detail != test.detail || r.Weight != nil {
				t.Errorf("%v, %v, %q; want %v, %v, %q", r.Outcome, r.Reason, r.Detail, test.outcome, test.reason, test.detail)
			}
		})
	}
}

// TestNeverTwiceAtOnce has a script that hangs with a child: each run ends with
// all it has started before the next begins, whatever the interval.
func TestNeverTwiceAtOnce(t *testing.T) {
	h := sdktest.Start(t, script.Plugin())
	dir := t.TempDir()
	// A second copy would find the first alive, and say so.
	hanging := write(t, fmt.Sprintf("kill -0 $(cat %[1]s/pid) 2>/dev/null && echo again >> %[1]s/overlap\n"+
		"echo $$ > %[1]s/pid; sleep 3600 & echo $! >> %[1]s/pids; wait", dir))
	p := sdktest.Observation("script", settings(t, "", hanging))
	p.Schedule.Timeout = 150 * time.Millisecond
	s := h.Open(p)
	children := func() []string {
		text, err := os.ReadFile(filepath.Join(dir, "pids"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Fields(string(text))
	}
	// On a busy machine the time of a run may be over before it has begun.
	for runs := 0; len(children()) < 4; runs++ {
		if r := s.Next(p.ID); r.Outcome == check.Pass || r.Outcome == check.Fail && r.Reason != check.ReasonTimeout {
			t.Errorf("%+v, want a timeout", r)
		}
		if runs == 200 {
			t.Fatalf("%d runs have come to anything, want four", len(children()))
		}
	}
	s.Close()
	if text, err := os.ReadFile(filepath.Join(dir, "overlap")); err == nil {
		t.Errorf("runs have overlapped: %s", text)
	}
	pids := children()
	for _, word := range pids[:len(pids)-1] { // The last may have begun just now.
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(stat), ") Z ") {
			t.Errorf("the child %d of an earlier run is alive", pid)
		}
	}
}

// TestGone: a script that vanishes while halo runs is not known, neither good nor
// bad, and is asked again once it is back.
func TestGone(t *testing.T) {
	h := sdktest.Start(t, script.Plugin())
	path := write(t, "exit 0")
	p := sdktest.Observation("script", settings(t, "", path))
	s := h.Open(p)
	defer s.Close()
	want := func(outcome check.Outcome, reason check.Reason) {
		t.Helper()
		for range 1000 {
			if r := s.Next(p.ID); r.Outcome == outcome && r.Reason == reason {
				return
			}
		}
		t.Fatalf("it never was %v, %v", outcome, reason)
	}
	want(check.Pass, check.ReasonNone)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	want(check.Unknown, check.ReasonLocalError)
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	want(check.Pass, check.ReasonNone)
}

// TestSample runs the sample that is a track script, too.
func TestSample(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("needs bash")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "contrib", "samples", "check-disk"))
	if err != nil {
		t.Fatal(err)
	}
	// The source tree may belong to anybody.
	path := filepath.Join(t.TempDir(), "check-disk")
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	h := sdktest.Start(t, script.Plugin())
	for _, test := range []struct {
		arguments []string
		outcome   check.Outcome
	}{
		{[]string{path, "/", "101", "101"}, check.Pass},
		{[]string{path, "/", "0", "0"}, check.Fail},
		{[]string{path, "/nonexistent"}, check.Unknown},
	} {
		p := sdktest.Observation("script", settings(t, "nagios", test.arguments...))
		p.Schedule.Timeout = 20 * time.Second
		if r := h.Check(p); r.Outcome != test.outcome || !strings.HasPrefix(r.Detail, "DISK ") {
			t.Errorf("%q: %+v, want %v", test.arguments, r, test.outcome)
		} else if _, ok := r.Metrics["used_percent"]; ok != (test.outcome != check.Unknown) {
			t.Errorf("%q: metrics %v", test.arguments, r.Metrics)
		}
	}
}
