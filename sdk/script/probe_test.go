package script_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/schema"
	"github.com/halo-ha/halo/sdk/script"
)

func TestProbeAnswers(t *testing.T) {
	const patience = 30 * time.Second
	for name, test := range map[string]struct {
		line    string
		timeout time.Duration
		outcome check.Outcome
		reason  check.Reason
		detail  string
	}{
		"good":    {"echo fine", patience, check.Pass, check.ReasonNone, "fine"},
		"bad":     {"echo no route; exit 3", patience, check.Fail, check.ReasonExit, "exit code 3: no route"},
		"signal":  {"kill -USR1 $$", patience, check.Fail, check.ReasonSignal, "ended by SIGUSR1"},
		"hanging": {"echo wait; exec sleep 3600", 200 * time.Millisecond, check.Fail, check.ReasonTimeout, "still running at the timeout, ended: wait"},
		"facts":   {`echo "$HALO_WHOM, ${HALO_TIMEOUT:+limited}"`, patience, check.Pass, check.ReasonNone, "web, limited"},
	} {
		t.Run(name, func(t *testing.T) {
			runner := &script.Runner{}
			defer runner.Close()
			p, err := runner.Probe([]string{"/bin/sh", "-c", test.line}, script.Keepalived)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
			defer cancel()
			if r := p.Run(ctx, "HALO_WHOM=web"); r.Outcome != test.outcome || r.Reason != test.reason || r.Detail != test.detail {
				t.Errorf("%v, %v, %q; want %v, %v, %q", r.Outcome, r.Reason, r.Detail, test.outcome, test.reason, test.detail)
			}
		})
	}
}

// What cannot be run is told of the setting, before anything was run.
func TestProbeRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		command   []string
		attribute string
		message   string
	}{
		"nothing":  {nil, "command[0]", "names no program"},
		"relative": {[]string{"true"}, "command[0]", "is not an absolute path"},
		"missing":  {[]string{"/nonexistent/check"}, "command[0]", "does not exist"},
		"zero":     {[]string{"/bin/true", "a\x00"}, "command[1]", "zero byte"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := (&script.Runner{}).Probe(test.command, script.Keepalived)
			found, ok := errors.AsType[*schema.SettingsError](err)
			if !ok || len(found.Problems) != 1 || found.Problems[0].Attribute != test.attribute || !strings.Contains(err.Error(), test.message) {
				t.Errorf("%v, want a complaint about %s that it %s", err, test.attribute, test.message)
			}
		})
	}
}
