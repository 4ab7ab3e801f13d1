package radv_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/halo-ha/halo/core/radv"
)

const (
	asks     = "85 00 1234 00000000"
	withLink = asks + "01 01 0200 0000 0a01"
)

// Each rule of RFC 4861 §6.1.1, one fault at a time, in their order.
func TestCheckSolicitation(t *testing.T) {
	host, nobody := netip.MustParseAddr("fe80::3"), netip.IPv6Unspecified()
	for _, test := range []struct {
		name, bytes string
		source      netip.Addr
		hops        int
		want        radv.DropReason
	}{
		{"with its hardware address", withLink, host, 255, radv.DropNone},
		{"without", asks, host, 255, radv.DropNone},
		{"from nobody", asks, nobody, 255, radv.DropNone},
		{"with an option that nobody knows", asks + "fd 02 0000 00000000 00000000 00000000", nobody, 255, radv.DropNone},
		{"an advertisement", "86 00 1234 00000000", host, 255, radv.DropType},
		{"from beyond the link", withLink, host, 254, radv.DropHopLimit},
		{"with a code", "85 01 1234 00000000", host, 255, radv.DropCode},
		{"without anything", "", host, 255, radv.DropTruncated},
		{"seven bytes", "85 00 1234 000000", host, 255, radv.DropTruncated},
		{"one byte", "85", host, 255, radv.DropTruncated},
		{"an option without length", asks + "01 00 0200 0000 0a01", host, 255, radv.DropOption},
		{"an option that is cut off", asks + "01 02 0200 0000 0a01", host, 255, radv.DropOption},
		{"one byte of an option", asks + "01", host, 255, radv.DropOption},
		{"a hardware address of nobody", withLink, nobody, 255, radv.DropSource},
	} {
		if got := radv.CheckSolicitation(unhex(t, test.bytes), radv.Meta{Source: test.source, HopLimit: test.hops}); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestWords(t *testing.T) {
	seen := map[string]bool{}
	for reason := range radv.DropReasonCount {
		word := radv.DropReason(reason).String()
		if word == "unknown" || seen[word] {
			t.Errorf("reason %d is called %q", reason, word)
		}
		seen[word] = true
	}
	for phase := radv.Silent; phase <= radv.Withdrawing; phase++ {
		word := phase.String()
		if word == "unknown" || seen[word] {
			t.Errorf("phase %d is called %q", phase, word)
		}
		seen[word] = true
	}
	if radv.DropReason(200).String() != "unknown" || radv.Phase(200).String() != "unknown" {
		t.Error("what is nothing has a word")
	}
}

// FuzzCheckSolicitation: nothing panics or is changed, and what is answered keeps
// the rules.
func FuzzCheckSolicitation(f *testing.F) {
	for _, seed := range []string{"", "85", asks, withLink, asks + "01 00", asks + "01 02 0200 0000 0a01", withLink + "0e 01 0102 0304 0506", "86 00 0000 00000000"} {
		f.Add(unhex(f, seed), 255, true)
		f.Add(unhex(f, seed), 64, false)
	}
	f.Fuzz(func(t *testing.T, message []byte, hops int, known bool) {
		before := bytes.Clone(message)
		m := radv.Meta{Source: netip.IPv6Unspecified(), HopLimit: hops}
		if known {
			m.Source = netip.MustParseAddr("fe80::3")
		}
		drop := radv.CheckSolicitation(message, m)
		if !bytes.Equal(before, message) {
			t.Fatal("the message was changed")
		}
		if drop != radv.DropNone {
			return
		}
		// RFC 4861 §6.1.1, looked at in another way: the options fill the
		// message in whole units, and none of nobody's is its hardware address.
		if hops != 255 || len(message) < 8 || message[0] != 133 || message[1] != 0 || len(message)%8 != 0 {
			t.Fatalf("% x with %d hops is answered", message, hops)
		}
		for at := 8; at < len(message); at += 8 * int(message[at+1]) {
			if message[at] == 1 && !known {
				t.Fatalf("% x of nobody is answered", message)
			}
		}
	})
}
