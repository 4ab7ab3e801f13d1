package wire_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Each bit changed alone, with the checksum made right again. Of the checksum's
// own bits there is nothing left to see then.
func TestTrailerFlippedBitIsDropped(t *testing.T) {
	for _, vector := range []int{0, 1, 2} {
		original := fromVector(t, vector).payload
		trailer := len(original) - wire.TrailerLength
		for bit := range len(original) * 8 {
			s := fromVector(t, vector)
			at := bit / 8
			s.payload[at] ^= 1 << (bit % 8)
			if drop := s.check(); drop == wire.DropNone {
				t.Errorf("%s: bit %d of byte %d went unnoticed", trailerVectors[vector].name, bit%8, at)
			}
			if at == 3 {
				continue // Of another length.
			}
			s.seal(t)
			got := s.check()
			ok := got == wire.DropHMACInvalid
			switch {
			case at == 6 || at == 7:
				ok = got == wire.DropNone
			case at == 0:
				ok = got == wire.DropVersion || got == wire.DropType || got == wire.DropLength
			case at == 4 && vector == 2:
				ok = got == wire.DropAuthType
			case at == 5 && vector == 2:
				ok = got == wire.DropInterval
			case at == 4 || at == 5:
				ok = ok || got == wire.DropZeroInterval
			case at == trailer || at == trailer+2 || at == trailer+3:
				ok = got == wire.DropHMACMalformed
			case at == trailer+1:
				ok = got == wire.DropHMACUnknownKey
			case at >= trailer+4 && at < trailer+8:
				ok = ok || got == wire.DropHMACStale
			}
			if !ok {
				t.Errorf("%s: bit %d of byte %d: dropped for %v", trailerVectors[vector].name, bit%8, at, got)
			}
		}
	}
}

// The negative cases of Keepalived's own test, on P2, each the lowest bit of a
// byte and in the regime of that test. It has the checksum looked at later or by
// the kernel, so here it is made right again.
func TestTrailerNegativeCases(t *testing.T) {
	tests := []struct {
		name string
		at   int
		want wire.DropReason
	}{
		{"priority", 2, wire.DropHMACInvalid},
		{"first byte of the interval", 4, wire.DropHMACInvalid},
		{"last byte of the address", 23, wire.DropHMACInvalid},
		{"first byte of the checksum", 6, wire.DropNone},
		{"type", 24, wire.DropHMACMalformed},
		{"key id", 25, wire.DropHMACUnknownKey},
		{"first reserved byte", 26, wire.DropHMACMalformed},
		{"first byte of the seconds", 28, wire.DropHMACInvalid},
		{"first byte of the counter", 34, wire.DropHMACInvalid},
		{"first byte of the MAC", 36, wire.DropHMACInvalid},
		// Keepalived's test has another virtual router receive it; here that is
		// found by the very byte.
		{"virtual router", 1, wire.DropHMACInvalid},
	}
	for _, tt := range tests {
		s := fromVector(t, 1)
		s.expect.HMAC.Regime = wire.Monotonic
		s.payload[tt.at] ^= 1
		s.seal(t)
		if got := s.check(); got != tt.want {
			t.Errorf("%s: dropped for %v, want %v", tt.name, got, tt.want)
		}
	}
	s := fromVector(t, 1)
	s.meta.Source = netip.MustParseAddr("fe80::20")
	s.seal(t)
	if got := s.check(); got != wire.DropHMACInvalid {
		t.Errorf("another source: dropped for %v", got)
	}
}

