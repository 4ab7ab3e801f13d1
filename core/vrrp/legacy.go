package vrrp

import (
	"net/netip"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// v3Peer is the router of which version 3 was heard last.
type v3Peer struct {
	address  netip.Addr
	interval time.Duration
	heard    time.Time
}

// intervalV2 is what version 2 can say of the interval: whole seconds, and never
// less than what is kept.
func (c *Config) intervalV2() time.Duration {
	return (c.Interval + time.Second - 1).Truncate(time.Second)
}

// ExpectV2 is what the receive checks compare a version 2 advertisement with,
// and whether this router hears version 2 beside version 3. It shares the
// Router's list of addresses.
//
// The interval has to be the one that is sent: a version 2 router drops
// advertisements with another (RFC 3768 §7.1), so both sides need it to be
// equal anyway. A version 3 interval of less than a second is one second there.
func (r *Router) ExpectV2() (wire.Expect, bool) {
	e := r.config.Expect()
	e.Version, e.Interval, e.Auth = wire.V2, r.config.intervalV2(), wire.Auth{}
	return e, r.config.AlsoV2
}

// sendV2 repeats the advertisement in version 2: the active router sends both,
// both at the configured rate, even if that is more often than version 2 can say
// (RFC 9568 §8.4.2).
func (r *Router) sendV2(actions []Action) []Action {
	r.advertV2 = r.advert
	a := &r.advertV2.Advertisement
	a.Version, a.Interval = wire.V2, r.config.intervalV2()
	return append(actions, &r.advertV2)
}

// repeatedInV2 notes who speaks version 3 and says whether this is such a router
// repeating itself in version 2, which is to be ignored (RFC 9568 §8.4.2): its
// interval would be learned as whole seconds.
func (r *Router) repeatedInV2(now time.Time, e *AdvertReceived) bool {
	a := &e.Advertisement
	if a.Version != wire.V2 {
		r.v3 = v3Peer{address: e.Source, interval: a.Interval, heard: now}
		return false
	}
	return r.v3.address == e.Source && now.Sub(r.v3.heard) <= 3*r.v3.interval
}
