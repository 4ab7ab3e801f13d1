package bfd_test

import (
	"bytes"
	"testing"

	"github.com/halo-ha/halo/core/bfd"
)

// FuzzCheck: no payload panics or is changed, and what is believed encodes to the
// bytes that were believed, as far as a packet of ours goes.
func FuzzCheck(f *testing.F) {
	for _, g := range golden {
		f.Add(unhex(f, g.bytes))
	}
	f.Add([]byte{})
	f.Add([]byte{0x20, 0xc0, 0x03})
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := bytes.Clone(payload)
		var p bfd.Packet
		drop := bfd.Check(payload, &p)
		if !bytes.Equal(before, payload) {
			t.Fatal("the payload was changed")
		}
		if drop != bfd.DropNone {
			if drop > bfd.DropState {
				t.Fatalf("dropped for %v, which needs a session", drop)
			}
			return
		}
		if p.MyDiscriminator == 0 || p.Multiplier == 0 || p.YourDiscriminator == 0 && p.State > bfd.Down {
			t.Fatalf("believed %+v", p)
		}
		// The length, and the Authentication bit that goes with it, are those
		// of a packet without authentication.
		want := bytes.Clone(payload[:bfd.Length])
		want[3] = bfd.Length
		if p.Authentication {
			want[1] &^= 0x04
		}
		if got := p.Append(nil); !bytes.Equal(got, want) {
			t.Fatalf("% x became % x", payload, got)
		}
		// A session, too, can take whatever is believed, in every state.
		for state := bfd.AdminDown; state <= bfd.Up; state++ {
			s := in(t, state, baseConfig())
			actions := s.Handle(t0, &bfd.PacketReceived{Packet: p, TTL: 255}, nil)
			if p.Authentication != (lines(actions) == "drop authentication") {
				t.Fatalf("%v: %s", state, lines(actions))
			}
		}
	})
}
