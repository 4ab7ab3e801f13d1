package inet_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

var (
	prefix = netip.MustParsePrefix
	addr   = netip.MustParseAddr
)

func TestAddressPrintsAsIproute2WritesIt(t *testing.T) {
	for _, row := range []struct {
		address inet.Address
		want    string
	}{
		{inet.Address{Prefix: prefix("192.0.2.10/24")}, "192.0.2.10/24"},
		{
			inet.Address{Prefix: prefix("192.0.2.10/24"), Broadcast: addr("192.0.2.255"), Label: "eth0:1", Scope: inet.ScopeLink, PreferredFor: time.Minute},
			"192.0.2.10/24 brd 192.0.2.255 label eth0:1 scope link preferred_lft 60",
		},
		{
			inet.Address{Prefix: prefix("2001:db8::1/64"), Peer: addr("2001:db8::2"), Deprecated: true, NoPrefixRoute: true, DetectDuplicates: true},
			"2001:db8::1 peer 2001:db8::2/64 preferred_lft 0 noprefixroute dad",
		},
		{
			inet.Address{Prefix: prefix("ff0e::1/128"), Home: true, ManageTemporary: true, AutoJoin: true, Secondary: true, Tentative: true},
			"ff0e::1/128 home mngtmpaddr autojoin",
		},
	} {
		if got := row.address.String(); got != row.want {
			t.Errorf("got  %s\nwant %s", got, row.want)
		}
	}
}

func TestAddressCheck(t *testing.T) {
	v4, v6 := prefix("192.0.2.10/24"), prefix("2001:db8::10/64")
	for name, a := range map[string]inet.Address{
		"nothing":             {},
		"zone":                {Prefix: netip.PrefixFrom(addr("::ffff:192.0.2.1"), 128)},
		"peer's family":       {Prefix: v4, Peer: addr("2001:db8::1")},
		"long label":          {Prefix: v4, Label: "0123456789abcdef"},
		"label in IPv6":       {Prefix: v6, Label: "eth0"},
		"scope in IPv6":       {Prefix: v6, Scope: inet.ScopeLink},
		"broadcast in IPv6":   {Prefix: v6, Broadcast: addr("2001:db8::2")},
		"broadcast's family":  {Prefix: v4, Broadcast: addr("2001:db8::2")},
		"home in IPv4":        {Prefix: v4, Home: true},
		"detection in IPv4":   {Prefix: v4, DetectDuplicates: true},
		"part of a second":    {Prefix: v4, PreferredFor: time.Millisecond},
		"negative lifetime":   {Prefix: v4, PreferredFor: -time.Second},
		"temporaries in IPv4": {Prefix: v4, ManageTemporary: true},
	} {
		if a.Check() == nil {
			t.Errorf("%s: %s is accepted", name, a)
		}
	}
	for _, a := range []inet.Address{
		{Prefix: v4, Label: "0123456789abcde", Scope: inet.ScopeHost, Broadcast: addr("192.0.2.255"), Peer: addr("192.0.2.11")},
		{Prefix: v6, DetectDuplicates: true, Home: true, ManageTemporary: true, PreferredFor: time.Hour},
	} {
		if err := a.Check(); err != nil {
			t.Error(err)
		}
	}
}

// What is only observed makes no difference, what was asked for does.
func TestAddressSatisfies(t *testing.T) {
	v4 := inet.Address{Prefix: prefix("192.0.2.10/24"), Label: "eth0"}
	v6 := inet.Address{Prefix: prefix("2001:db8::10/64")}
	change := func(a inet.Address, f func(*inet.Address)) inet.Address { f(&a); return a }
	for _, row := range []struct {
		name        string
		found, want inet.Address
		satisfied   bool
	}{
		{"the same", v4, v4, true},
		{"observed", change(v4, func(a *inet.Address) { a.Secondary, a.Protocol = true, 3 }), v4, true},
		{"observed in IPv6", change(v6, func(a *inet.Address) { a.Tentative, a.Duplicate, a.DetectDuplicates = true, true, true }), v6, true},
		{"any label", v4, change(v4, func(a *inet.Address) { a.Label = "" }), true},
		{"another label", v4, change(v4, func(a *inet.Address) { a.Label = "eth0:1" }), false},
		{"prefix length", v4, change(v4, func(a *inet.Address) { a.Prefix = prefix("192.0.2.10/32") }), false},
		{"peer", v4, change(v4, func(a *inet.Address) { a.Peer = addr("192.0.2.11") }), false},
		{"scope", v4, change(v4, func(a *inet.Address) { a.Scope = inet.ScopeLink }), false},
		{"scope of IPv6", change(v6, func(a *inet.Address) { a.Scope = inet.ScopeLink }), v6, true},
		{"broadcast", v4, change(v4, func(a *inet.Address) { a.Broadcast = addr("192.0.2.255") }), false},
		{"not deprecated", v6, change(v6, func(a *inet.Address) { a.Deprecated = true }), false},
		{"deprecated", change(v6, func(a *inet.Address) { a.Deprecated = true }), v6, false},
		{"counting down", change(v6, func(a *inet.Address) { a.PreferredFor = time.Second }), change(v6, func(a *inet.Address) { a.PreferredFor = time.Minute }), true},
		{"counted down", change(v6, func(a *inet.Address) { a.Deprecated = true }), change(v6, func(a *inet.Address) { a.PreferredFor = time.Minute }), true},
		{"longer than wanted", change(v6, func(a *inet.Address) { a.PreferredFor = time.Hour }), change(v6, func(a *inet.Address) { a.PreferredFor = time.Minute }), false},
		{"for ever", v6, change(v6, func(a *inet.Address) { a.PreferredFor = time.Minute }), false},
		{"not for ever", change(v6, func(a *inet.Address) { a.PreferredFor = time.Minute }), v6, false},
		{"without route", v4, change(v4, func(a *inet.Address) { a.NoPrefixRoute = true }), false},
		{"autojoin", v4, change(v4, func(a *inet.Address) { a.AutoJoin = true }), false},
		{"home", v6, change(v6, func(a *inet.Address) { a.Home = true }), false},
		{"temporaries", v6, change(v6, func(a *inet.Address) { a.ManageTemporary = true }), false},
	} {
		if got := row.found.Satisfies(row.want); got != row.satisfied {
			t.Errorf("%s: satisfied is %v, want %v", row.name, got, row.satisfied)
		}
	}
}

func TestNumbersWithoutNames(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{inet.Protocol(77).String(), "77"},
		{inet.ProtocolHalo.String(), "halo"},
		{inet.ProtocolKeepalived.String(), "keepalived"},
		{inet.Scope(100).String(), "100"},
		{inet.ScopeNowhere.String(), "nowhere"},
		{inet.RouteType(99).String(), "99"},
		{inet.RuleAction(99).String(), "99"},
		{inet.Preference(2).String(), "2"},
		{inet.MacvlanMode(9).String(), "9"},
		{inet.Macvlan{Name: "vrrp.51", Parent: "eth0", MAC: "00:00:5e:00:01:33"}.String(), "link eth0 name vrrp.51 address 00:00:5e:00:01:33 type macvlan mode private"},
	} {
		if row.got != row.want {
			t.Errorf("got %q, want %q", row.got, row.want)
		}
	}
}
