package daemon

import (
	"fmt"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/speaker"
	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// authenticate fills in how an instance authenticates.
func authenticate(i *config.Instance, c *vrrp.Config) (err error) {
	switch {
	case i.Auth == nil:
		return nil
	case i.Auth.Type == "hmac":
		c.HMAC, err = hmacOf(i.Auth)
		return err
	case i.Auth.Type == "ah":
		c.Auth.Type = wire.AuthHeader
	default:
		c.Auth.Type = wire.AuthPassword
	}
	c.Auth.Password, err = wire.NewPassword(i.Auth.Password.Reveal())
	return err
}

// hmacOf is authentication by trailer.
func hmacOf(a *config.Auth) (wire.HMAC, error) {
	keys := make([]wire.Key, 0, len(a.Keys))
	for _, k := range a.Keys {
		secret := k.Secret.Reveal()
		if secret == "" {
			// A warning to who only checks the file.
			return wire.HMAC{}, fmt.Errorf("read key %d of %s: this account may not: let it own the file, or run halo as root", k.ID, k.File)
		}
		key, err := wire.ParseKey(int(k.ID), secret)
		if err != nil {
			return wire.HMAC{}, err
		}
		keys = append(keys, key)
	}
	h := wire.HMAC{}
	var err error
	if h.Keys, err = wire.NewKeyRing(int(a.ActiveKey), keys...); err != nil {
		return wire.HMAC{}, err
	}
	for _, mode := range []wire.HMACMode{wire.Permissive, wire.ReceiveOnly} {
		if a.Mode == mode.String() {
			h.Mode = mode
		}
	}
	if a.AntiReplay == wire.Monotonic.String() {
		h.Regime = wire.Monotonic
		return h, nil
	}
	h.Window = a.TimeWindow
	return h, nil
}

// authStatus is how a router authenticates, nil if it does not.
func authStatus(r *speaker.RouterSnapshot) *control.Authentication {
	h := &r.HMAC
	switch {
	case h.Configured():
		return &control.Authentication{
			Type: "hmac", Mode: h.Mode.String(), Keys: numbers(h.Keys.IDs()), ActiveKey: h.Keys.Sending().ID(),
			AntiReplay: h.Regime.String(), TimeWindow: h.Window.Seconds(),
		}
	case r.Auth != wire.AuthNone:
		return &control.Authentication{Type: r.Auth.String()}
	default:
		return nil
	}
}

// numbers are ids as JSON has them: a list of bytes would be a text there.
func numbers(ids []uint8) []int {
	list := make([]int, len(ids))
	for i, id := range ids {
		list[i] = int(id)
	}
	return list
}