func TestCheckDropsTrailer(t *testing.T) {
	set := func(i int, b ...byte) func(*signed) {
		return func(s *signed) {
			copy(s.trailer()[i:], b)
			s.sign(t)
		}
	}
	cut := func(n int) func(*signed) {
		return func(s *signed) { s.payload = s.payload[:len(s.payload)-n] }
	}
	tests := []struct {
		name   string
		vector int
		change func(*signed)
		want   wire.DropReason
	}{
		{"IPv4", 0, func(*signed) {}, wire.DropNone},
		{"IPv6", 1, func(*signed) {}, wire.DropNone},
		{"version 2", 2, func(*signed) {}, wire.DropNone},
		{"without", 0, cut(28), wire.DropHMACMissing},
		{"without, version 2", 2, cut(28), wire.DropHMACMissing},
		{"without, padded", 0, func(s *signed) { s.payload = append(s.payload[:12], make([]byte, 14)...) }, wire.DropHMACMissing},
		{"without, padded too far", 0, func(s *signed) { s.payload = append(s.payload[:12], make([]byte, 15)...) }, wire.DropLength},
		{"a byte missing", 0, cut(1), wire.DropLength},
		{"a byte missing, IPv6", 1, cut(1), wire.DropLength},
		{"one byte of it", 1, cut(27), wire.DropLength},
		{"a byte more", 0, func(s *signed) { s.payload = append(s.payload, 0) }, wire.DropLength},
		{"a byte more, IPv6", 1, func(s *signed) { s.payload = append(s.payload, 0) }, wire.DropLength},
		{"two of them", 0, func(s *signed) { s.payload = append(s.payload, s.trailer()...) }, wire.DropLength},
		{"truncated on the way in", 0, func(s *signed) { s.meta.Truncated = true }, wire.DropLength},
		{"where none is configured", 0, func(s *signed) { s.expect.HMAC = wire.HMAC{} }, wire.DropLength},
		{"where none is configured, version 2", 2, func(s *signed) { s.expect.HMAC = wire.HMAC{} }, wire.DropLength},
		{"where none is configured, IPv6", 1, func(s *signed) { s.expect.HMAC = wire.HMAC{} }, wire.DropLength},
		{"type 0", 0, set(0, 0), wire.DropHMACMalformed},
		{"type 2", 0, set(0, 2), wire.DropHMACMalformed},
		{"reserved", 0, set(2, 0, 1), wire.DropHMACMalformed},
		{"key 0", 0, set(1, 0), wire.DropHMACUnknownKey},
		{"key 2", 0, set(1, 2), wire.DropHMACUnknownKey},
		{"another key of the same id", 0, func(s *signed) {
			s.expect.HMAC.Keys = ring(t, 1, key(t, 1, keyK[:len(keyK)-1]+"e"))
		}, wire.DropHMACInvalid},
		{"the same key of another id", 0, func(s *signed) { s.expect.HMAC.Keys = ring(t, 2, key(t, 2, keyK)) }, wire.DropHMACUnknownKey},
		{"from somebody else", 0, func(s *signed) { s.meta.Source = netip.MustParseAddr("198.51.100.11") }, wire.DropHMACInvalid},
		{"as old as the window", 0, set(4, 0x67, 0xff, 0xff, 0xfb), wire.DropNone},
		{"older", 0, set(4, 0x67, 0xff, 0xff, 0xfa, 0xff, 0xff), wire.DropHMACStale},
		{"as far ahead as the window", 0, set(4, 0x68, 0, 0, 5, 0xff, 0xff), wire.DropNone},
		{"further ahead", 0, set(4, 0x68, 0, 0, 6), wire.DropHMACStale},
		{"a hundred seconds old", 0, func(s *signed) { s.meta.Arrived = vectorTime().Add(100 * time.Second) }, wire.DropHMACStale},
		{"a hundred seconds ahead", 0, func(s *signed) { s.meta.Arrived = vectorTime().Add(-100 * time.Second) }, wire.DropHMACStale},
		{"a century old, monotonic", 0, func(s *signed) {
			s.expect.HMAC.Regime, s.meta.Arrived = wire.Monotonic, vectorTime().AddDate(100, 0, 0)
		}, wire.DropNone},
		{"nobody knows when", 0, func(s *signed) { s.meta.Arrived = time.Time{} }, wire.DropHMACStale},
		{"nobody knows when, at the second of no time at all", 0, func(s *signed) {
			s.meta.Arrived = time.Time{}
			binary.BigEndian.PutUint32(s.trailer()[4:], uint32(s.meta.Arrived.Unix()))
			s.sign(t)
		}, wire.DropHMACStale},
		{"nobody knows when, monotonic", 0, func(s *signed) {
			s.expect.HMAC.Regime, s.meta.Arrived = wire.Monotonic, time.Time{}
		}, wire.DropNone},
		{"no window", 0, func(s *signed) {
			s.expect.HMAC.Window, s.meta.Arrived = 0, vectorTime().Add(time.Second)
		}, wire.DropHMACStale},
		{"without marks", 0, func(s *signed) { s.expect.Marks = nil }, wire.DropHMACReplay},
		{"behind an authentication header", 2, func(s *signed) { s.meta.AH.Present = true }, wire.DropAuthType},
		{"of type pass", 2, func(s *signed) { s.payload[4] = 1; s.sign(t) }, wire.DropAuthType},
		{"with data where the password would be", 2, func(s *signed) { s.payload[12] = 1; s.sign(t) }, wire.DropNone},
		{"reserved bits of the interval are covered", 0, func(s *signed) { s.payload[4] |= 0x80; s.seal(t) }, wire.DropHMACInvalid},
		{"reserved bits of the interval are free", 0, func(s *signed) { s.payload[4] |= 0x80; s.sign(t) }, wire.DropNone},
		{"leaving", 0, func(s *signed) { s.payload[2] = 0; s.sign(t) }, wire.DropNone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := fromVector(t, tt.vector)
			tt.change(&s)
			if got := s.check(); got != tt.want {
				t.Errorf("dropped for %v, want %v", got, tt.want)
			}
		})
	}
}

