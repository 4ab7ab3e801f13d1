package wire_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Packets of Keepalived 2.2.7, as they were on the wire: its first one as the
// active router and the one with which it leaves.
func TestKeepalivedPackets(t *testing.T) {
	both := addrs("192.0.2.10", "192.0.2.11")
	tests := []struct {
		name   string
		packet string
		want   wire.Advertisement
	}{
		{
			"version 2, password",
			"45c0002c00010000ff70188dc0000201e0000012 2133960201018766 c000020a c000020b 7365637265740000",
			wire.Advertisement{Version: wire.V2, VRID: 51, Priority: 150, Interval: time.Second, Addresses: both, Auth: pass("secret")},
		},
		{
			"version 2, password, leaving",
			"45c0002c00020000ff70188cc0000201e0000012 2133000201011d67 c000020a c000020b 7365637265740000",
			wire.Advertisement{Version: wire.V2, VRID: 51, Interval: time.Second, Addresses: both, Auth: pass("secret")},
		},
		{
			"version 2",
			"45c0002c00010000ff70188dc0000201e0000012 213396020001c4b2 c000020a c000020b 0000000000000000",
			wire.Advertisement{Version: wire.V2, VRID: 51, Priority: 150, Interval: time.Second, Addresses: both},
		},
		{
			"version 2, leaving",
			"45c0002c00020000ff70188cc0000201e0000012 2133000200015ab3 c000020a c000020b 0000000000000000",
			wire.Advertisement{Version: wire.V2, VRID: 51, Interval: time.Second, Addresses: both},
		},
		{
			"version 3",
			"45c0002400010000ff701895c0000201e0000012 31339602003211ed c000020a c000020b",
			wire.Advertisement{Version: wire.V3, VRID: 51, Priority: 150, Interval: 500 * time.Millisecond, Addresses: both},
		},
		{
			"version 3, leaving",
			"45c0002400020000ff701894c0000201e0000012 313300020032a7ed c000020a c000020b",
			wire.Advertisement{Version: wire.V3, VRID: 51, Interval: 500 * time.Millisecond, Addresses: both},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			payload, meta, ok := wire.SplitIPv4(unhex(t, tt.packet))
			if !ok {
				t.Fatal("not an IPv4 packet")
			}
			expect := expectOf(tt.want, wire.PseudoHeader)
			var got wire.Advertisement
			findings, drop := expect.Check(payload, meta, &got)
			if drop != wire.DropNone || findings.Any() {
				t.Fatalf("Check = %+v, %v", findings, drop)
			}
			if got.String() != tt.want.String() || got.Auth != tt.want.Auth {
				t.Errorf("received %v, want %v", got, tt.want)
			}
			// And halo sends the very same bytes.
			sent, err := tt.want.Append(nil, meta.Source, meta.Destination, wire.PseudoHeader)
			if err != nil || !bytes.Equal(sent, payload) {
				t.Errorf("sends\n% x (%v), Keepalived\n% x", sent, err, payload)
			}
		})
	}
}
