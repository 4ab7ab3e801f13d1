package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

const (
	secretText = "correct-horse-battery-staple-0001"
	secretHex  = "hex:000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"
)

// signed is a configuration of one instance with these lines of authentication.
func signed(lines string) string {
	return "[vrrp_instance.VI_1]\ninterface = \"eth0\"\nvirtual_router_id = 51\naddresses = [\"192.0.2.10/24\"]\n" +
		"[vrrp_instance.VI_1.authentication]\ntype = \"hmac\"\nactive_key = 1\n" + lines
}

func oneKey(secret string) string { return fmt.Sprintf("key = [{ id = 1, secret = %q }]\n", secret) }

func TestSigned(t *testing.T) {
	t.Parallel()
	for interval, window := range map[string]time.Duration{
		"10ms": 5 * time.Second, "1s": 5 * time.Second, "1.99s": 5 * time.Second, "2s": 6 * time.Second, "40s": 2 * time.Minute,
	} {
		g := mustParse(t, strings.Replace(signed(oneKey(secretText)), "[vrrp_instance.VI_1.authentication]",
			"advert_interval = \""+interval+"\"\n[vrrp_instance.VI_1.authentication]", 1))
		a := g.Instances["VI_1"].Auth
		if a.Type != "hmac" || a.Mode != "enforce" || a.AntiReplay != "time" || a.ActiveKey != 1 || a.TimeWindow != window {
			t.Errorf("%s: %+v", interval, a)
		}
		if len(a.Keys) != 1 || a.Keys[0].ID != 1 || a.Keys[0].Secret.Reveal() != secretText || a.Keys[0].File != "" {
			t.Errorf("keys %+v", a.Keys)
		}
	}
	// Version 2 takes it, too, and so does an instance that speaks both.
	for _, version := range []string{"version = 2", "also_version_2 = true"} {
		mustParse(t, strings.Replace(signed(oneKey(secretHex)), "virtual_router_id", version+"\nvirtual_router_id", 1))
	}
}

// A key may stand in a file that nobody else can read, and in no other.
func TestKeyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	me := testMachine()
	me.user = os.Geteuid()
	load := func(path string) (*Generation, Problems) {
		return parse("halo.toml", []byte(signed(oneKey("file:"+path))), testCatalogue(t), me)
	}
	for name, content := range map[string]string{
		"text": secretText, "text with a line's end": secretText + "\r\n", "hexadecimal": secretHex + "\n\n", "blanks are text": secretText + "  \n",
	} {
		path := write(strings.ReplaceAll(name, " ", "-"), content, 0o600)
		g, problems := load(path)
		if len(problems) > 0 {
			t.Errorf("%s: %s", name, problems)
			continue
		}
		if k := g.Instances["VI_1"].Auth.Keys[0]; k.Secret.Reveal() != strings.TrimRight(content, "\r\n") || k.File != path {
			t.Errorf("%s: %q of %s", name, k.Secret.Reveal(), k.File)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(write("linked", secretText, 0o400), link); err != nil {
		t.Fatal(err)
	}
	if _, problems := load(link); len(problems) > 0 {
		t.Errorf("a link: %s", problems)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		write("group", secretText, 0o640):                   "others than its owner can open (its mode is 0640); expected chmod 600",
		write("others", secretText, 0o604):                  "others than its owner can open (its mode is 0604)",
		write("writable", secretText, 0o620):                "others than its owner can open (its mode is 0620)",
		write("empty", "", 0o600):                           "holds no key: 0 bytes of text",
		write("short", "sesame\n", 0o600):                   "holds no key: 6 bytes of text",
		write("odd", "hex:0\n", 0o600):                      "holds no key: 1 digits behind hex:",
		write("long", strings.Repeat("x", 200), 0o600):      "holds no key: parse key 1",
		write("chain", "file:/etc/halo/other.key\n", 0o600): "holds no key: it names a file",
		pipe:                              "is not a file",
		dir:                               "is not a file",
		"/dev/zero":                       "is not a file",
		filepath.Join(dir, "missing"):     "cannot be read: no such file or directory",
		filepath.Join(link, "below"):      "cannot be read: not a directory",
		filepath.Join(dir, "missing\x01"): "cannot be read",
	} {
		g, problems := load(path)
		if g != nil || len(problems) != 1 || !strings.Contains(problems.String(), want) || problems[0].Key != "vrrp_instance.VI_1.authentication.key[0].secret" {
			t.Errorf("%s: %s, want %q", path, problems, want)
		}
		if shows(problems.String(), secretText) || shows(problems.String(), "sesame") {
			t.Errorf("%s: the secret is shown: %s", path, problems)
		}
	}
}

// Who only checks a file need not be able to read its secrets, and is told so.
func TestKeyFileOfRoot(t *testing.T) {
	kerneltest.RequireRoot(t)
	dir := t.TempDir()
	for d := dir; d != "/" && d != "/tmp"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil { //nolint:gosec // Everybody must be able to pass.
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "vrrp.key")
	if err := os.WriteFile(path, []byte(secretText), 0o600); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	text := []byte(signed(oneKey("file:" + path)))
	as := func(user int) (g *Generation, problems Problems) {
		// Files are opened with the rights of the thread's user, and without the
		// privileges that root has for it.
		runtime.LockOSThread() // Never unlocked: the thread ends with the goroutine.
		m := testMachine()
		m.user = user
		if err := unix.Setfsuid(user); err != nil {
			t.Error(err)
		}
		return parse("halo.toml", text, nil, m)
	}
	type outcome struct {
		g        *Generation
		problems Problems
	}
	done := make(chan outcome)
	go func() { g, problems := as(nobody); done <- outcome{g, problems} }()
	o := <-done
	if o.g == nil || len(o.problems) != 1 || !strings.Contains(o.problems.String(), "this account may not read: the key is not judged") {
		t.Fatalf("nobody: %s", o.problems)
	}
	if k := o.g.Instances["VI_1"].Auth.Keys[0]; k.Secret.Reveal() != "" || k.File != path {
		t.Errorf("nobody has read %+v", k)
	}
	// The mode is judged all the same.
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	go func() { g, problems := as(nobody); done <- outcome{g, problems} }()
	if o := <-done; o.g != nil || !strings.Contains(o.problems.String(), "its mode is 0640") {
		t.Errorf("nobody, with a wrong mode: %s", o.problems)
	}
	// A file of somebody else is somebody else's secret.
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, nobody, 0); err != nil {
		t.Fatal(err)
	}
	m := testMachine()
	if g, problems := parse("halo.toml", text, nil, m); g != nil || !strings.Contains(problems.String(), "belongs to user 65534") {
		t.Errorf("root, with a file of nobody: %s", problems)
	}
}

