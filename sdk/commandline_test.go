package sdk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/halo-ha/halo/sdk"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
	"github.com/halo-ha/halo/sdk/schema"
)

// plainRun calls the program as a person would.
func plainRun(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append([]string{actEnv + "=1"}, env...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		args    []string
		env     []string
		out     string
		errText string
		code    int
	}{
		{[]string{"version"}, nil, "halo-check-talk 1.2.3 (SDK go/0.1.0, protocol 1)", "", 0},
		{[]string{"--help"}, nil, "check talk: Answers with a word.", "", 0},
		{[]string{"-h"}, nil, "halo plugin info halo-check-talk", "", 0},
		{[]string{"fly"}, nil, "", `"fly" is not known`, 64},
		{[]string{"describe", "twice"}, nil, "", "one argument at most", 64},
		{nil, nil, "", "is started by `halo run`, not by hand", 64},
		{nil, []string{"HALO_PLUGIN_MAGIC_COOKIE=wrong"}, "", "is started by `halo run`, not by hand", 64},
	} {
		t.Run(fmt.Sprint(tc.args, tc.env), func(t *testing.T) {
			out, errText, code := plainRun(t, tc.env, tc.args...)
			if code != tc.code || !strings.Contains(out, tc.out) || !strings.Contains(errText, tc.errText) {
				t.Errorf("exit %d\nstdout %s\nstderr %s", code, out, errText)
			}
			if (tc.out == "") != (out == "") || (tc.errText == "") != (errText == "") {
				t.Errorf("the wrong stream was written: stdout %q, stderr %q", out, errText)
			}
		})
	}
}

func TestDescribePrintsWhatTheCallAnswers(t *testing.T) {
	out, _, code := plainRun(t, nil, "describe")
	var printed schema.Plugin
	if err := json.Unmarshal([]byte(out), &printed); err != nil || code != 0 {
		t.Fatalf("exit %d, %v in %s", code, err, out)
	}
	answered, err := startPlugin(t, true).Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(printed) != fmt.Sprint(answered) {
		t.Errorf("printed  %+v\nanswered %+v", printed, answered)
	}
}

func TestBadLifelineIsSaid(t *testing.T) {
	for _, text := range []string{"x", "2", "99"} {
		_, errText, code := plainRun(t, []string{
			"HALO_PLUGIN_LIFELINE_FD=" + text,
			host.Handshake().MagicCookieKey + "=" + host.Handshake().MagicCookieValue,
		})
		if code != 1 || !strings.Contains(errText, "lifeline cannot be watched") {
			t.Errorf("%s: exit %d, stderr %s", text, code, errText)
		}
	}
}

func TestDescribeRefusesABrokenDeclaration(t *testing.T) {
	for _, tc := range []struct {
		name string
		p    sdk.Plugin
		want string
	}{
		{"no types", sdk.Plugin{Name: "halo-check-x", Version: "1"}, "types has 0"},
		{"foreign name", sdk.Plugin{Name: "x", Version: "1", Types: testPlugin().Types}, "name is x"},
		{"zero type", sdk.Plugin{Name: "halo-check-x", Version: "1", Types: []check.Type{{}}}, "not made by check.New"},
	} {
		if _, err := tc.p.Describe(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}
