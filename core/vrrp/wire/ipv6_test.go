package wire_test

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// What Keepalived 2.2.7 sent to ff02::12 from fe80::ff:fe00:1.
const (
	v6Payload = "31 33 96 02 00 32 0e ce fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 51 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10"
	v6Leaving = "31 33 00 02 00 32 a4 ce fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 51 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10"
)

func v6Advertisement() wire.Advertisement {
	return wire.Advertisement{
		Version: wire.V3, Family: wire.IPv6, VRID: 51, Priority: 150, Interval: 500 * time.Millisecond,
		Addresses: addrs("fe80::51", "2001:db8::10"),
	}
}

func v6Meta() wire.Meta {
	return wire.Meta{Source: netip.MustParseAddr("fe80::ff:fe00:1"), Destination: wire.GroupIPv6(), TTL: 255, Interface: 2}
}

func v6Expect() wire.Expect { return expectOf(v6Advertisement(), wire.PseudoHeader) }

//rfc:9568/5.2.8-2 positive
//rfc:9568/5.2.9-1 positive
//rfc:9568/5.2.9-2 positive
func TestKeepalivedPacketsIPv6(t *testing.T) {
	leaving := v6Advertisement()
	leaving.Priority = wire.PriorityRelease
	for payload, want := range map[string]wire.Advertisement{v6Payload: v6Advertisement(), v6Leaving: leaving} {
		expect := v6Expect()
		var got wire.Advertisement
		findings, drop := expect.Check(unhex(t, payload), v6Meta(), &got)
		if drop != wire.DropNone || findings.Any() {
			t.Fatalf("Check = %+v, %v", findings, drop)
		}
		if diff := cmp.Diff(want, got, compareAddrs); diff != "" {
			t.Errorf("decoded (-want +got):\n%s", diff)
		}
		sent, err := want.Append(nil, v6Meta().Source, v6Meta().Destination, wire.PseudoHeader)
		if err != nil || !bytes.Equal(sent, unhex(t, payload)) {
			t.Errorf("sends\n% x (%v), Keepalived\n%s", sent, err, payload)
		}
	}
}

// naive is the checksum of a message over IPv6 by another way: as one's
// complement is arithmetic modulo 2^16-1, the sum of the words is the remainder
// of the whole, read as one number.
func naive(t *testing.T, source, destination netip.Addr, message []byte) uint16 {
	t.Helper()
	s, d := source.As16(), destination.As16()
	whole := append(s[:], d[:]...)
	// RFC 8200 §8.1: 32 bits of length, 24 of zero, the next header.
	whole = binary.BigEndian.AppendUint32(whole, uint32(len(message)))
	whole = append(whole, 0, 0, 0, 112)
	whole = append(whole, message...)
	whole[40+6], whole[40+7] = 0, 0
	if len(whole)%2 != 0 {
		t.Fatal("a message of an odd length")
	}
	remainder := new(big.Int).Mod(new(big.Int).SetBytes(whole), big.NewInt(0xffff))
	return 0xffff - uint16(remainder.Uint64())
}

