package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("error %v, want one with %q", err, word)
		}
	}
}

func TestParseKey(t *testing.T) {
	digits := strings.TrimPrefix(keyK, "hex:")
	tests := []struct {
		name string
		id   int
		text string
		want []string
	}{
		{"32 bytes in hexadecimal", 1, keyK, nil},
		{"in upper case", 1, "hex:" + strings.ToUpper(digits), nil},
		{"64 bytes in hexadecimal", 255, keyK + digits, nil},
		{"32 bytes of text", 1, strings.Repeat("a", 32), nil},
		{"64 bytes of text", 1, strings.Repeat("a", 64), nil},
		{"digits without the prefix are a text", 1, digits, nil},
		{"blanks belong to a text", 1, " a phrase of more than 32 bytes ", nil},
		{"a text of no alphabet", 1, strings.Repeat("\x00\xff", 16), nil},
		{"id 0", 0, keyK, []string{"parse key 0", "not 0", "1 to 255"}},
		{"id 256", 256, keyK, []string{"parse key 256", "1 to 255"}},
		{"an id below 0", -1, keyK, []string{"parse key -1", "1 to 255"}},
		{"nothing", 7, "", []string{"parse key 7", "0 bytes of text", "32 to 64", "openssl rand -hex 32"}},
		{"31 bytes of text", 7, strings.Repeat("a", 31), []string{"parse key 7", "31 bytes of text"}},
		{"65 bytes of text", 7, strings.Repeat("a", 65), []string{"65 bytes of text"}},
		{"31 bytes in hexadecimal", 7, keyK[:len(keyK)-2], []string{"31 bytes in hexadecimal", "openssl"}},
		{"65 bytes in hexadecimal", 7, keyK + digits + "00", []string{"65 bytes in hexadecimal"}},
		{"the prefix alone", 7, "hex:", []string{"0 bytes in hexadecimal"}},
		{"the prefix in upper case is none", 7, "HEX:" + digits, []string{"68 bytes of text"}},
		// Keepalived takes these three.
		{"an odd digit at the end", 7, keyK + "a", []string{"65 digits", "half a byte", "compare them"}},
		{"blanks between bytes", 7, "hex:00 01" + digits, []string{"character 3 behind hex:", "leave out blanks"}},
		{"a blank at the end", 7, keyK + " ", []string{"character 65 behind hex:"}},
		{"colons between bytes", 7, "hex:00:01" + digits, []string{"character 3"}},
		{"a letter that is no digit", 7, keyK + "0g", []string{"character 66"}},
		{"a letter that begins like a digit", 7, keyK + "\u0130", []string{"character 65"}},
		{"a file", 7, "file:/etc/halo/vrrp.key", []string{"parse key 7", "names a file", "write the key itself"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := wire.ParseKey(tt.id, tt.text)
			if tt.want == nil {
				if err != nil || int(k.ID()) != tt.id {
					t.Errorf("key %d, %v", k.ID(), err)
				}
				return
			}
			wantError(t, err, tt.want...)
			if !k.Equal(wire.Key{}) {
				t.Error("a refused key is one")
			}
			for _, leak := range []string{"000102", "aaaa"} {
				if err != nil && strings.Contains(err.Error(), leak) {
					t.Errorf("the error shows the key: %v", err)
				}
			}
		})
	}
}

func TestKeyFile(t *testing.T) {
	for text, want := range map[string]string{"file:/etc/halo/key": "/etc/halo/key", "file:key": "key", "file:": ""} {
		if path, named := wire.KeyFile(text); !named || path != want {
			t.Errorf("%q names %q, %v", text, path, named)
		}
	}
	for _, text := range []string{"", keyK, "FILE:/key", " file:/key"} {
		if path, named := wire.KeyFile(text); named {
			t.Errorf("%q names %q", text, path)
		}
	}
}

