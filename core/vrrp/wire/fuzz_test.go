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

// FuzzCheckIPv6: what is believed encodes to the bytes that were believed, but
// for reserved bits; there is one form of the checksum and no padding.
func FuzzCheckIPv6(f *testing.F) {
	f.Add(unhex(f, v6Payload), uint8(255))
	f.Add(unhex(f, v6Leaving), uint8(255))
	f.Add(unhex(f, v6Payload)[:24], uint8(64))
	f.Add([]byte{}, uint8(255))
	f.Fuzz(func(t *testing.T, payload []byte, hopLimit uint8) {
		m, expect := v6Meta(), v6Expect()
		m.TTL = hopLimit
		before := bytes.Clone(payload)
		var a wire.Advertisement
		findings, drop := expect.Check(payload, m, &a)
		if !bytes.Equal(before, payload) {
			t.Fatal("the payload was changed")
		}
		if drop != wire.DropNone || a.VRID == 0 {
			return
		}
		if hopLimit != wire.HopLimit || a.Family != wire.IPv6 || findings.Checksum {
			t.Fatalf("believed %v, hop limit %d, findings %+v", a, hopLimit, findings)
		}
		for _, addr := range a.Addresses {
			if addr.Is4In6() {
				return // It can be heard and not sent.
			}
		}
		back, err := a.Append(nil, m.Source, m.Destination, wire.PseudoHeader)
		if err != nil {
			t.Fatalf("believed %v, which cannot be sent: %v", a, err)
		}
		payload[4] &= 0x0f
		// Zero has two spellings in one's complement.
		if len(back) != len(payload) || !bytes.Equal(back[:6], payload[:6]) || !bytes.Equal(back[8:], payload[8:]) {
			t.Fatalf("% x became % x", payload, back)
		}
	})
}

// FuzzAH takes whole packets with an authentication header. What is believed is
// what AppendAH makes of it, but for what may change on the way. With signed, the
// ICV is made right first, so that the fuzzer gets beyond it.
func FuzzAH(f *testing.F) {
	for _, k := range keepalivedAH {
		f.Add(unhex(f, k.packet), false)
	}
	f.Add(unhex(f, ipPacket), false)
	f.Add(unhex(f, keepalivedAH[0].packet)[:43], true)
	f.Fuzz(func(t *testing.T, packet []byte, signed bool) {
		if signed && len(packet) >= 44 {
			packet = bytes.Clone(packet)
			copy(packet[32:44], reference(t, packet, "secret"))
		}
		payload, m, ok := wire.SplitIPv4(packet)
		if !ok {
			return
		}
		expect := ahExpect(ahAdvertisement("secret", 150))
		expect.Group = m.Destination
		var a wire.Advertisement
		if _, drop := expect.Check(payload, m, &a); drop != wire.DropNone || a.VRID == 0 || len(a.Addresses) == 0 {
			return
		}
		if !m.AH.Present {
			t.Fatal("believed without a header")
		}
		if _, drop := expect.Check(payload, m, &a); drop != wire.DropReplay {
			t.Fatalf("the second time dropped for %v", drop)
		}
		a.Auth = expect.Auth
		back, err := a.AppendAH(nil, m.Source, m.Destination, m.TTL, m.AH.Sequence)
		if err != nil {
			t.Fatalf("believed %v, which cannot be sent: %v", a, err)
		}
		// The type of service, identification, fragment and checksum of the IP
		// header, the reserved bytes and what stands where the password would be
		// are the sender's; the ICV covers some.
		end := min(len(back), len(packet))
		for _, free := range [][2]int{{1, 2}, {4, 8}, {10, 12}, {22, 24}, {32, 44}, {50, 52}, {end - 8, end}} {
			clear(packet[free[0]:free[1]])
			clear(back[free[0]:free[1]])
		}
		if !bytes.Equal(back, packet[:end]) {
			t.Fatalf("% x became % x", packet, back)
		}
	})
}
