package vrrp_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// keyed is a configuration with trailers.
func keyed(t testing.TB, mode wire.HMACMode, regime wire.ReplayRegime) vrrp.Config {
	t.Helper()
	k, err := wire.ParseKey(7, strings.Repeat("k", wire.MinKeyLength))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := wire.NewKeyRing(7, k)
	if err != nil {
		t.Fatal(err)
	}
	return vrrp.Config{
		Version: wire.V3, VRID: 51, Priority: 100, Interval: time.Second, Preempt: true,
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")},
		HMAC:      wire.HMAC{Keys: ring, Mode: mode, Regime: regime, Window: 5 * time.Second},
	}
}

// listening is a backup with that configuration.
func listening(t testing.TB, now time.Time, c vrrp.Config) *vrrp.Router {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	r := vrrp.New(c)
	r.Handle(now, vrrp.InterfaceChanged{Exists: true, Up: true, Source: netip.MustParseAddr("192.0.2.1")}, nil)
	return r
}

func reports(actions []vrrp.Action) (list []string) {
	for _, a := range actions {
		if m, ok := a.(vrrp.Mismatch); ok {
			list = append(list, m.Kind.String()+": "+m.Ours+" / "+m.Theirs)
		}
	}
	return list
}

// Each way in which trailers disagree says which side has what.
func TestTrailerMismatchesInWords(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var stamps wire.Stamps
	peer := netip.MustParseAddr("192.0.2.2")
	trailer := func(ahead time.Duration) wire.Trailer {
		c := keyed(t, wire.Enforce, wire.Windowed)
		return wire.Trailer{Type: 1, KeyID: 9, Stamp: stamps.Next(now.Add(ahead), &c.HMAC)}
	}
	advert := wire.Advertisement{Version: wire.V3, VRID: 51, Priority: 200, Interval: time.Second, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}
	const ours = "hmac, enforce, keys 7, sending with 7"
	plain := keyed(t, wire.Enforce, wire.Windowed)
	plain.HMAC = wire.HMAC{}
	pass := plain
	password, err := wire.NewPassword("geheim")
	if err != nil {
		t.Fatal(err)
	}
	pass.Version, pass.Auth = wire.V2, wire.Auth{Type: wire.AuthPassword, Password: password}
	for name, tc := range map[string]struct {
		config vrrp.Config
		event  vrrp.Event
		want   string
	}{
		"missing": {
			keyed(t, wire.Enforce, wire.Windowed), &vrrp.AdvertRejected{Drop: wire.DropHMACMissing, Source: peer},
			"authentication: " + ours + " / no trailer",
		},
		"malformed": {
			keyed(t, wire.Enforce, wire.Windowed),
			&vrrp.AdvertRejected{Drop: wire.DropHMACMalformed, Source: peer, Signed: true, Trailer: wire.Trailer{Type: 2, Reserved: 0x100}},
			"authentication: " + ours + " / a trailer of type 2, reserved bytes 0x0100",
		},
		"unknown key": {
			keyed(t, wire.Enforce, wire.Windowed), &vrrp.AdvertRejected{Drop: wire.DropHMACUnknownKey, Source: peer, Signed: true, Trailer: trailer(0)},
			"authentication: " + ours + " / key 9",
		},
		"another secret": {
			keyed(t, wire.Permissive, wire.Windowed), &vrrp.AdvertRejected{Drop: wire.DropHMACInvalid, Source: peer, Signed: true, Trailer: trailer(0)},
			"authentication: hmac, permissive, keys 7, sending with 7 / another key 9, or a packet that was changed on its way",
		},
		"behind": {
			keyed(t, wire.Enforce, wire.Windowed), &vrrp.AdvertRejected{Drop: wire.DropHMACStale, Source: peer, Signed: true, Trailer: trailer(-42 * time.Second)},
			"clock: a window of 5s / a clock 42s behind",
		},
		"ahead": {
			keyed(t, wire.Enforce, wire.Windowed), &vrrp.AdvertRejected{Drop: wire.DropHMACStale, Source: peer, Signed: true, Trailer: trailer(time.Hour)},
			"clock: a window of 5s / a clock 1h0m0s ahead",
		},
		"replay": {
			keyed(t, wire.Enforce, wire.Monotonic), &vrrp.AdvertRejected{Drop: wire.DropHMACReplay, Source: peer, Signed: true, Trailer: trailer(-3 * time.Second)},
			"replay: later ones were heard / an advertisement from a clock 3s behind",
		},
		"a trailer where none is looked for": {
			plain, &vrrp.AdvertRejected{Drop: wire.DropLength, Source: peer, Signed: true, Trailer: trailer(0)},
			"authentication: none / hmac with key 9",
		},
		"a trailer where a password is": {
			pass, &vrrp.AdvertRejected{Drop: wire.DropLength, Source: peer, Signed: true, Trailer: trailer(0)},
			"authentication: pass / hmac with key 9",
		},
		"a password where trailers are": {
			keyed(t, wire.Enforce, wire.Windowed),
			&vrrp.AdvertRejected{Drop: wire.DropAuthType, Source: peer, Advertisement: wire.Advertisement{Version: wire.V2, Auth: wire.Auth{Type: wire.AuthPassword}}},
			"authentication: " + ours + " / pass",
		},
		"damage": {plain, &vrrp.AdvertRejected{Drop: wire.DropLength, Source: peer}, ""},
		"unsigned, permitted": {
			keyed(t, wire.Permissive, wire.Windowed),
			&vrrp.AdvertReceived{Advertisement: advert, Source: peer, Findings: wire.Findings{Unsigned: true}},
			"authentication: hmac, permissive, keys 7, sending with 7 / no trailer, which counts as long as the mode is permissive",
		},
		"unsigned, as oneself": {
			keyed(t, wire.ReceiveOnly, wire.Windowed),
			&vrrp.AdvertReceived{Advertisement: advert, Source: peer, Findings: wire.Findings{Unsigned: true}}, "",
		},
		"clock, half way": {
			keyed(t, wire.Enforce, wire.Windowed),
			&vrrp.AdvertReceived{Advertisement: advert, Source: peer, Findings: wire.Findings{Clock: true}, Trailer: trailer(4 * time.Second)},
			"clock: a window of 5s / a clock 4s ahead, which still counts",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := listening(t, now, tc.config)
			var want []string
			if tc.want != "" {
				want = []string{tc.want}
			}
			if got := reports(r.Handle(now, tc.event, nil)); !slices.Equal(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
			// And not again, however often.
			for i := range 100 {
				// The clocks go on, both of them.
				if e, ok := tc.event.(*vrrp.AdvertReceived); ok {
					e.Trailer.Stamp += 1 << 32
				}
				if e, ok := tc.event.(*vrrp.AdvertRejected); ok {
					e.Trailer.Stamp += 1 << 32
				}
				if got := reports(r.Handle(now.Add(time.Duration(i+1)*time.Second), tc.event, nil)); len(got) != 0 {
					t.Fatalf("told again: %q", got)
				}
			}
		})
	}
}

