package vrrp_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

func v6Config() vrrp.Config {
	return with(func(c *vrrp.Config) {
		c.Addresses = []netip.Addr{netip.MustParseAddr("fe80::10"), netip.MustParseAddr("2001:db8::10")}
	})
}

// The kernel names the link behind a link-local address. That is no part of the
// number that equals are settled by, nor of what makes an address one's own.
//
//rfc:9568/6.4.3-12 positive negative
func TestZonesDoNotCount(t *testing.T) {
	for source, want := range map[string]string{
		"fe80::5%eth0": "mismatch own_address",
		"fe80::4%zzz":  "send 100; mismatch other_active; announce 5 lower_priority",
		"fe80::6%a":    "send 100; release; active>backup higher_address",
	} {
		r := vrrp.New(v6Config())
		r.Handle(t0, vrrp.InterfaceChanged{Exists: true, Up: true, Source: netip.MustParseAddr("fe80::5%eth1")}, nil)
		now := t0
		for range 3 {
			now, _ = r.Deadline()
			r.Handle(now, vrrp.DeadlineReached{}, nil)
		}
		e := heard(100, netip.MustParseAddr(source))
		e.Advertisement.Family, e.Advertisement.Addresses = wire.IPv6, v6Config().Addresses
		if got := lines(r.Handle(now.Add(time.Millisecond), e, nil)); got != want {
			t.Errorf("%s: did %q, want %q", source, got, want)
		}
	}
}

//rfc:9568/7.2-5 positive
//rfc:9568/7.2-7 positive
func TestSentOverIPv6(t *testing.T) {
	source := netip.MustParseAddr("fe80::5%eth1")
	r := vrrp.New(v6Config())
	r.Handle(t0, vrrp.InterfaceChanged{Exists: true, Up: true, Source: source}, nil)
	at, _ := r.Deadline()
	send, ok := r.Handle(at, vrrp.DeadlineReached{}, nil)[0].(*vrrp.SendAdvert)
	if !ok || send.Source != source || send.Destination != wire.GroupIPv6() || send.Advertisement.Family != wire.IPv6 {
		t.Errorf("sends %+v", send)
	}
	if e := r.Expect(); e.Family != wire.IPv6 || e.Group != wire.GroupIPv6() {
		t.Errorf("expects %+v", e)
	}
}

func TestConfigValidateIPv6(t *testing.T) {
	good := v6Config()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*vrrp.Config){
		"source address 192.0.2.5 is not": func(c *vrrp.Config) { c.Source = own },
		"is not an IPv6 address":          func(c *vrrp.Config) { c.Addresses = append(c.Addresses, own) },
		"version 2 has no IPv6":           func(c *vrrp.Config) { c.AlsoV2 = true },
		"knows ipv4 only":                 func(c *vrrp.Config) { c.Version, c.Interval = wire.V2, time.Second },
		"source address fe80::10 is not":  func(c *vrrp.Config) { c.Addresses, c.Source = []netip.Addr{own}, c.Addresses[0] },
	} {
		c := v6Config()
		change(&c)
		err := c.Validate()
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
