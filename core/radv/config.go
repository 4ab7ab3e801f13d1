package radv

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"
)

// The bounds and defaults of RFC 4861 §6.2.1, and of RFC 8106 for the DNS.
const (
	ShortestMaxInterval = 4 * time.Second
	LongestMaxInterval  = 1800 * time.Second
	DefaultMaxInterval  = 600 * time.Second
	ShortestMinInterval = 3 * time.Second
	LongestLifetime     = 9000 * time.Second
	DefaultHopLimit     = 64
	DefaultValid        = 30 * 24 * time.Hour
	DefaultPreferred    = 7 * 24 * time.Hour
	// LeastMTU is what every link of IPv6 carries (RFC 8200 §5).
	LeastMTU = 1280

	// Room is for the message: the IPv6 header takes the rest of LeastMTU.
	Room = LeastMTU - 40

	// finite is the longest time that 32 bits of seconds say; one more means for
	// ever.
	finite = (math.MaxUint32 - 1) * time.Second
	// nameLimit is the longest domain name, in bytes as it is sent (RFC 1035
	// §3.1).
	nameLimit, labelLimit = 255, 63
	// shortWait is below what a third of MaxInterval can be (RFC 4861 §6.2.1).
	shortWait = 9 * time.Second
)

// Preference is what a host goes by when it has several default routers
// (RFC 4191 §2.1).
type Preference uint8

// The preferences. Medium is what routers have that know none.
const (
	Medium Preference = iota
	High
	Low
)

// String is the preference's word in the configuration.
func (p Preference) String() string {
	switch p {
	case Low:
		return "low"
	case High:
		return "high"
	case Medium:
	}
	return "medium"
}

// ParsePreference is the inverse of String.
func ParsePreference(word string) (Preference, error) {
	for _, p := range []Preference{Low, Medium, High} {
		if p.String() == word {
			return p, nil
		}
	}
	return Medium, fmt.Errorf("%q is no preference", word)
}

// Config is what an operator decides about the advertisements of one virtual
// router. All its routers should have the same (RFC 9568 §8.2.3).
type Config struct {
	// MinInterval and MaxInterval bound the time between two advertisements
	// that nobody asked for.
	MinInterval, MaxInterval time.Duration
	// Lifetime is for how long hosts may take the router for a default router;
	// zero says that it is none.
	Lifetime   time.Duration
	Preference Preference
	// Managed and OtherConfig send hosts to DHCPv6, for addresses and for the
	// rest.
	Managed, OtherConfig bool
	// HopLimit is what hosts are to send with, ReachableTime and RetransmitTimer
	// how they probe their neighbours, MTU how much they may send; zero leaves
	// it to them.
	HopLimit                       uint8
	ReachableTime, RetransmitTimer time.Duration
	MTU                            uint32
	Prefixes                       []Prefix
	// DNSServers and DNSSearch hold for DNSLifetime (RFC 8106).
	DNSServers  []netip.Addr
	DNSSearch   []string
	DNSLifetime time.Duration
}

// Prefix is what hosts are told of one network (RFC 4861 §4.6.2).
type Prefix struct {
	Prefix netip.Prefix
	// OnLink says that its addresses are reached without a router, Autonomous
	// that hosts may make themselves addresses in it.
	OnLink, Autonomous bool
	// Valid and Preferred are for how long that holds, and for how long such an
	// address is used for something new.
	Valid, Preferred time.Duration
}

// DefaultMinInterval is the least time between two advertisements that goes with
// the greatest (RFC 4861 §6.2.1). For the short ones the RFC names the greatest
// itself, which its own bound of three quarters forbids.
func DefaultMinInterval(longest time.Duration) time.Duration {
	if longest < shortWait {
		return max(longest*3/4, ShortestMinInterval)
	}
	return (longest / 3).Truncate(time.Second)
}

// Equal says that hosts would be told the same, as often.
func (c *Config) Equal(other *Config) bool {
	return c.MinInterval == other.MinInterval && c.MaxInterval == other.MaxInterval &&
		bytes.Equal(c.Append(nil, nil, c.Lifetime), other.Append(nil, nil, other.Lifetime))
}

