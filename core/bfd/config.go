package bfd

import (
	"errors"
	"fmt"
	"time"
)

const (
	// SlowTx is the least interval of packets while the session is not Up, so
	// that a path which is broken is not flooded as well (RFC 5880 §6.8.3).
	SlowTx = time.Second
	// HopLimit is the TTL that nobody beyond the link can forge (RFC 5881 §5).
	HopLimit = 255
	// AnyHops as MaxHops turns the check of the TTL off.
	AnyHops = 255

	minInterval = time.Millisecond
)

// Config is what an operator decides about one session.
type Config struct {
	// MinTx is how often to send while Up, if the peer can take it, and MinRx
	// how often the peer may send: whole microseconds, at least a millisecond
	// (bfd.DesiredMinTxInterval, bfd.RequiredMinRxInterval).
	MinTx, MinRx time.Duration
	// IdleTx is how often to send while not Up, at least a second.
	IdleTx time.Duration
	// Multiplier is how many of this side's packets the peer must miss in a row
	// to take the session for lost (bfd.DetectMult): at least 1.
	Multiplier uint8
	// Passive waits for the peer's first packet. At least one side must not be
	// passive, and RFC 5881 §3 wants neither to be.
	Passive bool
	// Disabled holds the session in AdminDown.
	Disabled bool
	// TTL is what packets are sent with. RFC 5881 §5 demands 255 for one hop;
	// anything else is for a peer that insists on it.
	TTL uint8
	// MaxHops is by how much the TTL of a received packet may be below TTL: 0
	// accepts none from beyond the link, AnyHops accepts all.
	MaxHops uint8
}

// Defaults are Keepalived's, with which detection takes 50 ms, but for the hop
// limit over IPv6: that is RFC 5881's 255, where Keepalived has 64.
func Defaults() Config {
	return Config{
		MinTx: 10 * time.Millisecond, MinRx: 10 * time.Millisecond, IdleTx: SlowTx,
		Multiplier: 5, TTL: HopLimit,
	}
}

// Validate says whether a Session can work with the configuration.
func (c *Config) Validate() error {
	for _, i := range []struct {
		name            string
		value, smallest time.Duration
	}{
		{"minimum transmit interval", c.MinTx, minInterval},
		{"minimum receive interval", c.MinRx, minInterval},
		{"idle transmit interval", c.IdleTx, SlowTx},
	} {
		switch {
		case i.value < i.smallest || i.value > MaxInterval:
			return fmt.Errorf("%s %v is not between %v and %v", i.name, i.value, i.smallest, MaxInterval)
		case i.value%time.Microsecond != 0:
			return fmt.Errorf("%s %v is not of whole microseconds", i.name, i.value)
		}
	}
	switch {
	case c.Multiplier == 0:
		return errors.New("multiplier 0 would declare every peer lost")
	case c.TTL == 0:
		return errors.New("a TTL of 0 leaves no machine")
	}
	return nil
}

// accepts says whether a packet with this TTL has come over few enough hops.
func (c *Config) accepts(ttl int) bool {
	return c.MaxHops == AnyHops || ttl >= int(c.TTL)-int(c.MaxHops)
}