// A key within a file that others can read is no secret.
func TestKeyInTheOpen(t *testing.T) {
	t.Parallel()
	for mode, want := range map[os.FileMode]int{0o600: 0, 0o400: 0, 0o640: 1, 0o604: 1, 0o644: 1} {
		path := filepath.Join(t.TempDir(), "halo.toml")
		if err := os.WriteFile(path, []byte(signed(oneKey(secretText))), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		g, problems := Load(path, nil)
		if g == nil || len(problems.Warnings()) != want || want == 1 && !strings.Contains(problems.String(), fmt.Sprintf("(its mode is %#o)", mode)) {
			t.Errorf("%o: %s", mode, problems)
		}
	}
}

// No message, however wrong the file, repeats a key.
func TestKeysAreNotRepeated(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]string{
		"too short":       oneKey(word),
		"without quotes":  "key = [{ id = 1, secret = " + word + " }]",
		"a number":        "key = [{ id = 1, secret = 31337 }]",
		"a list":          "key = [{ id = 1, secret = [\"" + word + "\"] }]",
		"another key":     "key = [{ id = 1, password = \"" + word + "\" }]",
		"in its place":    "key = [\"" + word + "\"]",
		"as the list":     "key = \"" + word + "\"",
		"twice":           "key = [{ id = 1, secret = \"" + word + "\", secret = \"" + word + "\" }]",
		"as hexadecimal":  oneKey("hex:" + word),
		"without the end": "key = [{ id = 1, secret = \"" + word,
	} {
		g, problems := parseText(t, signed(lines))
		if g != nil || len(problems) == 0 || shows(problems.String(), word) || shows(problems.String(), "31337") {
			t.Errorf("%s: %s", name, problems)
		}
	}
	key := &AuthKey{ID: 1, Secret: NewSecret(word)}
	for name, v := range map[string]any{"key": *key, "pointer": key, "authentication": Auth{Keys: []*AuthKey{key}}, "instance": Instance{Auth: &Auth{Keys: []*AuthKey{key}}}} {
		if text := printed(t, v); shows(text, word) {
			t.Errorf("%s prints the secret:\n%s", name, text)
		}
	}
}

// A reload tells which key has changed, and not to what.
func TestKeysAreCompared(t *testing.T) {
	t.Parallel()
	const other = "another-horse-battery-staple-0002"
	two := fmt.Sprintf("key = [{ id = 1, secret = %q }, { id = 2, secret = %q }]\n", secretText, other)
	swapped := fmt.Sprintf("key = [{ id = 2, secret = %q }, { id = 1, secret = %q }]\n", other, secretText)
	const plain = "[vrrp_instance.VI_1]\ninterface = \"eth0\"\nvirtual_router_id = 51\naddresses = [\"192.0.2.10/24\"]\nversion = 2\n"
	for name, tc := range map[string]struct{ old, next, want string }{
		"the same":        {signed(oneKey(secretText)), signed(oneKey(secretText)), ""},
		"the order":       {signed(two), signed(swapped), ""},
		"another secret":  {signed(oneKey(secretText)), signed(oneKey(other)), "vrrp_instance VI_1 changed: authentication.key[1].secret changed\n"},
		"one more":        {signed(oneKey(secretText)), signed(two), "vrrp_instance VI_1 changed: authentication.key[2] added\n"},
		"one less":        {signed(two), signed(oneKey(secretText)), "vrrp_instance VI_1 changed: authentication.key[2] removed\n"},
		"another to send": {signed(two), strings.Replace(signed(two), "active_key = 1", "active_key = 2", 1), "vrrp_instance VI_1 changed: authentication.active_key 1 -> 2\n"},
		"the mode":        {signed("mode = \"permissive\"\n" + two), signed(two), "vrrp_instance VI_1 changed: authentication.mode permissive -> enforce\n"},
		"the window":      {signed(two), signed("time_window = \"1m\"\n" + two), "vrrp_instance VI_1 changed: authentication.time_window 5s -> 1m\n"},
		"where there was none": {
			"[vrrp_instance.VI_1]\ninterface = \"eth0\"\nvirtual_router_id = 51\naddresses = [\"192.0.2.10/24\"]\n", signed(two),
			"vrrp_instance VI_1 changed: authentication added\n",
		},
		"from a password": {
			plain + "authentication.password = \"sesame\"\n", strings.Replace(signed(two), "virtual_router_id", "version = 2\nvirtual_router_id", 1),
			"vrrp_instance VI_1 changed: authentication.type pass -> hmac\n",
		},
	} {
		old, problems := parseText(t, tc.old)
		next, more := parseText(t, tc.next)
		if old == nil || next == nil {
			t.Errorf("%s: %s%s", name, problems, more)
			continue
		}
		if got := Diff(old, next).String(); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
