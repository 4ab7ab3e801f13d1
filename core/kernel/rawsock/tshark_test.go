package rawsock_test

import (
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rawsock"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// dissect has tshark read frames and returns the fields, a line for each frame.
func dissect(t *testing.T, frames [][]byte, fields ...string) []string {
	t.Helper()
	kerneltest.RequireTool(t, "tshark")
	// The file's header: magic number, version 2.4, Ethernet.
	file := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	file = append(file, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0)
	for _, frame := range frames {
		file = append(file, make([]byte, 8)...)
		file = binary.LittleEndian.AppendUint32(file, uint32(len(frame)))
		file = binary.LittleEndian.AppendUint32(file, uint32(len(frame)))
		file = append(file, frame...)
	}
	path := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-n", "-r", path, "-T", "fields", "-E", "separator=|", "-o", "ip.check_checksum:TRUE"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out, err := exec.CommandContext(t.Context(), kerneltest.ToolPath("tshark"), args...).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// An independent reader finds nothing wrong with what leaves the sockets.
func TestFramesByAnotherReader(t *testing.T) {
	kerneltest.RequireTool(t, "tshark")
	a, b := twoIPv6Hosts(t)
	a.AddAddress("eth0", "192.0.2.1/24")
	b.AddAddress("eth0", "192.0.2.2/24")
	ip4, ip6 := tap(t, b, unix.ETH_P_IP), tap(t, b, unix.ETH_P_IPV6)
	password, err := wire.NewPassword("geheim")
	if err != nil {
		t.Fatal(err)
	}
	v3 := wire.Advertisement{Version: wire.V3, VRID: 51, Priority: 100, Interval: time.Second, Addresses: []netip.Addr{addr("192.0.2.10")}}
	v6 := v3
	v6.Family, v6.Addresses = wire.IPv6, []netip.Addr{addr("fe80::10"), addr("2001:db8::10")}
	withHeader := v3
	withHeader.Version, withHeader.Auth = wire.V2, wire.Auth{Type: wire.AuthHeader, Password: password}
	var frames [][]byte
	for _, s := range []struct {
		transport           rawsock.Transport
		advert              wire.Advertisement
		source, destination string
	}{
		{rawsock.Transport{Interface: "eth0", Group: true}, v3, "192.0.2.1", "224.0.0.18"},
		{rawsock.Transport{Interface: "eth0"}, v3, "192.0.2.1", "192.0.2.2"},
		{ipv6Group(), v6, "fe80::1", "ff02::12"},
		{unicast(wire.IPv6), v6, "2001:db8::1", "2001:db8::2"},
		{ah(true), withHeader, "192.0.2.1", "224.0.0.18"},
	} {
		x, _ := openTransport(t, a, s.transport)
		source, destination := addr(s.source), addr(s.destination)
		message, err := s.advert.Append(nil, source, destination, wire.PseudoHeader)
		if s.transport.AH {
			message, err = s.advert.AppendAH(nil, source, destination, wire.HopLimit, 1)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Send(message, source, destination); err != nil {
			t.Fatal(err)
		}
		if destination.Is6() {
			frames = append(frames, capture(t, ip6, func(f []byte) bool { return len(f) > 54 && f[20] == wire.Protocol }))
		} else {
			frames = append(frames, capture(t, ip4, func(f []byte) bool { return f[23] == wire.Protocol || f[23] == wire.ProtocolAH }))
		}
	}
	mac := [6]byte(a.MAC("eth0"))
	frames = append(frames,
		rawsock.AppendUnsolicitedNA(nil, mac, addr("2001:db8::10").As16(), true),
		rawsock.AppendUnsolicitedNA(nil, mac, addr("fe80::10").As16(), false))
	got := dissect(t, frames, "_ws.malformed", "_ws.expert.severity", "ip.checksum.status", "vrrp.checksum.status", "icmpv6.checksum.status",
		"vrrp.version", "vrrp.prio", "ip.ttl", "ipv6.hlim", "ah.sequence", "icmpv6.nd.na.flag.r", "icmpv6.nd.na.flag.o", "icmpv6.nd.na.flag.s")
	// A status of 1 is a checksum that is right.
	want := []string{
		"||1|1||3|100|255|||||",
		"||1|1||3|100|255|||||",
		"|||1||3|100||255||||",
		"|||1||3|100||255||||",
		"||1|1||2|100|255||1|||",
		"||||1||||255||1|1|0",
		"||||1||||255||0|1|0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("read\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
