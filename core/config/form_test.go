package config

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// readOne reads "x = text" through a form and returns what is said of it.
func readOne[T any](t testing.TB, f form[T], text string) (T, string) {
	t.Helper()
	src := newSource("f", "x = "+text)
	root, problems := decode(src)
	if len(problems) > 0 {
		t.Fatalf("%s: %s", text, problems)
	}
	r := &reader{source: src}
	got, ok := f.read(value{reader: r, path: "x", node: root.entries["x"]})
	if ok == r.problems.HasErrors() {
		t.Errorf("%s: is right: %t, and there are problems:\n%s", text, ok, r.problems)
	}
	if len(r.problems) == 0 {
		return got, ""
	}
	p := r.problems[0]
	if p.Suggestion != "" {
		return got, p.Message + " -> " + p.Suggestion
	}
	return got, p.Message
}

func TestDurations(t *testing.T) {
	t.Parallel()
	f := durations{low: time.Second, high: 48 * time.Hour, step: 500 * time.Millisecond}
	tests := []struct {
		text string
		want time.Duration
		said string
	}{
		{`"1s"`, time.Second, ""},
		{`"1.5s"`, 1500 * time.Millisecond, ""},
		{`"1m30s"`, 90 * time.Second, ""},
		{`"48h"`, 48 * time.Hour, ""},
		{`"500ms"`, 0, `"500ms" is out of range`},
		{`"49h"`, 0, `"49h" is out of range`},
		{`"-2s"`, 0, `"-2s" is out of range`},
		{`"1250ms"`, 0, `"1250ms" is not a multiple of 500ms`},
		{`"5"`, 0, `"5" has no unit -> "5s"`},
		{`"0"`, 0, `"0" is out of range`}, // Go's own spelling of nothing.
		{`"5 s"`, 0, `"5 s" is not a duration -> "5s"`},
		{`"5S"`, 0, `"5S" is not a duration -> "5s"`},
		{`"5sec"`, 0, `"5sec" is not a duration -> "5s"`},
		{`"10 Minutes"`, 0, `"10 Minutes" is not a duration -> "10m"`},
		{`"1500 msec"`, 0, `"1500 msec" is not a duration -> "1500ms"`},
		{`"2 hours"`, 0, `"2 hours" is not a duration -> "2h"`},
		{`"2d"`, 0, `"2d" is not a duration -> "48h"`},
		{`"3d"`, 0, `"3d" is not a duration`}, // Out of range, so not suggested.
		{`"soon"`, 0, `"soon" is not a duration`},
		{`""`, 0, `"" is not a duration`},
		{`5`, 0, `is an integer -> "5s"`},
		{`5.5`, 0, `is a number with a fraction -> "5.5s"`},
		{`500`, 0, `is an integer -> "500s"`},
		{`true`, 0, `is true or false`},
		{`["5s"]`, 0, `is a list`},
		{`"99999999999999h"`, 0, `"99999999999999h" is not a duration`},
	}
	for _, test := range tests {
		got, said := readOne(t, f, test.text)
		if got != test.want || said != test.said {
			t.Errorf("%s: %v, %q, want %v, %q", test.text, got, said, test.want, test.said)
		}
	}
}

