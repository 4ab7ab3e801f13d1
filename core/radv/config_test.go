package radv_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/radv"
)

func TestValidate(t *testing.T) {
	for _, good := range []radv.Config{basic(), everything()} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	prefix := func(p string, valid, preferred time.Duration) func(*radv.Config) {
		return func(c *radv.Config) {
			c.Prefixes = append(c.Prefixes, radv.Prefix{Prefix: netip.MustParsePrefix(p), Valid: valid, Preferred: preferred})
		}
	}
	for want, change := range map[string]func(*radv.Config){
		"":                                   func(c *radv.Config) { c.Lifetime, c.Preference = 0, radv.Medium },
		"maximum interval 3s is not":         func(c *radv.Config) { c.MaxInterval = 3 * time.Second },
		"maximum interval 30m1s is not":      func(c *radv.Config) { c.MaxInterval = 1801 * time.Second },
		"minimum interval 2.999s is not":     func(c *radv.Config) { c.MinInterval = 2999 * time.Millisecond },
		"minimum interval 3.001s is not":     func(c *radv.Config) { c.MinInterval = 3001 * time.Millisecond },
		"lifetime 3s is neither 0":           func(c *radv.Config) { c.Lifetime = 3 * time.Second },
		"lifetime 2h30m1s is neither 0":      func(c *radv.Config) { c.Lifetime = 9001 * time.Second },
		"a preference needs a lifetime":      func(c *radv.Config) { c.Lifetime = 0 },
		"MTU 1279 is less than 1280":         func(c *radv.Config) { c.MTU = 1279 },
		"reachable time 1h0m0.001s is not":   func(c *radv.Config) { c.ReachableTime = time.Hour + time.Millisecond },
		"retransmit timer -1ns is not":       func(c *radv.Config) { c.RetransmitTimer = -1 },
		"lifetime of the DNS servers":        func(c *radv.Config) { c.DNSLifetime = 1 << 32 * time.Second },
		"192.0.2.0/24 is no IPv6 prefix":     prefix("192.0.2.0/24", 0, 0),
		"2001:db8::1/64 has bits behind":     prefix("2001:db8::1/64", 0, 0),
		"fe80::/64 is not one":               prefix("fe80::/64", 0, 0),
		"ff0e::/64 is not one":               prefix("ff0e::/64", 0, 0),
		"valid lifetime 1193046h28m16s":      prefix("2001:db8::/64", 1<<32*time.Second, 0),
		"preferred lifetime 1m0s is longer":  prefix("2001:db8::/64", 59*time.Second, time.Minute),
		"DNS server 192.0.2.1 is no IPv6":    func(c *radv.Config) { c.DNSServers[0] = netip.MustParseAddr("192.0.2.1") },
		"DNS server fe80::1%eth0 is no IPv6": func(c *radv.Config) { c.DNSServers[0] = netip.MustParseAddr("fe80::1%eth0") },
		`domain name "a..b" has a part of 0`: func(c *radv.Config) { c.DNSSearch[0] = "a..b" },
		`domain name "" has a part of 0`:     func(c *radv.Config) { c.DNSSearch[0] = "" },
		`domain name "a b" has a character`:  func(c *radv.Config) { c.DNSSearch[0] = "a b" },
		`has a part of 64 bytes`:             func(c *radv.Config) { c.DNSSearch[0] = strings.Repeat("a", 64) },
		`is longer than 253 bytes`:           func(c *radv.Config) { c.DNSSearch[0] = strings.Repeat("a.", 126) + "aa" },
		"the advertisement has 1248 bytes, and a packet that passes every link has room for 1240": func(c *radv.Config) {
			*c = basic()
			for i := range 38 {
				prefix(fmt.Sprintf("2001:db8:%x::/64", i), 0, 0)(c)
			}
			c.MTU = 1500
		},
	} {
		c := everything()
		change(&c)
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// The default of the least interval is always allowed.
func TestDefaultMinInterval(t *testing.T) {
	for longest := radv.ShortestMaxInterval; longest <= radv.LongestMaxInterval; longest += 500 * time.Millisecond {
		c := basic()
		c.MaxInterval, c.MinInterval, c.Lifetime = longest, radv.DefaultMinInterval(longest), 3*longest
		if err := c.Validate(); err != nil {
			t.Errorf("%v: %v", longest, err)
		}
	}
	if got := radv.DefaultMinInterval(radv.DefaultMaxInterval); got != 200*time.Second {
		t.Errorf("%v", got)
	}
}
