package wire_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
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

// vectorTime is the second of the stamps of P1, P2 and C1.
func vectorTime() time.Time { return time.Unix(0x68000000, 0) }

// trailerMAC is the MAC by the standard library's HMAC.
func trailerMAC(secret []byte, source netip.Addr, message, head []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(trailerInput(source, message, head))
	return mac.Sum(nil)[:16]
}

// signed is an advertisement with a trailer on its way to one receiver.
type signed struct {
	payload []byte
	meta    wire.Meta
	expect  wire.Expect
}

// fromVector is the vector at vectorTime, where Windowed and Enforce are.
func fromVector(t testing.TB, i int) signed {
	t.Helper()
	tt := trailerVectors[i]
	s := signed{payload: unhex(t, tt.message+tt.trailer), expect: expectOf(tt.value, tt.form)}
	s.meta = wire.Meta{
		Source: netip.MustParseAddr(tt.source), Destination: netip.MustParseAddr(tt.destination), TTL: 255, Arrived: vectorTime(),
	}
	s.expect.Group, s.expect.Marks = s.meta.Destination, wire.NewMarks(wire.MulticastSenders)
	s.expect.HMAC = wire.HMAC{Keys: ring(t, tt.id, key(t, tt.id, tt.key)), Window: 5 * time.Second}
	return s
}

func (s *signed) check() wire.DropReason {
	var a wire.Advertisement
	_, drop := s.expect.Check(s.payload, s.meta, &a)
	return drop
}

func (s *signed) trailer() []byte { return s.payload[len(s.payload)-wire.TrailerLength:] }

// seal makes the checksum right again, of a message over IPv4 in the form without
// the pseudo-header, and of everything over IPv6.
func (s *signed) seal(t *testing.T) {
	t.Helper()
	if s.meta.Source.Is6() {
		binary.BigEndian.PutUint16(s.payload[6:], naive(t, s.meta.Source, s.meta.Destination, s.payload))
		return
	}
	binary.BigEndian.PutUint16(s.payload[6:], plainSum(s.payload[:len(s.payload)-wire.TrailerLength]))
}

// sign makes the MAC and the checksum right again, with the key of the vectors.
func (s *signed) sign(t *testing.T) {
	t.Helper()
	head := s.trailer()[:12]
	secret := unhex(t, strings.TrimPrefix(keyK, "hex:"))
	copy(s.trailer()[12:], trailerMAC(secret, s.meta.Source, s.payload[:len(s.payload)-wire.TrailerLength], head))
	s.seal(t)
}

// The table of the modes. A bad trailer is worse than none.
func TestHMACModes(t *testing.T) {
	for _, mode := range []wire.HMACMode{wire.Enforce, wire.Permissive, wire.ReceiveOnly} {
		for name, tt := range map[string]struct {
			change   func(*signed)
			want     wire.DropReason
			unsigned bool
		}{
			"valid":     {func(*signed) {}, wire.DropNone, false},
			"malformed": {func(s *signed) { s.trailer()[0] = 9 }, wire.DropHMACMalformed, false},
			"stale":     {func(s *signed) { s.meta.Arrived = s.meta.Arrived.Add(time.Hour) }, wire.DropHMACStale, false},
			"key":       {func(s *signed) { s.trailer()[1] = 9 }, wire.DropHMACUnknownKey, false},
			"invalid":   {func(s *signed) { s.trailer()[27]++ }, wire.DropHMACInvalid, false},
			"without": {
				func(s *signed) { s.payload = s.payload[:len(s.payload)-28] },
				map[wire.HMACMode]wire.DropReason{wire.Enforce: wire.DropHMACMissing}[mode], mode != wire.Enforce,
			},
		} {
			s := fromVector(t, 0)
			s.expect.HMAC.Mode = mode
			tt.change(&s)
			var a wire.Advertisement
			findings, drop := s.expect.Check(s.payload, s.meta, &a)
			if drop != tt.want || findings.Unsigned != tt.unsigned || findings.Any() != tt.unsigned {
				t.Errorf("%v, %s: %+v, dropped for %v", mode, name, findings, drop)
			}
			// The original's stamp is used up by itself alone.
			again := fromVector(t, 0)
			again.expect.HMAC.Mode, again.expect.Marks = mode, s.expect.Marks
			want := wire.DropNone
			if name == "valid" {
				want = wire.DropHMACReplay
			}
			if drop := again.check(); drop != want {
				t.Errorf("%v, behind %s: dropped for %v", mode, name, drop)
			}
		}
		s := fromVector(t, 0)
		s.expect.HMAC.Mode = mode
		if s.expect.HMAC.Sends() != (mode != wire.ReceiveOnly) {
			t.Errorf("%v sends: %v", mode, s.expect.HMAC.Sends())
		}
	}
	var none wire.HMAC
	if none.Configured() || none.Sends() {
		t.Error("nothing is configured, and sends")
	}
}