func TestIntegersAndBooleans(t *testing.T) {
	t.Parallel()
	f := integers[uint8]{1, 255}
	for text, want := range map[string]string{
		`1`: "", `255`: "", `0x33`: "",
		`0`: "0 is out of range", `256`: "256 is out of range", `-1`: "-1 is out of range",
		`9223372036854775807`: "9223372036854775807 is out of range",
		`"51"`:                "is a string -> 51", `" 51 "`: "is a string -> 51", `"256"`: "is a string", `"a"`: "is a string",
		`51.0`: "is a number with a fraction -> 51", `51.5`: "is a number with a fraction", `inf`: "is a number with a fraction",
		`true`: "is true or false", `{}`: "is a table", `2026-01-01`: "is a date or time",
	} {
		if _, said := readOne(t, f, text); said != want {
			t.Errorf("%s: %q, want %q", text, said, want)
		}
	}
	for text, want := range map[string]string{
		`true`: "", `false`: "", `"yes"`: "is a string -> true", `"Off"`: "is a string -> false", `1`: "is an integer -> true", `0`: "is an integer -> false", `2`: "is an integer", `"maybe"`: "is a string",
	} {
		if _, said := readOne(t, booleans{}, text); said != want {
			t.Errorf("%s: %q, want %q", text, said, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	const name, v6 = " is a name, and halo asks no name server", " is IPv6, which is not supported yet by this version"
	for text, want := range map[string]string{
		`"192.0.2.1"`: "", `"10.0.0.1"`: "", `"127.0.0.1"`: "", `"0.0.0.0"`: " is the unspecified address",
		`"255.255.255.255"`: " is the broadcast address", `"224.0.0.18"`: " is a multicast address",
		`"::1"`: v6, `"2001:db8::1"`: v6, `"::ffff:192.0.2.1"`: v6, `"fe80::1%eth0"`: v6,
		`"192.0.2.1/24"`: ` has a prefix length -> "192.0.2.1"`, `"192.0.2.1:80"`: ` has a port -> "192.0.2.1"`,
		`"192.0.2.01"`: " is not an address", `"192.0.2"`: " is not an address", `""`: " is not an address", `" 192.0.2.1"`: " is not an address",
		`"localhost"`: name, `"lb.example"`: name,
	} {
		if want != "" {
			want = text + want
		}
		if _, said := readOne(t, addresses{"192.0.2.1"}, text); said != want {
			t.Errorf("address %s: %q, want %q", text, said, want)
		}
	}
	for text, want := range map[string]string{
		`"192.0.2.1"`: "", `"2001:db8::1"`: "", `"fe80::1"`: "", `"fe80::1%eth0"`: " has a zone, which the key interface stands for",
		`"192.0.2.1/24"`: ` has a prefix length -> "192.0.2.1"`, `"[2001:db8::1]:80"`: ` has a port -> "2001:db8::1"`, `"lb.example"`: name,
		`"ff02::12"`: " is no address that a machine can have", `"0.0.0.0"`: " is no address that a machine can have", `""`: " is not an address",
	} {
		if want != "" {
			want = text + want
		}
		if _, said := readOne(t, hosts{"192.0.2.1"}, text); said != want {
			t.Errorf("host %s: %q, want %q", text, said, want)
		}
	}
	const bits = " has no prefix length from 1 to 32"
	for text, want := range map[string]string{
		`"192.0.2.1"`: "", `"192.0.2.1/32"`: "", `"192.0.2.1/1"`: "", `"192.0.2.0/31"`: "", `"192.0.2.0/32"`: "",
		`"192.0.2.0/24"`: " is the network address of its network", `"192.0.2.255/24"`: " is the broadcast address of its network", `"128.0.0.0/1"`: " is the network address of its network",
		`"192.0.2.1/0"`: " has the prefix length 0", `"192.0.2.1/33"`: bits, `"192.0.2.1/-1"`: bits, `"192.0.2.1/"`: bits, `"192.0.2.1/255.255.255.0"`: bits,
		`"127.0.0.2/8"`: " is a loopback address, which no other machine can reach", `"lb.example/24"`: name,
		`"fe80::1/64"`: "", `"2001:db8::1"`: "", `"2001:db8::/64"`: "", `"2001:db8::1/129"`: " has no prefix length from 1 to 128", `"::/0"`: " is no address that a machine can have",
		`"ff02::12/64"`: " is no address that a machine can have", `"::1/128"`: " is a loopback address, which no other machine can reach",
		`"::ffff:192.0.2.1/128"`: " is no address that a machine can have", `"192.0.2/24"`: " is not an address",
	} {
		if want != "" {
			want = text + want
		}
		if _, said := readOne(t, prefixes{}, text); said != want {
			t.Errorf("prefix %s: %q, want %q", text, said, want)
		}
	}
	for text, want := range map[string]string{
		`"192.0.2.1:1"`: "", `"192.0.2.1:65535"`: "", `"192.0.2.1:0"`: " has the port 0", `"192.0.2.1:65536"`: " has the port 65536, which is not from 1 to 65535",
		`"192.0.2.1"`: " has no port", `"192.0.2.1:"`: " has no port number", `"192.0.2.1:http"`: " has no port number", `":80"`: " holds no address",
		`"[2001:db8::1]:80"`: v6, `"2001:db8::1"`: v6, `"localhost:80"`: name, `"web"`: name, `"80"`: " is not an endpoint", `"1.2.3:80"`: " holds no address",
		`"0.0.0.0:80"`: " is the unspecified address", `""`: " is not an endpoint",
	} {
		if want != "" {
			want = text + want
		}
		if _, said := readOne(t, endpoints{example: "192.0.2.1:80"}, text); said != want {
			t.Errorf("endpoint %s: %q, want %q", text, said, want)
		}
	}
	for text, want := range map[string]string{`"0.0.0.0:80"`: "", `"[::]:80"`: "", `"[::1]:0"`: ` has the port 0`} {
		if want != "" {
			want = text + want
		}
		if _, said := readOne(t, endpoints{example: "192.0.2.1:80", listen: true}, text); said != want {
			t.Errorf("endpoint to listen on %s: %q, want %q", text, said, want)
		}
	}
}

// TestWrongTypes gives every form what it is not.
func TestWrongTypes(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(text string) string{
		"address":  func(text string) string { _, said := readOne(t, addresses{"a"}, text); return said },
		"prefix":   func(text string) string { _, said := readOne(t, prefixes{}, text); return said },
		"endpoint": func(text string) string { _, said := readOne(t, endpoints{example: "a"}, text); return said },
		"word":     func(text string) string { _, said := readOne(t, forwards(), text); return said },
		"text":     func(text string) string { _, said := readOne(t, names(), text); return said },
		"duration": func(text string) string { _, said := readOne(t, durations{}, text); return said },
	} {
		for text, want := range map[string]string{"[1]": "is a list", "{}": "is a table", "true": "is true or false", "2026-01-01": "is a date or time"} {
			if said := read(text); said != want {
				t.Errorf("%s %s: %q, want %q", name, text, said, want)
			}
		}
	}
	list := lists[string]{of: names(), low: 0, high: 2, plural: "names"}
	for text, want := range map[string]string{
		`[]`: "", `["a", "b"]`: "", `"a"`: `is a string -> ["a"]`, `1`: "is an integer", `{}`: "is a table",
		`["a", "b", "c"]`: "has 3 names", `["a", 1]`: "is an integer", `["a", "a"]`: `"a" is in the list already, on line 1`,
	} {
		if _, said := readOne(t, list, text); said != want {
			t.Errorf("list %s: %q, want %q", text, said, want)
		}
	}
	table := wordMaps{what: "a table", name: variables}
	for text, want := range map[string]string{
		`{}`: "", `{ A = "b" }`: "", `"A=b"`: "is a string", `{ A = 1 }`: "is an integer", `{ "A B" = "c" }`: `"A B" is not the name of a variable`,
	} {
		if _, said := readOne(t, table, text); said != want {
			t.Errorf("table %s: %q, want %q", text, said, want)
		}
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		form text
		good []string
		bad  map[string]string
	}{
		{
			interfaceNames(),
			[]string{"eth0", "br-1.100@x", "fifteen-bytes.0", "ä"},
			map[string]string{"": "is empty", "sixteen-bytes..0": "has 16 bytes, and interface names have at most 15", "a/b": "is not a name that the kernel allows", "a b": "is not a name that the kernel allows", "..": "is not a name that the kernel allows", "a:0": "is not a name that the kernel allows", "a\x7f": "holds a character that cannot be printed"},
		},
		{
			names(),
			[]string{"a", "VI_1", "www.example.com", "-", strings.Repeat("x", 63)},
			map[string]string{"": "is empty", strings.Repeat("x", 64): "has 64 bytes", "a b": "holds the character ' '", "ä": "holds the character 'ä'", "a#2": "holds the character '#'", "a/b": "holds the character '/'"},
		},
		{
			passwords(),
			[]string{"a", "8 bytes!", "öäü"},
			map[string]string{"": "is empty", "9 bytes!!": "has 9 bytes, and VRRP carries 8: Keepalived would silently use the first 8", "öäüöä": "has 10 bytes, and VRRP carries 8: Keepalived would silently use the first 8", "a\n": "holds a character that cannot be typed", "\x00": "holds a character that cannot be typed"},
		},
		{
			digests(),
			[]string{strings.Repeat("0123456789abcdef", 4), strings.Repeat("ABCDEF0123456789", 4)},
			map[string]string{"": "has 0 characters", strings.Repeat("0", 63): "has 63 characters", strings.Repeat("0", 63) + "g": "holds the character 'g'"},
		},
		{
			accounts(),
			[]string{"halo", "www-data", "_x", "1000", "svc.halo$"},
			map[string]string{"": "is empty", "-a": "is not a name that an account can have", "a b": "is not a name that an account can have", "a:b": "is not a name that an account can have", strings.Repeat("x", 33): "is longer than 32 bytes"},
		},
		{
			socketPaths(),
			[]string{"/a", "/" + strings.Repeat("x", 106)},
			map[string]string{"": "is empty", "a": `does not begin with "/"`, "/" + strings.Repeat("x", 107): "has 108 bytes, and the path of a socket has at most 107", "@abstract": `does not begin with "/"`},
		},
		{
			labels(),
			[]string{"a", "zwei Wörter", strings.Repeat("ä", 255)},
			map[string]string{"": "is empty", strings.Repeat("ä", 256): "has 256 characters", "a\nb": "holds a character that cannot be printed"},
		},
	} {
		for _, word := range test.good {
			if wrong := test.form.test(word); wrong != "" {
				t.Errorf("%s: %q %s", test.form.what, word, wrong)
			}
		}
		for word, want := range test.bad {
			if wrong := test.form.test(word); wrong != want {
				t.Errorf("%s: %q %s, want %s", test.form.what, word, wrong, want)
			}
		}
	}
	for name, good := range map[string]bool{"PATH": true, "_": true, "a1": true, "": false, "1a": false, "A-B": false, "A=": false, "Ä": false} {
		if (variables(name) == "") != good {
			t.Errorf("variable %q: %q", name, variables(name))
		}
	}
}

func TestSuggestions(t *testing.T) {
	t.Parallel()
	known := []string{"addresses", "advert_interval", "priority", "preempt", "preempt_delay"}
	for word, want := range map[string]string{
		"prioritty": `"priority"`, "Priority": `"priority"`, "preempt-delay": `"preempt_delay"`, "preemt": `"preempt"`,
		"adresses": `"addresses"`, "ADVERT_INTERVALL": `"advert_interval"`, "colour": "", "": "", "x": "",
		strings.Repeat("priority", 100): "",
	} {
		if got := suggest(word, known); got != want {
			t.Errorf("suggest(%q) = %s, want %s", word, got, want)
		}
	}
	if got := suggest("aa", []string{"ab", "ba", "ac"}); got != `"ab"` {
		t.Errorf("of equally near words %s is chosen", got)
	}
}

// TestSpelledDurationsAreRead: what a message or a default says can be written.
func TestSpelledDurationsAreRead(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", time.Millisecond: "1ms", 90 * time.Second: "90s", time.Minute: "1m", 1000 * time.Second: "1000s",
		time.Hour: "1h", 24 * time.Hour: "24h", 90 * time.Minute: "1h30m", 40950 * time.Millisecond: "40.95s",
	} {
		if got := spell(d); got != want {
			t.Errorf("spell(%d) = %q, want %q", d, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "d"))
		if back, err := time.ParseDuration(spell(d)); err != nil || back != d {
			t.Fatalf("%d is spelled %s and read as %d, %v", d, spell(d), back, err)
		}
	})
}

// TestSuggestedDurationsAreRight: what is suggested is accepted.
func TestSuggestedDurationsAreRight(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		f := durations{low: time.Second, high: time.Hour, step: time.Second}
		number := rapid.IntRange(-10, 10000).Draw(rt, "number")
		unit := rapid.SampledFrom([]string{"", " s", "sec", " seconds", "min", "h", "hours", "d", "msec", "ns", "x"}).Draw(rt, "unit")
		suggestion := f.suggestion(strconv.Itoa(number) + unit)
		if suggestion == "" {
			return
		}
		if _, said := readOne(t, f, suggestion); said != "" {
			rt.Fatalf("%d%s: suggested %s, which is refused: %s", number, unit, suggestion, said)
		}
	})
}
