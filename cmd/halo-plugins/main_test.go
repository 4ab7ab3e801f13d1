package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/halo-ha/halo/sdk/schema"
)

// asPlugin makes the test binary be halo-plugins, so that the real main runs.
const asPlugin = "HALO_PLUGINS_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asPlugin) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// link makes a link of that name to halo-plugins.
func link(tb testing.TB, name string) string {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), name)
	if err := os.Symlink(self, path); err != nil {
		tb.Fatal(err)
	}
	return path
}

// call runs it and returns what it prints and its exit code.
func call(t *testing.T, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), link(t, name), args...)
	command.Env = append(os.Environ(), asPlugin+"=1")
	var out, errOut bytes.Buffer
	command.Stdout, command.Stderr = &out, &errOut
	err := command.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), errOut.String(), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), 0
}

func TestCalledByItsOwnName(t *testing.T) {
	stdout, stderr, code := call(t, "halo-plugins")
	if code != 64 || stdout != "" {
		t.Errorf("exit code %d, output %q; want 64 and none", code, stdout)
	}
	for _, b := range builtins() {
		if !strings.Contains(stderr, "  "+b.name+" ") || !strings.Contains(stderr, "ln -s ../halo-plugins plugins/"+b.name) {
			t.Errorf("%s is not explained in\n%s", b.name, stderr)
		}
	}
	if strings.Contains(stderr, "no plugin of this name") {
		t.Errorf("it complains of its own name:\n%s", stderr)
	}
}

func TestCalledByAnUnknownName(t *testing.T) {
	_, stderr, code := call(t, "halo-check-carrier-pigeon", "describe")
	if code != 64 || !strings.HasPrefix(stderr, "halo-check-carrier-pigeon: no plugin of this name is built in\n") || !strings.Contains(stderr, "halo-check-tcp") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

func TestHelp(t *testing.T) {
	for _, word := range []string{"--help", "-h", "help"} {
		stdout, stderr, code := call(t, "halo-plugins", word)
		if code != 0 || stderr != "" || !strings.Contains(stdout, "halo-check-misc") {
			t.Errorf("%s: exit code %d, %q, %q", word, code, stdout, stderr)
		}
	}
}

// TestEveryPluginDescribesItself, under the name it is called by and with the
// version of this file.
func TestEveryPluginDescribesItself(t *testing.T) {
	for _, b := range builtins() {
		t.Run(b.name, func(t *testing.T) {
			stdout, stderr, code := call(t, b.name, "describe")
			if code != 0 || stderr != "" {
				t.Fatalf("exit code %d\n%s", code, stderr)
			}
			var described schema.Plugin
			if err := json.Unmarshal([]byte(stdout), &described); err != nil {
				t.Fatal(err)
			}
			if described.Name != b.name || described.Version != version || len(described.Types) == 0 {
				t.Errorf("described as %+v", described)
			}
			if problems := schema.CheckPlugin(described); len(problems) > 0 {
				t.Errorf("problems: %v", problems)
			}
			if stdout, _, code := call(t, b.name, "version"); code != 0 || !strings.HasPrefix(stdout, b.name+" "+version+" ") {
				t.Errorf("version: exit code %d, %q", code, stdout)
			}
			// By hand, without a host, it explains itself instead of waiting.
			if _, stderr, code := call(t, b.name); code != 64 || !strings.Contains(stderr, "halo run") {
				t.Errorf("by hand: exit code %d, %q", code, stderr)
			}
		})
	}
}

func TestOneProcessor(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "3")
	if err := oneProcessor(); err != nil || runtime.GOMAXPROCS(0) != before {
		t.Errorf("the operator's choice was overruled: %d, %v", runtime.GOMAXPROCS(0), err)
	}
	t.Setenv("GOMAXPROCS", "")
	if err := oneProcessor(); err != nil || runtime.GOMAXPROCS(0) != 1 {
		t.Errorf("%d processors, %v", runtime.GOMAXPROCS(0), err)
	}
}