//rfc:9568/5.2.8-2 positive
//rfc:9568/7.2-5 positive
func TestChecksumIPv6(t *testing.T) {
	long := v6Advertisement()
	for i := len(long.Addresses); i < wire.MaxAddresses; i++ {
		long.Addresses = append(long.Addresses, netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(i)}))
	}
	tests := []struct {
		name                string
		value               wire.Advertisement
		source, destination string
		form                wire.ChecksumForm
	}{
		{"to the group", v6Advertisement(), "fe80::1", "ff02::12", wire.PseudoHeader},
		{"from another source", v6Advertisement(), "fe80::ffff:ffff:ffff:ffff", "ff02::12", wire.PseudoHeader},
		{"to one peer", v6Advertisement(), "2001:db8::1", "2001:db8::2", wire.PseudoHeader},
		{"255 addresses", long, "fe80::1", "ff02::12", wire.PseudoHeader},
		{"plain is not for IPv6", v6Advertisement(), "fe80::1", "ff02::12", wire.Plain},
		{"a zone is not on the wire", v6Advertisement(), "fe80::1%eth0", "ff02::12%eth0", wire.PseudoHeader},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			source, destination := netip.MustParseAddr(tt.source), netip.MustParseAddr(tt.destination)
			b, err := tt.value.Append(nil, source, destination, tt.form)
			if err != nil {
				t.Fatal(err)
			}
			want := naive(t, source, destination, b)
			if got := binary.BigEndian.Uint16(b[6:]); got != want {
				t.Errorf("checksum %#04x, want %#04x", got, want)
			}
			if len(b) > wire.MaxLengthIPv6 || len(b) != 8+16*len(tt.value.Addresses) {
				t.Errorf("%d bytes for %d addresses", len(b), len(tt.value.Addresses))
			}
			expect := expectOf(tt.value, tt.form)
			expect.Group = destination.WithZone("")
			var a wire.Advertisement
			m := wire.Meta{Source: source, Destination: destination, TTL: 255}
			if findings, drop := expect.Check(b, m, &a); drop != wire.DropNone || findings.Any() {
				t.Errorf("Check = %+v, %v", findings, drop)
			}
		})
	}
}

func TestAppendIPv6Refuses(t *testing.T) {
	const group, local = "ff02::12", "fe80::1"
	tests := []struct {
		name                string
		change              func(*wire.Advertisement)
		source, destination string
		want                string
	}{
		{"version 2", func(a *wire.Advertisement) { a.Version, a.Interval = wire.V2, time.Second }, local, group, "version 2 knows IPv4 only"},
		//rfc:9568/5.2.9-2 negative
		{"an IPv4 address", func(a *wire.Advertisement) { a.Addresses = addrs("fe80::51", "192.0.2.1") }, local, group, "192.0.2.1 is not an IPv6 address"},
		{"an IPv4 address in disguise", func(a *wire.Advertisement) { a.Addresses = addrs("::ffff:192.0.2.1") }, local, group, "not an IPv6 address"},
		{"an address with a zone", func(a *wire.Advertisement) { a.Addresses = addrs("fe80::51%eth0") }, local, group, "not an IPv6 address"},
		{"authentication", func(a *wire.Advertisement) { a.Auth = pass("x") }, local, group, "no authentication"},
		//rfc:9568/7.2-5 negative
		{"from a global address to the group", func(*wire.Advertisement) {}, "2001:db8::1", group, "source 2001:db8::1 is not link-local"},
		{"from IPv4", func(*wire.Advertisement) {}, "192.0.2.1", group, "no IPv6 packet goes from 192.0.2.1"},
		//rfc:9568/7.2-7 negative
		{"to IPv4", func(*wire.Advertisement) {}, local, "224.0.0.18", "no IPv6 packet goes from fe80::1 to 224.0.0.18"},
		{"from nowhere", func(*wire.Advertisement) {}, "", group, "no IPv6 packet"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := v6Advertisement()
			tt.change(&a)
			source, _ := netip.ParseAddr(tt.source)
			b, err := a.Append([]byte{1}, source, netip.MustParseAddr(tt.destination), wire.Plain)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if !bytes.Equal(b, []byte{1}) {
				t.Errorf("a refused advertisement left bytes: % x", b)
			}
		})
	}
	four := golden[2].value
	if _, err := four.Append(nil, netip.MustParseAddr(local), wire.GroupIPv6(), wire.PseudoHeader); err == nil {
		t.Error("encoded an IPv4 advertisement for IPv6")
	}
}

