package bfd_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/bfd"
)

// Every enum has a word for every value, each its own.
func TestWords(t *testing.T) {
	check := func(name string, count int, word func(int) fmt.Stringer) {
		t.Helper()
		seen := map[string]bool{}
		for i := range count {
			s := word(i).String()
			if s == "" || seen[s] || strings.ContainsAny(s, " 0123456789") || s == "unknown" {
				t.Errorf("%s %d is called %q", name, i, s)
			}
			seen[s] = true
		}
		if s := word(count).String(); seen[s] {
			t.Errorf("%s %d, which does not exist, is called %q", name, count, s)
		}
	}
	check("state", bfd.StateCount, func(i int) fmt.Stringer { return bfd.State(i) })
	check("diagnostic", bfd.DiagnosticCount, func(i int) fmt.Stringer { return bfd.Diagnostic(i) })
	check("drop reason", bfd.DropReasonCount, func(i int) fmt.Stringer { return bfd.DropReason(i) })
}

//rfc:5880/6.8.1-11 positive negative
func TestValidateConfig(t *testing.T) {
	good := []func(c *bfd.Config){
		func(*bfd.Config) {},
		func(c *bfd.Config) { c.MinTx, c.MinRx, c.Multiplier = ms, ms, 1 },
		func(c *bfd.Config) { c.MinTx, c.MinRx, c.IdleTx = bfd.MaxInterval, bfd.MaxInterval, bfd.MaxInterval },
		func(c *bfd.Config) { c.TTL, c.MaxHops = 1, bfd.AnyHops },
	}
	for i, change := range good {
		c := bfd.Defaults()
		change(&c)
		if err := c.Validate(); err != nil {
			t.Errorf("good %d: %v", i, err)
		}
	}
	bad := map[string]func(c *bfd.Config){
		"minimum transmit interval 999µs":    func(c *bfd.Config) { c.MinTx = 999 * time.Microsecond },
		"minimum receive interval 0s":        func(c *bfd.Config) { c.MinRx = 0 },
		"minimum receive interval 1h12m":     func(c *bfd.Config) { c.MinRx = 72 * time.Minute },
		"idle transmit interval 999ms":       func(c *bfd.Config) { c.IdleTx = 999 * ms },
		"1.0000001s is not of whole":         func(c *bfd.Config) { c.IdleTx += 100 },
		"multiplier 0 would declare":         func(c *bfd.Config) { c.Multiplier = 0 },
		"a TTL of 0 leaves no machine":       func(c *bfd.Config) { c.TTL = 0 },
		"minimum transmit interval -1ns is ": func(c *bfd.Config) { c.MinTx = -1 },
	}
	for want, change := range bad {
		c := bfd.Defaults()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// The defaults are what reference and RFC say, and can be used.
//
//rfc:5881/3-1 positive
func TestDefaults(t *testing.T) {
	c := bfd.Defaults()
	want := bfd.Config{MinTx: 10 * ms, MinRx: 10 * ms, IdleTx: time.Second, Multiplier: 5, TTL: 255}
	if c != want || c.Validate() != nil {
		t.Errorf("%+v, %v", c, c.Validate())
	}
	// Who is passive was told to be.
	if c.Passive || c.Disabled {
		t.Errorf("%+v", c)
	}
	c.Passive = true
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

//rfc:5881/4-1 positive negative
//rfc:5883/5-1 positive negative
func TestPathPort(t *testing.T) {
	if one, many := (bfd.Path{Routed: true}).Port(), (bfd.Path{Multihop: true}).Port(); one != 3784 || many != 4784 {
		t.Errorf("ports %d and %d", one, many)
	}
}

func TestValidatePath(t *testing.T) {
	a := func(s string) netip.Addr {
		if s == "" {
			return netip.Addr{}
		}
		return netip.MustParseAddr(s)
	}
	tests := []struct {
		peer, source, iface string
		multihop            bool
		want                string
	}{
		{"192.0.2.1", "", "", false, ""},
		{"192.0.2.1", "192.0.2.2", "eth0", false, ""},
		{"2001:db8::1", "2001:db8::2", "", true, ""},
		{"fe80::1", "", "eth0", false, ""},
		{"169.254.0.1", "", "", false, ""},
		{"", "", "", false, "not an address of one machine"},
		{"0.0.0.0", "", "", false, "not an address of one machine"},
		{"ff02::1", "", "eth0", false, "not an address of one machine"},
		{"224.0.0.18", "", "", false, "not an address of one machine"},
		{"::ffff:192.0.2.1", "", "", false, "not an address of one machine"},
		{"fe80::1%eth0", "", "eth0", false, "zone"},
		{"192.0.2.1", "2001:db8::2", "", false, "two families"},
		{"192.0.2.1", "192.0.2.1", "", false, "both 192.0.2.1"},
		{"fe80::1", "", "", false, "needs an interface"},
		{"fe80::1", "", "eth0", true, "never several hops away"},
	}
	for _, tt := range tests {
		p := bfd.Path{Peer: a(tt.peer), Source: a(tt.source), Interface: tt.iface, Multihop: tt.multihop}
		routed := p
		routed.Multihop, routed.Routed = false, tt.multihop
		for _, p := range []bfd.Path{p, routed} {
			err := p.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%+v: %v, want %q", p, err, tt.want)
			}
		}
	}
}
