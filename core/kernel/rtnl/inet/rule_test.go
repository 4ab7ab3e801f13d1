package inet_test

import (
	"testing"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

func TestRulePrintsAsIproute2WritesIt(t *testing.T) {
	for _, row := range []struct {
		rule inet.Rule
		want string
	}{
		{inet.Rule{Priority: 100, From: prefix("192.0.2.0/24"), Table: 100}, "priority 100 from 192.0.2.0/24 lookup 100"},
		{inet.Rule{Priority: 100, Not: true, To: prefix("192.0.2.0/24"), TOS: 16, Mark: 1, OIF: "eth0"}, "priority 100 not to 192.0.2.0/24 tos 0x10 fwmark 0x1 oif eth0 lookup 254"},
		{inet.Rule{IPv6: true, Priority: 5, Mask: 15, IIF: "lo", TunnelID: 7, L3MasterDevice: true}, "priority 5 inet6 fwmark 0x0/0xf iif lo tun_id 7 l3mdev"},
		{
			inet.Rule{
				Priority: 5, IPProtocol: 6, SourcePorts: inet.PortRange{First: 80, Last: 80}, DestinationPorts: inet.PortRange{First: 1, Last: 9},
				UIDs: inet.Some(inet.Range{Last: 9}), Table: 7, SuppressPrefixLength: inet.Some(uint8(0)), SuppressGroup: inet.Some(uint32(3)), Realms: 5, Protocol: inet.ProtocolHalo,
			},
			"priority 5 uidrange 0-9 ipproto 6 sport 80 dport 1-9 lookup 7 suppress_prefixlength 0 suppress_ifgroup 3 realms 5 proto halo",
		},
		{inet.Rule{Priority: 5, Action: inet.Goto, Goto: 9}, "priority 5 goto 9"},
		{inet.Rule{Priority: 5, Action: inet.RuleProhibit}, "priority 5 prohibit"},
	} {
		if got := row.rule.String(); got != row.want {
			t.Errorf("got  %s\nwant %s", got, row.want)
		}
	}
}

func TestRuleCheckAndIdentity(t *testing.T) {
	for name, r := range map[string]inet.Rule{
		"family":           {From: prefix("2001:db8::/32")},
		"family of IPv6":   {IPv6: true, To: prefix("192.0.2.0/24")},
		"link":             {IIF: "0123456789abcdef"},
		"mark":             {Mark: 16, Mask: 15},
		"users":            {UIDs: inet.Some(inet.Range{First: 2, Last: 1})},
		"ports":            {SourcePorts: inet.PortRange{First: 2, Last: 1}},
		"port zero":        {DestinationPorts: inet.PortRange{Last: 1}},
		"backwards":        {Priority: 5, Action: inet.Goto, Goto: 5},
		"goto and lookup":  {Priority: 5, Goto: 6},
		"table of nothing": {Action: inet.RuleBlackhole, Table: 5},
		"two tables":       {L3MasterDevice: true, Table: 5},
		"realms in IPv6":   {IPv6: true, Realms: 1},
	} {
		if r.Check() == nil {
			t.Errorf("%s: %s is accepted", name, r)
		}
	}
	a := inet.Rule{Priority: 1, Mark: 1, From: prefix("0.0.0.0/0"), To: prefix("192.0.2.9/24")}
	b := inet.Rule{Priority: 1, Mark: 1, Mask: ^uint32(0), To: prefix("192.0.2.0/24"), Table: inet.TableMain, Protocol: inet.ProtocolHalo}
	if a.ID() != b.ID() {
		t.Errorf("%s and %s are the same rule to the kernel", a, b)
	}
	if err := a.Check(); err != nil {
		t.Error(err)
	}
	if a.Selectors() != 2 || (inet.Rule{}).Selectors() != 0 {
		t.Errorf("%s has %d selectors", a, a.Selectors())
	}
	if a.ProtocolOrDefault() != inet.ProtocolHalo || b.ProtocolOrDefault() != inet.ProtocolHalo {
		t.Error("the mark is halo's unless another is asked for")
	}
}
