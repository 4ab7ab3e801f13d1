package wire_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

func TestTrailerRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, form := drawAdvertisement(rt)
		a.Auth = wire.Auth{}
		m := drawMeta(rt, a.Family)
		if rapid.Bool().Draw(rt, "unicast") {
			m.Destination = drawAddr(rt, a.Family, "peer")
		}
		if m.Destination.IsMulticast() {
			m.Destination = a.Family.Group()
		}
		m.Arrived = time.Unix(rapid.Int64Range(0, 1<<33).Draw(rt, "now"), rapid.Int64Range(0, 999_999_999).Draw(rt, "nanoseconds"))
		secret := rapid.SliceOfN(rapid.Byte(), 32, 64).Draw(rt, "secret")
		h := wire.HMAC{Window: 5 * time.Second}
		k, err := wire.ParseKey(rapid.IntRange(1, 255).Draw(rt, "id"), "hex:"+hexOf(secret))
		if err != nil {
			rt.Fatal(err)
		}
		if h.Keys, err = wire.NewKeyRing(int(k.ID()), k); err != nil {
			rt.Fatal(err)
		}
		var stamps wire.Stamps
		plain, err := a.Append(nil, m.Source, m.Destination, form)
		if err != nil {
			rt.Fatal(err)
		}
		b, err := a.AppendHMAC([]byte{9}, m.Source, m.Destination, form, h.Keys, stamps.Next(m.Arrived, &h))
		if err != nil || b[0] != 9 {
			rt.Fatal(b, err)
		}
		b = b[1:]
		if len(b) != a.Length()+wire.TrailerLength || len(b) > wire.MaxLengthHMAC {
			rt.Fatalf("%d bytes", len(b))
		}
		message, trailer := b[:a.Length()], b[a.Length():]
		// The message is the one without a trailer, but for the checksum of IPv6.
		if a.Family == wire.IPv6 {
			copy(plain[6:8], message[6:8])
			if want := naive(t, m.Source, m.Destination, b); want != binary.BigEndian.Uint16(b[6:]) {
				rt.Fatalf("checksum % x, want %#04x", b[6:8], want)
			}
		}
		if !bytes.Equal(message, plain) {
			rt.Fatalf("message\n% x, without trailer\n% x", message, plain)
		}
		if want := trailerMAC(secret, m.Source, message, trailer[:12]); !bytes.Equal(trailer[12:], want) {
			rt.Fatalf("MAC % x, want % x", trailer[12:], want)
		}
		expect := expectOf(a, form)
		expect.Group, expect.HMAC, expect.Marks = m.Destination, h, wire.NewMarks(1)
		var back wire.Advertisement
		if findings, drop := expect.Check(b, m, &back); drop != wire.DropNone || findings.Any() {
			rt.Fatalf("Check = %+v, %v", findings, drop)
		}
		if diff := cmp.Diff(a, back, compareAddrs, cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("(-sent +received):\n%s", diff)
		}
	})
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

// Copies to several peers have one stamp and one MAC.
func TestTrailerCopiesAreAlike(t *testing.T) {
	keys := ring(t, 1, key(t, 1, keyK))
	source := netip.MustParseAddr("192.0.2.1")
	var copies [][]byte
	for _, peer := range []string{"192.0.2.2", "192.0.2.3"} {
		b, err := golden[2].value.AppendHMAC(nil, source, netip.MustParseAddr(peer), wire.PseudoHeader, keys, 7)
		if err != nil {
			t.Fatal(err)
		}
		clear(b[6:8]) // The checksum covers the destination.
		copies = append(copies, b)
	}
	if !bytes.Equal(copies[0], copies[1]) {
		t.Errorf("% x and % x", copies[0], copies[1])
	}
}

func TestAppendHMACRefuses(t *testing.T) {
	keys := ring(t, 1, key(t, 1, keyK))
	tests := []struct {
		name                string
		change              func(*wire.Advertisement)
		source, destination string
		keys                wire.KeyRing
		want                string
	}{
		{"no keys", func(*wire.Advertisement) {}, "192.0.2.1", "224.0.0.18", wire.KeyRing{}, "needs a key"},
		{"a password", func(a *wire.Advertisement) { a.Version, a.Auth = wire.V2, pass("x") }, "192.0.2.1", "224.0.0.18", keys, "no authentication of type pass"},
		{"an authentication header", func(a *wire.Advertisement) { a.Auth.Type = wire.AuthHeader }, "192.0.2.1", "224.0.0.18", keys, "type ah"},
		{"version 2 over IPv6", func(a *wire.Advertisement) {
			a.Version, a.Family, a.Addresses = wire.V2, wire.IPv6, addrs("fe80::1")
		}, "fe80::1", "ff02::12", keys, "version 2 knows IPv4 only"},
		{"no addresses", func(a *wire.Advertisement) { a.Addresses = nil }, "192.0.2.1", "224.0.0.18", keys, "no addresses"},
		{"from IPv6", func(*wire.Advertisement) {}, "fe80::1", "224.0.0.18", keys, "no IPv4 packet goes from fe80::1"},
		{"from nowhere", func(*wire.Advertisement) {}, "", "224.0.0.18", keys, "no IPv4 packet"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := golden[2].value
			tt.change(&a)
			source, _ := netip.ParseAddr(tt.source)
			// Neither form of the checksum does without the source: the MAC covers it.
			b, err := a.AppendHMAC([]byte{1}, source, netip.MustParseAddr(tt.destination), wire.Plain, tt.keys, 1)
			wantError(t, err, tt.want)
			if !bytes.Equal(b, []byte{1}) {
				t.Errorf("a refused advertisement left bytes: % x", b)
			}
		})
	}
}

