package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

func signedInstance() *config.Instance {
	return &config.Instance{
		Name: "VI_1", Interface: "eth0", VRID: 51, Version: 3, Priority: 150, Interval: time.Second, Preempt: true,
		Addresses: addresses("192.0.2.10/24", "fe80::10/64"),
		Auth: &config.Auth{
			Type: "hmac", ActiveKey: 9, Mode: "permissive", AntiReplay: "time", TimeWindow: 7 * time.Second,
			Keys: []*config.AuthKey{
				{ID: 9, Secret: config.NewSecret(strings.Repeat("n", 32)), File: "/etc/halo/vrrp.key"},
				{ID: 1, Secret: config.NewSecret("hex:" + strings.Repeat("ab", 32))},
			},
		},
	}
}

// What the file says of authentication arrives in the routers of both families.
func TestAuthentication(t *testing.T) {
	for _, family := range []wire.Family{wire.IPv4, wire.IPv6} {
		for _, version := range []uint8{2, 3} {
			i := signedInstance()
			i.Version = version
			if family == wire.IPv6 && version == 2 {
				continue
			}
			r, err := routerOf(i, family)
			if err != nil {
				t.Fatal(err)
			}
			h := r.vrrp.HMAC
			if !h.Configured() || h.Mode != wire.Permissive || h.Regime != wire.Windowed || h.Window != 7*time.Second || h.Keys.Sending().ID() != 9 {
				t.Errorf("%v, version %d: %v", family, version, &h)
			}
			want := &control.Authentication{Type: "hmac", Mode: "permissive", Keys: []int{1, 9}, ActiveKey: 9, AntiReplay: "time", TimeWindow: 7}
			if diff := cmp.Diff(want, authStatus(&speaker.RouterSnapshot{HMAC: h})); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		}
	}
	for mode, want := range map[string]wire.HMACMode{"enforce": wire.Enforce, "permissive": wire.Permissive, "receive-only": wire.ReceiveOnly} {
		i := signedInstance()
		i.Auth.Mode, i.Auth.AntiReplay = mode, "monotonic"
		r, err := routerOf(i, wire.IPv4)
		if err != nil || r.vrrp.HMAC.Mode != want || r.vrrp.HMAC.Regime != wire.Monotonic || r.vrrp.HMAC.Window != 0 {
			t.Errorf("%s: %v, %v", mode, &r.vrrp.HMAC, err)
		}
	}
	if s := authStatus(&speaker.RouterSnapshot{Auth: wire.AuthHeader}); s == nil || s.Type != "ah" {
		t.Errorf("ah is shown as %+v", s)
	}
	if s := authStatus(&speaker.RouterSnapshot{}); s != nil {
		t.Errorf("none is shown as %+v", s)
	}
}

// A key that could not be read when the file was judged keeps a daemon from using
// it: with a key less it would sign with another one, or drop what is genuine.
func TestAuthenticationWithoutItsKey(t *testing.T) {
	i := signedInstance()
	i.Auth.Keys[0].Secret = config.Secret{}
	if _, err := routerOf(i, wire.IPv4); err == nil || !strings.Contains(err.Error(), "vrrp_instance VI_1: read key 9 of /etc/halo/vrrp.key") {
		t.Errorf("it says %v", err)
	}
	i.Auth.Keys[0].Secret = config.NewSecret("short")
	if _, err := routerOf(i, wire.IPv4); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("it says %v", err)
	}
}
