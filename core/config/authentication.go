package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// authTypes are the types of authentication.
func authTypes() []string { return []string{"pass", "ah", "hmac"} }

// auth reads [vrrp_instance.NAME.authentication].
func (r *reader) auth(parent *table, interval time.Duration) *Auth {
	t := parent.table("authentication", authHints())
	if t == nil {
		return nil
	}
	a := &Auth{Type: ask(t, "type", words{allowed: authTypes()}).or("pass")}
	for _, typ := range []string{"pass", "hmac"} {
		if typ == "hmac" == (a.Type == "hmac") || r.record != nil {
			r.authKeys(t, a, typ, interval)
		}
	}
	if t.fine("type") {
		for _, name := range t.node.names {
			switch {
			case slices.Contains(t.asked, name):
			case a.Type != "hmac" && slices.Contains(hmacKeys(), name):
				t.asked = append(t.asked, name)
				t.wrong(name, "is not a key of authentication of type "+quoted(a.Type), `type = "hmac"`, "")
			case a.Type == "hmac" && name == "password":
				t.asked = append(t.asked, name)
				t.wrong(name, `is not a key of authentication of type "hmac"`, `key = [{ id = 1, secret = "..." }], or type = "pass"`, "")
			}
		}
	} else {
		t.ignoreRest()
	}
	t.done()
	return a
}

// hmacKeys are the keys that only type = "hmac" takes, found by reading.
func hmacKeys() []string {
	r := &reader{source: newSource("", ""), record: func(Key) {}}
	t := r.table("", newTable(0), nil)
	r.authKeys(t, &Auth{}, "hmac", 0)
	return t.asked
}

// authKeys reads the keys that authentication of a type takes; "pass" stands for
// both types that have a password.
func (r *reader) authKeys(t *table, a *Auth, typ string, interval time.Duration) {
	if typ == "pass" {
		a.Password = NewSecret(askSecret(t, "password", passwords()).required())
		return
	}
	a.ActiveKey = ask(t, "active_key", integers[uint8]{1, 255}).required()
	a.Mode = ask(t, "mode", words{allowed: []string{wire.Enforce.String(), wire.Permissive.String(), wire.ReceiveOnly.String()}}).or(wire.Enforce.String())
	a.AntiReplay = ask(t, "anti_replay", words{allowed: []string{wire.Windowed.String(), wire.Monotonic.String()}}).or(wire.Windowed.String())
	a.TimeWindow = ask(t, "time_window", durations{low: wire.MinWindow, high: wire.MaxWindow, step: time.Second}).orMachine(wire.DefaultWindow(interval))
	a.Keys = r.secretKeys(t)
	if r.record != nil {
		return
	}
	t.hmacRules(a)
}

// secretKeys reads the list of keys.
func (r *reader) secretKeys(t *table) []*AuthKey {
	tables := t.tables("key", authKeyHints())
	keys := make([]*AuthKey, 0, len(tables))
	lines := map[uint8]int{}
	for _, k := range tables {
		key := &AuthKey{ID: ask(k, "id", integers[uint8]{1, 255}).required()}
		secret := askSecret(k, "secret", keyTexts{int(max(key.ID, 1))}).required()
		key.Secret, key.File = secret.text, secret.file
		if line, twice := lines[key.ID]; twice && k.fine("id") {
			k.wrong("id", fmt.Sprintf("%d is the id of another key, on line %d", key.ID, line), "each id once: trailers name keys by it", "")
		}
		lines[key.ID] = r.source.line(k.at("id"))
		if same := slices.IndexFunc(keys, func(other *AuthKey) bool { return other.Secret.Reveal() != "" && other.Secret.Equal(key.Secret) }); same >= 0 && k.fine("id", "secret") {
			k.odd("secret", fmt.Sprintf("is that of key %d, too", keys[same].ID), "another secret: nothing is gained by going from the one key to the other")
		}
		k.done()
		if !k.fine("id", "secret") {
			t.bad = append(t.bad, "key")
		}
		keys = append(keys, key)
	}
	switch {
	case r.record != nil:
	case !t.written("key"):
		t.absent = append(t.absent, Problem{Key: join(t.path, "key"), Message: "is missing", Expected: `key = [{ id = 1, secret = "..." }]`})
		t.bad = append(t.bad, "key")
	case len(keys) == 0 && t.fine("key"):
		t.wrong("key", "is empty", "at least one key", "")
	}
	return keys
}

// hmacRules judges the keys of authentication by trailer together.
func (t *table) hmacRules(a *Auth) {
	if t.fine("active_key", "key") && !slices.ContainsFunc(a.Keys, func(k *AuthKey) bool { return k.ID == a.ActiveKey }) {
		ids := make([]string, len(a.Keys))
		for i, k := range a.Keys {
			ids[i] = strconv.Itoa(int(k.ID))
		}
		t.wrong("active_key", "there is no key "+strconv.Itoa(int(a.ActiveKey)), "the id of a key: "+strings.Join(ids, ", "), "")
	}
	if !t.fine("mode", "anti_replay", "time_window") {
		return
	}
	switch a.Mode {
	case wire.Permissive.String():
		t.odd("mode", "believes advertisements without a trailer, too: who forges them need only leave it out",
			`mode = "enforce", as soon as all routers of the group send trailers`)
	case wire.ReceiveOnly.String():
		t.odd("mode", "sends no trailers, and believes advertisements without one",
			`mode = "permissive", as soon as all routers of the group have the key`)
	}
	if a.AntiReplay == wire.Monotonic.String() && t.written("time_window") {
		t.odd("time_window", `has no effect with anti_replay = "monotonic"`, `no time_window, or anti_replay = "time"`)
	}
}

