package wire_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

const (
	v2Password = "21 33 64 01 01 01 53 59 c0 00 02 0a 31 32 33 34 00 00 00 00"
	v3Pseudo   = "31 33 96 01 00 64 d3 cb c0 00 02 0a"
	v3Plain    = "31 33 96 01 00 64 76 5c c0 00 02 0a"
)

func v2Expect() wire.Expect {
	return wire.Expect{
		Version: wire.V2, Interval: time.Second, Auth: pass("1234"),
		Addresses: addrs("192.0.2.10"), Group: wire.GroupIPv4(),
	}
}

func v3Expect() wire.Expect {
	return wire.Expect{Version: wire.V3, Interval: time.Second, Addresses: addrs("192.0.2.10"), Group: wire.GroupIPv4()}
}

//rfc:9568/5.1.1.3-2 positive negative
//rfc:9568/5.2.2-1 positive negative
//rfc:9568/7.1-1 positive negative
//rfc:9568/7.1-2 positive negative
//rfc:9568/7.1-3 positive negative
//rfc:9568/7.1-4 positive negative
//rfc:9568/7.1-5 positive negative
//rfc:9568/7.1-7 positive negative
//rfc:9568/7.1-9 positive negative
//rfc:9568/7.1-10 positive negative
//rfc:3768/5.3.6-1 positive negative
//rfc:3768/7.1-2 positive negative
//rfc:3768/7.1-3 positive negative
//rfc:3768/7.1-4 positive negative
//rfc:3768/7.1-7 positive negative
//rfc:3768/7.1-8 positive negative
//rfc:3768/7.1-12 positive negative
func TestCheckDrops(t *testing.T) {
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
		packet string
		expect wire.Expect
		change func(*input)
		want   wire.DropReason
	}{
		{"version 2 as expected", v2Password, v2Expect(), func(*input) {}, wire.DropNone},
		{"version 3 as expected", v3Pseudo, v3Expect(), func(*input) {}, wire.DropNone},
		{"nothing", v3Pseudo, v3Expect(), func(in *input) { in.payload = in.payload[:0] }, wire.DropLength},
		{"half a header", v3Pseudo, v3Expect(), func(in *input) { in.payload = in.payload[:7] }, wire.DropLength},
		{"an address is missing", v3Pseudo, v3Expect(), func(in *input) { in.payload = in.payload[:11] }, wire.DropLength},
		{"the password is missing", v2Password, v2Expect(), func(in *input) { in.payload = in.payload[:12] }, wire.DropLength},
		{"truncated on the way in", v3Pseudo, v3Expect(), func(in *input) { in.meta.Truncated = true }, wire.DropLength},
		{"count asks for more", v3Pseudo, v3Expect(), set(3, 2), wire.DropLength},
		{"padded to an Ethernet frame", v3Pseudo, v3Expect(), func(in *input) { in.payload = append(in.payload, make([]byte, 14)...) }, wire.DropNone},
		{"padded with noise", v3Pseudo, v3Expect(), func(in *input) { in.payload = append(in.payload, 1, 2, 3) }, wire.DropNone},
		{"longer than padding explains", v3Pseudo, v3Expect(), func(in *input) { in.payload = append(in.payload, make([]byte, 15)...) }, wire.DropLength},
		{"not over IPv4", v3Pseudo, v3Expect(), func(in *input) { in.meta.Source = netip.MustParseAddr("fe80::1") }, wire.DropLength},
		{"forwarded", v3Pseudo, v3Expect(), func(in *input) { in.meta.TTL = 254 }, wire.DropTTL},
		{"an unknown version, forwarded", v3Pseudo, v3Expect(), func(in *input) { in.payload[0] = 0x41; in.meta.TTL = 1 }, wire.DropTTL},
		{"an unknown version", v3Pseudo, v3Expect(), set(0, 0x41), wire.DropVersion},
		{"version 2 where 3 is configured", v2Password, v3Expect(), func(*input) {}, wire.DropVersion},
		{"version 3 where 2 is configured", v3Pseudo, v2Expect(), func(*input) {}, wire.DropVersion},
		{"no authentication where a password is expected", v2Password, v2Expect(), set(4, 0), wire.DropAuthType},
		{"authentication header", v2Password, v2Expect(), set(4, 2), wire.DropAuthType},
		{"a password where none is expected", v2Password, v2Expect(), func(in *input) { in.expect.Auth = wire.Auth{} }, wire.DropAuthType},
		{"another password", v2Password, v2Expect(), func(in *input) { in.expect.Auth = pass("1235") }, wire.DropPassword},
		{"a longer password", v2Password, v2Expect(), func(in *input) { in.expect.Auth = pass("12345") }, wire.DropPassword},
		{"version 2 with another interval", v2Password, v2Expect(), func(in *input) { in.expect.Interval = 2 * time.Second }, wire.DropInterval},
		{"type 2", v3Pseudo, v3Expect(), set(0, 0x32), wire.DropType},
		{"broken priority", v3Pseudo, v3Expect(), set(2, 0x97), wire.DropChecksum},
		{"broken version 2 password bytes", v2Password, v2Expect(), set(8, 0xc1), wire.DropChecksum},
		{"sent by somebody else", v3Pseudo, v3Expect(), func(in *input) { in.meta.Source = netip.MustParseAddr("192.0.2.2") }, wire.DropChecksum},
		//rfc:9568/7.2-7 negative
		{"version 3 summed as version 2 and sent to us alone", v3Plain, v3Expect(), func(in *input) {
			in.meta.Destination = netip.MustParseAddr("192.0.2.2")
		}, wire.DropDestination},
		//rfc:3768/7.2-6 negative
		{"version 2 to us alone", v2Password, v2Expect(), func(in *input) {
			in.meta.Destination = netip.MustParseAddr("192.0.2.2")
		}, wire.DropDestination},
		{"version 3 without addresses", "31 33 96 00 00 64 38 68", v3Expect(), func(*input) {}, wire.DropNoAddresses},
		{"version 3 with interval zero", "31 33 96 01 00 00 76 c0 c0 00 02 0a", v3Expect(), func(*input) {}, wire.DropZeroInterval},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input{payload: unhex(t, tt.packet), meta: metaFrom("192.0.2.1"), expect: tt.expect}
			tt.change(&in)
			var a wire.Advertisement
			if _, got := in.expect.Check(in.payload, in.meta, &a); got != tt.want {
				t.Errorf("dropped for %v, want %v", got, tt.want)
			}
		})
	}
}

