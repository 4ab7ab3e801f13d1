package wire_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// Packets of Keepalived 2.2.7 with auth_type AH, as they were on the wire.
var keepalivedAH = []struct {
	name, password string
	priority       uint8
	destination    string
	sequence       uint32
	packet         string
}{
	{
		"the first one", "secret", 150, "224.0.0.18", 1,
		"45c0004400010000ff3318b2c0000201e0000012 70040000c000020100000001 54ec1b1ef846fe73169bf58b 213396020201c2b2 c000020ac000020b 0000000000000000",
	},
	{
		"the next one", "secret", 150, "224.0.0.18", 2,
		"45c0004400020000ff3318b1c0000201e0000012 70040000c000020100000002 f310b4da8327e91f4638382c 213396020201c2b2 c000020ac000020b 0000000000000000",
	},
	{
		"leaving", "secret", 0, "224.0.0.18", 6,
		"45c0004400060000ff3318adc0000201e0000012 70040000c000020100000006 81368a312d01ca82a48fa822 21330002020158b3 c000020ac000020b 0000000000000000",
	},
	{
		"to a unicast peer", "secret", 150, "192.0.2.2", 1,
		"45c0004400010000ff3336c2c0000201c0000202 70040000c000020100000001 03a67a8d91e71801a75a3d2a 213396020201c2b2 c000020ac000020b 0000000000000000",
	},
	{
		"the same to another peer", "secret", 150, "192.0.2.3", 1,
		"45c0004400010000ff3336c1c0000201c0000203 70040000c000020100000001 6cb5b5d2dc9d1f4e5241ba65 213396020201c2b2 c000020ac000020b 0000000000000000",
	},
}

// The first one of an instance with VRID 52 and auth_pass longpassword.
const keepalivedLongPassword = "45c0004400010000ff3318b2c0000201e0000012 70040000c000020100000001 ce0f490bf0ac997b60e8db56 213496020201c2b1 c000020ac000020b 0000000000000000"

func ahAdvertisement(password string, priority uint8) wire.Advertisement {
	a := wire.Advertisement{
		Version: wire.V2, VRID: 51, Priority: priority, Interval: time.Second,
		Addresses: addrs("192.0.2.10", "192.0.2.11"), Auth: pass(password),
	}
	a.Auth.Type = wire.AuthHeader
	return a
}

func ahExpect(a wire.Advertisement) wire.Expect {
	expect := expectOf(a, wire.PseudoHeader)
	expect.Sequence = new(wire.Sequence)
	return expect
}

func TestKeepalivedAH(t *testing.T) {
	for _, tt := range keepalivedAH {
		t.Run(tt.name, func(t *testing.T) {
			packet := unhex(t, tt.packet)
			payload, m, ok := wire.SplitIPv4(packet)
			if !ok || m.AH.SPI != 0xc0000201 || m.AH.Sequence != tt.sequence {
				t.Fatalf("split into %+v, %v", m, ok)
			}
			want := ahAdvertisement(tt.password, tt.priority)
			expect := ahExpect(want)
			expect.Group = netip.MustParseAddr(tt.destination)
			var got wire.Advertisement
			findings, drop := expect.Check(payload, m, &got)
			if drop != wire.DropNone || findings.Any() {
				t.Fatalf("Check = %+v, %v", findings, drop)
			}
			received := want
			received.Auth.Password = wire.Password{}
			if diff := cmp.Diff(received, got, compareAddrs); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
			// And halo sends the very same bytes.
			sent, err := want.AppendAH(nil, m.Source, m.Destination, 255, tt.sequence)
			if err != nil || !bytes.Equal(sent, packet) {
				t.Errorf("sends\n% x (%v), Keepalived\n% x", sent, err, packet)
			}
		})
	}
}

// Keepalived takes eight characters of "longpassword": what NewPassword refuses
// has to be cut by whoever converts its configuration.
func TestKeepalivedAHLongPassword(t *testing.T) {
	want := ahAdvertisement("longpass", 150)
	want.VRID = 52
	sent, err := want.AppendAH(nil, netip.MustParseAddr("192.0.2.1"), wire.GroupIPv4(), 255, 1)
	if err != nil {
		t.Fatal(err)
	}
	if packet := unhex(t, keepalivedLongPassword); !bytes.Equal(sent, packet) {
		t.Errorf("sends\n% x, Keepalived\n% x", sent, packet)
	}
}