func TestTrailerOf(t *testing.T) {
	whole := fromVector(t, 0).payload
	for name, tt := range map[string]struct {
		payload []byte
		family  wire.Family
		want    bool
	}{
		"whole":               {whole, wire.IPv4, true},
		"in another family":   {whole, wire.IPv6, false},
		"without":             {whole[:12], wire.IPv4, false},
		"cut":                 {whole[:39], wire.IPv4, false},
		"longer":              {append(bytes.Clone(whole), 0), wire.IPv4, false},
		"half a header":       {whole[:7], wire.IPv4, false},
		"nothing":             {nil, wire.IPv4, false},
		"another version":     {append([]byte{0x41}, whole[1:]...), wire.IPv4, false},
		"version 2 of IPv6":   {append([]byte{0x21}, whole[1:]...), wire.IPv6, false},
		"version 2 is longer": {append([]byte{0x21}, whole[1:]...), wire.IPv4, false},
	} {
		if got, ok := wire.TrailerOf(tt.payload, tt.family); ok != tt.want || !ok && got != (wire.Trailer{}) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

// Neither sending nor receiving makes garbage, whatever the trailer is like.
func TestTrailerDoesNotAllocate(t *testing.T) {
	h := wire.HMAC{Keys: ring(t, 9, key(t, 1, keyK), key(t, 9, "correct-horse-battery-staple-0001")), Window: 5 * time.Second}
	now := vectorTime()
	for _, a := range []wire.Advertisement{golden[1].value, golden[2].value, v6Advertisement()} {
		m := metaFrom("192.0.2.1")
		if a.Family == wire.IPv6 {
			m = v6Meta()
		}
		m.Arrived = now
		buf := make([]byte, 0, wire.MaxLengthHMAC)
		var stamps wire.Stamps
		var got wire.Advertisement
		expect := expectOf(a, wire.PseudoHeader)
		expect.HMAC, expect.Marks = h, wire.NewMarks(wire.MulticastSenders)
		for _, want := range []wire.DropReason{
			wire.DropNone, wire.DropHMACReplay, wire.DropHMACInvalid, wire.DropHMACUnknownKey, wire.DropHMACStale, wire.DropHMACMalformed,
		} {
			if n := testing.AllocsPerRun(100, func() {
				packet, err := a.AppendHMAC(buf, m.Source, m.Destination, wire.PseudoHeader, h.Keys, stamps.Next(now, &h))
				if err != nil {
					t.Fatal(err)
				}
				trailer := packet[a.Length():]
				switch want { //nolint:exhaustive // what has to be done to the packet
				case wire.DropHMACReplay:
					if _, drop := expect.Check(packet, m, &got); drop != wire.DropNone {
						t.Fatal(drop)
					}
				case wire.DropHMACInvalid:
					trailer[12] ^= 1
				case wire.DropHMACUnknownKey:
					trailer[1] = 77
				case wire.DropHMACStale:
					trailer[4] = 0
				case wire.DropHMACMalformed:
					trailer[0] = 9
				}
				if a.Family == wire.IPv6 && want != wire.DropNone && want != wire.DropHMACReplay {
					reseal(packet, m)
				}
				if _, drop := expect.Check(packet, m, &got); drop != want {
					t.Fatalf("dropped for %v, want %v", drop, want)
				}
			}); n != 0 {
				t.Errorf("%v, %v: %v allocations", a, want, n)
			}
		}
	}
}

// reseal makes the checksum over IPv6 right, and no garbage.
func reseal(packet []byte, m wire.Meta) {
	packet[6], packet[7] = 0, 0
	total := uint32(len(packet)) + wire.Protocol
	add := func(b []byte) {
		for i := 0; i < len(b); i += 2 {
			total += uint32(b[i])<<8 | uint32(b[i+1])
		}
	}
	s, d := m.Source.As16(), m.Destination.As16()
	add(s[:])
	add(d[:])
	add(packet)
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	binary.BigEndian.PutUint16(packet[6:], ^uint16(total))
}

// The longest there are: 255 addresses, and a full table of senders.
func TestTrailerLimits(t *testing.T) {
	h := wire.HMAC{Keys: ring(t, 1, key(t, 1, keyK)), Window: 5 * time.Second}
	long := v6Advertisement()
	for i := len(long.Addresses); i < wire.MaxAddresses; i++ {
		long.Addresses = append(long.Addresses, netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(i)}))
	}
	m := v6Meta()
	m.Arrived = vectorTime()
	expect := expectOf(long, wire.PseudoHeader)
	expect.HMAC, expect.Marks = h, wire.NewMarks(2)
	var stamps wire.Stamps
	var a wire.Advertisement
	for i := range 5 {
		m.Source = netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(i)})
		packet, err := long.AppendHMAC(nil, m.Source, m.Destination, wire.PseudoHeader, h.Keys, stamps.Next(m.Arrived, &h))
		if err != nil || len(packet) != wire.MaxLengthHMAC {
			t.Fatalf("%d bytes, %v", len(packet), err)
		}
		for _, want := range []wire.DropReason{wire.DropNone, wire.DropHMACReplay} {
			if _, drop := expect.Check(packet, m, &a); drop != want {
				t.Errorf("sender %d: dropped for %v, want %v", i, drop, want)
			}
		}
	}
}
