package radv_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/radv"
)

// basic is a valid configuration without options.
func basic() radv.Config {
	return radv.Config{
		MinInterval: 200 * time.Second, MaxInterval: 600 * time.Second, Lifetime: 1800 * time.Second, HopLimit: 64,
	}
}

// everything is one with every option.
func everything() radv.Config {
	return radv.Config{
		MinInterval: 3 * time.Second, MaxInterval: 4 * time.Second, Lifetime: 9000 * time.Second, Preference: radv.High,
		Managed: true, OtherConfig: true, HopLimit: 255, ReachableTime: 30 * time.Second, RetransmitTimer: 1500 * time.Millisecond, MTU: 1480,
		Prefixes: []radv.Prefix{
			{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), OnLink: true, Autonomous: true, Valid: 720 * time.Hour, Preferred: 168 * time.Hour},
			{Prefix: netip.MustParsePrefix("2001:db8:2::/56"), Valid: time.Hour},
		},
		DNSServers: []netip.Addr{netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("fe80::53")},
		DNSSearch:  []string{"example.com", "a.b"}, DNSLifetime: 1800 * time.Second,
	}
}

func unhex(t testing.TB, lines ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(lines, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes are spelt out by hand after RFC 4861 §4.2 and §4.6, RFC 4191 §2.2 and
// RFC 8106 §5. Another reader sees them in core/kernel/rawsock.
func TestMessageBytes(t *testing.T) {
	link := []byte{2, 0, 0, 0, 0x0a, 1}
	for _, test := range []struct {
		name     string
		config   radv.Config
		link     []byte
		lifetime time.Duration
		want     []byte
	}{
		{"plain", basic(), nil, 1800 * time.Second, unhex(t, "86 00 0000", "40 00 0708", "00000000 00000000")},
		{"final", basic(), link, 0, unhex(t, "86 00 0000", "40 00 0000", "00000000 00000000", "01 01 0200 0000 0a01")},
		{"everything", everything(), link, 9000 * time.Second, unhex(t,
			"86 00 0000", "ff c8 2328", "00007530 000005dc",
			"01 01 0200 0000 0a01",
			"05 01 0000 000005c8",
			"03 04 40 c0 00278d00 00093a80 00000000 20010db8000100000000000000000000",
			"03 04 38 00 00000e10 00000000 00000000 20010db8000200000000000000000000",
			"19 05 0000 00000708 20010db8000000000000000000000053 fe800000000000000000000000000053",
			"1f 04 0000 00000708 07 6578616d706c65 03 636f6d 00 01 61 01 62 00 000000 00 00 00",
		)},
		// RFC 4191 §2.2: no preference without a lifetime.
		{"everything, final", everything(), nil, 0, append(unhex(t, "86 00 0000", "ff c0 0000", "00007530 000005dc"),
			everythingOptions(t)...)},
	} {
		got := test.config.Append([]byte("kept"), test.link, test.lifetime)
		if string(got[:4]) != "kept" || !bytes.Equal(got[4:], test.want) {
			t.Errorf("%s:\n got %x\nwant %x", test.name, got[4:], test.want)
		}
		if len(got[4:])%8 != 0 {
			t.Errorf("%s: %d bytes are no whole units", test.name, len(got)-4)
		}
	}
}

// everythingOptions are those of everything behind the link's address.
func everythingOptions(t *testing.T) []byte {
	t.Helper()
	c := everything()
	return c.Append(nil, nil, 0)[16:]
}

func TestPreferences(t *testing.T) {
	for word, bits := range map[string]byte{"low": 0x18, "medium": 0x00, "high": 0x08} {
		p, err := radv.ParsePreference(word)
		if err != nil || p.String() != word {
			t.Errorf("%s: %v, %v", word, p, err)
		}
		c := basic()
		c.Preference = p
		if got := c.Append(nil, nil, c.Lifetime)[5]; got != bits {
			t.Errorf("%s: flags %#x, want %#x", word, got, bits)
		}
	}
	if _, err := radv.ParsePreference("reserved"); err == nil {
		t.Error("a word that is none is one")
	}
}

// What does not fit into a field is the nearest that does.
func TestLifetimesAreBounded(t *testing.T) {
	c := basic()
	c.Prefixes = []radv.Prefix{{Prefix: netip.MustParsePrefix("2001:db8::/64"), Valid: 200 * 365 * 24 * time.Hour, Preferred: -1}}
	got := c.Append(nil, nil, c.Lifetime)[20:28]
	if !bytes.Equal(got, []byte{0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0}) {
		t.Errorf("lifetimes %x", got)
	}
}

func TestEqual(t *testing.T) {
	a := everything()
	for name, change := range map[string]func(*radv.Config){
		"interval":     func(c *radv.Config) { c.MaxInterval = 5 * time.Second },
		"min interval": func(c *radv.Config) { c.MinInterval = 3500 * time.Millisecond },
		"preference":   func(c *radv.Config) { c.Preference = radv.Low },
		"prefix":       func(c *radv.Config) { c.Prefixes[1].Autonomous = true },
		"name":         func(c *radv.Config) { c.DNSSearch[1] = "a.c" },
		"server":       func(c *radv.Config) { c.DNSServers = c.DNSServers[:1] },
	} {
		b := everything()
		if !a.Equal(&b) {
			t.Fatal("equal ones are not")
		}
		if change(&b); a.Equal(&b) {
			t.Errorf("another %s makes no difference", name)
		}
	}
}