//rfc:9568/5.1.2.3-2 positive negative
//rfc:9568/5.2.2-1 positive negative
//rfc:9568/7.1-1 positive negative
//rfc:9568/7.1-2 positive negative
//rfc:9568/7.1-3 positive negative
//rfc:9568/7.1-4 positive negative
//rfc:9568/7.1-5 positive negative
//rfc:9568/7.1-7 positive negative
//rfc:9568/7.1-9 positive negative
//rfc:9568/7.1-10 positive negative
func TestCheckDropsIPv6(t *testing.T) {
	type input struct {
		payload []byte
		meta    wire.Meta
		expect  wire.Expect
	}
	set := func(i int, b ...byte) func(*input) {
		return func(in *input) { copy(in.payload[i:], b) }
	}
	tests := []struct {
		name   string
		change func(*input)
		want   wire.DropReason
	}{
		{"as expected", func(*input) {}, wire.DropNone},
		{"nothing", func(in *input) { in.payload = nil }, wire.DropLength},
		{"half an address is missing", func(in *input) { in.payload = in.payload[:32] }, wire.DropLength},
		{"count asks for more", set(3, 3), wire.DropLength},
		// 40 bytes of header and 24 of message fill any frame.
		{"one byte more", func(in *input) { in.payload = append(in.payload, 0) }, wire.DropLength},
		{"truncated on the way in", func(in *input) { in.meta.Truncated = true }, wire.DropLength},
		{"over IPv4", func(in *input) {
			in.meta.Source, in.meta.Destination = netip.MustParseAddr("192.0.2.1"), wire.GroupIPv4()
		}, wire.DropLength},
		{"to IPv4", func(in *input) { in.meta.Destination = wire.GroupIPv4() }, wire.DropLength},
		{"where IPv4 is configured", func(in *input) { in.expect = v3Expect() }, wire.DropLength},
		{"forwarded", func(in *input) { in.meta.TTL = 254 }, wire.DropTTL},
		{"version 2, which there is not over IPv6", set(0, 0x21), wire.DropVersion},
		{"version 2, forwarded", func(in *input) { in.payload[0], in.meta.TTL = 0x21, 64 }, wire.DropTTL},
		{"an unknown version", set(0, 0x41), wire.DropVersion},
		{"type 2", set(0, 0x32), wire.DropType},
		{"broken priority", set(2, 0x97), wire.DropChecksum},
		{"broken address", set(30, 0x97), wire.DropChecksum},
		{"sent by somebody else", func(in *input) { in.meta.Source = netip.MustParseAddr("fe80::1") }, wire.DropChecksum},
		//rfc:9568/5.2.8-2 negative
		{"summed without the pseudo-header", func(in *input) {
			// What is wanted does not matter: over IPv6 there is one form.
			in.expect.Checksum = wire.Plain
			binary.BigEndian.PutUint16(in.payload[6:], plainSum(in.payload))
		}, wire.DropChecksum},
		{"to us alone", func(in *input) {
			in.meta.Destination = netip.MustParseAddr("fe80::2")
			resum(t, in.payload, in.meta)
		}, wire.DropDestination},
		{"another group", func(in *input) {
			in.meta.Destination = netip.MustParseAddr("ff02::1")
			resum(t, in.payload, in.meta)
		}, wire.DropDestination},
		{"without addresses", func(in *input) {
			in.payload, in.payload[3] = in.payload[:8], 0
			resum(t, in.payload, in.meta)
		}, wire.DropNoAddresses},
		{"interval zero", func(in *input) {
			in.payload[5] = 0
			resum(t, in.payload, in.meta)
		}, wire.DropZeroInterval},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input{payload: unhex(t, v6Payload), meta: v6Meta(), expect: v6Expect()}
			tt.change(&in)
			var a wire.Advertisement
			if _, got := in.expect.Check(in.payload, in.meta, &a); got != tt.want {
				t.Errorf("dropped for %v, want %v", got, tt.want)
			}
		})
	}
}

func resum(t *testing.T, payload []byte, m wire.Meta) {
	t.Helper()
	binary.BigEndian.PutUint16(payload[6:], naive(t, m.Source, m.Destination, payload))
}

