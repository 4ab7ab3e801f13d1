package wire_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Every bit that nobody may change on the way is covered.
func TestAHFlippedBitIsDropped(t *testing.T) {
	original := unhex(t, keepalivedAH[0].packet)
	for bit := range len(original) * 8 {
		packet := bytes.Clone(original)
		packet[bit/8] ^= 1 << (bit % 8)
		free := false
		switch bit / 8 {
		case 1, 6, 7, 10, 11:
			free = true
		}
		expect := ahExpect(ahAdvertisement("secret", 150))
		payload, m, ok := wire.SplitIPv4(packet)
		drop := wire.DropLength
		var a wire.Advertisement
		if ok {
			_, drop = expect.Check(payload, m, &a)
		}
		// Without its protocol number a packet is not for this socket.
		if believed := drop == wire.DropNone; believed != free {
			t.Errorf("bit %d of byte %d: dropped for %v", bit%8, bit/8, drop)
		}
	}
}

func TestCheckDropsAH(t *testing.T) {
	type input struct {
		packet []byte
		expect wire.Expect
	}
	set := func(i int, b ...byte) func(*input) {
		return func(in *input) { copy(in.packet[i:], b) }
	}
	resign := func(in *input) { copy(in.packet[32:44], reference(t, in.packet, "secret")) }
	signed := func(i int, b ...byte) func(*input) {
		return func(in *input) {
			copy(in.packet[i:], b)
			resign(in)
		}
	}
	tests := []struct {
		name   string
		change func(*input)
		want   wire.DropReason
	}{
		{"as expected", func(*input) {}, wire.DropNone},
		{"forwarded", signed(8, 254), wire.DropTTL},
		{"where version 3 is configured", func(in *input) { in.expect = v3Expect() }, wire.DropVersion},
		{"where no authentication is configured", func(in *input) { in.expect.Auth = wire.Auth{} }, wire.DropAuthType},
		{"where a password is configured", func(in *input) { in.expect.Auth.Type = wire.AuthPassword }, wire.DropAuthType},
		{"type none behind the header", signed(48, 0), wire.DropAuthType},
		{"type pass behind the header", signed(48, 1), wire.DropAuthType},
		{"another association", signed(24, 1, 2, 3, 4), wire.DropSPI},
		{"another password", func(in *input) { in.expect.Auth.Password = pass("Secret").Password }, wire.DropICV},
		{"a longer password", func(in *input) { in.expect.Auth.Password = pass("secret1").Password }, wire.DropICV},
		{"the last byte of the ICV", set(43, 0x8a), wire.DropICV},
		{"the reserved bytes are covered", set(23, 1), wire.DropICV},
		{"the reserved bytes are free", signed(22, 1, 2), wire.DropNone},
		{"another identification", set(5, 9), wire.DropICV},
		{"data where the password would be", signed(60, 'x'), wire.DropChecksum},
		{"another interval", signed(49, 2), wire.DropInterval},
		{"type 2", signed(44, 0x22), wire.DropType},
		{"sequence 0", signed(28, 0, 0, 0, 0), wire.DropReplay},
		{"without a counter", func(in *input) { in.expect.Sequence = nil }, wire.DropReplay},
		{"to us alone", func(in *input) {
			copy(in.packet[16:], []byte{192, 0, 2, 2})
			resign(in)
		}, wire.DropDestination},
		// 44 bytes of headers and 20 of message fill any frame.
		{"longer than asked for", func(in *input) {
			in.packet = append(in.packet, 0)
			in.packet[3]++
		}, wire.DropLength},
		{"cut", func(in *input) { in.packet = in.packet[:60] }, wire.DropLength},
		{"count asks for more", signed(47, 3), wire.DropLength},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input{unhex(t, keepalivedAH[0].packet), ahExpect(ahAdvertisement("secret", 150))}
			tt.change(&in)
			payload, m, ok := wire.SplitIPv4(in.packet)
			if !ok {
				t.Fatal("not an IPv4 packet")
			}
			var a wire.Advertisement
			if _, got := in.expect.Check(payload, m, &a); got != tt.want {
				t.Errorf("dropped for %v, want %v", got, tt.want)
			}
		})
	}
}

