package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// word is the secret that must not be seen anywhere in these tests.
const word = "Tr0ub4d0r"

// printed returns v in every way that Go prints values.
func printed(t *testing.T, v any) string {
	t.Helper()
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x", "%10.3s"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	fmt.Fprintln(&b, v)
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(encoded)
	slog.New(slog.NewTextHandler(&b, nil)).Info("text", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("json", "v", v)
	return b.String()
}

// shows reports whether text holds the secret, as it is, in hex or as numbers.
func shows(text, secret string) bool {
	numbers := strings.Trim(fmt.Sprint([]byte(secret)), "[]")
	for _, form := range []string{secret, numbers, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("% x", secret)} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	secret := NewSecret(word)
	type hidden struct{ secret Secret }
	auth := Auth{Type: "pass", Password: secret}
	check := Check{Type: "stub", Settings: json.RawMessage(`{"token":"` + word + `","question":"why"}`), Sensitive: []string{"token"}}
	env := Environment{"TOKEN": word}
	for name, v := range map[string]any{
		"secret": secret, "pointer": &secret, "in a struct": auth, "behind a pointer": &auth,
		"in an unexported field": hidden{secret}, "deep in an unexported field": &struct{ h hidden }{hidden{secret}},
		"in a list": []Secret{secret}, "in a map": map[string]Secret{"a": secret},
		"instance": Instance{Auth: &auth},
		"check":    check, "check behind a pointer": &check, "checks": []*Check{&check}, "real server": RealServer{Checks: []*Check{&check}},
		"environment": env, "plugin": Plugin{Env: env}, "plugin behind a pointer": &Plugin{Env: env},
	} {
		if text := printed(t, v); shows(text, word) {
			t.Errorf("%s prints the secret:\n%s", name, text)
		}
	}
	// The tests above could not fail if shows saw nothing.
	if !shows(printed(t, word), word) || !shows(printed(t, []byte(word)), word) {
		t.Error("a secret that is printed is not seen")
	}
}

func TestSecretStaysUsable(t *testing.T) {
	t.Parallel()
	a, b := NewSecret(word), NewSecret(word)
	if a.Reveal() != word || !a.Equal(b) || a.Equal(NewSecret("other")) || a.Equal(Secret{}) {
		t.Error("the word of a secret is lost")
	}
	if (Secret{}).Reveal() != "" || (Secret{}).String() != "" || a.String() != redacted {
		t.Error("an empty secret is not empty")
	}
	if got := fmt.Sprint(Environment{"B": word, "A": ""}); got != "A=[redacted] B=[redacted]" {
		t.Errorf("environment prints %q", got)
	}
}

// TestProblemsNeverRepeatSecrets makes every mistake that one can make around a
// password: no message repeats it, nor does what a generation prints.
func TestProblemsNeverRepeatSecrets(t *testing.T) {
	t.Parallel()
	instance := "[vrrp_instance.V]\ninterface = \"e\"\nvirtual_router_id = 1\nversion = 2\naddresses = [\"192.0.2.1\"]\n"
	service := "[virtual_server.a]\naddress = \"192.0.2.1:1\"\nreal_server = [{ address = \"192.0.2.2:1\" }]\n"
	tests := map[string]string{
		"too long":                 instance + `authentication.password = "` + word + `"`,
		"without quotes":           instance + `authentication.password = ` + word,
		"without end":              instance + `authentication.password = "` + word,
		"without beginning":        instance + `authentication.password = ` + word + `"`,
		"on two lines":             instance + "authentication.password = \"\n" + word + "\"",
		"with an escape":           instance + `authentication.password = "\` + word + `"`,
		"with a wrong escape":      instance + `authentication.password = "\u` + word + `"`,
		"in a list":                instance + `authentication.password = ["` + word + `"]`,
		"in a list, wrongly":       instance + `authentication.password = ["` + word + `" "` + word + `"]`,
		"in a table":               instance + `authentication.password = { a = "` + word + `" }`,
		"in the wrong table":       instance + `password = "` + word + `"`,
		"by Keepalived's name":     instance + `auth_pass = "` + word + `"`,
		"twice":                    instance + `authentication = { password = "` + word + `", password = "` + word + `" }`,
		"with a control character": instance + `authentication.password = "` + word + `\u0007"`,
		"with version 3":           strings.Replace(instance, "version = 2", "version = 3", 1) + `authentication.password = "` + word + `"`,
		"behind the value":         instance + `authentication.password = "x" ` + word,
		"with a comma":             instance + `authentication = { password = "x",, ` + word + ` }`,
		"of a plugin":              service + "[plugin.halo-check-stub]\nenv = { \"A B\" = \"" + word + "\", B = [\"" + word + "\"] }",
		"of a plugin, unknown":     service + "[plugin.halo-check-stub]\nenvironment = { A = \"" + word + "\" }",
		"of a check":               service + `check = [{ type = "stub", question = "a", token = "` + word + `" }]`,
		"of a check, as a list":    service + `check = [{ type = "stub", question = "a", token = ["` + word + `"] }]`,
		"of a check, as a table":   service + `check = [{ type = "stub", question = "a", token = { a = "` + word + `" } }]`,
	}
	for name, text := range tests {
		g, problems := parseText(t, text)
		if len(problems) == 0 {
			t.Errorf("%s: no problem found", name)
		}
		encoded, err := json.Marshal(problems)
		if err != nil {
			t.Fatal(err)
		}
		if all := printed(t, problems) + problems.String() + string(encoded); shows(all, word) {
			t.Errorf("%s: a problem repeats the secret:\n%s", name, problems)
		}
		if g != nil && shows(printed(t, g), word) {
			t.Errorf("%s: the generation prints the secret", name)
		}
	}
	// Numbers are secrets too.
	for _, text := range []string{
		instance + "authentication.password = 31337",
		instance + "authentication.password = 313373133731337313373133731337",
		instance + "authentication.password = 31337.5",
		instance + "authentication.password = 31337s",
		service + `check = [{ type = "stub", question = "a", token = 31337 }]`,
	} {
		if _, problems := parseText(t, text); len(problems) == 0 || strings.Contains(problems.String(), "31337") {
			t.Errorf("a problem repeats the secret:\n%s", problems)
		}
	}
}

func TestGenerationNeverPrintsSecrets(t *testing.T) {
	t.Parallel()
	g := loadGood(t, "full.toml")
	if text := printed(t, g) + printed(t, *g); strings.Contains(text, "sesame") || strings.Contains(text, "swordfish") {
		t.Error("a generation prints a secret")
	}
	for _, in := range g.Instances {
		if text := printed(t, in); strings.Contains(text, "sesame") {
			t.Errorf("an instance prints its password:\n%s", text)
		}
	}
	for _, vs := range g.VirtualServers {
		for _, rs := range vs.Servers {
			if text := printed(t, rs) + printed(t, *rs) + printed(t, rs.Checks); shows(text, "swordfish") {
				t.Errorf("a real server prints a secret of its checks:\n%s", text)
			}
		}
	}
}
