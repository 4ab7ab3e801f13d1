package wire_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// golden holds messages whose bytes were computed without this package.
var golden = []struct {
	name   string
	value  wire.Advertisement
	source string
	form   wire.ChecksumForm
	bytes  string
}{
	{
		name: "version 2 with a password",
		value: wire.Advertisement{
			Version: wire.V2, VRID: 51, Priority: 100, Interval: time.Second,
			Addresses: addrs("192.0.2.10"), Auth: pass("1234"),
		},
		source: "192.0.2.1",
		bytes:  "21 33 64 01 01 01 53 59 c0 00 02 0a 31 32 33 34 00 00 00 00",
	},
	{
		name: "version 2 without authentication, three addresses, owner",
		value: wire.Advertisement{
			Version: wire.V2, VRID: 1, Priority: 255, Interval: 5 * time.Second,
			Addresses: addrs("192.0.2.10", "192.0.2.11", "198.51.100.1"),
		},
		source: "192.0.2.1",
		bytes:  "21 01 ff 03 00 05 31 aa c0 00 02 0a c0 00 02 0b c6 33 64 01 00 00 00 00 00 00 00 00",
	},
	{
		name:   "version 3 with the pseudo-header",
		value:  wire.Advertisement{Version: wire.V3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: addrs("192.0.2.10")},
		source: "192.0.2.1",
		bytes:  "31 33 96 01 00 64 d3 cb c0 00 02 0a",
	},
	{
		name:   "version 3 without the pseudo-header",
		value:  wire.Advertisement{Version: wire.V3, VRID: 51, Priority: 150, Interval: time.Second, Addresses: addrs("192.0.2.10")},
		source: "192.0.2.1",
		form:   wire.Plain,
		bytes:  "31 33 96 01 00 64 76 5c c0 00 02 0a",
	},
	{
		name: "version 3, the longest interval, giving up",
		value: wire.Advertisement{
			Version: wire.V3, VRID: 255, Priority: 0, Interval: 40950 * time.Millisecond,
			Addresses: addrs("192.0.2.10", "192.0.2.11"),
		},
		source: "192.0.2.254",
		bytes:  "31 ff 00 02 0f ff 96 57 c0 00 02 0a c0 00 02 0b",
	},
}

