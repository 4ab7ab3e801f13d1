package wire_test

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// node is a router with keys, for what takes several advertisements.
type node struct {
	addr   netip.Addr
	clock  time.Duration // How far its clock is off.
	hmac   wire.HMAC
	stamps wire.Stamps
	marks  *wire.Marks
}

func newNode(addr string, h wire.HMAC) *node {
	return &node{addr: netip.MustParseAddr(addr), hmac: h, marks: wire.NewMarks(wire.MulticastSenders)}
}

func (n *node) send(t testing.TB, now time.Time) []byte {
	t.Helper()
	b, err := golden[2].value.AppendHMAC(nil, n.addr, wire.GroupIPv4(), wire.Plain, n.hmac.Keys, n.stamps.Next(now.Add(n.clock), &n.hmac))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (n *node) hear(now time.Time, from *node, payload []byte) wire.DropReason {
	expect := expectOf(golden[2].value, wire.Plain)
	expect.HMAC, expect.Marks = n.hmac, n.marks
	m := wire.Meta{Source: from.addr, Destination: wire.GroupIPv4(), TTL: 255, Arrived: now.Add(n.clock)}
	var a wire.Advertisement
	_, drop := expect.Check(payload, m, &a)
	return drop
}

func TestReplay(t *testing.T) {
	for _, regime := range []wire.ReplayRegime{wire.Windowed, wire.Monotonic} {
		h := wire.HMAC{Keys: ring(t, 1, key(t, 1, keyK)), Regime: regime, Window: 5 * time.Second}
		a, b, c := newNode("192.0.2.1", h), newNode("192.0.2.2", h), newNode("192.0.2.3", h)
		now := vectorTime()
		expect := func(what string, got, want wire.DropReason) {
			t.Helper()
			if got != want {
				t.Errorf("%v: %s: dropped for %v, want %v", regime, what, got, want)
			}
		}
		first, second := a.send(t, now), a.send(t, now)
		expect("the first", b.hear(now, a, first), wire.DropNone)
		expect("the first again", b.hear(now, a, first), wire.DropHMACReplay)
		expect("the first at another", c.hear(now, a, first), wire.DropNone)
		expect("as somebody else's", b.hear(now, c, first), wire.DropHMACInvalid)
		third := a.send(t, now)
		expect("the third before the second", b.hear(now, a, third), wire.DropNone)
		expect("the second behind the third", b.hear(now, a, second), wire.DropHMACReplay)
		expect("another's with an older stamp", b.hear(now, c, c.send(t, now)), wire.DropNone)
		late := map[wire.ReplayRegime]wire.DropReason{wire.Windowed: wire.DropHMACStale, wire.Monotonic: wire.DropHMACReplay}[regime]
		expect("after a while", b.hear(now.Add(6*time.Second), a, third), late)
		// The receiver starts again and knows nothing.
		b.marks = wire.NewMarks(1)
		expect("the first at one who forgot", b.hear(now, a, first), wire.DropNone)
		expect("and once more", b.hear(now, a, first), wire.DropHMACReplay)
	}
}

// What an operator does to replace a key, and whom each step leaves unheard if it
// comes too early.
func TestKeyRotation(t *testing.T) {
	old, next := key(t, 1, keyK), key(t, 2, "correct-horse-battery-staple-0001")
	with := func(sending int, keys ...wire.Key) wire.HMAC {
		return wire.HMAC{Keys: ring(t, sending, keys...), Window: 5 * time.Second}
	}
	steps := []wire.HMAC{with(1, old), with(1, old, next), with(2, old, next), with(2, next)}
	now := vectorTime()
	a, b := newNode("192.0.2.1", steps[0]), newNode("192.0.2.2", steps[0])
	both := func(what string) {
		t.Helper()
		now = now.Add(100 * time.Millisecond)
		if drop := b.hear(now, a, a.send(t, now)); drop != wire.DropNone {
			t.Errorf("%s: b drops a's for %v", what, drop)
		}
		if drop := a.hear(now, b, b.send(t, now)); drop != wire.DropNone {
			t.Errorf("%s: a drops b's for %v", what, drop)
		}
	}
	both("before")
	recorded := a.send(t, now)
	if drop := b.hear(now, a, recorded); drop != wire.DropNone {
		t.Fatal(drop)
	}
	for i, h := range steps[1:] {
		a.hmac = h
		both("half of step " + string(rune('1'+i)))
		b.hmac = h
		both("step " + string(rune('1'+i)))
		// Marks are the sender's and not the key's.
		want := wire.DropHMACReplay
		if i == 2 {
			want = wire.DropHMACUnknownKey
		}
		if drop := b.hear(now, a, recorded); drop != want {
			t.Errorf("step %d: a recorded one is dropped for %v, want %v", i+1, drop, want)
		}
	}
	a.hmac, b.hmac = steps[2], steps[0]
	if drop := b.hear(now, a, a.send(t, now)); drop != wire.DropHMACUnknownKey {
		t.Errorf("a key too early: %v", drop)
	}
}

// A host starts again, and its clock may have forgotten the time.
func TestRestart(t *testing.T) {
	now := vectorTime()
	tests := []struct {
		name   string
		regime wire.ReplayRegime
		clock  time.Duration
		want   wire.DropReason
		// heals is after how long it is heard although its clock stays wrong, 0
		// for never.
		heals time.Duration
	}{
		{"right", wire.Windowed, 0, wire.DropNone, 0},
		{"right, monotonic", wire.Monotonic, 0, wire.DropNone, 0},
		{"a bit behind", wire.Windowed, -3 * time.Second, wire.DropHMACReplay, 4 * time.Second},
		{"far behind", wire.Windowed, -time.Hour, wire.DropHMACStale, 0},
		{"a bit behind, monotonic", wire.Monotonic, -3 * time.Second, wire.DropHMACReplay, 4 * time.Second},
		{"far behind, monotonic", wire.Monotonic, -time.Hour, wire.DropHMACReplay, time.Hour + time.Second},
		{"ahead, monotonic", wire.Monotonic, time.Hour, wire.DropNone, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := wire.HMAC{Keys: ring(t, 1, key(t, 1, keyK)), Regime: tt.regime, Window: 5 * time.Second}
			a, b := newNode("192.0.2.1", h), newNode("192.0.2.2", h)
			if drop := b.hear(now, a, a.send(t, now)); drop != wire.DropNone {
				t.Fatal(drop)
			}
			now := now.Add(time.Second)
			a.stamps, a.clock = wire.Stamps{}, tt.clock
			if drop := b.hear(now, a, a.send(t, now)); drop != tt.want {
				t.Errorf("dropped for %v, want %v", drop, tt.want)
			}
			if tt.heals != 0 {
				if drop := b.hear(now.Add(tt.heals), a, a.send(t, now.Add(tt.heals))); drop != wire.DropNone {
					t.Errorf("after %v dropped for %v", tt.heals, drop)
				}
			}
			// With the clock right again it is heard at once.
			a.clock = 0
			later := now.Add(tt.heals + 10*time.Second)
			if drop := b.hear(later, a, a.send(t, later)); drop != wire.DropNone {
				t.Errorf("right again, dropped for %v", drop)
			}
			// And if it starts again, too, but where only the numbers count and it
			// was ahead.
			a.stamps = wire.Stamps{}
			want := wire.DropNone
			if tt.regime == wire.Monotonic && tt.clock > 0 {
				want = wire.DropHMACReplay
			}
			later = later.Add(time.Second)
			if drop := b.hear(later, a, a.send(t, later)); drop != want {
				t.Errorf("right from its start, dropped for %v, want %v", drop, want)
			}
		})
	}
}

