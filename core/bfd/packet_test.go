package bfd_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/bfd"
)

// golden are packets as bytes, field by field as RFC 5880 §4.1 draws them.
var golden = []struct {
	name, bytes string
	value       bfd.Packet
}{
	{
		"first packet",
		"20 40 05 18 00000011 00000000 000f4240 00002710 00000000",
		bfd.Packet{
			State: bfd.Down, Multiplier: 5, MyDiscriminator: 0x11,
			DesiredMinTx: time.Second, RequiredMinRx: 10 * ms,
		},
	},
	{
		"up and polling",
		"20 e0 03 18 00000011 00000022 000186a0 00030d40 00000000",
		bfd.Packet{
			State: bfd.Up, Poll: true, Multiplier: 3, MyDiscriminator: 0x11, YourDiscriminator: 0x22,
			DesiredMinTx: 100 * ms, RequiredMinRx: 200 * ms,
		},
	},
	{
		"everything a peer may set",
		"3f d2 ff 18 ffffffff fffffffe ffffffff 00000001 0000c350",
		bfd.Packet{
			State: bfd.Up, Diagnostic: 31, Final: true, Demand: true, Multiplier: 255,
			MyDiscriminator: 0xffffffff, YourDiscriminator: 0xfffffffe,
			DesiredMinTx: bfd.MaxInterval, RequiredMinRx: time.Microsecond, RequiredMinEchoRx: 50 * ms,
		},
	},
	{
		"administratively down",
		"27 08 03 18 00000011 00000022 000f4240 00000000 00000000",
		bfd.Packet{
			State: bfd.AdminDown, Diagnostic: bfd.DiagAdministrativelyDown, ControlPlaneIndependent: true,
			Multiplier: 3, MyDiscriminator: 0x11, YourDiscriminator: 0x22, DesiredMinTx: time.Second,
		},
	},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

//rfc:5880/6.8.7-12 positive
func TestPacketBytes(t *testing.T) {
	for _, g := range golden {
		want := unhex(t, g.bytes)
		if got := g.value.Append([]byte("before")); !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("%s: encoded\n% x, want\n% x", g.name, got[6:], want)
		}
		var p bfd.Packet
		if drop := bfd.Check(want, &p); drop != bfd.DropNone || p != g.value {
			t.Errorf("%s: decoded %v\n%+v, want\n%+v", g.name, drop, p, g.value)
		}
	}
}

// What a machine never sends although a Packet can say it, or cannot say.
//
//rfc:5880/4.1-1 positive negative
//rfc:5880/6.8.7-12 negative
func TestPacketBytesHaveNoMultipointAndNoAuthentication(t *testing.T) {
	p := bfd.Packet{State: bfd.Up, Multiplier: 1, MyDiscriminator: 1, Authentication: true, DesiredMinTx: -1, RequiredMinRx: 2 * bfd.MaxInterval}
	for _, p.Demand = range []bool{false, true} {
		b := p.Append(nil)
		if b[1]&0x05 != 0 || len(b) != bfd.Length || b[3] != bfd.Length {
			t.Errorf("% x", b)
		}
		// What does not fit is the nearest that does.
		if !bytes.Equal(b[12:20], []byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}) {
			t.Errorf("intervals % x", b[12:20])
		}
	}
}

// Each rule that needs no session, one fault at a time, and then all faults at
// once but those above: the order is that of RFC 5880 §6.8.6.
//
//rfc:5880/4.1-1 positive negative
//rfc:5880/6.8.6-1 positive negative
//rfc:5880/6.8.6-2 positive negative
//rfc:5880/6.8.6-3 positive negative
//rfc:5880/6.8.6-4 positive negative
//rfc:5880/6.8.6-5 positive negative
//rfc:5880/6.8.6-6 positive negative
//rfc:5880/6.8.6-7 positive negative
//rfc:5880/6.8.6-9 positive negative
func TestCheck(t *testing.T) {
	tests := []struct {
		name, bytes string
		want        bfd.DropReason
	}{
		{"good", "20 c0 03 18 00000022 00000011 000186a0 000186a0 00000000", bfd.DropNone},
		{"good, down and without a session", "20 40 03 18 00000022 00000000 000186a0 000186a0 00000000", bfd.DropNone},
		{"good, admin_down and without a session", "20 00 03 18 00000022 00000000 000186a0 000186a0 00000000", bfd.DropNone},
		{"good, with authentication", "20 c4 03 1a 00000022 00000011 000186a0 000186a0 00000000 0102", bfd.DropNone},
		{"good, with something behind it", "20 c0 03 18 00000022 00000011 000186a0 000186a0 00000000 ff", bfd.DropNone},
		{"version 0", "00 c0 03 18 00000022 00000011 000186a0 000186a0 00000000", bfd.DropVersion},
		{"version 2", "40 c0 03 18 00000022 00000011 000186a0 000186a0 00000000", bfd.DropVersion},
		{"length 23", "20 c0 03 17 00000022 00000011 000186a0 000186a0 00000000", bfd.DropLength},
		{"length 25 with authentication", "20 c4 03 19 00000022 00000011 000186a0 000186a0 00000000 0102", bfd.DropLength},
		{"length 25 of 24", "20 c0 03 19 00000022 00000011 000186a0 000186a0 00000000", bfd.DropTruncated},
		{"cut off", "20 c0 03 18 00000022 00000011 000186a0 000186a0 000000", bfd.DropTruncated},
		{"cut off before its length", "20 c0 03", bfd.DropTruncated},
		{"empty", "", bfd.DropTruncated},
		{"multiplier 0", "20 c0 00 18 00000022 00000011 000186a0 000186a0 00000000", bfd.DropMultiplier},
		{"multipoint", "20 c1 03 18 00000022 00000011 000186a0 000186a0 00000000", bfd.DropMultipoint},
		{"my discriminator 0", "20 c0 03 18 00000000 00000011 000186a0 000186a0 00000000", bfd.DropMyDiscriminator},
		{"init without a session", "20 80 03 18 00000022 00000000 000186a0 000186a0 00000000", bfd.DropState},
		{"up without a session", "20 c0 03 18 00000022 00000000 000186a0 000186a0 00000000", bfd.DropState},

		{"all but nothing", "40 c1 00 17 00000000 00000000", bfd.DropVersion},
		{"all but the version", "20 c1 00 17 00000000 00000000", bfd.DropLength},
		{"all but the length", "20 c1 00 18 00000000 00000000", bfd.DropTruncated},
		{"all but the payload", "20 c1 00 18 00000000 00000000 000186a0 000186a0 00000000", bfd.DropMultiplier},
		{"all but the multiplier", "20 c1 03 18 00000000 00000000 000186a0 000186a0 00000000", bfd.DropMultipoint},
		{"all but the multipoint bit", "20 c0 03 18 00000000 00000000 000186a0 000186a0 00000000", bfd.DropMyDiscriminator},
	}
	for _, tt := range tests {
		var p bfd.Packet
		if got := bfd.Check(unhex(t, tt.bytes), &p); got != tt.want {
			t.Errorf("%s: dropped for %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	payload := unhex(t, golden[1].bytes)
	var p bfd.Packet
	out := make([]byte, 0, bfd.Length)
	if n := testing.AllocsPerRun(100, func() {
		bfd.Check(payload, &p)
		out = p.Append(out[:0])
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if !bytes.Equal(out, payload) {
		t.Errorf("% x became % x", payload, out)
	}
}
