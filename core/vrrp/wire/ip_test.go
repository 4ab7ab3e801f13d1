package wire_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// A real packet's shape: TOS 0xc0, TTL 255, protocol 112, to 224.0.0.18.
const ipPacket = "45 c0 00 20 00 01 00 00 ff 70 19 4b c0 00 02 01 e0 00 00 12 " + v3Pseudo

func TestSplitIPv4(t *testing.T) {
	want := wire.Meta{Source: netip.MustParseAddr("192.0.2.1"), Destination: wire.GroupIPv4(), TTL: 255}
	tests := []struct {
		name    string
		packet  []byte
		ok      bool
		meta    wire.Meta
		payload []byte
	}{
		{"whole", unhex(t, ipPacket), true, want, unhex(t, v3Pseudo)},
		{"link padding behind it", append(unhex(t, ipPacket), 0, 0, 0), true, want, unhex(t, v3Pseudo)},
		{"options before the payload", unhex(t, "46 c0 00 1a 00 01 00 00 ff 70 00 00 c0 00 02 01 e0 00 00 12 94 04 00 00 31 33"), true, want, unhex(t, "31 33")},
		{"no payload", unhex(t, ipPacket[:0]+"45 c0 00 14 00 01 00 00 ff 70 00 00 c0 00 02 01 e0 00 00 12"), true, want, []byte{}},
		{"cut", unhex(t, ipPacket)[:30], true, wire.Meta{Source: want.Source, Destination: want.Destination, TTL: 255, Truncated: true}, unhex(t, v3Pseudo)[:10]},
		{"empty", nil, false, wire.Meta{}, nil},
		{"short", unhex(t, ipPacket)[:19], false, wire.Meta{}, nil},
		{"version 6", append([]byte{0x60}, unhex(t, ipPacket)[1:]...), false, wire.Meta{}, nil},
		{"header shorter than a header", append([]byte{0x44}, unhex(t, ipPacket)[1:]...), false, wire.Meta{}, nil},
		{"header longer than the packet", append([]byte{0x4f}, unhex(t, ipPacket)[1:]...), false, wire.Meta{}, nil},
		{"total length inside the header", append([]byte{0x45, 0xc0, 0, 19}, unhex(t, ipPacket)[4:]...), false, wire.Meta{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			payload, m, ok := wire.SplitIPv4(tt.packet)
			if ok != tt.ok || m != tt.meta || !bytes.Equal(payload, tt.payload) {
				t.Errorf("got % x, %+v, %v", payload, m, ok)
			}
			if ok && payload == nil {
				t.Error("a payload must not be nil")
			}
		})
	}
}

func TestVRID(t *testing.T) {
	if id, ok := wire.VRID(unhex(t, v3Pseudo)); !ok || id != 51 {
		t.Errorf("got %d, %v", id, ok)
	}
	if _, ok := wire.VRID(make([]byte, 7)); ok {
		t.Error("found a virtual router in half a header")
	}
}
