package vrrp_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp"
	"github.com/halo-ha/halo/core/vrrp/wire"
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
	check("state", 4, func(i int) fmt.Stringer { return vrrp.State(i) })
	check("reason", vrrp.ReasonCount, func(i int) fmt.Stringer { return vrrp.Reason(i) })
	check("mismatch", 8, func(i int) fmt.Stringer { return vrrp.MismatchKind(i) })
	check("announcement", 4, func(i int) fmt.Stringer { return vrrp.AnnounceReason(i) })
	for c := vrrp.FaultInterfaceMissing; c <= vrrp.FaultGroup; c++ {
		if s := c.String(); s == "none" || s == "" {
			t.Errorf("cause %d is called %q", c, s)
		}
	}
}

func TestFaults(t *testing.T) {
	r := vrrp.New(baseConfig())
	r.Handle(t0, vrrp.InterfaceChanged{Exists: true}, nil)
	f := r.Snapshot().Faults
	if f.String() != "link_down,no_source_address" || !f.Has(vrrp.FaultLinkDown) || f.Has(vrrp.FaultNoSocket) || len(f.Causes()) != 2 {
		t.Errorf("faults %v", f)
	}
}

func TestConfigValidate(t *testing.T) {
	good := baseConfig()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*vrrp.Config){
		"priority 0":     func(c *vrrp.Config) { c.Priority = 0 },
		"id 0":           func(c *vrrp.Config) { c.VRID = 0 },
		"no addresses":   func(c *vrrp.Config) { c.Addresses = nil },
		"version 4":      func(c *vrrp.Config) { c.Version = 4 },
		"steps of 1s":    func(c *vrrp.Config) { c.Version, c.Interval = wire.V2, 1500*time.Millisecond },
		"is negative":    func(c *vrrp.Config) { c.PreemptDelay = -1 },
		"delay -1ns is":  func(c *vrrp.Config) { c.Hold = -1 },
		"to be 3":        func(c *vrrp.Config) { c.Version, c.AlsoV2 = wire.V2, true },
		"no authenticat": func(c *vrrp.Config) { c.Auth.Type = wire.AuthPassword },
		"is not an ":     func(c *vrrp.Config) { c.Source = high.Next(); c.Addresses[0] = mapped() },
	} {
		c := with(change)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestConfigEqual(t *testing.T) {
	a, b := baseConfig(), baseConfig()
	if !a.Equal(&b) {
		t.Error("a configuration differs from itself")
	}
	for name, change := range map[string]func(*vrrp.Config){
		"version": func(c *vrrp.Config) { c.Version = wire.V2 }, "vrid": func(c *vrrp.Config) { c.VRID++ },
		"priority": func(c *vrrp.Config) { c.Priority++ }, "interval": func(c *vrrp.Config) { c.Interval++ },
		"preempt": func(c *vrrp.Config) { c.Preempt = !c.Preempt }, "delay": func(c *vrrp.Config) { c.PreemptDelay++ },
		"addresses": func(c *vrrp.Config) { c.Addresses = append(c.Addresses, high) }, "source": func(c *vrrp.Config) { c.Source = high },
		"checksum": func(c *vrrp.Config) { c.Checksum = wire.Plain }, "auth": func(c *vrrp.Config) { c.Auth.Type = wire.AuthPassword },
		"announcement": func(c *vrrp.Config) { c.Announcement.Refresh++ }, "second version": func(c *vrrp.Config) { c.AlsoV2 = true },
		"link": func(c *vrrp.Config) { c.IgnoreLinkDown = true }, "group": func(c *vrrp.Config) { c.Group.Name = "G" },
	} {
		if c := with(change); c.Equal(&a) {
			t.Errorf("a changed %s goes unnoticed", name)
		}
	}
	if c := with(func(c *vrrp.Config) { c.Hold = time.Minute }); !c.Equal(&a) {
		t.Error("what counts at the start only makes a configuration another one")
	}
}

func mapped() netip.Addr { return netip.MustParseAddr("::ffff:192.0.2.1") }
