package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
	"github.com/halo-ha/halo/sdk/schema"
)

// The broken plugins of testdata/plugins are the measure of the core's
// patience, so they are measured themselves: a fault that is not there would
// make a test of the core pass that proves nothing.

var stubModes = []string{
	"good", "prints", "mute", "stuck", "hangs", "floods", "dies", "panics", "newer", "lies", "garbles", "deaf", "parent",
}

// stubs builds the program and returns where its links are.
func stubs(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	built := filepath.Join(directory, "halo-stub")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", built, "../../testdata/plugins/stub")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // With C code the SDK starts a plugin over, and its faults with it.
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, mode := range stubModes {
		if err := os.Symlink(built, filepath.Join(directory, "halo-check-stub-"+mode)); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

func TestStubs(t *testing.T) {
	directory := stubs(t)
	t.Run("describe", func(t *testing.T) { testStubsDescribe(t, directory) })
	tests := map[string]func(*testing.T, *process){
		"good": testStubGood, "prints": testStubPrints, "mute": testStubMute, "stuck": testStubStuck,
		"hangs": testStubHangs, "floods": testStubFloods, "dies": testStubDies, "panics": testStubPanics,
		"newer": testStubNewer, "lies": testStubLies, "garbles": testStubGarbles, "deaf": testStubDeaf, "parent": testStubParent,
	}
	for _, mode := range stubModes {
		t.Run(mode, func(t *testing.T) {
			limit := patience
			if mode == "mute" {
				limit = time.Second // It is to run out.
			}
			tests[mode](t, launch(t, filepath.Join(directory, "halo-check-stub-"+mode), limit))
		})
	}
}

func testStubsDescribe(t *testing.T, directory string) {
	t.Helper()
	for _, mode := range stubModes {
		output, err := exec.CommandContext(t.Context(), filepath.Join(directory, "halo-check-stub-"+mode), "describe").Output()
		if err != nil {
			t.Fatal(err)
		}
		var described schema.Plugin
		if err := json.Unmarshal(output, &described); err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		protocols := host.Protocols()
		if mode == "newer" {
			protocols = []int{99}
		}
		if problems := schema.CheckPlugin(described); len(problems) > 0 || described.Name != "halo-check-stub-"+mode ||
			described.Types[0].Name != "stub_"+mode || !slices.Equal(described.Protocols, protocols) {
			t.Errorf("%s: %+v, problems %v", mode, described, problems)
		}
	}
}

func stubProbe(mode string) host.Probe {
	return probe(1, "stub_"+mode, `{"answer": "fail"}`, check.Target{})
}

func testStubGood(t *testing.T, p *process) {
	t.Helper()
	if r := p.open(t, stubProbe("good")).first(t, 1)[1]; r.Outcome != check.Fail || r.Detail != "as told" {
		t.Errorf("%+v", r)
	}
}

func testStubPrints(t *testing.T, p *process) {
	t.Helper()
	if _, err := p.client.Client(); err == nil || !strings.Contains(err.Error(), "Hello from a plugin that greets!") {
		t.Errorf("handshake: %v, want the line that is none", err)
	}
}

func testStubMute(t *testing.T, p *process) {
	t.Helper()
	if _, err := p.client.Client(); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("handshake: %v, want a timeout", err)
	}
}

func testStubStuck(t *testing.T, p *process) {
	t.Helper()
	r := p.open(t, stubProbe("stuck"))
	time.AfterFunc(1500*time.Millisecond, r.session.Close) // Longer than any heartbeat.
	if message, err := r.session.Recv(); err == nil {
		t.Errorf("it said %+v", message)
	}
	if state := stateOf(r.pid); state == "" || state == "Z" {
		t.Errorf("the process is in state %q", state)
	}
}

func testStubHangs(t *testing.T, p *process) {
	t.Helper()
	awaitState(t, p.open(t, stubProbe("hangs")).pid, "T")
}

func testStubFloods(t *testing.T, p *process) {
	t.Helper()
	if r := p.open(t, stubProbe("floods")).first(t, 1)[1]; r.Outcome != check.Fail {
		t.Errorf("%+v", r)
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, total := p.stderr.read(); total > 3<<20 {
			return
		} else if time.Now().After(end) {
			t.Fatalf("only %d bytes", total)
		}
	}
}

func testStubDies(t *testing.T, p *process) {
	t.Helper()
	_, _ = p.client.Client() // On a busy machine its second is over before.
	awaitExit(t, p)
	if text, _ := p.stderr.read(); !strings.Contains(text, "the stub has lived its second") {
		t.Errorf("last words %q", text)
	}
}

func testStubPanics(t *testing.T, p *process) {
	t.Helper()
	p.open(t, stubProbe("panics"))
	awaitExit(t, p)
	if text, _ := p.stderr.read(); !strings.Contains(text, "panic: the stub's settings are nil") {
		t.Errorf("last words %q", text)
	}
}

func testStubNewer(t *testing.T, p *process) {
	t.Helper()
	if _, err := p.client.Client(); err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("handshake: %v, want the version", err)
	}
}