func TestSplitIPv4AH(t *testing.T) {
	whole := keepalivedAH[0].packet
	options := "46c0004800010000ff3318b2c0000201e0000012 94040000" + whole[40:]
	tests := []struct {
		name    string
		packet  []byte
		ok      bool
		payload int
	}{
		{"whole", unhex(t, whole), true, 24},
		{"link padding behind it", append(unhex(t, whole), 1, 2), true, 24},
		{"nothing behind the header", append([]byte{0x45, 0, 0, 44}, unhex(t, whole)[4:44]...), true, 0},
		{"cut in the header", unhex(t, whole)[:43], false, 0},
		{"cut behind the header", unhex(t, whole)[:50], true, 6},
		{"options, which may change on the way", unhex(t, options), false, 0},
		{"another protocol behind it", append(append(unhex(t, whole)[:20], 17), unhex(t, whole)[21:]...), false, 0},
		{"another length of the ICV", append(append(unhex(t, whole)[:21], 5), unhex(t, whole)[22:]...), false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			payload, m, ok := wire.SplitIPv4(tt.packet)
			if ok != tt.ok || len(payload) != tt.payload || m.AH.Present != tt.ok {
				t.Fatalf("got % x, %+v, %v", payload, m, ok)
			}
			if !ok {
				return
			}
			want := wire.AH{
				Present: true, Identification: 1, SPI: 0xc0000201, Sequence: 1,
				ICV: [12]byte(unhex(t, "54ec1b1ef846fe73169bf58b")),
			}
			if m.AH != want {
				t.Errorf("header %+v, want %+v", m.AH, want)
			}
			if payload == nil {
				t.Error("a payload must not be nil")
			}
		})
	}
	// The same bytes of another protocol are its payload.
	packet := unhex(t, whole)
	packet[9] = wire.Protocol
	if payload, m, ok := wire.SplitIPv4(packet); !ok || m.AH != (wire.AH{}) || len(payload) != 48 {
		t.Errorf("got % x, %+v, %v", payload, m, ok)
	}
}

// reference is the ICV by the standard library's HMAC, over the packet with
// zeros where RFC 2402 §3.3.3.1.1.1 and Keepalived want them.
func reference(t *testing.T, packet []byte, password string) []byte {
	t.Helper()
	b := bytes.Clone(packet)
	b[1] = 0            // Type of service.
	b[6], b[7] = 0, 0   // Flags and fragment offset.
	b[10], b[11] = 0, 0 // Checksum.
	if b[16]>>4 != 14 { // To one peer.
		b[8] = 0 // TTL.
	}
	clear(b[32:44]) // The ICV.
	mac := hmac.New(md5.New, []byte(password))
	mac.Write(b)
	return mac.Sum(nil)[:12]
}

func TestAHRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		password := rapid.StringMatching(`[!-~]{1,8}`).Draw(rt, "password")
		a := ahAdvertisement(password, rapid.Uint8().Draw(rt, "priority"))
		a.VRID = rapid.Uint8Range(1, 255).Draw(rt, "vrid")
		a.Addresses = nil
		for range rapid.IntRange(1, wire.MaxAddresses).Draw(rt, "count") {
			a.Addresses = append(a.Addresses, drawAddr(rt, wire.IPv4, "address"))
		}
		source, destination := drawAddr(rt, wire.IPv4, "source"), wire.GroupIPv4()
		if rapid.Bool().Draw(rt, "unicast") {
			destination = netip.MustParseAddr("192.0.2.2")
		}
		sequence := rapid.Uint32Min(1).Draw(rt, "sequence")
		packet, err := a.AppendAH([]byte{9}, source, destination, 255, sequence)
		if err != nil {
			rt.Fatal(err)
		}
		packet = packet[1:]
		if len(packet) > wire.MaxLengthAH {
			rt.Fatalf("%d bytes", len(packet))
		}
		if got, want := packet[32:44], reference(t, packet, password); !bytes.Equal(got, want) {
			rt.Fatalf("ICV % x, want % x", got, want)
		}
		// What routers and kernels change on the way does not matter.
		packet[1] = rapid.Uint8().Draw(rt, "type of service")
		packet[6], packet[10] = 0x40, packet[10]+1
		payload, m, ok := wire.SplitIPv4(packet)
		if !ok {
			rt.Fatal("not an IPv4 packet")
		}
		expect := ahExpect(a)
		expect.Group = destination
		var got wire.Advertisement
		if findings, drop := expect.Check(payload, m, &got); drop != wire.DropNone || findings.Any() {
			rt.Fatalf("Check = %+v, %v", findings, drop)
		}
	})
}