// The clocks of the whole group are an hour ahead, and are set right one after the
// other. Windowed heals by itself.
func TestClocksSetBack(t *testing.T) {
	h := wire.HMAC{Keys: ring(t, 1, key(t, 1, keyK)), Window: 5 * time.Second}
	a, b := newNode("192.0.2.1", h), newNode("192.0.2.2", h)
	now := vectorTime()
	a.clock, b.clock = time.Hour, time.Hour
	for i, step := range []struct {
		a, b time.Duration
		want wire.DropReason
	}{
		{time.Hour, time.Hour, wire.DropNone},
		{0, time.Hour, wire.DropHMACStale},
		{0, 0, wire.DropNone},
		{0, 0, wire.DropNone},
		// By less than the window: the sender goes on counting.
		{-4 * time.Second, -4 * time.Second, wire.DropNone},
		{-4 * time.Second, 0, wire.DropNone},
		{time.Hour, time.Hour, wire.DropNone},
	} {
		a.clock, b.clock = step.a, step.b
		now = now.Add(time.Second)
		if drop := b.hear(now, a, a.send(t, now)); drop != step.want {
			t.Errorf("step %d: dropped for %v, want %v", i, drop, step.want)
		}
	}
}

// The seconds have 31 bits until 2038-01-19 and 32 until 2106-02-07.
func TestSecondsOverflow(t *testing.T) {
	for _, end := range []int64{math.MaxInt32, math.MaxUint32} {
		for _, regime := range []wire.ReplayRegime{wire.Windowed, wire.Monotonic} {
			h := wire.HMAC{Keys: ring(t, 1, key(t, 1, keyK)), Regime: regime, Window: 5 * time.Second}
			a, b := newNode("192.0.2.1", h), newNode("192.0.2.2", h)
			var last []byte
			for i := range int64(20) {
				now := time.Unix(end-10+i, 500_000_000)
				if i == 15 {
					a.stamps = wire.Stamps{} // It starts again on the other side.
				}
				payload := a.send(t, now)
				if drop := b.hear(now, a, payload); drop != wire.DropNone {
					t.Fatalf("%d, %v: dropped for %v", now.Unix(), regime, drop)
				}
				if last != nil && b.hear(now, a, last) != wire.DropHMACReplay {
					t.Fatalf("%d, %v: the one before counts again", now.Unix(), regime)
				}
				last = payload
			}
		}
	}
}