// The order is a promise: a packet with every fault at once is dropped for the
// first, and with the first repaired for the second.
//
//rfc:3768/5.2.3-2 positive negative
//rfc:3768/5.3.2-1 positive negative
//rfc:3768/7.1-1 positive negative
func TestCheckOrder(t *testing.T) {
	payload := unhex(t, v2Password)
	payload[0] = 0x22 // Type.
	payload[4] = 0    // Authentication type.
	payload[8] = 1    // Checksum.
	payload[5] = 9    // Interval.
	payload[3] = 2    // Length.
	meta := metaFrom("192.0.2.1")
	meta.TTL = 1
	meta.Destination = netip.MustParseAddr("192.0.2.2")
	expect := v2Expect()
	expect.Version = wire.V3

	steps := []struct {
		want   wire.DropReason
		repair func()
	}{
		{wire.DropLength, func() { payload[3] = 1 }},
		{wire.DropTTL, func() { meta.TTL = 255 }},
		{wire.DropVersion, func() { expect.Version = wire.V2 }},
		{wire.DropAuthType, func() { payload[4] = 1; payload[12] = 'x' }},
		{wire.DropPassword, func() { payload[12] = '1' }},
		{wire.DropInterval, func() { payload[5] = 1 }},
		{wire.DropType, func() { payload[0] = 0x21 }},
		{wire.DropChecksum, func() { payload[8] = 0xc0 }},
		{wire.DropDestination, func() { meta.Destination = wire.GroupIPv4() }},
		{wire.DropNone, func() {}},
	}
	for _, step := range steps {
		var a wire.Advertisement
		if _, got := expect.Check(payload, meta, &a); got != step.want {
			t.Fatalf("dropped for %v, want %v", got, step.want)
		}
		step.repair()
	}
}

