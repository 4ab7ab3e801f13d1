package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/track"
)

// observed is a file with a tracker that a plugin observes, and further lines.
func observed(more string) string {
	return `[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
priority = 150
addresses = ["192.0.2.10/24"]
track = ["nginx"]

[tracker.nginx]
` + observedKeys + more + "\n"
}

const observedKeys = `type = "script"
command = ["/usr/local/bin/check-nginx"]
`

// TestObservation holds what a script tracker is without and with all its keys,
// and what the tally makes of it.
func TestObservation(t *testing.T) {
	t.Parallel()
	const definition = `script halo {"command":["/usr/local/bin/check-nginx"]}`
	for name, tc := range map[string]struct {
		more    string
		probe   Check
		tracker track.Tracker
	}{
		"defaults": {
			"",
			Check{Interval: time.Second, Timeout: time.Second, Rise: 1, Fall: 1, User: "halo"},
			track.Tracker{Definition: definition, Rise: 1, Fall: 1, Grace: 30 * time.Second},
		},
		"the timeout is the interval": {
			`interval = "2s"`,
			Check{Interval: 2 * time.Second, Timeout: 2 * time.Second, Rise: 1, Fall: 1, User: "halo"},
			track.Tracker{Definition: definition, Rise: 1, Fall: 1, Grace: 30 * time.Second},
		},
		"every key": {
			"interval = \"10s\"\ntimeout = \"5s\"\nrise = 2\nfall = 3\nuser = \"nagios\"\ninit_fail = true\n" +
				"[plugin.halo-track-script]\non_plugin_loss = \"fail\"\nplugin_grace = \"1m\"",
			Check{Interval: 10 * time.Second, Timeout: 5 * time.Second, Rise: 2, Fall: 3, User: "nagios"},
			track.Tracker{
				Definition: strings.Replace(definition, "halo", "nagios", 1), Rise: 2, Fall: 3, AssumeDown: true, FailOnLoss: true, Grace: time.Minute,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := mustParse(t, observed(tc.more))
			want := tc.probe
			want.Name, want.Type, want.Plugin = "nginx", "script", "halo-track-script"
			want.Settings = json.RawMessage(`{"command":["/usr/local/bin/check-nginx"]}`)
			if got := g.Trackers["nginx"].Probe; got == nil || !got.Equal(want) {
				t.Errorf("read as %v, want %v", got, want)
			}
			tc.tracker.Name = "nginx"
			if all := g.Tracking().Trackers; len(all) != 1 || all[0] != tc.tracker {
				t.Errorf("the tally is told %+v, want %+v", all, tc.tracker)
			}
		})
	}
}

// TestObservationOfNobody holds that the election can begin before plugins were
// asked: with what is halo's own, and without a type that it could run.
func TestObservationOfNobody(t *testing.T) {
	t.Parallel()
	g, problems := Parse("halo.toml", []byte(observed("init_fail = true\nweight = -60\nspeed = \"fast\"")), Unseen{})
	if g == nil || len(problems) != 0 {
		t.Fatalf("what plugins know is judged without them:\n%s", problems)
	}
	k := g.Trackers["nginx"]
	if k.Probe == nil || k.Probe.Plugin != "" || k.Weight != -60 {
		t.Errorf("read as %+v", k)
	}
	if all := g.Tracking().Trackers; len(all) != 1 || !all[0].AssumeDown || all[0].Definition == mustParse(t, observed("")).Trackers["nginx"].Definition() {
		t.Errorf("the tally is told %+v", all)
	}
	_, problems = Parse("halo.toml", []byte(observed("fall = 0")), Unseen{})
	if len(problems.Errors()) != 1 || !strings.Contains(problems[0].String(), "tracker.nginx.fall") {
		t.Errorf("a mistake in a key of halo's gives:\n%s", problems)
	}
	_, problems = Parse("halo.toml", []byte(observed("")), nil)
	if len(problems.Errors()) != 1 || !strings.Contains(problems[0].String(), `provides the tracker type "script"`) {
		t.Errorf("without plugins it is said:\n%s", problems)
	}
}

// TestDiffOfObservations names what differs as the file does.
func TestDiffOfObservations(t *testing.T) {
	t.Parallel()
	const everything = "interval = \"10s\"\ntimeout = \"5s\"\nuser = \"nagios\""
	for _, tc := range []struct{ from, to, want string }{
		{`interval = "10s"`, `interval = "20s"`, "interval 10s -> 20s"},
		{`timeout = "5s"`, `timeout = "6s"`, "timeout 5s -> 6s"},
		{`user = "nagios"`, `user = "nagios"` + "\ninit_fail = true\nfall = 2\nrise = 3", "rise 1 -> 3, fall 1 -> 2, init_fail false -> true"},
		{`user = "nagios"`, `user = "daemon"`, "user nagios -> daemon"},
		{`check-nginx"]`, `check-nginx", "--fast"]`, `command ["/usr/local/bin/check-nginx"] -> ["/usr/local/bin/check-nginx","--fast"]`},
		{`user = "nagios"`, "user = \"nagios\"\ndialect = \"nagios\"", `dialect "nagios" added`},
		{observedKeys + everything, "type = \"interface\"\ninterface = \"eth1\"", "type script -> interface, interface eth1 added"},
	} {
		text := observed(everything)
		if !strings.Contains(text, tc.from) {
			t.Fatalf("no %q", tc.from)
		}
		got := Diff(mustParse(t, text), mustParse(t, strings.Replace(text, tc.from, tc.to, 1))).String()
		if want := fmt.Sprintf("tracker nginx changed: %s\n", tc.want); got != want {
			t.Errorf("%s -> %s:\n%swant\n%s", tc.from, tc.to, got, want)
		}
	}
}
