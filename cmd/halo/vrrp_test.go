package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

func TestSpans(t *testing.T) {
	for want, numbers := range map[string][]uint8{
		"none": nil, "7": {7}, "1-3": {1, 2, 3}, "1-2, 4, 254-255": {1, 2, 4, 254, 255},
	} {
		if got := spans(numbers); got != want {
			t.Errorf("%v: %q, want %q", numbers, got, want)
		}
	}
}

// Two routers that advertise one id at once are two lines; what nobody would
// believe says why; rubbish is passed over.
func TestScanAdds(t *testing.T) {
	r := &scanResult{Interface: "eth0", seen: map[key]*sighting{}}
	group := wire.GroupIPv4()
	advert := func(source string, vrid, priority uint8, addresses int) ([]byte, wire.Meta) {
		m := wire.Meta{Source: netip.MustParseAddr(source), Destination: group, TTL: 255}
		a := wire.Advertisement{Version: wire.V3, VRID: vrid, Priority: priority, Interval: time.Second}
		for i := range addresses {
			a.Addresses = append(a.Addresses, netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)}))
		}
		b, err := a.Append(nil, m.Source, m.Destination, wire.PseudoHeader)
		if err != nil {
			t.Fatal(err)
		}
		return b, m
	}
	b, m := advert("192.0.2.1", 51, 150, 5)
	r.add(b, m, wire.IPv4)
	r.add(b, m, wire.IPv4)
	b, m = advert("192.0.2.2", 51, 100, 1)
	r.add(b, m, wire.IPv4)
	b, m = advert("192.0.2.3", 7, 100, 1)
	m.TTL = 64
	r.add(b, m, wire.IPv4)
	b, m = advert("192.0.2.4", 8, 100, 1)
	b[6] ^= 0xff
	r.add(b, m, wire.IPv4)
	r.add(b[:8], m, wire.IPv4)
	r.add(nil, m, wire.IPv4)
	for i, at := range []time.Time{time.Now(), time.Now().Add(-time.Hour)} {
		b, m = signedAdvert(t, "192.0.2.5", uint8(9+i), at)
		r.add(b, m, wire.IPv4)
	}
	r.finish()
	var page strings.Builder
	if err := printScan(&page, r, time.Second); err != nil {
		t.Fatal(err)
	}
	want := `VRID  FAMILY  VERSION  SOURCE     PRIORITY  INTERVAL  AUTH    HEARD  ADDRESSES                                    PROBLEM
7     ipv4    3        192.0.2.3  100       1s        none    1      192.0.2.10                                   ttl
8     ipv4    3        192.0.2.4  100       1s        none    2      192.0.2.10                                   length
9     ipv4    3        192.0.2.5  100       1s        hmac 7  1      192.0.2.10                                   -
10    ipv4    3        192.0.2.5  100       1s        hmac 7  1      192.0.2.10                                   hmac_stale
51    ipv4    3        192.0.2.1  150       1s        none    2      192.0.2.10 192.0.2.11 192.0.2.12 and 2 more  -
51    ipv4    3        192.0.2.2  100       1s        none    1      192.0.2.10                                   -
Free ids: 1-6, 11-50, 52-255
`
	if page.String() != want {
		t.Errorf("page\n%s\nwant\n%s", page.String(), want)
	}
	var empty strings.Builder
	none := &scanResult{Interface: "eth0"}
	none.finish()
	if err := printScan(&empty, none, time.Second); err != nil || !strings.HasPrefix(empty.String(), "Nobody advertised on eth0 within 1s.\nFree ids: 1-255\n") {
		t.Errorf("%v, %q", err, empty.String())
	}
}

// signedAdvert is an advertisement with a trailer of key 7.
func signedAdvert(t *testing.T, source string, vrid uint8, at time.Time) ([]byte, wire.Meta) {
	t.Helper()
	k, err := wire.ParseKey(7, strings.Repeat("k", wire.MinKeyLength))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := wire.NewKeyRing(7, k)
	if err != nil {
		t.Fatal(err)
	}
	var stamps wire.Stamps
	m := wire.Meta{Source: netip.MustParseAddr(source), Destination: wire.GroupIPv4(), TTL: 255, Arrived: time.Now()}
	a := wire.Advertisement{Version: wire.V3, VRID: vrid, Priority: 100, Interval: time.Second, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}
	b, err := a.AppendHMAC(nil, m.Source, m.Destination, wire.PseudoHeader, ring, stamps.Next(at, &wire.HMAC{Keys: ring, Window: time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	return b, m
}