// The order is a promise here, too: the first of several faults is the reason.
func TestCheckOrderAH(t *testing.T) {
	packet := unhex(t, keepalivedAH[0].packet)
	packet[44] = 0x22 // Type.
	packet[47] = 3    // Length.
	packet[48] = 0    // Authentication type.
	packet[49] = 9    // Interval.
	packet[8] = 1     // TTL.
	packet[27] = 9    // Association.
	packet[31] = 0    // Sequence.
	expect := ahExpect(ahAdvertisement("guessed", 150))
	expect.Version = wire.V3
	signed := func(i int, b byte) func() {
		return func() {
			packet[i] = b
			copy(packet[32:44], reference(t, packet, "secret"))
		}
	}
	steps := []struct {
		want   wire.DropReason
		repair func()
	}{
		{wire.DropLength, signed(47, 2)},
		{wire.DropTTL, signed(8, 255)},
		{wire.DropVersion, func() { expect.Version = wire.V2 }},
		{wire.DropAuthType, signed(48, 2)},
		{wire.DropSPI, signed(27, 1)},
		{wire.DropICV, func() { expect.Auth.Password = pass("secret").Password }},
		{wire.DropReplay, signed(31, 1)},
		// Each one below was authentic, and the next needs another number.
		{wire.DropInterval, func() { packet[49] = 1; signed(31, 2)() }},
		{wire.DropType, func() { packet[44] = 0x21; packet[60] = 1; signed(31, 3)() }},
		{wire.DropChecksum, func() { packet[60] = 0; signed(31, 4)() }},
		{wire.DropNone, func() {}},
	}
	for i, step := range steps {
		payload, m, ok := wire.SplitIPv4(packet)
		if !ok {
			t.Fatal("not an IPv4 packet")
		}
		var a wire.Advertisement
		if _, got := expect.Check(payload, m, &a); got != step.want {
			t.Fatalf("step %d: dropped for %v, want %v", i, got, step.want)
		}
		step.repair()
	}
}

// The header's presence is part of the authentication type: without it, the type
// alone proves nothing.
func TestCheckAHMissing(t *testing.T) {
	packet := unhex(t, keepalivedAH[0].packet)
	m := metaFrom("192.0.2.1")
	for _, typ := range []byte{0, 1, 2} {
		payload := bytes.Clone(packet[44:])
		payload[4] = typ
		binary.BigEndian.PutUint16(payload[6:], plainSum(payload))
		expect := ahExpect(ahAdvertisement("secret", 150))
		var a wire.Advertisement
		if _, drop := expect.Check(payload, m, &a); drop != wire.DropAuthType {
			t.Errorf("type %d without a header: dropped for %v", typ, drop)
		}
		// Nor does a header of no advertisement help one of version 3.
		three := v3Expect()
		m3 := m
		m3.AH = wire.AH{Present: true, SPI: 0xc0000201, Sequence: 1}
		if _, drop := three.Check(unhex(t, v3Pseudo), m3, &a); drop != wire.DropAuthType {
			t.Errorf("version 3 behind a header: dropped for %v", drop)
		}
	}
}

// Only what is authentic moves the counter, and each number counts once.
func TestCheckAHReplay(t *testing.T) {
	a := ahAdvertisement("secret", 150)
	source := netip.MustParseAddr("192.0.2.1")
	expect := ahExpect(a)
	send := func(sequence uint32, password string) wire.DropReason {
		t.Helper()
		b := ahAdvertisement(password, 150)
		packet, err := b.AppendAH(nil, source, wire.GroupIPv4(), 255, sequence)
		if err != nil {
			t.Fatal(err)
		}
		payload, m, ok := wire.SplitIPv4(packet)
		if !ok {
			t.Fatal("not an IPv4 packet")
		}
		var got wire.Advertisement
		_, drop := expect.Check(payload, m, &got)
		return drop
	}
	for i, step := range []struct {
		sequence uint32
		password string
		want     wire.DropReason
	}{
		{100, "secret", wire.DropNone},
		{100, "secret", wire.DropReplay},
		{99, "secret", wire.DropReplay},
		{5000, "guessed", wire.DropICV},
		{101, "secret", wire.DropNone},
		{200, "secret", wire.DropNone},
		{199, "secret", wire.DropReplay},
	} {
		if got := send(step.sequence, step.password); got != step.want {
			t.Errorf("step %d: dropped for %v, want %v", i, got, step.want)
		}
	}
	// The next one of our own is above all that was heard.
	if got := expect.Sequence.Next(); got != 201 {
		t.Errorf("goes on with %d", got)
	}
	if got := send(201, "secret"); got != wire.DropReplay {
		t.Errorf("our own number came back and was dropped for %v", got)
	}
	// What is authentic was seen, also if another check drops it.
	expect.Interval = 9 * time.Second
	if got := send(300, "secret"); got != wire.DropInterval {
		t.Errorf("dropped for %v", got)
	}
	expect.Interval = time.Second
	if got := send(300, "secret"); got != wire.DropReplay {
		t.Errorf("dropped for %v", got)
	}
}