// The order is a promise here, too: the trailer is looked at behind everything
// else, and its own checks are in the order of the reasons.
func TestCheckOrderTrailer(t *testing.T) {
	first, s := fromVector(t, 2), fromVector(t, 2)
	if drop := first.check(); drop != wire.DropNone {
		t.Fatal(drop)
	}
	s.expect.Marks = first.expect.Marks // Replay.
	s.payload[7] ^= 1                   // Checksum.
	s.payload[20] = 7                   // Trailer's type,
	s.payload[24] = 0                   // seconds,
	s.payload[21] = 9                   // and key.
	s.payload[0] = 0x22                 // Type.
	s.payload[4] = 1                    // Authentication type.
	s.payload[5] = 9                    // Interval.
	s.payload = append(s.payload, 0)    // Length.
	s.meta.TTL = 1
	s.meta.Destination = s.meta.Source
	s.expect.Version = wire.V3
	seal := func() { binary.BigEndian.PutUint16(s.payload[6:], plainSum(s.payload[:20])) }
	steps := []struct {
		want   wire.DropReason
		repair func()
	}{
		{wire.DropLength, func() { s.payload = s.payload[:48] }},
		{wire.DropTTL, func() { s.meta.TTL = 255 }},
		{wire.DropVersion, func() { s.expect.Version = wire.V2 }},
		{wire.DropAuthType, func() { s.payload[4] = 0 }},
		{wire.DropInterval, func() { s.payload[5] = 1 }},
		{wire.DropType, func() { s.payload[0] = 0x21 }},
		{wire.DropChecksum, seal},
		{wire.DropDestination, func() { s.meta.Destination = wire.GroupIPv4() }},
		{wire.DropHMACMalformed, func() { s.payload[20] = 1 }},
		{wire.DropHMACStale, func() { s.payload[24] = 0x68 }},
		{wire.DropHMACUnknownKey, func() { s.payload[21] = 1; s.payload[47] ^= 1 }},
		{wire.DropHMACInvalid, func() { s.payload[47] ^= 1 }},
		{wire.DropHMACReplay, func() { s.payload[31]++; s.sign(t) }},
		{wire.DropNone, func() {}},
	}
	for i, step := range steps {
		if got := s.check(); got != step.want {
			t.Fatalf("step %d: dropped for %v, want %v", i, got, step.want)
		}
		step.repair()
	}
}

// What is dropped for anything at all moves no mark: the original, overtaken by a
// copy with one of the fields spoiled that the MAC does not cover, still counts.
func TestDroppedMovesNoMark(t *testing.T) {
	spoil := map[string]func(*signed){
		"checksum":    func(s *signed) { s.payload[7] ^= 1 },
		"destination": func(s *signed) { s.meta.Destination = netip.MustParseAddr("192.0.2.77") },
		"TTL":         func(s *signed) { s.meta.TTL = 254 },
		"MAC":         func(s *signed) { s.trailer()[20] ^= 1 },
		"priority":    func(s *signed) { s.payload[2] ^= 1; s.seal(t) },
		"stamp":       func(s *signed) { s.trailer()[11]++ },
		"reserved":    func(s *signed) { s.trailer()[2]++ },
	}
	for name, change := range spoil {
		for vector := range 3 {
			s, copied := fromVector(t, vector), fromVector(t, vector)
			copied.expect.Marks = s.expect.Marks
			change(&copied)
			if drop := copied.check(); drop == wire.DropNone {
				t.Errorf("%s: believed with another %s", trailerVectors[vector].name, name)
			}
			if drop := s.check(); drop != wire.DropNone {
				t.Errorf("%s: the original behind a copy with another %s is dropped for %v", trailerVectors[vector].name, name, drop)
			}
		}
	}
}
