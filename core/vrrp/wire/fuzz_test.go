package wire_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// FuzzCheck: no payload panics, and what is believed encodes to the bytes that
// were believed, but for padding and reserved bits.
func FuzzCheck(f *testing.F) {
	for _, g := range golden {
		f.Add(unhex(f, g.bytes), uint8(255), uint8(g.value.Version))
	}
	f.Add([]byte{}, uint8(255), uint8(3))
	f.Add(unhex(f, "31 33 96 00 00 64 38 68"), uint8(255), uint8(3))
	f.Add(unhex(f, "31 33 96 01 00 00 76 c0 c0 00 02 0a"), uint8(255), uint8(3))
	f.Fuzz(func(t *testing.T, payload []byte, ttl, version uint8) {
		m := metaFrom("192.0.2.1")
		m.TTL = ttl
		for _, auth := range []wire.Auth{{}, pass("1234")} {
			expect := wire.Expect{
				Version: wire.Version(version), Interval: time.Second, Auth: auth,
				Addresses: addrs("192.0.2.10"), Group: wire.GroupIPv4(),
			}
			var a wire.Advertisement
			before := bytes.Clone(payload)
			findings, drop := expect.Check(payload, m, &a)
			if !bytes.Equal(before, payload) {
				t.Fatal("the payload was changed")
			}
			if drop != wire.DropNone || a.VRID == 0 || len(a.Addresses) == 0 {
				continue
			}
			form := wire.PseudoHeader
			if findings.Checksum {
				form = wire.Plain
			}
			back, err := a.Append(nil, m.Source, m.Destination, form)
			if err != nil {
				t.Fatalf("believed %v, which cannot be sent: %v", a, err)
			}
			if a.Version == wire.V3 {
				payload = bytes.Clone(payload)
				payload[4] &= 0x0f
			} else if auth.Type == wire.AuthNone {
				// What stands in the unused field is not kept.
				payload = bytes.Clone(payload)
				clear(payload[len(back)-8 : len(back)])
			}
			// Zero has two spellings in one's complement.
			same := bytes.Equal(back[:6], payload[:6]) && bytes.Equal(back[8:], payload[8:len(back)])
			if !same {
				t.Fatalf("% x became % x", payload, back)
			}
		}
	})
}

func FuzzSplitIPv4(f *testing.F) {
	f.Add(unhex(f, ipPacket))
	f.Add(unhex(f, ipPacket)[:25])
	f.Add([]byte{0x4f})
	f.Fuzz(func(t *testing.T, packet []byte) {
		payload, m, ok := wire.SplitIPv4(packet)
		if !ok {
			return
		}
		if len(payload) > len(packet)-20 || !m.Source.Is4() || !m.Destination.Is4() {
			t.Fatalf("% x became % x from %v", packet, payload, m.Source)
		}
	})
}
