package speaker_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// secretOf is a key's text, another one for each letter.
func secretOf(letter string) string { return strings.Repeat(letter, wire.MinKeyLength) }

// signing is a configuration with trailers. keys are letters: the first has id 1,
// and so on; a blank leaves an id out.
func signing(t testing.TB, priority uint8, mode wire.HMACMode, send int, keys string) vrrp.Config {
	t.Helper()
	c := config(priority)
	var list []wire.Key
	for i, letter := range keys {
		if letter == ' ' {
			continue
		}
		k, err := wire.ParseKey(i+1, secretOf(string(letter)))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, k)
	}
	ring, err := wire.NewKeyRing(send, list...)
	if err != nil {
		t.Fatal(err)
	}
	c.HMAC = wire.HMAC{Keys: ring, Mode: mode, Window: wire.DefaultWindow(c.Interval)}
	return c
}

// trio is three hosts on one network, of which the first is the best.
func trio(t *testing.T, n *network) []*host {
	t.Helper()
	hosts := []*host{newHost(t, n, "192.0.2.1"), newHost(t, n, "192.0.2.2"), newHost(t, n, "192.0.2.3")}
	for _, h := range hosts {
		t.Cleanup(h.run())
		h.up()
	}
	return hosts
}

// steady wants the first of the hosts active since it first was, nobody else ever,
// nothing lost, and an advertisement in each second.
func steady(t *testing.T, hosts []*host) {
	t.Helper()
	synctest.Wait()
	for i, h := range hosts {
		r := h.snapshot().Routers["VI_1"]
		want := vrrp.Backup
		if i == 0 {
			want = vrrp.Active
		}
		if r.State != want || r.Counters.Transitions != 1+r.Counters.BecameActive || (r.Counters.BecameActive != 0) != (i == 0) {
			t.Errorf("%v is %v after %d transitions, %d of them to active", h.source, r.State, r.Counters.Transitions, r.Counters.BecameActive)
		}
		if r.Counters.Dropped != [wire.DropReasonCount]uint64{} {
			t.Errorf("%v has dropped %v", h.source, r.Counters.Dropped)
		}
		if i > 0 && r.Counters.Received != hosts[0].snapshot().Routers["VI_1"].Counters.Sent {
			t.Errorf("%v has heard %d of %d advertisements", h.source, r.Counters.Received, hosts[0].snapshot().Routers["VI_1"].Counters.Sent)
		}
	}
	sent := hosts[0].conn().sendings()
	for i := 1; i < len(sent); i++ {
		// A changed router advertises at once.
		if gap := sent[i].at.Sub(sent[i-1].at); gap > time.Second {
			t.Errorf("%v passed between advertisements %d and %d", gap, i-1, i)
		}
	}
}

// A key is replaced in three steps, on one router after the other, without an
// advertisement being lost or anybody changing his state.
func TestHMACRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := trio(t, &network{})
		for i, h := range hosts {
			h.set("VI_1", signing(t, uint8(150-i), wire.Enforce, 1, "a"))
		}
		time.Sleep(10*time.Second + 300*time.Millisecond)
		steady(t, hosts)
		for _, step := range []struct {
			send int
			keys string
		}{{1, "ab"}, {2, "ab"}, {2, " b"}} {
			for _, i := range []int{2, 0, 1} {
				hosts[i].set("VI_1", signing(t, uint8(150-i), wire.Enforce, step.send, step.keys))
				time.Sleep(10*time.Second + 300*time.Millisecond)
				steady(t, hosts)
			}
		}
		var ids []uint8
		var last wire.Stamp
		for _, s := range hosts[0].conn().sendings() {
			if !s.signed || !s.trailer.Stamp.After(last) && last != 0 {
				t.Fatalf("sent %+v after stamp %v", s, last)
			}
			last, ids = s.trailer.Stamp, append(ids, s.trailer.KeyID)
		}
		if got := slices.Compact(ids); !slices.Equal(got, []uint8{1, 2}) {
			t.Errorf("signed with keys %v", got)
		}
		for _, h := range hosts {
			if told := h.told("mismatch"); len(told) != 0 {
				t.Errorf("%v told %v", h.source, told)
			}
		}
	})
}