//rfc:9568/7.1-13 positive negative
func TestCheckFindings(t *testing.T) {
	tests := []struct {
		name   string
		packet string
		change func(*wire.Expect)
		want   wire.Findings
	}{
		{"nothing", v3Pseudo, func(*wire.Expect) {}, wire.Findings{}},
		{"another address", v3Pseudo, func(e *wire.Expect) { e.Addresses = addrs("192.0.2.11") }, wire.Findings{Addresses: true}},
		{"fewer addresses", v3Pseudo, func(e *wire.Expect) { e.Addresses = addrs("192.0.2.10", "192.0.2.11") }, wire.Findings{Addresses: true}},
		{"version 3 interval", v3Pseudo, func(e *wire.Expect) { e.Interval = 100 * time.Millisecond }, wire.Findings{Interval: true}},
		{"plain where the pseudo-header is sent", v3Plain, func(*wire.Expect) {}, wire.Findings{Checksum: true}},
		{"pseudo-header where plain is sent", v3Pseudo, func(e *wire.Expect) { e.Checksum = wire.Plain }, wire.Findings{Checksum: true}},
		{"plain as configured", v3Plain, func(e *wire.Expect) { e.Checksum = wire.Plain }, wire.Findings{}},
		{"version 2 has one form", v2Password, func(e *wire.Expect) { *e = v2Expect(); e.Checksum = wire.Plain }, wire.Findings{}},
		{"all at once", v3Plain, func(e *wire.Expect) {
			e.Interval, e.Addresses = 2*time.Second, nil
		}, wire.Findings{Addresses: true, Interval: true, Checksum: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expect := v3Expect()
			tt.change(&expect)
			var a wire.Advertisement
			got, drop := expect.Check(unhex(t, tt.packet), metaFrom("192.0.2.1"), &a)
			if drop != wire.DropNone {
				t.Fatalf("dropped for %v: findings must not drop", drop)
			}
			if got != tt.want {
				t.Errorf("findings %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestAddressOrderIsFree(t *testing.T) {
	a := wire.Advertisement{
		Version: wire.V3, VRID: 9, Priority: 1, Interval: time.Second,
		Addresses: addrs("192.0.2.10", "192.0.2.11", "192.0.2.12"),
	}
	b, err := a.Append(nil, netip.MustParseAddr("192.0.2.1"), wire.GroupIPv4(), wire.PseudoHeader)
	if err != nil {
		t.Fatal(err)
	}
	expect := expectOf(a, wire.PseudoHeader)
	expect.Addresses = addrs("192.0.2.12", "192.0.2.10", "192.0.2.11")
	var got wire.Advertisement
	findings, drop := expect.Check(b, metaFrom("192.0.2.1"), &got)
	if drop != wire.DropNone || findings.Any() {
		t.Errorf("Check = %+v, %v for the same set in another order", findings, drop)
	}
}

// A dropped packet's contents are still there for the complaint.
func TestDroppedIsDecoded(t *testing.T) {
	expect := v2Expect()
	expect.Interval = 3 * time.Second
	var a wire.Advertisement
	_, drop := expect.Check(unhex(t, v2Password), metaFrom("192.0.2.1"), &a)
	if drop != wire.DropInterval || a.Interval != time.Second || a.Priority != 100 {
		t.Errorf("%v with %v", drop, a)
	}
	payload := unhex(t, v3Pseudo)
	payload[0] = 0x41
	expect = v3Expect()
	if _, drop = expect.Check(payload, metaFrom("192.0.2.1"), &a); drop != wire.DropVersion || a.Version != 4 || a.VRID != 51 {
		t.Errorf("%v with %v", drop, a)
	}
}

//rfc:9568/5.2.6-1 negative
func TestReservedBitsAreIgnored(t *testing.T) {
	payload := unhex(t, v3Pseudo)
	payload[4] |= 0xf0
	// What the reserved bits add to the sum leaves the checksum again.
	sum := uint32(^binary.BigEndian.Uint16(payload[6:])) + 0xf000
	binary.BigEndian.PutUint16(payload[6:], ^uint16(sum>>16+sum&0xffff))
	expect := v3Expect()
	var a wire.Advertisement
	findings, drop := expect.Check(payload, metaFrom("192.0.2.1"), &a)
	if drop != wire.DropNone || findings.Any() || a.Interval != time.Second {
		t.Errorf("Check = %+v, %v, interval %v", findings, drop, a.Interval)
	}
}

// Nothing that arrives makes garbage, also where peers disagree with us.
func TestCheckDoesNotAllocate(t *testing.T) {
	all := many(wire.MaxAddresses)
	turned := slices.Clone(all)
	slices.Reverse(turned)
	other := slices.Clone(turned)
	other[100] = netip.MustParseAddr("203.0.113.1")
	long := wire.Advertisement{Version: wire.V3, VRID: 51, Priority: 1, Interval: time.Second, Addresses: all}
	full, err := long.Append(nil, netip.MustParseAddr("192.0.2.1"), wire.GroupIPv4(), wire.PseudoHeader)
	if err != nil {
		t.Fatal(err)
	}
	disagreeing := func(list []netip.Addr) wire.Expect {
		e := v3Expect()
		e.Addresses = list
		return e
	}
	tests := []struct {
		name     string
		payload  []byte
		meta     wire.Meta
		expect   wire.Expect
		findings wire.Findings
		drop     wire.DropReason
	}{
		{"IPv4", unhex(t, v3Pseudo), metaFrom("192.0.2.1"), v3Expect(), wire.Findings{}, wire.DropNone},
		{"version 2", unhex(t, v2Password), metaFrom("192.0.2.1"), v2Expect(), wire.Findings{}, wire.DropNone},
		{"IPv6", unhex(t, v6Payload), v6Meta(), v6Expect(), wire.Findings{}, wire.DropNone},
		{"the addresses in another order", full, metaFrom("192.0.2.1"), disagreeing(turned), wire.Findings{}, wire.DropNone},
		{"other addresses", full, metaFrom("192.0.2.1"), disagreeing(other), wire.Findings{Addresses: true}, wire.DropNone},
		{"dropped", unhex(t, v6Leaving), metaFrom("192.0.2.1"), v3Expect(), wire.Findings{}, wire.DropLength},
		{"another version", unhex(t, v2Password), metaFrom("192.0.2.1"), v3Expect(), wire.Findings{}, wire.DropVersion},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a wire.Advertisement
			if findings, drop := tt.expect.Check(tt.payload, tt.meta, &a); findings != tt.findings || drop != tt.drop {
				t.Fatalf("Check = %+v, %v", findings, drop)
			}
			if n := testing.AllocsPerRun(100, func() { tt.expect.Check(tt.payload, tt.meta, &a) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, wire.MaxLengthIPv6)
	for _, a := range []wire.Advertisement{golden[0].value, golden[2].value, v6Advertisement()} {
		m := metaFrom("192.0.2.1")
		if a.Family == wire.IPv6 {
			m = v6Meta()
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = a.Append(buf, m.Source, m.Destination, wire.PseudoHeader) }); n != 0 {
			t.Errorf("%v allocations to encode %v", n, a)
		}
	}
}

func TestDropReasonWords(t *testing.T) {
	seen := map[string]bool{}
	for r := range wire.DropReasonCount {
		word := wire.DropReason(r).String()
		if word == "" || word == "unknown" || seen[word] {
			t.Errorf("reason %d is called %q", r, word)
		}
		seen[word] = true
	}
	if got := wire.DropReason(wire.DropReasonCount).String(); got != "unknown" {
		t.Errorf("a reason that does not exist is called %q", got)
	}
}