// keyText is the text of a key, and the file it came from, if any.
type keyText struct {
	text Secret
	file string
}

// keyTexts takes the secret of a key, or the name of the file that holds it.
type keyTexts struct{ id int }

func (keyTexts) expected() string {
	return fmt.Sprintf(`"hex:" and %d to %d hexadecimal digits, a text of %d to %d bytes, or "file:" and the absolute path of a file with either`,
		2*wire.MinKeyLength, 2*wire.MaxKeyLength, wire.MinKeyLength, wire.MaxKeyLength)
}

func (f keyTexts) read(v value) (keyText, bool) {
	word, ok := v.node.value.(string)
	if !ok {
		v.wrongType(f.expected(), "")
		return keyText{}, false
	}
	path, named := wire.KeyFile(word)
	if named {
		return f.file(v, path)
	}
	if _, err := wire.ParseKey(f.id, word); err != nil {
		v.wrong("is no key: "+reason(err), f.expected(), "")
		return keyText{}, false
	}
	if mode := v.reader.machine.mode; mode&0o044 != 0 {
		v.reader.report(SeverityWarning, v.node.start, Problem{
			Key:      v.path,
			Message:  fmt.Sprintf("stands in a file that others than its owner can read (its mode is %#o)", mode.Perm()),
			Expected: `chmod 600, or secret = "file:/etc/halo/vrrp.key" with a file of its own`,
		})
	}
	return keyText{text: NewSecret(word)}, true
}

// file reads the key from a file that nobody else may read.
func (f keyTexts) file(v value, path string) (keyText, bool) {
	refuse := func(message, expected string) (keyText, bool) {
		v.wrong("names "+quoted(path)+", which "+message, expected, "")
		return keyText{}, false
	}
	if !filepath.IsAbs(path) {
		return refuse("does not begin with \"/\"", `an absolute path such as "file:/etc/halo/vrrp.key"`)
	}
	content, info, err := readKeyFile(path)
	if info != nil {
		owner, ours := owner(info), v.reader.machine.user
		switch {
		case !info.Mode().IsRegular():
			return refuse("is not a file", "a file with the key and nothing else")
		case info.Mode().Perm()&0o077 != 0:
			return refuse(fmt.Sprintf("others than its owner can open (its mode is %#o)", info.Mode().Perm()), "chmod 600 "+path)
		case owner != 0 && owner != ours:
			return refuse(fmt.Sprintf("belongs to user %d, who can read it", owner), "chown root "+path)
		}
	}
	switch {
	case errors.Is(err, fs.ErrPermission) && v.reader.machine.user != 0:
		// Whoever runs halo may read it; who only checks the file need not.
		v.reader.report(SeverityWarning, v.node.start, Problem{
			Key: v.path, Message: "names " + quoted(path) + ", which this account may not read: the key is not judged",
			Expected: "the account that halo runs as, usually root",
		})
		return keyText{file: path}, true
	case err != nil:
		cause := err
		if pathError, ok := errors.AsType[*fs.PathError](err); ok {
			cause = pathError.Err
		}
		return refuse("cannot be read: "+cause.Error(), "a file with the key and nothing else")
	}
	if _, err := wire.ParseKeyFile(f.id, path, content); err != nil {
		return refuse("holds no key: "+reason(err), "a file with a key: "+strings.Split(f.expected(), ", or")[0])
	}
	return keyText{text: NewSecret(strings.TrimRight(string(content), "\r\n")), file: path}, true
}

// readKeyFile returns the beginning of a file, and what is known of it, be it
// readable or not.
func readKeyFile(path string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, info, nil // Opening a device may do something.
	}
	// Nor must a pipe that took its place hold up a reload.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, info, err
	}
	defer func() { _ = file.Close() }() // Only read: closing loses nothing.
	// This is the file that is read, whatever the path has become.
	if info, err = file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, info, err
	}
	content, err := io.ReadAll(io.LimitReader(file, wire.MaxKeyFile+1))
	return content, info, err
}

// owner is whom a file belongs to.
func owner(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return 0
}

// reason is what is wrong with a key, without which key it is.
func reason(err error) string {
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return err.Error()
}

func authHints() map[string]hint {
	return map[string]hint{
		"auth_type":     {key: "type"},
		"auth_pass":     {key: "password"},
		"keys":          {key: "key"},
		"send_with":     {key: "active_key"},
		"replay":        {key: "anti_replay"},
		"window":        {key: "time_window"},
		"replay_window": {key: "time_window"},
	}
}

func authKeyHints() map[string]hint {
	const fromFile = `secret = "file:/etc/halo/vrrp.key"`
	return map[string]hint{
		"key_file": {write: fromFile},
		"file":     {write: fromFile},
		"key":      {key: "secret"},
		"value":    {key: "secret"},
		"password": {key: "secret"},
	}
}