// A group that signs nothing comes to believe nothing unsigned, and back, without
// an advertisement being lost.
func TestHMACRollout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := trio(t, &network{})
		for i, h := range hosts {
			h.set("VI_1", config(uint8(150-i)))
		}
		time.Sleep(10 * time.Second)
		steady(t, hosts)
		for _, mode := range []wire.HMACMode{wire.ReceiveOnly, wire.Permissive, wire.Enforce, wire.Permissive, wire.ReceiveOnly} {
			for _, i := range []int{1, 0, 2} {
				hosts[i].set("VI_1", signing(t, uint8(150-i), mode, 1, "a"))
				time.Sleep(5*time.Second + 700*time.Millisecond)
			}
			steady(t, hosts)
			r := hosts[1].snapshot().Routers["VI_1"]
			if mode != wire.ReceiveOnly && len(r.Mismatches) != 0 {
				t.Errorf("%v: %v", mode, r.Mismatches)
			}
		}
		for i, h := range hosts {
			h.set("VI_1", config(uint8(150-i)))
		}
		time.Sleep(10*time.Second + 300*time.Millisecond)
		steady(t, hosts)
		// Somebody was ahead of the others for a while, and they said so.
		if told := hosts[1].told("mismatch"); !slices.Equal(slices.Compact(told), []string{"mismatch VI_1 authentication 192.0.2.1"}) {
			t.Errorf("told %v", told)
		}
		if c := hosts[1].snapshot().Routers["VI_1"].Counters; c.Unsigned == 0 || c.Unsigned >= c.Received {
			t.Errorf("%d of %d were unsigned", c.Unsigned, c.Received)
		}
	})
}

// Copies to several peers are one advertisement.
func TestHMACUnicast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		list := peers("192.0.2.1", "192.0.2.2", "192.0.2.3")
		hosts := trio(t, n)
		for i, h := range hosts {
			h.setUnicast("VI_1", signing(t, uint8(150-i), wire.Enforce, 1, "a"), list)
		}
		time.Sleep(10 * time.Second)
		sent := hosts[0].conn().sendings()
		if len(sent) < 8 {
			t.Fatalf("%d sendings", len(sent))
		}
		for i := 0; i < len(sent); i += 2 {
			if sent[i].trailer.Stamp != sent[i+1].trailer.Stamp || sent[i].destination == sent[i+1].destination {
				t.Errorf("%+v and %+v", sent[i], sent[i+1])
			}
		}
		for _, h := range hosts[1:] {
			if r := h.snapshot().Routers["VI_1"]; r.State != vrrp.Backup || r.Counters.Received != uint64(len(sent)/2) {
				t.Errorf("%v, %+v", r.State, r.Counters)
			}
		}
	})
}

// Beside version 2 (RFC 9568 §8.4.2) both copies are signed, each with a stamp of
// its own, and both count where they are for.
func TestHMACBothVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := trio(t, &network{})
		for i, h := range hosts {
			c := signing(t, uint8(150-i), wire.Enforce, 1, "a")
			switch i {
			case 0, 1:
				c.AlsoV2 = true
			default:
				c.Version = wire.V2
			}
			h.set("VI_1", c)
		}
		time.Sleep(10 * time.Second)
		for i, h := range hosts {
			r := h.snapshot().Routers["VI_1"]
			if want := []vrrp.State{vrrp.Active, vrrp.Backup, vrrp.Backup}[i]; r.State != want {
				t.Errorf("%v is %v", h.source, r.State)
			}
			for reason, n := range r.Counters.Dropped {
				if n != 0 && (i != 2 || wire.DropReason(reason) != wire.DropVersion) {
					t.Errorf("%v has dropped %d for %v", h.source, n, wire.DropReason(reason))
				}
			}
		}
	})
}