func TestParseKeyFile(t *testing.T) {
	text := strings.Repeat("a", 32)
	tests := []struct {
		name, content, same string
		want                []string
	}{
		{"hexadecimal", keyK, keyK, nil},
		{"a line", keyK + "\n", keyK, nil},
		{"a line of a DOS file, and empty ones", text + "\r\n\r\n", text, nil},
		{"the longest content", keyK + keyK[4:] + "\n\n\n\n\n\n", keyK + keyK[4:], nil},
		{"a blank belongs to the key", text + " \n", text + " ", nil},
		{"a line end before it, too", "\n" + text, "\n" + text, nil},
		{"too long", keyK + keyK[4:] + "\n\n\n\n\n\n\n", "", []string{"parse key 7 of /key", "more than 138 bytes", "nothing in it but the key"}},
		{"empty", "\n", "", []string{"parse key 7 of /key", "0 bytes of text"}},
		{"another file", "file:/other", "", []string{"parse key 7 of /key", "names a file"}},
		{"a blank behind hexadecimal", keyK + " \n", "", []string{"character 65"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := wire.ParseKeyFile(7, "/key", []byte(tt.content))
			if tt.want != nil {
				wantError(t, err, tt.want...)
				return
			}
			if err != nil || !k.Equal(key(t, 7, tt.same)) {
				t.Errorf("another key, or %v", err)
			}
		})
	}
}

func TestKeyEqual(t *testing.T) {
	a := key(t, 1, strings.Repeat("a", 32))
	for _, tt := range []struct {
		name  string
		other wire.Key
		want  bool
	}{
		{"the same", key(t, 1, strings.Repeat("a", 32)), true},
		{"the same in hexadecimal", key(t, 1, "hex:"+strings.Repeat("61", 32)), true},
		{"another id", key(t, 2, strings.Repeat("a", 32)), false},
		{"another secret", key(t, 1, strings.Repeat("a", 31)+"b"), false},
		{"a longer one", key(t, 1, strings.Repeat("a", 33)), false},
		{"none", wire.Key{}, false},
	} {
		if a.Equal(tt.other) != tt.want || tt.other.Equal(a) != tt.want {
			t.Errorf("%s: not %v", tt.name, tt.want)
		}
	}
}

func TestNewKeyRing(t *testing.T) {
	one, two := key(t, 1, strings.Repeat("a", 32)), key(t, 2, strings.Repeat("b", 32))
	tests := []struct {
		name    string
		sending int
		keys    []wire.Key
		want    []string
	}{
		{"one key", 1, []wire.Key{one}, nil},
		{"two keys", 2, []wire.Key{two, one}, nil},
		{"none", 1, nil, []string{"no keys", "add one"}},
		{"the sending one is missing", 3, []wire.Key{two, one}, []string{"key 3", "not among the keys 1, 2", "add it"}},
		{"no sending one", 0, []wire.Key{one}, []string{"key 0", "not among the keys 1"}},
		{"the sending one by its last byte", 257, []wire.Key{one}, []string{"key 257"}},
		{"an id twice", 1, []wire.Key{one, two, key(t, 1, strings.Repeat("c", 32))}, []string{"key 1 is there twice", "another"}},
		{"an empty key", 1, []wire.Key{one, {}}, []string{"a key is empty", "ParseKey"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := wire.NewKeyRing(tt.sending, tt.keys...)
			if tt.want == nil {
				if err != nil || int(r.Sending().ID()) != tt.sending || r.Empty() {
					t.Errorf("%v, %v", r, err)
				}
				return
			}
			wantError(t, err, tt.want...)
			if !r.Empty() {
				t.Error("a refused ring has keys")
			}
		})
	}
}

func TestKeyRingEqual(t *testing.T) {
	one, two := key(t, 1, strings.Repeat("a", 32)), key(t, 2, strings.Repeat("b", 32))
	r := ring(t, 1, one, two)
	for name, tt := range map[string]struct {
		other wire.KeyRing
		want  bool
	}{
		"the other order":  {ring(t, 1, two, one), true},
		"another to send":  {ring(t, 2, one, two), false},
		"one less":         {ring(t, 1, one), false},
		"another secret":   {ring(t, 1, one, key(t, 2, strings.Repeat("c", 32))), false},
		"nothing":          {wire.KeyRing{}, false},
		"a ring made anew": {ring(t, 1, key(t, 1, strings.Repeat("a", 32)), two), true},
	} {
		if r.Equal(tt.other) != tt.want || tt.other.Equal(r) != tt.want {
			t.Errorf("%s: not %v", name, tt.want)
		}
	}
	var none wire.KeyRing
	if !none.Equal(wire.KeyRing{}) {
		t.Error("no keys differ from no keys")
	}
	// The ring is its own: what the caller does to the list later is not in it.
	list := []wire.Key{one, two}
	r = ring(t, 1, list...)
	list[0] = two
	if !r.Equal(ring(t, 1, one, two)) {
		t.Error("the ring changed with the caller's list")
	}
}