// Validate says whether an Advertiser can work with the configuration.
func (c *Config) Validate() error {
	switch {
	case c.MaxInterval < ShortestMaxInterval || c.MaxInterval > LongestMaxInterval:
		return fmt.Errorf("maximum interval %v is not between %v and %v", c.MaxInterval, ShortestMaxInterval, LongestMaxInterval)
	case c.MinInterval < ShortestMinInterval || c.MinInterval > c.MaxInterval*3/4:
		return fmt.Errorf("minimum interval %v is not between %v and three quarters of %v", c.MinInterval, ShortestMinInterval, c.MaxInterval)
	case c.Lifetime != 0 && (c.Lifetime < c.MaxInterval || c.Lifetime > LongestLifetime):
		return fmt.Errorf("lifetime %v is neither 0 nor between %v and %v", c.Lifetime, c.MaxInterval, LongestLifetime)
	case c.Lifetime == 0 && c.Preference != Medium:
		// RFC 4191 §2.2.
		return errors.New("a preference needs a lifetime")
	case c.MTU != 0 && c.MTU < LeastMTU:
		return fmt.Errorf("MTU %d is less than %d", c.MTU, LeastMTU)
	case c.ReachableTime < 0 || c.ReachableTime > time.Hour:
		return fmt.Errorf("reachable time %v is not between 0 and an hour", c.ReachableTime)
	case c.RetransmitTimer < 0 || c.RetransmitTimer > time.Hour:
		return fmt.Errorf("retransmit timer %v is not between 0 and an hour", c.RetransmitTimer)
	case c.DNSLifetime < 0 || c.DNSLifetime > finite:
		return fmt.Errorf("lifetime of the DNS servers %v does not fit into 32 bits of seconds", c.DNSLifetime)
	}
	for _, p := range c.Prefixes {
		if err := p.Validate(); err != nil {
			return err
		}
	}
	for _, a := range c.DNSServers {
		if !a.Is6() || a.Is4In6() || a.Zone() != "" {
			return fmt.Errorf("DNS server %v is no IPv6 address", a)
		}
	}
	for _, name := range c.DNSSearch {
		if err := ValidateName(name); err != nil {
			return err
		}
	}
	if n := c.Length(); n > Room {
		return fmt.Errorf("the advertisement has %d bytes, and a packet that passes every link has room for %d", n, Room)
	}
	return nil
}

// Validate says whether hosts can be told of the prefix.
func (p Prefix) Validate() error {
	switch {
	case !p.Prefix.IsValid() || !p.Prefix.Addr().Is6() || p.Prefix.Addr().Is4In6():
		return fmt.Errorf("%v is no IPv6 prefix", p.Prefix)
	case p.Prefix != p.Prefix.Masked():
		return fmt.Errorf("prefix %v has bits behind its length", p.Prefix)
	case p.Prefix.Addr().IsLinkLocalUnicast() || p.Prefix.Addr().IsMulticast():
		// RFC 4861 §4.6.2.
		return fmt.Errorf("prefix %v is not one that hosts are told", p.Prefix)
	case p.Valid < 0 || p.Valid > finite:
		return fmt.Errorf("prefix %v: valid lifetime %v does not fit into 32 bits of seconds", p.Prefix, p.Valid)
	case p.Preferred < 0 || p.Preferred > p.Valid:
		return fmt.Errorf("prefix %v: preferred lifetime %v is longer than the valid one, %v", p.Prefix, p.Preferred, p.Valid)
	}
	return nil
}

// ValidateName says whether a domain name can be sent.
func ValidateName(name string) error {
	if len(name)+2 > nameLimit {
		return fmt.Errorf("domain name %q is longer than %d bytes", name, nameLimit-2)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > labelLimit {
			return fmt.Errorf("domain name %q has a part of %d bytes, not of 1 to %d", name, len(label), labelLimit)
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return fmt.Errorf("domain name %q has a character that is no letter, digit or dash", name)
			}
		}
	}
	return nil
}
