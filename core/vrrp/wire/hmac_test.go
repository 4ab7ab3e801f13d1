package wire_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

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