// Two modes that stand side by side while a group is converted hear each other.
func TestHMACRollout(t *testing.T) {
	type step struct {
		name string
		hmac wire.HMAC
	}
	keys := ring(t, 1, key(t, 1, keyK))
	steps := []step{
		{"receive-only", wire.HMAC{Keys: keys, Mode: wire.ReceiveOnly, Window: 5 * time.Second}},
		{"permissive", wire.HMAC{Keys: keys, Mode: wire.Permissive, Window: 5 * time.Second}},
		{"enforce", wire.HMAC{Keys: keys, Mode: wire.Enforce, Window: 5 * time.Second}},
	}
	steps = append([]step{{"none", wire.HMAC{}}}, steps...)
	hears := func(receiver, sender step) wire.DropReason {
		a := golden[2].value
		m := metaFrom("192.0.2.1")
		m.Arrived = vectorTime()
		var stamps wire.Stamps
		payload, err := a.Append(nil, m.Source, m.Destination, wire.PseudoHeader)
		if sender.hmac.Sends() {
			payload, err = a.AppendHMAC(nil, m.Source, m.Destination, wire.PseudoHeader, sender.hmac.Keys, stamps.Next(m.Arrived, &sender.hmac))
		}
		if err != nil {
			t.Fatal(err)
		}
		expect := expectOf(a, wire.PseudoHeader)
		expect.HMAC, expect.Marks = receiver.hmac, wire.NewMarks(1)
		var got wire.Advertisement
		_, drop := expect.Check(payload, m, &got)
		return drop
	}
	for i := range steps {
		for j := max(i-1, 0); j < min(i+2, len(steps)); j++ {
			if drop := hears(steps[i], steps[j]); drop != wire.DropNone {
				t.Errorf("%s does not hear %s: %v", steps[i].name, steps[j].name, drop)
			}
		}
	}
	// A step that is left out is one too many for the other side.
	if drop := hears(steps[0], steps[2]); drop != wire.DropLength {
		t.Errorf("none hears permissive: %v", drop)
	}
	if drop := hears(steps[3], steps[1]); drop != wire.DropHMACMissing {
		t.Errorf("enforce hears receive-only: %v", drop)
	}
}

// A clock that goes wrong is told before it is too late.
func TestClockFinding(t *testing.T) {
	for off, want := range map[int]bool{-5: true, -3: true, -2: false, 0: false, 2: false, 3: true, 5: true} {
		s := fromVector(t, 0)
		s.meta.Arrived = vectorTime().Add(time.Duration(off) * time.Second)
		var a wire.Advertisement
		findings, drop := s.expect.Check(s.payload, s.meta, &a)
		if drop != wire.DropNone || findings != (wire.Findings{Clock: want}) {
			t.Errorf("off by %d s: %+v, dropped for %v", off, findings, drop)
		}
	}
	s := fromVector(t, 0)
	s.expect.HMAC.Regime = wire.Monotonic
	s.meta.Arrived = vectorTime().Add(time.Hour)
	var a wire.Advertisement
	if findings, drop := s.expect.Check(s.payload, s.meta, &a); drop != wire.DropNone || findings.Any() {
		t.Errorf("monotonic: %+v, %v", findings, drop)
	}
}

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

func TestDefaultWindow(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{
		0:                       5 * time.Second,
		10 * time.Millisecond:   5 * time.Second,
		time.Second:             5 * time.Second,
		1999 * time.Millisecond: 5 * time.Second,
		2 * time.Second:         6 * time.Second,
		2900 * time.Millisecond: 6 * time.Second,
		40 * time.Second:        2 * time.Minute,
		100 * time.Second:       5 * time.Minute,
		255 * time.Second:       5 * time.Minute,
	} {
		if got := wire.DefaultWindow(interval); got != want {
			t.Errorf("%v: %v, want %v", interval, got, want)
		}
	}
}

func TestHMACValidate(t *testing.T) {
	keys := ring(t, 1, key(t, 1, keyK))
	tests := []struct {
		name string
		hmac wire.HMAC
		want string
	}{
		{"nothing", wire.HMAC{}, ""},
		{"keys and the shortest window", wire.HMAC{Keys: keys, Window: time.Second}, ""},
		{"the longest window", wire.HMAC{Keys: keys, Window: 5 * time.Minute, Mode: wire.ReceiveOnly}, ""},
		{"no window needed", wire.HMAC{Keys: keys, Regime: wire.Monotonic}, ""},
		{"no keys", wire.HMAC{Window: time.Second}, "no keys"},
		{"a mode without keys", wire.HMAC{Mode: wire.Permissive}, "no keys"},
		{"a regime without keys", wire.HMAC{Regime: wire.Monotonic}, "no keys"},
		{"no window", wire.HMAC{Keys: keys}, "window 0s is not in 1s to 5m0s"},
		{"too long", wire.HMAC{Keys: keys, Window: 301 * time.Second}, "window 5m1s"},
		{"a broken one", wire.HMAC{Keys: keys, Window: 1500 * time.Millisecond}, "steps of 1s"},
		{"a mode that does not exist", wire.HMAC{Keys: keys, Window: time.Second, Mode: 3}, "mode 3"},
		{"a regime that does not exist", wire.HMAC{Keys: keys, Window: time.Second, Regime: 2}, "regime 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.hmac.Validate()
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, "authenticate by trailer", tt.want)
		})
	}
}

func TestHMACWords(t *testing.T) {
	var got []string
	for mode := range wire.ReceiveOnly + 2 {
		got = append(got, mode.String())
	}
	for regime := range wire.Monotonic + 2 {
		got = append(got, regime.String())
	}
	if want := []string{"enforce", "permissive", "receive-only", "mode 3", "time", "monotonic", "regime 2"}; !slices.Equal(got, want) {
		t.Errorf("words %q, want %q", got, want)
	}
	for reason, want := range map[wire.DropReason]string{
		wire.DropHMACMissing: "hmac_missing", wire.DropHMACMalformed: "hmac_malformed", wire.DropHMACStale: "hmac_stale",
		wire.DropHMACUnknownKey: "hmac_unknown_key", wire.DropHMACInvalid: "hmac_invalid", wire.DropHMACReplay: "hmac_replay",
	} {
		if got := reason.String(); got != want {
			t.Errorf("a reason is called %q, want %q", got, want)
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