// What was dropped restarts no timer: a backup that hears nothing else takes over.
func TestTrailerRejectedIsSilence(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := listening(t, now, keyed(t, wire.Enforce, wire.Windowed))
	down, _ := r.Deadline()
	r.Handle(now.Add(time.Second), &vrrp.AdvertRejected{Drop: wire.DropHMACInvalid, Source: netip.MustParseAddr("192.0.2.2"), Signed: true}, nil)
	if after, ok := r.Deadline(); !ok || !after.Equal(down) {
		t.Errorf("the deadline was %v and is %v", down, after)
	}
}

// Another key changes what is expected, and neither the state nor the timers.
func TestTrailerReconfigured(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := keyed(t, wire.Enforce, wire.Windowed)
	r := listening(t, now, c)
	down, _ := r.Deadline()
	before := r.Snapshot()
	c.HMAC.Mode = wire.Permissive
	if actions := r.Handle(now.Add(time.Second), vrrp.Reconfigured{Config: c}, nil); len(actions) != 0 {
		t.Errorf("did %v", actions)
	}
	if after, _ := r.Deadline(); !after.Equal(down) || r.Snapshot().Since != before.Since || r.Expect().HMAC.Mode != wire.Permissive {
		t.Errorf("the deadline was %v and is %v", down, after)
	}
	r.Handle(down, vrrp.DeadlineReached{}, nil)
	since := r.Snapshot().Since
	c.HMAC.Mode = wire.Enforce
	actions := r.Handle(down.Add(300*time.Millisecond), vrrp.Reconfigured{Config: c}, nil)
	if _, advert := actions[0].(*vrrp.SendAdvert); len(actions) != 1 || !advert || r.State() != vrrp.Active || r.Snapshot().Since != since {
		t.Errorf("did %v and is %v", actions, r.State())
	}
}

func TestTrailerContradictions(t *testing.T) {
	c := keyed(t, wire.Enforce, wire.Windowed)
	password, err := wire.NewPassword("geheim")
	if err != nil {
		t.Fatal(err)
	}
	c.Version, c.Auth = wire.V2, wire.Auth{Type: wire.AuthPassword, Password: password}
	if err := c.Validate(); err == nil {
		t.Error("a password beside trailers is valid")
	}
	c = keyed(t, wire.Enforce, wire.Windowed)
	c.HMAC.Window = 0
	if err := c.Validate(); err == nil {
		t.Error("no window is valid")
	}
}