func TestKeysAreNeverPrinted(t *testing.T) {
	const secret = "hunter2-hunter2-hunter2-hunter2!"
	k := key(t, 9, secret)
	type deep struct {
		key  wire.Key
		keys wire.KeyRing
		hmac *wire.HMAC
		list []wire.Key
		exp  wire.Expect
	}
	h := wire.HMAC{Keys: ring(t, 9, k), Window: 5 * time.Second}
	buried := deep{k, h.Keys, &h, []wire.Key{k}, wire.Expect{HMAC: h}}
	var all strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q", "%X", "%c", "%U"} {
		for _, value := range []any{k, &k, h.Keys, &h.Keys, h, &h, buried, &buried, []wire.Key{k}, map[int]wire.Key{1: k}} {
			_, _ = fmt.Fprintf(&all, verb+"\n", value)
		}
	}
	text, err := json.Marshal([]any{k, h, wire.Expect{HMAC: h}})
	if err != nil {
		t.Fatal(err)
	}
	all.Write(text)
	slog.New(slog.NewJSONHandler(&all, nil)).Info("keys", "key", k, "hmac", h)
	slog.New(slog.NewTextHandler(&all, nil)).Info("keys", "key", k, "hmac", h)
	packet, err := golden[2].value.AppendHMAC(nil, netip.MustParseAddr("192.0.2.1"), wire.GroupIPv4(), wire.PseudoHeader, h.Keys, 1)
	if err != nil {
		t.Fatal(err)
	}
	all.Write(packet)
	for _, leak := range []string{"hunter2", hex.EncodeToString([]byte(secret[:7])), "104 117 110", "0x68, 0x75", "68, 75", "U+0068 U+0075"} {
		if strings.Contains(strings.ToLower(all.String()), strings.ToLower(leak)) {
			t.Errorf("%q leaks", leak)
		}
	}
	if got := fmt.Sprintf("%v|%v|%v", k, h.Keys, wire.KeyRing{}); got != "key 9 (redacted)|keys 9, sending with 9|no keys" {
		t.Errorf("shown as %s", got)
	}
}

// FuzzParseKey: what is accepted has a length that is allowed and makes the MAC
// that its bytes make; what is refused is not shown.
func FuzzParseKey(f *testing.F) {
	for _, text := range []string{keyK, "hex:", "file:/key", strings.Repeat("a", 64), keyK + " ", keyK + "\r\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		k, err := wire.ParseKeyFile(3, "/key", content)
		if err != nil {
			if text := string(bytes.TrimRight(content, "\r\n")); len(text) > 20 && strings.Contains(err.Error(), text) {
				t.Fatalf("the error shows the key: %v", err)
			}
			return
		}
		text := bytes.TrimRight(content, "\r\n")
		secret := text
		if digits, isHex := bytes.CutPrefix(text, []byte("hex:")); isHex {
			secret = unhex(t, string(digits))
		}
		if len(secret) < 32 || len(secret) > 64 || bytes.HasPrefix(text, []byte("file:")) {
			t.Fatalf("accepted %q", content)
		}
		message, head := unhex(t, trailerVectors[0].message), unhex(t, trailerVectors[0].trailer)[:12]
		source := netip.MustParseAddr("192.0.2.1")
		if got, want := wire.MACOf(k, source, message, head), trailerMAC(secret, source, message, head); !bytes.Equal(got, want) {
			t.Fatalf("MAC % x, want % x", got, want)
		}
	})
}