//rfc:9568/5.2.6-1 positive
//rfc:9568/5.2.9-2 positive
//rfc:9568/7.2-2 positive
//rfc:3768/7.2-2 positive
func TestGoldenBytes(t *testing.T) {
	for _, tt := range golden {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.value.Append(nil, netip.MustParseAddr(tt.source), wire.GroupIPv4(), tt.form)
			if err != nil {
				t.Fatal(err)
			}
			want := unhex(t, tt.bytes)
			if !bytes.Equal(got, want) {
				t.Errorf("Append\n got % x\nwant % x", got, want)
			}
			if len(got) != tt.value.Length() {
				t.Errorf("Length() = %d, encoded %d", tt.value.Length(), len(got))
			}
			expect := expectOf(tt.value, tt.form)
			var back wire.Advertisement
			findings, drop := expect.Check(want, metaFrom(tt.source), &back)
			if drop != wire.DropNone || findings.Any() {
				t.Errorf("Check = %+v, %v", findings, drop)
			}
			if diff := cmp.Diff(tt.value, back, compareAddrs); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	a := golden[2].value
	got, err := a.Append([]byte("before"), netip.MustParseAddr("192.0.2.1"), wire.GroupIPv4(), wire.PseudoHeader)
	if err != nil {
		t.Fatal(err)
	}
	if want := append([]byte("before"), unhex(t, golden[2].bytes)...); !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}

//rfc:9568/5.2.9-2 negative
//rfc:9568/6.1-1 negative
func TestAppendRefuses(t *testing.T) {
	good := golden[2].value
	tests := []struct {
		name   string
		change func(*wire.Advertisement)
		want   string
	}{
		{"version 1", func(a *wire.Advertisement) { a.Version = 1 }, "version 1 is not 2 or 3"},
		{"virtual router id 0", func(a *wire.Advertisement) { a.VRID = 0 }, "id 0 is reserved"},
		{"no address", func(a *wire.Advertisement) { a.Addresses = nil }, "no addresses"},
		{"256 addresses", func(a *wire.Advertisement) { a.Addresses = many(256) }, "256 addresses, at most 255"},
		{"an IPv6 address", func(a *wire.Advertisement) { a.Addresses = addrs("2001:db8::1") }, "not an IPv4 address"},
		{"no interval", func(a *wire.Advertisement) { a.Interval = 0 }, "interval 0s is not in 10ms to 40.95s"},
		{"interval between centiseconds", func(a *wire.Advertisement) { a.Interval = 15 * time.Millisecond }, "steps of 10ms"},
		{"interval too long", func(a *wire.Advertisement) { a.Interval = 41 * time.Second }, "interval 41s"},
		{"version 2 below a second", func(a *wire.Advertisement) { a.Version, a.Interval = wire.V2, 500*time.Millisecond }, "steps of 1s"},
		{"version 2 too long", func(a *wire.Advertisement) { a.Version, a.Interval = wire.V2, 256*time.Second }, "1s to 4m15s"},
		{"authentication header without a password", func(a *wire.Advertisement) {
			a.Version, a.Interval, a.Auth.Type = wire.V2, time.Second, wire.AuthHeader
		}, "header needs a password"},
		{"an authentication type that does not exist", func(a *wire.Advertisement) {
			a.Version, a.Interval, a.Auth.Type = wire.V2, time.Second, 3
		}, "type 3 is not supported"},
		{"a family that does not exist", func(a *wire.Advertisement) { a.Family = 2 }, "family 2 is not one"},
		{"a password without its type", func(a *wire.Advertisement) {
			a.Version, a.Auth.Password = wire.V2, wire.Password{1}
		}, "type none is not supported"},
		{"version 3 with a password", func(a *wire.Advertisement) { a.Auth = pass("x") }, "no authentication"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := good
			tt.change(&a)
			b, err := a.Append([]byte{1}, netip.MustParseAddr("192.0.2.1"), wire.GroupIPv4(), wire.PseudoHeader)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if !bytes.Equal(b, []byte{1}) {
				t.Errorf("a refused advertisement left bytes: % x", b)
			}
		})
	}
	if _, err := good.Append(nil, netip.Addr{}, wire.GroupIPv4(), wire.PseudoHeader); err == nil {
		t.Error("encoded a pseudo-header without a source")
	}
}

//rfc:9568/6.1-1 positive
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, form := drawAdvertisement(t)
		m := drawMeta(t, a.Family)
		b, err := a.Append(nil, m.Source, m.Destination, form)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != a.Length() {
			t.Fatalf("Length() = %d, encoded %d", a.Length(), len(b))
		}
		expect := expectOf(a, form)
		var back wire.Advertisement
		findings, drop := expect.Check(b, m, &back)
		if drop != wire.DropNone || findings.Any() {
			t.Fatalf("Check = %+v, %v", findings, drop)
		}
		if diff := cmp.Diff(a, back, compareAddrs, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-sent +received):\n%s", diff)
		}
	})
}

// Any single flipped bit is noticed: by the checksum or by an earlier check.
//
//rfc:9568/7.1-5 negative
//rfc:9568/7.2-2 negative
//rfc:3768/7.1-4 negative
//rfc:3768/7.2-2 negative
func TestFlippedBitIsDropped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, form := drawAdvertisement(t)
		m := drawMeta(t, a.Family)
		b, err := a.Append(nil, m.Source, m.Destination, form)
		if err != nil {
			t.Fatal(err)
		}
		bit := rapid.IntRange(0, len(b)*8-1).Draw(t, "bit")
		b[bit/8] ^= 1 << (bit % 8)
		expect := expectOf(a, form)
		var back wire.Advertisement
		if findings, drop := expect.Check(b, m, &back); drop == wire.DropNone && !findings.Checksum {
			t.Fatalf("flipped bit %d went unnoticed", bit)
		}
	})
}

