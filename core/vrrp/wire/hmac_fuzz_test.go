package wire_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// FuzzHMAC takes payloads of either family. What is believed is what AppendHMAC
// makes of it, counts once, and does not count with another key. With sign, the
// MAC and the checksum are made right first, so that the fuzzer gets beyond them.
func FuzzHMAC(f *testing.F) {
	for _, v := range trailerVectors {
		f.Add(unhex(f, v.message+v.trailer), v.value.Family == wire.IPv6, int64(0x68000000), false)
	}
	f.Add(unhex(f, trailerVectors[0].message+trailerVectors[0].trailer), false, int64(0x68000005), true)
	f.Add(unhex(f, trailerVectors[0].message), false, int64(0), true)
	f.Add([]byte{}, true, int64(0), true)
	f.Fuzz(func(t *testing.T, payload []byte, six bool, seconds int64, sign bool) {
		s := fromVector(t, 0)
		if six {
			s = fromVector(t, 1)
		}
		s.payload, s.meta.Arrived = bytes.Clone(payload), time.Unix(seconds, 0)
		family := s.expect.Family
		got, present := wire.TrailerOf(s.payload, family)
		if len(payload) > 0 && (payload[0]>>4 == 2 || payload[0]>>4 == 3) {
			s.expect.Version = wire.Version(payload[0] >> 4)
		}
		if present && sign && got.KeyID == 1 {
			if six {
				s.payload[4] &= 0x0f
			}
			s.sign(t)
		}
		before := bytes.Clone(s.payload)
		other := s
		other.expect.HMAC.Keys = ring(t, 1, key(t, 1, "another-key-of-the-same-id-000001"))
		other.expect.Marks = wire.NewMarks(1)
		var a wire.Advertisement
		_, drop := s.expect.Check(s.payload, s.meta, &a)
		if !bytes.Equal(before, s.payload) {
			t.Fatal("the payload was changed")
		}
		if drop != wire.DropNone {
			return
		}
		if !present {
			t.Fatal("believed without a trailer")
		}
		if drop := s.check(); drop != wire.DropHMACReplay {
			t.Fatalf("the second time dropped for %v", drop)
		}
		if drop := other.check(); drop != wire.DropHMACInvalid {
			t.Fatalf("with another key dropped for %v", drop)
		}
		if a.VRID == 0 || len(a.Addresses) == 0 || slices.ContainsFunc(a.Addresses, netip.Addr.Is4In6) {
			return // It can be heard and not sent.
		}
		back, err := a.AppendHMAC(nil, s.meta.Source, s.meta.Destination, wire.Plain, s.expect.HMAC.Keys, got.Stamp)
		if err != nil {
			t.Fatalf("believed %v, which cannot be sent: %v", a, err)
		}
		// Reserved bits and what stands where the password would be are the
		// sender's, and the MAC covers them; the checksum has two forms.
		n := a.Length()
		compare := [][2]int{{0, 4}, {5, 6}, {8, n}, {n, n + 12}}
		if a.Version == wire.V2 {
			compare = [][2]int{{0, 6}, {8, n - 8}, {n, n + 12}}
		}
		if len(back) != len(s.payload) {
			t.Fatalf("% x became % x", s.payload, back)
		}
		for _, r := range compare {
			if !bytes.Equal(back[r[0]:r[1]], s.payload[r[0]:r[1]]) {
				t.Fatalf("% x became % x", s.payload, back)
			}
		}
	})
}