func plainSum(payload []byte) uint16 { return plainSumAt(payload, 6) }

// plainSumAt is the checksum that belongs at i, without a pseudo-header.
func plainSumAt(payload []byte, i int) uint16 {
	b := bytes.Clone(payload)
	b[i], b[i+1] = 0, 0
	remainder := new(big.Int).Mod(new(big.Int).SetBytes(b), big.NewInt(0xffff))
	return 0xffff - uint16(remainder.Uint64())
}

// What RFC 9568 demands of a sender and does not let a receiver drop is told.
//
//rfc:9568/7.1-13 positive negative
func TestCheckFindingsIPv6(t *testing.T) {
	tests := []struct {
		name   string
		change func(*wire.Advertisement, *wire.Meta, *wire.Expect)
		want   wire.Findings
	}{
		{"nothing", func(*wire.Advertisement, *wire.Meta, *wire.Expect) {}, wire.Findings{}},
		{"the first address is global", func(a *wire.Advertisement, _ *wire.Meta, _ *wire.Expect) {
			a.Addresses = addrs("2001:db8::10", "fe80::51")
		}, wire.Findings{FirstAddress: true}},
		{"other addresses", func(a *wire.Advertisement, _ *wire.Meta, _ *wire.Expect) {
			a.Addresses = addrs("fe80::52", "2001:db8::10")
		}, wire.Findings{Addresses: true}},
		{"the same in another order", func(_ *wire.Advertisement, _ *wire.Meta, e *wire.Expect) {
			e.Addresses = addrs("2001:db8::10", "fe80::51")
		}, wire.Findings{}},
		{"another interval", func(a *wire.Advertisement, _ *wire.Meta, _ *wire.Expect) {
			a.Interval = time.Second
		}, wire.Findings{Interval: true}},
		{"plain is configured and means nothing", func(_ *wire.Advertisement, _ *wire.Meta, e *wire.Expect) {
			e.Checksum = wire.Plain
		}, wire.Findings{}},
		{"a global source", func(_ *wire.Advertisement, m *wire.Meta, _ *wire.Expect) {
			m.Source = netip.MustParseAddr("2001:db8::1")
		}, wire.Findings{Source: true}},
		{"a global source to one peer", func(_ *wire.Advertisement, m *wire.Meta, e *wire.Expect) {
			m.Source, m.Destination = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
			e.Group = m.Destination
		}, wire.Findings{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, m, expect := v6Advertisement(), v6Meta(), v6Expect()
			tt.change(&a, &m, &expect)
			// From a link-local address, as nothing else can be sent.
			b, err := a.Append(nil, v6Meta().Source, m.Destination, wire.PseudoHeader)
			if err != nil {
				t.Fatal(err)
			}
			resum(t, b, m)
			var got wire.Advertisement
			findings, drop := expect.Check(b, m, &got)
			if drop != wire.DropNone {
				t.Fatalf("dropped for %v: findings must not drop", drop)
			}
			if findings != tt.want || findings.Any() != (tt.want != wire.Findings{}) {
				t.Errorf("findings %+v, want %+v", findings, tt.want)
			}
		})
	}
}

// A version that is not spoken leaves the header's fields for the complaint.
func TestDroppedIsDecodedIPv6(t *testing.T) {
	payload, expect := unhex(t, v6Payload), v6Expect()
	payload[0] = 0x21
	a := wire.Advertisement{Addresses: addrs("192.0.2.1")}
	if _, drop := expect.Check(payload, v6Meta(), &a); drop != wire.DropVersion {
		t.Fatalf("dropped for %v", drop)
	}
	if a.Version != wire.V2 || a.Family != wire.IPv6 || a.VRID != 51 || a.Priority != 150 || len(a.Addresses) != 0 {
		t.Errorf("left %v of family %v", a, a.Family)
	}
}