func drawAdvertisement(t *rapid.T) (wire.Advertisement, wire.ChecksumForm) {
	a := wire.Advertisement{
		Version:  rapid.SampledFrom([]wire.Version{wire.V2, wire.V3}).Draw(t, "version"),
		VRID:     rapid.Uint8Range(1, 255).Draw(t, "vrid"),
		Priority: rapid.Uint8().Draw(t, "priority"),
	}
	if a.Version == wire.V3 {
		a.Family = rapid.SampledFrom([]wire.Family{wire.IPv4, wire.IPv6}).Draw(t, "family")
	}
	for i := range rapid.IntRange(1, wire.MaxAddresses).Draw(t, "count") {
		if i == 0 && a.Family == wire.IPv6 {
			a.Addresses = append(a.Addresses, drawLinkLocal(t, "first address"))
			continue
		}
		a.Addresses = append(a.Addresses, drawAddr(t, a.Family, "address"))
	}
	form := wire.PseudoHeader
	if a.Version == wire.V2 {
		a.Interval = time.Duration(rapid.IntRange(1, 255).Draw(t, "seconds")) * time.Second
		if rapid.Bool().Draw(t, "password") {
			a.Auth = pass(rapid.StringMatching(`[ -~]{1,8}`).Draw(t, "word"))
		}
	} else {
		a.Interval = time.Duration(rapid.IntRange(1, 4095).Draw(t, "centiseconds")) * 10 * time.Millisecond
		form = rapid.SampledFrom([]wire.ChecksumForm{wire.PseudoHeader, wire.Plain}).Draw(t, "form")
	}
	return a, form
}

func drawMeta(t *rapid.T, family wire.Family) wire.Meta {
	m := wire.Meta{Destination: family.Group(), TTL: 255}
	if family == wire.IPv6 {
		m.Source = drawLinkLocal(t, "source")
	} else {
		m.Source = drawAddr(t, family, "source")
	}
	return m
}

func drawAddr(t *rapid.T, family wire.Family, label string) netip.Addr {
	if family == wire.IPv4 {
		return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, label)))
	}
	b := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label))
	b[0] |= 0x20 // Never an IPv4 address in disguise.
	return netip.AddrFrom16(b)
}

func drawLinkLocal(t *rapid.T, label string) netip.Addr {
	b := [16]byte{0: 0xfe, 1: 0x80}
	copy(b[8:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, label))
	return netip.AddrFrom16(b)
}

var compareAddrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func expectOf(a wire.Advertisement, form wire.ChecksumForm) wire.Expect {
	return wire.Expect{
		Version: a.Version, Family: a.Family, Interval: a.Interval, Auth: a.Auth, Checksum: form,
		Addresses: slices.Clone(a.Addresses), Group: a.Family.Group(),
	}
}

func metaFrom(source string) wire.Meta {
	return wire.Meta{Source: netip.MustParseAddr(source), Destination: wire.GroupIPv4(), TTL: 255, Interface: 2}
}

func addrs(list ...string) []netip.Addr {
	out := make([]netip.Addr, 0, len(list))
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func many(n int) []netip.Addr {
	out := make([]netip.Addr, 0, n)
	for i := range n {
		out = append(out, netip.AddrFrom4([4]byte{198, 51, byte(100 + i/256), byte(i)}))
	}
	return out
}

func pass(s string) wire.Auth {
	p, err := wire.NewPassword(s)
	if err != nil {
		panic(err)
	}
	return wire.Auth{Type: wire.AuthPassword, Password: p}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