func TestAppendAHRefuses(t *testing.T) {
	tests := []struct {
		name                string
		change              func(*wire.Advertisement)
		source, destination string
		want                string
	}{
		{"no authentication", func(a *wire.Advertisement) { a.Auth = wire.Auth{} }, "192.0.2.1", "224.0.0.18", "type is not ah"},
		{"a password", func(a *wire.Advertisement) { a.Auth.Type = wire.AuthPassword }, "192.0.2.1", "224.0.0.18", "type is not ah"},
		{"no key", func(a *wire.Advertisement) { a.Auth.Password = wire.Password{} }, "192.0.2.1", "224.0.0.18", "needs a password"},
		{"version 3", func(a *wire.Advertisement) { a.Version = wire.V3 }, "192.0.2.1", "224.0.0.18", "version 3 has no authentication"},
		{"IPv6", func(a *wire.Advertisement) { a.Family = wire.IPv6 }, "fe80::1", "ff02::12", "version 2 knows IPv4 only"},
		{"from IPv6", func(*wire.Advertisement) {}, "fe80::1", "224.0.0.18", "no IPv4 packet goes from fe80::1"},
		{"to IPv6", func(*wire.Advertisement) {}, "192.0.2.1", "ff02::12", "no IPv4 packet"},
		{"no addresses", func(a *wire.Advertisement) { a.Addresses = nil }, "192.0.2.1", "224.0.0.18", "no addresses"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := ahAdvertisement("secret", 150)
			tt.change(&a)
			b, err := a.AppendAH([]byte{1}, netip.MustParseAddr(tt.source), netip.MustParseAddr(tt.destination), 255, 1)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if !bytes.Equal(b, []byte{1}) {
				t.Errorf("a refused advertisement left bytes: % x", b)
			}
		})
	}
}

// The kernel fills in the checksum of the IP header, and it must find nothing to
// change: the header is whole.
func TestAppendAHHeader(t *testing.T) {
	a := ahAdvertisement("secret", 150)
	for _, sequence := range []uint32{1, 0xffff, 0x10000, 0xffffffff} {
		packet, err := a.AppendAH(nil, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), 64, sequence)
		if err != nil {
			t.Fatal(err)
		}
		if got := plainSumAt(packet[:20], 10); got != binary.BigEndian.Uint16(packet[10:]) {
			t.Errorf("checksum of the IP header % x, want %#04x", packet[10:12], got)
		}
		if packet[4] == 0 && packet[5] == 0 {
			t.Errorf("sequence %#x leaves the identification to the kernel", sequence)
		}
		if packet[1] != 0xc0 || packet[8] != 64 || packet[9] != wire.ProtocolAH || int(packet[3]) != len(packet) {
			t.Errorf("IP header % x", packet[:20])
		}
	}
}

func TestAHDoesNotAllocate(t *testing.T) {
	a := ahAdvertisement("secret", 150)
	a.Addresses = many(wire.MaxAddresses)
	source, buf := netip.MustParseAddr("192.0.2.1"), make([]byte, 0, wire.MaxLengthAH)
	expect := ahExpect(a)
	var got wire.Advertisement
	sequence := uint32(1)
	if n := testing.AllocsPerRun(100, func() {
		packet, err := a.AppendAH(buf, source, wire.GroupIPv4(), 255, sequence)
		if err != nil {
			t.Fatal(err)
		}
		payload, m, _ := wire.SplitIPv4(packet)
		if _, drop := expect.Check(payload, m, &got); drop != wire.DropNone {
			t.Fatal(drop)
		}
		sequence++
	}); n != 0 {
		t.Errorf("%v allocations to send and receive", n)
	}
}
