package rtnl

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// ours are the rules with halo's mark in the words of iproute2.
func ours(t *testing.T, h *Handle) []string {
	t.Helper()
	rules, err := h.Rules(inet.ProtocolHalo)
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, len(rules))
	for i, r := range rules {
		lines[i] = strings.TrimSuffix(r.String(), " proto halo")
	}
	return lines
}

// Every attribute goes to the kernel and comes back, and `ip rule` shows it.
func TestRuleAttributesAsAnIndependentReaderSeesThem(t *testing.T) {
	kerneltest.RequireTool(t, "ip")
	n := pair(t)
	h := openIn(t, n)
	for _, row := range []struct {
		rule  inet.Rule
		shown string
	}{
		{inet.Rule{Priority: 100, From: prefix("192.0.2.0/24"), Table: 100}, "100: from 192.0.2.0/24 lookup 100"},
		{inet.Rule{Priority: 101, To: prefix("192.0.2.1/32")}, "101: from all to 192.0.2.1 lookup main"},
		{inet.Rule{Priority: 102, Not: true, From: prefix("192.0.2.0/24"), To: prefix("198.51.100.0/25"), Table: 100000}, "102: not from 192.0.2.0/24 to 198.51.100.0/25 lookup 100000"},
		{inet.Rule{Priority: 103, TOS: 16, IIF: "eth0", OIF: "eth9", Table: 100}, "103: from all tos 0x10 iif eth0 oif eth9 [detached] lookup 100"},
		{inet.Rule{Priority: 104, Mark: 5, Table: 100}, "104: from all fwmark 0x5 lookup 100"},
		{inet.Rule{Priority: 105, Mask: 15, Table: 100}, "105: from all fwmark 0/0xf lookup 100"},
		{inet.Rule{Priority: 106, TunnelID: 1 << 40, Table: 100}, "106: from all tun_id 1099511627776 lookup 100"},
		{inet.Rule{Priority: 107, UIDs: inet.Some(inet.Range{Last: 5}), IPProtocol: 6, SourcePorts: inet.PortRange{First: 80, Last: 80}, DestinationPorts: inet.PortRange{First: 1000, Last: 2000}, Table: 100}, "107: from all uidrange 0-5 ipproto tcp sport 80 dport 1000-2000 lookup 100"},
		{inet.Rule{Priority: 108, SuppressPrefixLength: inet.Some(uint8(0)), SuppressGroup: inet.Some(uint32(7)), Table: 100}, "108: from all lookup 100 suppress_prefixlength 0 suppress_ifgroup 7"},
		{inet.Rule{Priority: 109, Realms: 1<<16 | 2, Table: 100}, "109: from all lookup 100 realms 1/2"},
		{inet.Rule{Priority: 110, Action: inet.Goto, Goto: 32766}, "110: from all goto 32766"},
		{inet.Rule{Priority: 111, Action: inet.NoOperation}, "111: from all nop"},
		{inet.Rule{Priority: 112, Action: inet.RuleBlackhole}, "112: from all blackhole"},
		{inet.Rule{Priority: 113, Action: inet.RuleUnreachable}, "113: from all unreachable"},
		{inet.Rule{Priority: 114, Action: inet.RuleProhibit}, "114: from all prohibit"},
		{inet.Rule{Priority: 115, L3MasterDevice: true}, "115: from all lookup [l3mdev-table]"},
		{inet.Rule{IPv6: true, Priority: 100, From: prefix("2001:db8::/32"), To: prefix("2001:db8:1::1/128"), TOS: 16, Table: 100}, "100: from 2001:db8::/32 to 2001:db8:1::1 tos 0x10 lookup 100"},
		{inet.Rule{IPv6: true, Priority: 101, Mark: 1, Mask: 1, IIF: "lo", SuppressPrefixLength: inet.Some(uint8(64)), Table: 100}, "101: from all fwmark 0x1/0x1 iif lo lookup 100 suppress_prefixlength 64"},
		{inet.Rule{IPv6: true, Priority: 102, Action: inet.RuleProhibit}, "102: from all prohibit"},
	} {
		for range 2 { // The second time it is there already.
			if err := h.PutRules([]inet.Rule{row.rule}); err != nil {
				t.Errorf("%s: %v", row.rule, err)
			}
		}
		rules, err := h.Rules(inet.ProtocolHalo)
		if err != nil {
			t.Fatal(err)
		}
		if len(rules) != 1 || rules[0].ID() != row.rule.ID() {
			t.Errorf("%s: found %v", row.rule, rules)
		}
		family := "-4"
		if row.rule.IPv6 {
			family = "-6"
		}
		out, err := n.Output("ip", family, "rule", "show")
		if err != nil {
			t.Fatalf("ip: %v: %s", err, out)
		}
		shown := ""
		for line := range strings.Lines(out) {
			if line = strings.Join(strings.Fields(line), " "); strings.HasSuffix(line, " proto 104") {
				shown = strings.TrimSuffix(line, " proto 104")
			}
		}
		if shown != row.shown {
			t.Errorf("%s: ip shows\n%s, want\n%s", row.rule, shown, row.shown)
		}
		for range 2 { // The second time it is gone already.
			if err := h.DelRules([]inet.Rule{row.rule}); err != nil {
				t.Errorf("%s: %v", row.rule, err)
			}
		}
		if left := ours(t, h); len(left) > 0 {
			t.Fatalf("%s: %v is left", row.rule, left)
		}
	}
}

