package pool_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/pool"
)

// TestConfigEqual changes every field in turn: balance relies on Equal to leave
// unchanged virtual servers alone, and to reconfigure all others.
func TestConfigEqual(t *testing.T) {
	fresh := func() pool.Config {
		return pool.Config{
			Service: ipvs.Service{
				Key: ipvs.AddressKey(ipvs.TCP, netip.MustParseAddrPort("192.0.2.10:80")), Scheduler: "wrr",
				Persistence: ipvs.Persistence{Timeout: 50},
			},
			Quorum: 1, SorryServer: address("S"),
			Servers: []pool.RealServer{{
				Address: address("A"), Weight: 1,
				Checks: []pool.Check{{Name: "tcp", Definition: "1", Rise: 2, Fall: 3, Grace: time.Second}},
			}, {Address: address("B"), Weight: 1}},
		}
	}
	base := fresh()
	if same := fresh(); !base.Equal(&same) {
		t.Fatal("two of the same differ")
	}
	for name, change := range map[string]func(*pool.Config){
		"key":              func(c *pool.Config) { c.Service.Key.Protocol = ipvs.UDP },
		"scheduler":        func(c *pool.Config) { c.Service.Scheduler = "rr" },
		"persistence":      func(c *pool.Config) { c.Service.Persistence.Timeout = 51 },
		"flags":            func(c *pool.Config) { c.Service.Flags = ipvs.OnePacket },
		"quorum":           func(c *pool.Config) { c.Quorum = 2 },
		"sorry server":     func(c *pool.Config) { c.SorryServer = netip.AddrPort{} },
		"sorry forwarding": func(c *pool.Config) { c.SorryForwarding = ipvs.Tunnel },
		"server removed":   func(c *pool.Config) { c.Servers = c.Servers[:1] },
		"address":          func(c *pool.Config) { c.Servers[1].Address = address("C") },
		"forwarding":       func(c *pool.Config) { c.Servers[0].Forwarding = ipvs.DirectRoute },
		"weight":           func(c *pool.Config) { c.Servers[0].Weight = 2 },
		"on failure":       func(c *pool.Config) { c.Servers[0].OnFailure = pool.Quiesce },
		"check removed":    func(c *pool.Config) { c.Servers[0].Checks = nil },
		"check name":       func(c *pool.Config) { c.Servers[0].Checks[0].Name = "http" },
		"definition":       func(c *pool.Config) { c.Servers[0].Checks[0].Definition = "2" },
		"rise":             func(c *pool.Config) { c.Servers[0].Checks[0].Rise = 1 },
		"fall":             func(c *pool.Config) { c.Servers[0].Checks[0].Fall = 1 },
		"on plugin loss":   func(c *pool.Config) { c.Servers[0].Checks[0].FailOnLoss = true },
		"grace":            func(c *pool.Config) { c.Servers[0].Checks[0].Grace = time.Minute },
	} {
		if other := fresh(); func() bool { change(&other); return base.Equal(&other) }() {
			t.Errorf("a change of %s is not seen", name)
		}
	}
}

func TestServersWithOneAddressAreOne(t *testing.T) {
	now := time.Unix(0, 0)
	s := pool.New(now, pool.Config{Servers: []pool.RealServer{
		{Address: address("B"), Weight: 1}, {Address: address("A"), Weight: 2}, {Address: address("A"), Weight: 3},
	}})
	s.Handle(now, pool.Adopted{}, nil)
	v := s.Snapshot()
	if len(v.Servers) != 2 || v.Servers[0].Weight != 2 || v.Servers[1].Weight != 1 || v.Weight != 3 {
		t.Errorf("got %+v", v)
	}
}

func TestWords(t *testing.T) {
	seen := map[string]bool{}
	for r := pool.ReasonNone; r <= pool.ReasonReconfigured; r++ {
		if w := r.String(); seen[w] || w == "invalid" || (w == "") != (r == pool.ReasonNone) {
			t.Errorf("reason %d is %q", r, w)
		}
		seen[r.String()] = true
	}
	if w := (pool.ReasonReconfigured + 1).String(); w != "invalid" {
		t.Errorf("a reason that there is not is %q", w)
	}
	for got, want := range map[string]string{
		pool.Unknown.String(): "unknown", pool.Up.String(): "up", pool.Down.String(): "down", pool.State(9).String(): "invalid",
		pool.OutcomePass.String(): "pass", pool.OutcomeFail.String(): "fail", pool.Outcome(9).String(): "invalid",
		pool.Why{Reason: pool.ReasonCheckFailed, Check: "tcp", CheckReason: "refused", CheckDetail: "port 80"}.String(): "check failed: tcp: refused: port 80",
		pool.Why{Reason: pool.ReasonAdopted}.String():                                                                   "adopted",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for word, policy := range map[string]pool.OnFailure{"remove": pool.Remove, "quiesce": pool.Quiesce} {
		if got, ok := pool.ParseOnFailure(word); !ok || got != policy {
			t.Errorf("%q is %v, %v", word, got, ok)
		}
	}
	if _, ok := pool.ParseOnFailure("inhibit"); ok {
		t.Error("inhibit is no word here")
	}
}
