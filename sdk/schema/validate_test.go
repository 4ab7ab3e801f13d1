package schema_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/sdk/schema"
)

func typeOf(t *testing.T, v any) schema.Type {
	t.Helper()
	settings, err := schema.Of(v)
	if err != nil {
		t.Fatal(err)
	}
	return schema.Type{Name: "probe", Kind: schema.KindCheck, Settings: settings}
}

func TestValidateOneMistakeEach(t *testing.T) {
	typ := typeOf(t, everything{})
	for _, tc := range []struct {
		settings string // merged behind a valid command
		want     string // the whole problem in words
	}{
		{`"pth": "/"`, `pth is not known (expected one of verify, fwmark, path, host, port, small, retries, ratio, pause, dialect, command, codes, headers, password, modes, ready, wait); did you mean path?`},
		{`"path": 3`, `path is a number (expected a string)`},
		{`"path": null`, `path is null (expected a string)`},
		{`"path": {"a": 1}`, `path is a table (expected a string)`},
		{`"path": "a", "path": "b"`, `path is given twice`},
		{`"port": 0`, `port is out of range: 0 (expected a whole number from 1 to 65535)`},
		{`"port": 65536`, `port is out of range: 65536 (expected a whole number from 1 to 65535)`},
		{`"port": 80.5`, `port is not a whole number: 80.5 (expected a whole number from 1 to 65535)`},
		{`"port": 1e3`, `port is not a whole number: 1e3 (expected a whole number from 1 to 65535)`},
		{`"port": 99999999999999999999`, `port is out of range: 99999999999999999999 (expected a whole number from 1 to 65535)`},
		{`"port": "80"`, `port is a string (expected a whole number from 1 to 65535)`},
		{`"small": -129`, `small is out of range: -129 (expected a whole number from -128 to 127)`},
		{`"ratio": 1.01`, `ratio is out of range: 1.01 (expected a number from 0 to 1)`},
		{`"ratio": 1e999`, `ratio is out of range: 1e999 (expected a number from 0 to 1)`},
		{`"verify": "yes"`, `verify is a string (expected true or false)`},
		{`"pause": "61s"`, `pause is out of range: "1m1s" (expected a duration such as "1.5s", from 0s to 1m)`},
		{`"pause": "-1s"`, `pause is out of range: "-1s" (expected a duration such as "1.5s", from 0s to 1m)`},
		{`"pause": 5`, `pause is a number (expected a duration such as "1.5s", from 0s to 1m)`},
		{`"pause": "5"`, `pause is not a duration: "5" (expected a duration such as "1.5s", from 0s to 1m)`},
		{`"wait": "x"`, `wait is not a duration: "x" (expected a duration such as "1.5s", of at least 0s)`},
		{`"dialect": "nagos"`, `dialect is not one of the allowed words: "nagos" (expected one of "plain", "nagios")`},
		{`"modes": ["fast", "odd"]`, `modes[1] is not one of the allowed words: "odd" (expected one of "fast", "slow")`},
		{`"modes": "fast"`, `modes is a string (expected a list, each one of "fast", "slow")`},
		{`"codes": [1, "2"]`, `codes[1] is a string (expected a whole number)`},
		{`"headers": {"a": 1}`, `headers.a is a number (expected a string)`},
		{`"headers": {"a": "", "b": "", "c": ""}`, `headers has 3 elements (expected a table of strings, of at most 2 entries)`},
		{`"password": 12345`, `password is a number (expected a string)`},
	} {
		t.Run(tc.settings, func(t *testing.T) {
			problems := schema.Validate([]byte(`{"command": ["x"], `+tc.settings+`}`), typ)
			if len(problems) != 1 {
				t.Fatalf("problems = %v, want one", problems)
			}
			if got := problems[0].String(); got != tc.want {
				t.Errorf("problem\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestValidateTheWholeTable(t *testing.T) {
	typ := typeOf(t, everything{})
	none := schema.Type{Name: "bare", Kind: schema.KindCheck}
	for _, tc := range []struct {
		name, settings string
		typ            schema.Type
		want           []string
	}{
		{"required missing", ``, typ, []string{"command is missing (expected a list of strings, from 1 to 3 elements)"}},
		{"required missing, empty object", `{}`, typ, []string{"command is missing (expected a list of strings, from 1 to 3 elements)"}},
		{"required but empty", `{"command": []}`, typ, []string{"command has 0 elements (expected a list of strings, from 1 to 3 elements)"}},
		{"too long and wrong inside", `{"command": [1, "b", "c", "d"]}`, typ, []string{
			"command has 4 elements (expected a list of strings, from 1 to 3 elements)",
			"command[0] is a number (expected a string)",
		}},
		{"every problem is told", `{"port": 0, "nope": 1}`, typ, []string{
			"port is out of range: 0 (expected a whole number from 1 to 65535)",
			"nope is not known (expected one of " + strings.Join(typ.Names(), ", ") + ")",
			"command is missing (expected a list of strings, from 1 to 3 elements)",
		}},
		{"a list", `[1]`, none, []string{"settings are a list (expected a table)"}},
		{"null", `null`, none, []string{"settings are null (expected a table)"}},
		{"broken", `{"a": `, none, []string{"settings are not valid JSON (expected a table)"}},
		{"two tables", `{} {}`, none, []string{"settings are not valid JSON (expected a table)"}},
		{"invalid UTF-8", "{\"a\": \"\xff\"}", none, []string{"settings are not valid JSON (expected a table)"}},
		{"nothing allowed", `{"a": 1}`, none, []string{"a is not known (expected no settings at all)"}},
		{"good and bare", ` {} `, none, nil},
		{"good", `{"command": ["x"], "pause": "1m", "ratio": 0}`, typ, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, p := range schema.Validate([]byte(tc.settings), tc.typ) {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidateNamesAKindItDoesNotKnow(t *testing.T) {
	typ := schema.Type{Name: "later", Settings: []schema.Setting{{Name: "a", Kind: "address"}}}
	problems := schema.Validate([]byte(`{"a": "x"}`), typ)
	if len(problems) != 1 || !strings.Contains(problems[0].Message, `"address"`) {
		t.Errorf("problems = %v, want the kind named", problems)
	}
}

func TestSensitiveValuesAreNotRepeated(t *testing.T) {
	typ := schema.Type{Name: "secret", Kind: schema.KindCheck, Settings: []schema.Setting{
		{Name: "pin", Kind: schema.Int, Max: "10", Sensitive: true},
		{Name: "pins", Kind: schema.Ints, Sensitive: true},
		{Name: "word", Kind: schema.String, Enum: []string{"a"}, Sensitive: true},
		{Name: "rest", Kind: schema.Duration, Sensitive: true},
		{Name: "share", Kind: schema.Float, Max: "1", Sensitive: true},
	}}
	problems := schema.Validate([]byte(`{"pin": 73737373, "pins": [7373.7373], "word": "s73737373", "rest": "73737373", "share": 73737373}`), typ)
	if len(problems) != 5 {
		t.Fatalf("problems = %v, want five", problems)
	}
	if text := fmt.Sprint(problems); strings.Contains(text, "7373") {
		t.Errorf("a secret is in %s", text)
	}
}

func TestLongValuesAreCut(t *testing.T) {
	typ := schema.Type{Settings: []schema.Setting{{Name: "d", Kind: schema.Duration}}}
	problems := schema.Validate([]byte(`{"d": "`+strings.Repeat("é", 5000)+`"}`), typ)
	if len(problems) != 1 || len(problems[0].Message) > 200 {
		t.Errorf("problems = %v, want one short message", problems)
	}
}

func TestCapabilitiesOfUsedSettings(t *testing.T) {
	typ := schema.Type{Settings: []schema.Setting{
		{Name: "mark", Kind: schema.Int, Capability: "net_raw"},
		{Name: "device", Kind: schema.String, Capability: "net_raw"},
		{Name: "low", Kind: schema.Int, Capability: "net_bind_service"},
		{Name: "path", Kind: schema.String},
	}}
	for _, tc := range []struct {
		settings string
		want     []string
	}{
		{`{}`, nil},
		{`{"path": "/"}`, nil},
		{`{"low": 1, "device": "eth0", "mark": 3}`, []string{"net_raw", "net_bind_service"}},
		{`not json`, nil},
	} {
		if diff := cmp.Diff(tc.want, typ.Capabilities([]byte(tc.settings))); diff != "" {
			t.Errorf("capabilities of %s (-want +got):\n%s", tc.settings, diff)
		}
	}
}

func TestSettingFindsByName(t *testing.T) {
	typ := typeOf(t, everything{})
	if s, ok := typ.Setting("port"); !ok || s.Max != "65535" {
		t.Errorf("Setting(port) = %+v, %v", s, ok)
	}
	if _, ok := typ.Setting("nope"); ok {
		t.Error("Setting(nope) was found")
	}
}

func TestInvalidIsASettingsError(t *testing.T) {
	err := fmt.Errorf("build: %w", schema.Invalid("pattern", "a regular expression", "does not compile: %s", "missing )"))
	var settingsErr *schema.SettingsError
	if !errors.As(err, &settingsErr) {
		t.Fatalf("%v is not a SettingsError", err)
	}
	want := []schema.Problem{{Attribute: "pattern", Message: "does not compile: missing )", Expected: "a regular expression"}}
	if diff := cmp.Diff(want, settingsErr.Problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if got := err.Error(); got != "build: settings: pattern does not compile: missing ) (expected a regular expression)" {
		t.Errorf("error = %q", got)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"path", "status", "command", "connect_timeout"}
	for _, tc := range []struct{ word, want string }{
		{"pth", "path"},
		{"paht", "path"},
		{"paths", "path"},
		{"stauts", "status"},
		{"comand", "command"},
		{"connection_timeout", "connect_timeout"},
		{"zzz", ""},
		{"", ""},
		{"digest", ""},
		{strings.Repeat("path", 1000), ""},
	} {
		if got := schema.Nearest(tc.word, known); got != tc.want {
			t.Errorf("Nearest(%.20q) = %q, want %q", tc.word, got, tc.want)
		}
	}
	if got := schema.Nearest("path", []string{strings.Repeat("p", 65)}); got != "" {
		t.Errorf("an oversize word was considered: %q", got)
	}
}