func testStubLies(t *testing.T, p *process) {
	t.Helper()
	r := p.open(t, stubProbe("lies"))
	seen := map[string]bool{}
	for len(seen) < 3 {
		message, err := r.session.Recv()
		if err != nil {
			t.Fatal(err)
		}
		switch m := message.(type) {
		case *host.Committed:
			if m.Generation == 1001 {
				seen["a generation to come"] = true
			}
		case *host.Results:
			for _, result := range m.Results {
				switch {
				case result.ID != 1:
					seen["an unknown probe"] = true
				case len(result.Detail) > 0 || result.Weight != nil || result.Outcome != check.Unknown:
					seen["a result beyond limits"] = true
				}
			}
		}
	}
}

func testStubGarbles(t *testing.T, p *process) {
	t.Helper()
	r := p.open(t, stubProbe("garbles"))
	for {
		if _, err := r.session.Recv(); err != nil {
			if state := stateOf(r.pid); state == "" || state == "Z" {
				t.Errorf("the session ended because the process did: %v", err)
			}
			return
		}
	}
}

func testStubDeaf(t *testing.T, p *process) {
	t.Helper()
	r := p.open(t, stubProbe("deaf"))
	if err := errors.Join(syscall.Kill(r.pid, syscall.SIGTERM), r.lifeline.Close()); err != nil {
		t.Fatal(err)
	}
	for beats := 0; beats < 20; { // A second of them.
		message, err := r.session.Recv()
		if err != nil {
			t.Fatalf("after %d heartbeats: %v", beats, err)
		}
		if _, ok := message.(*host.Heartbeat); ok {
			beats++
		}
	}
}

func testStubParent(t *testing.T, p *process) {
	t.Helper()
	r := p.open(t, stubProbe("parent"))
	groups := map[bool]int{}
	for _, child := range childrenOf(t, r.pid) {
		group, err := syscall.Getpgid(child)
		if err != nil {
			t.Fatal(err)
		}
		groups[group == r.pid]++
		t.Cleanup(func() { _ = syscall.Kill(-group, syscall.SIGKILL) })
	}
	if groups[true] != 1 || groups[false] != 1 {
		t.Errorf("children in its group and out of it: %v", groups)
	}
}

// awaitExit waits for the end of a process that go-plugin reaps.
func awaitExit(t *testing.T, p *process) {
	t.Helper()
	for end := time.Now().Add(patience); !p.client.Exited(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it lives")
		}
	}
}

func awaitState(t *testing.T, pid int, want string) {
	t.Helper()
	for end := time.Now().Add(patience); stateOf(pid) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d is in state %q, want %q", pid, stateOf(pid), want)
		}
	}
}

// stateOf is a process's state as /proc has it, or "" when there is none.
func stateOf(pid int) string { return statField(pid, 0) }

// statField is a field of /proc/PID/stat, counted from the state.
func statField(pid, field int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	return strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))[field]
}

func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var children []int
	for _, entry := range entries {
		if child, err := strconv.Atoi(entry.Name()); err == nil && statField(child, 1) == strconv.Itoa(pid) {
			children = append(children, child)
		}
	}
	return children
}