func TestRulesOfOthersStay(t *testing.T) {
	kerneltest.RequireTool(t, "ip")
	n := pair(t)
	h := openIn(t, n)
	foreign := inet.Rule{Priority: 100, From: prefix("192.0.2.0/24"), Table: 100}
	if out, err := n.Output("ip", "rule", "add", "pref", "100", "from", "192.0.2.0/24", "lookup", "100"); err != nil {
		t.Fatalf("ip: %v: %s", err, out)
	}
	before, err := h.Rules(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.PutRules([]inet.Rule{foreign, foreign}); err != nil {
		t.Error(err)
	}
	if got := ours(t, h); len(got) != 1 {
		t.Errorf("rules %q, want one beside somebody else's", got)
	}
	if err := h.DelRules([]inet.Rule{foreign}); err != nil {
		t.Error(err)
	}
	after, err := h.Rules(0)
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("rules\n%v became\n%v, %v", before, after, err)
	}
}

// The kernel deletes the first rule that fits, and a rule with more conditions
// than it is told of fits as well.
func TestDelRulesDeletesTheRuleThatIsMeant(t *testing.T) {
	h := openIn(t, pair(t))
	general := inet.Rule{Priority: 100, Table: 100}
	specific := inet.Rule{Priority: 100, Table: 100, IIF: "eth0", Mark: 1}
	other := inet.Rule{Priority: 100, Table: 100, To: prefix("192.0.2.0/24")}
	for _, row := range []struct {
		name         string
		there, leave []inet.Rule
		left         []string
	}{
		{"the specific one first", []inet.Rule{specific, general}, []inet.Rule{general}, []string{"priority 100 fwmark 0x1 iif eth0 lookup 100"}},
		{"the general one first", []inet.Rule{general, specific}, []inet.Rule{general}, []string{"priority 100 fwmark 0x1 iif eth0 lookup 100"}},
		{"only the specific one", []inet.Rule{specific}, []inet.Rule{general}, []string{"priority 100 fwmark 0x1 iif eth0 lookup 100"}},
		{"the specific one goes", []inet.Rule{general, specific}, []inet.Rule{specific}, []string{"priority 100 lookup 100"}},
		{"both", []inet.Rule{specific, other, general}, []inet.Rule{general, specific}, []string{"priority 100 to 192.0.2.0/24 lookup 100"}},
		{"both the other way round", []inet.Rule{specific, general}, []inet.Rule{specific, general}, nil},
	} {
		if err := h.PutRules(row.there); err != nil {
			t.Fatal(err)
		}
		if err := h.DelRules(row.leave); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		if got := ours(t, h); !slices.Equal(got, row.left) {
			t.Errorf("%s: left are %q, want %q", row.name, got, row.left)
		}
		if err := h.DelRules(row.there); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		if got := ours(t, h); len(got) > 0 {
			t.Fatalf("%s: %q is left", row.name, got)
		}
	}
}

func TestRuleErrorsNameWhatFailed(t *testing.T) {
	h := openIn(t, pair(t))
	good := inet.Rule{Priority: 100, Table: 100}
	bad := inet.Rule{Priority: 101, Action: inet.Goto, Goto: 5}
	err := h.PutRules([]inet.Rule{bad, good, {Priority: 102, Action: 99}, {Priority: 103, TOS: 3, Table: 100}})
	batch, ok := errors.AsType[*inet.BatchError](err)
	if !ok || len(batch.Failures) != 3 || !strings.Contains(err.Error(), "put rule priority 101 goto 5: rule 101 goes on") || !errors.Is(err, unix.EINVAL) {
		t.Errorf("got %v, want three failures", err)
	}
	if got := ours(t, h); len(got) != 1 {
		t.Errorf("rules %v: bad rules kept the good one from being added", got)
	}
	if err := h.DelRules([]inet.Rule{bad, good}); err == nil {
		t.Error("an impossible rule is deleted")
	}
	if got := ours(t, h); len(got) != 0 {
		t.Errorf("rules %v are left", got)
	}
}

func TestThousandRules(t *testing.T) {
	h := openIn(t, pair(t))
	var rules []inet.Rule
	for i, p := range many(1000, 32) {
		rules = append(rules, inet.Rule{Priority: uint32(1000 + i%7), From: p, Table: 100})
	}
	if err := h.PutRules(rules); err != nil {
		t.Fatal(err)
	}
	if got := len(ours(t, h)); got != 1000 {
		t.Errorf("%d rules, want 1000", got)
	}
	if err := h.DelRules(rules); err != nil {
		t.Fatal(err)
	}
	if got := len(ours(t, h)); got != 0 {
		t.Errorf("%d rules are left", got)
	}
}
