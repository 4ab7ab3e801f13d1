package rawsock

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// controlMessage is one control message as the kernel writes it.
func controlMessage(level, kind int32, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(len(data)))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// What the kernel says of a packet from fe80::12's link, received on interface 7
// with hop limit 254.
func packetInfo() []byte {
	group := netip.MustParseAddr("ff02::12").As16()
	return controlMessage(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, binary.NativeEndian.AppendUint32(group[:], 7))
}

func hops(n uint32) []byte {
	return controlMessage(unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, binary.NativeEndian.AppendUint32(nil, n))
}

func stamped(seconds, nanoseconds uint64) []byte {
	b := binary.NativeEndian.AppendUint64(nil, seconds)
	return controlMessage(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, binary.NativeEndian.AppendUint64(b, nanoseconds))
}

func TestParseControl(t *testing.T) {
	whole := control{destination: netip.MustParseAddr("ff02::12"), index: 7, hopLimit: 254, stamp: stamp{5, 6}, complete: true}
	without := func(change func(*control)) control {
		c := whole
		change(&c)
		return c
	}
	unstamped := without(func(c *control) { c.stamp = stamp{} })
	for name, tt := range map[string]struct {
		messages []byte
		want     control
	}{
		"all":                   {join(stamped(5, 6), packetInfo(), hops(254)), whole},
		"in another order":      {join(hops(254), packetInfo(), stamped(5, 6)), whole},
		"without a stamp":       {join(packetInfo(), hops(254)), unstamped},
		"with one nobody knows": {join(packetInfo(), controlMessage(99, 99, []byte("xyz")), hops(254)), unstamped},
		"of another level":      {join(packetInfo(), hops(254), controlMessage(unix.SOL_SOCKET, unix.IPV6_HOPLIMIT, make([]byte, 4))), unstamped},
		"without a hop limit":   {packetInfo(), without(func(c *control) { c.complete, c.hopLimit, c.stamp = false, 0, stamp{} })},
		"without a destination": {hops(254), control{hopLimit: 254}},
		"a short stamp":         {join(packetInfo(), hops(254), controlMessage(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, make([]byte, 8))), unstamped},
		"short information":     {join(controlMessage(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, make([]byte, 16)), hops(254)), control{hopLimit: 254}},
		"cut off":               {join(packetInfo(), hops(254))[:len(packetInfo())+10], without(func(c *control) { c.complete, c.hopLimit, c.stamp = false, 0, stamp{} })},
		"nothing":               {nil, control{}},
	} {
		if got := parseControl(tt.messages); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func FuzzParseControl(f *testing.F) {
	for _, seed := range [][]byte{
		nil, packetInfo(), hops(255), join(stamped(1, 2), packetInfo(), hops(255)), make([]byte, 16), make([]byte, 8), {255, 255, 255, 255, 255, 255, 255, 127},
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := parseControl(b)
		if c.complete != (c.complete && c.destination.IsValid()) {
			t.Errorf("complete without a destination: %+v", c)
		}
		if c.destination.IsValid() && !c.destination.Is6() {
			t.Errorf("destination %v", c.destination)
		}
	})
}