// What is forged or recorded changes nothing, and is counted by what is wrong.
func TestHMACForged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := trio(t, &network{})
		for i, h := range hosts {
			h.set("VI_1", signing(t, uint8(150-i), wire.Enforce, 1, "a"))
		}
		time.Sleep(10 * time.Second)
		active, backup := hosts[0], hosts[1]
		recorded := active.conn().recorded()
		meta := wire.Meta{Source: active.source, Destination: wire.GroupIPv4(), TTL: wire.HopLimit, Interface: 2}
		inject := func(payload []byte) {
			meta.Arrived = time.Now()
			for _, h := range hosts {
				h.conn().arrive(payload, meta)
			}
			synctest.Wait()
		}
		// Resignations, of which each would end the active router's time.
		resign := signing(t, 150, wire.Enforce, 1, "a")
		forge := func(config vrrp.Config, at time.Time) []byte {
			a := wire.Advertisement{Version: wire.V3, VRID: 51, Interval: time.Second, Addresses: config.Addresses}
			var stamps wire.Stamps
			b, err := a.AppendHMAC(nil, meta.Source, meta.Destination, config.Checksum, config.HMAC.Keys, stamps.Next(at, &config.HMAC))
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		unsigned, _ := payload(t, resign)
		unsigned[2] = 0
		flipped := forge(resign, time.Now())
		flipped[len(flipped)-1] ^= 1
		reserved := forge(resign, time.Now())
		reserved[len(reserved)-wire.TrailerLength+3] = 1
		noSum := wire.Advertisement{Version: wire.V3, VRID: 51, Interval: time.Second, Addresses: resign.Addresses}
		unsigned, err := noSum.Append(nil, meta.Source, meta.Destination, resign.Checksum)
		if err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			payload []byte
			want    wire.DropReason
		}{
			{recorded, wire.DropHMACReplay},
			{unsigned, wire.DropHMACMissing},
			{flipped, wire.DropHMACInvalid},
			{reserved, wire.DropHMACMalformed},
			{forge(signing(t, 150, wire.Enforce, 1, "x"), time.Now()), wire.DropHMACInvalid},
			{forge(signing(t, 150, wire.Enforce, 3, "  a"), time.Now()), wire.DropHMACUnknownKey},
			{forge(resign, time.Now().Add(-6*time.Second)), wire.DropHMACStale},
			{forge(resign, time.Now().Add(6*time.Second)), wire.DropHMACStale},
			{append(forge(resign, time.Now()), 0), wire.DropLength},
		} {
			before := backup.snapshot().Routers["VI_1"].Counters.Dropped[tc.want]
			inject(tc.payload)
			if after := backup.snapshot().Routers["VI_1"].Counters.Dropped[tc.want]; after != before+1 {
				t.Errorf("%v: dropped %d, and before %d", tc.want, after, before)
			}
		}
		// A backup that has heard a resignation takes over within the skew time.
		time.Sleep(10 * time.Second)
		for i, h := range hosts {
			r := h.snapshot().Routers["VI_1"]
			if want := uint64(1 - min(i, 1)); r.Counters.BecameActive != want {
				t.Errorf("%v has become active %d times, want %d", h.source, r.Counters.BecameActive, want)
			}
		}
		// And told, once for each kind, although it goes on.
		for range 20 {
			inject(recorded)
			time.Sleep(time.Second)
		}
		told := backup.told("mismatch")
		slices.Sort(told)
		want := []string{"mismatch VI_1 authentication 192.0.2.1", "mismatch VI_1 clock 192.0.2.1", "mismatch VI_1 replay 192.0.2.1"}
		if got := slices.Compact(slices.Clone(told)); !slices.Equal(got, want) || len(told) > 6 {
			t.Errorf("told %v", told)
		}
		// What is over is forgotten.
		time.Sleep(30 * time.Second)
		if m := backup.snapshot().Routers["VI_1"].Mismatches; len(m) != 0 {
			t.Errorf("still there: %v", m)
		}
		// The genuine one does count.
		time.Sleep(300 * time.Millisecond)
		meta.Arrived = time.Now()
		backup.conn().arrive(forge(resign, time.Now()), meta)
		synctest.Wait()
		if c := backup.snapshot().Routers["VI_1"].Counters; c.ReceivedRelease != 1 {
			t.Errorf("the genuine resignation was not believed: %+v", c)
		}
	})
}

