package wire_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// The sum of version 2 is that of the message, from wherever and to wherever it
// goes; one that has a pseudo-header in it is wrong.
//
//rfc:3768/5.3.8-1 positive negative
func TestRFCVersion2HasNoPseudoHeader(t *testing.T) {
	a := golden[0].value
	want := binary.BigEndian.Uint16(unhex(t, golden[0].bytes)[6:])
	for _, source := range []string{"192.0.2.1", "198.51.100.77"} {
		b, err := a.Append(nil, netip.MustParseAddr(source), wire.GroupIPv4(), wire.PseudoHeader)
		if err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint16(b[6:]); got != want || got != plainSum(b) {
			t.Errorf("from %s: checksum %#04x, want %#04x", source, got, want)
		}
		expect := expectOf(a, wire.PseudoHeader)
		var back wire.Advertisement
		if _, drop := expect.Check(b, metaFrom(source), &back); drop != wire.DropNone {
			t.Errorf("from %s: dropped for %v", source, drop)
		}
		// RFC 793 §3.1: the addresses, the protocol and the length are added.
		s, d := netip.MustParseAddr(source).As4(), wire.GroupIPv4().As4()
		whole := append(append(s[:], d[:]...), 0, wire.Protocol, 0, byte(len(b)))
		binary.BigEndian.PutUint16(b[6:], plainSumAt(append(whole, b...), len(whole)+6))
		if _, drop := expect.Check(b, metaFrom(source), &back); drop != wire.DropChecksum {
			t.Errorf("from %s with a pseudo-header: dropped for %v", source, drop)
		}
	}
}

// Without authentication its data are zero, and nobody looks at them.
//
//rfc:3768/5.3.10-1 positive negative
func TestRFCAuthenticationDataWithoutAuthentication(t *testing.T) {
	a := wire.Advertisement{Version: wire.V2, VRID: 51, Priority: 100, Interval: time.Second, Addresses: addrs("192.0.2.10")}
	b, err := a.Append(nil, netip.MustParseAddr("192.0.2.1"), wire.GroupIPv4(), wire.PseudoHeader)
	if err != nil {
		t.Fatal(err)
	}
	data := b[len(b)-8:]
	if [8]byte(data) != [8]byte{} {
		t.Errorf("sends % x", data)
	}
	copy(data, "whatever")
	binary.BigEndian.PutUint16(b[6:], plainSum(b))
	expect := expectOf(a, wire.PseudoHeader)
	var back wire.Advertisement
	findings, drop := expect.Check(b, metaFrom("192.0.2.1"), &back)
	if drop != wire.DropNone || findings.Any() || back.Auth != (wire.Auth{}) {
		t.Errorf("Check = %+v, %v, leaves %v", findings, drop, back.Auth.Type)
	}
}

// From one address to as many as the count can say.
//
//rfc:9568/5.2.5-1 positive negative
//rfc:9568/7.1-7 positive negative
func TestRFCAddressCount(t *testing.T) {
	for count, want := range map[int]wire.DropReason{0: wire.DropNoAddresses, 1: wire.DropNone, 2: wire.DropNone, 255: wire.DropNone} {
		a := wire.Advertisement{Version: wire.V3, VRID: 51, Priority: 100, Interval: time.Second, Addresses: many(max(count, 1))}
		b, err := a.Append(nil, netip.MustParseAddr("192.0.2.1"), wire.GroupIPv4(), wire.Plain)
		if err != nil {
			t.Fatal(err)
		}
		expect := expectOf(a, wire.Plain)
		if count == 0 {
			b = b[:8]
			b[3] = 0
			binary.BigEndian.PutUint16(b[6:], plainSum(b))
		}
		var back wire.Advertisement
		if _, drop := expect.Check(b, metaFrom("192.0.2.1"), &back); drop != want {
			t.Errorf("%d addresses: dropped for %v, want %v", count, drop, want)
		}
	}
}