// Two routers with different keys are both active, and both know why. Once they
// agree, one is left, and it forgets.
func TestHMACDisagreement(t *testing.T) {
	for name, tc := range map[string]struct {
		a, b         func(t *testing.T) vrrp.Config
		atA, atB     string
		dropA, dropB wire.DropReason
	}{
		"another key": {
			a:     func(t *testing.T) vrrp.Config { return signing(t, 150, wire.Enforce, 1, "a") },
			b:     func(t *testing.T) vrrp.Config { return signing(t, 100, wire.Enforce, 1, "b") },
			atA:   "hmac, enforce, keys 1, sending with 1 / another key 1, or a packet that was changed on its way",
			atB:   "hmac, enforce, keys 1, sending with 1 / another key 1, or a packet that was changed on its way",
			dropA: wire.DropHMACInvalid, dropB: wire.DropHMACInvalid,
		},
		"another id": {
			a:     func(t *testing.T) vrrp.Config { return signing(t, 150, wire.Enforce, 1, "a") },
			b:     func(t *testing.T) vrrp.Config { return signing(t, 100, wire.Enforce, 2, " a") },
			atA:   "hmac, enforce, keys 1, sending with 1 / key 2",
			atB:   "hmac, enforce, keys 2, sending with 2 / key 1",
			dropA: wire.DropHMACUnknownKey, dropB: wire.DropHMACUnknownKey,
		},
		"no keys": {
			a:     func(t *testing.T) vrrp.Config { return signing(t, 150, wire.Enforce, 1, "a") },
			b:     func(*testing.T) vrrp.Config { return config(100) },
			atA:   "hmac, enforce, keys 1, sending with 1 / no trailer",
			atB:   "none / hmac with key 1",
			dropA: wire.DropHMACMissing, dropB: wire.DropLength,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &network{}
				a, b := newHost(t, n, "192.0.2.1"), newHost(t, n, "192.0.2.2")
				for h, c := range map[*host]vrrp.Config{a: tc.a(t), b: tc.b(t)} {
					t.Cleanup(h.run())
					h.set("VI_1", c)
					h.up()
				}
				time.Sleep(30 * time.Second)
				for h, want := range map[*host]struct {
					words string
					drop  wire.DropReason
				}{a: {tc.atA, tc.dropA}, b: {tc.atB, tc.dropB}} {
					r := h.snapshot().Routers["VI_1"]
					if r.State != vrrp.Active || r.Counters.Dropped[want.drop] == 0 || len(r.Mismatches) != 1 {
						t.Fatalf("%v is %v, has dropped %v, and knows of %v", h.source, r.State, r.Counters.Dropped, r.Mismatches)
					}
					if m := r.Mismatches[0]; m.Kind != vrrp.MismatchAuthentication || m.Ours+" / "+m.Theirs != want.words {
						t.Errorf("%v says %v: %s / %s", h.source, m.Kind, m.Ours, m.Theirs)
					}
					if told := h.told("mismatch"); len(told) != 1 {
						t.Errorf("%v told %v", h.source, told)
					}
				}
				b.set("VI_1", signing(t, 100, wire.Enforce, 1, "a"))
				time.Sleep(30 * time.Second)
				for h, want := range map[*host]vrrp.State{a: vrrp.Active, b: vrrp.Backup} {
					if r := h.snapshot().Routers["VI_1"]; r.State != want || len(r.Mismatches) != 0 {
						t.Errorf("%v is %v and still knows of %v", h.source, r.State, r.Mismatches)
					}
				}
			})
		})
	}
}

// A signed advertisement costs no garbage, be it heard or sent.
func TestHMACDoesNotAllocate(t *testing.T) {
	const packets = 2000
	signed := func(priority uint8) (list [][]byte, meta wire.Meta) {
		c := signing(t, priority, wire.Enforce, 1, "a")
		meta = wire.Meta{Source: netip.MustParseAddr("192.0.2.9"), Destination: wire.GroupIPv4(), TTL: wire.HopLimit, Arrived: time.Now()}
		var stamps wire.Stamps
		for range packets {
			a := wire.Advertisement{Version: wire.V3, VRID: 51, Priority: priority, Interval: time.Second, Addresses: c.Addresses}
			b, err := a.AppendHMAC(nil, meta.Source, meta.Destination, c.Checksum, c.HMAC.Keys, stamps.Next(meta.Arrived, &c.HMAC))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, b)
		}
		slices.Reverse(list) // The socket reads from the end.
		return list, meta
	}
	for name, tc := range map[string]struct{ own, peer uint8 }{
		"heard by a backup": {own: 100, peer: 200},
		// An owner answers everybody who thinks to be active, at once.
		"answered by an owner": {own: wire.PriorityOwner, peer: 200},
	} {
		t.Run(name, func(t *testing.T) {
			list, meta := signed(tc.peer)
			if n := testing.AllocsPerRun(1, func() {
				r := &replay{packets: list, meta: meta, left: packets, done: make(chan struct{})}
				s := speaker.New(speaker.Options{
					Interface: "eth0", Addresses: nobody{}, Observer: nobody{},
					Open: func(speaker.Socket, chan<- struct{}) (speaker.Conn, error) { return r, nil },
				})
				if err := s.Set("VI_1", signing(t, tc.own, wire.Enforce, 1, "a")); err != nil {
					t.Fatal(err)
				}
				s.SetLink(speaker.Link{Exists: true, Index: 2, Up: true, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				<-r.done
				snapshot, err := s.Snapshot(t.Context())
				cancel()
				if err := errors.Join(err, <-ended); err != nil {
					t.Fatal(err)
				}
				c := snapshot.Routers["VI_1"].Counters
				if c.Received != packets || tc.own == wire.PriorityOwner && c.Sent < packets/2 {
					t.Fatalf("%+v", c)
				}
			}); n > packets/4 {
				t.Errorf("%v allocations for %d packets", n, packets)
			}
		})
	}
}
