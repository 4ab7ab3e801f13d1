package filter

import (
	"fmt"
	"hash/fnv"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// The names of the chains.
const (
	reportsChain = "reports"
	closedChain  = "closed"
)

// mark begins the comment of each of halo's rules.
const mark = "halo: "

// ruleset is a table as it is to be made.
type ruleset struct {
	chains []chain
	sets   []set
}

type chain struct {
	name     string
	hook     nftables.ChainHook
	priority nftables.ChainPriority
	rules    []rule
}

// rule has a comment for people, which stands for what the rule says as well:
// its end is a sum over that. A rule cannot be changed without losing it.
type rule struct {
	comment string
	says    []expr.Any
}

type set struct {
	name string
	kind nftables.SetDatatype
	// order is how the bytes of a key are written, nil where nobody needs to know.
	order binaryutil.ByteOrder
	// joined says that a key is put together from several.
	joined bool
	keys   [][]byte
}

// behindIPVS is where packets to this machine are judged: IPVS, at 98 and 99 (of
// ip_vs_core.c), has by then taken away what it balances to other machines, and
// source addresses have been translated, at 100.
const behindIPVS = 101

// rulesetOf is what does what is wanted.
func rulesetOf(w Wanted) ruleset {
	w = w.sorted()
	var r ruleset
	if len(w.Silent) > 0 {
		// Without the order nft shows numbers in place of names.
		links := set{name: "silent", kind: nftables.TypeIFName, order: binaryutil.NativeEndian}
		for _, name := range w.Silent {
			links.keys = append(links.keys, keyOfLink(name))
		}
		r.sets = append(r.sets, links)
		r.chains = append(r.chains, chain{
			name: reportsChain, hook: *nftables.ChainHookOutput, priority: *nftables.ChainPriorityFilter, rules: reports(links.name),
		})
	}
	closed := chain{name: closedChain, hook: *nftables.ChainHookInput, priority: behindIPVS}
	for _, f := range []family{ipv4, ipv6} {
		addresses := set{name: "closed" + f.digit, kind: f.address}
		for _, a := range w.Closed {
			if f.has(a) {
				addresses.keys = append(addresses.keys, a.AsSlice())
			}
		}
		if len(addresses.keys) == 0 {
			continue
		}
		r.sets = append(r.sets, addresses)
		if f == ipv6 {
			closed.rules = append(closed.rules, neighborDiscovery()...)
		}
		services := set{
			name: "open" + f.digit, joined: true,
			kind: nftables.MustConcatSetType(f.address, nftables.TypeInetProto, nftables.TypeInetService),
		}
		for _, s := range w.Open {
			if f.has(s.Addr()) {
				services.keys = append(services.keys, s.key())
			}
		}
		if len(services.keys) > 0 {
			r.sets = append(r.sets, services)
			closed.rules = append(closed.rules, f.pass(services.name))
		}
		closed.rules = append(closed.rules, f.drop(addresses.name))
	}
	if len(closed.rules) > 0 {
		r.chains = append(r.chains, closed)
	}
	return r
}

// The types of ICMPv6 that matter here (RFC 4861, RFC 2710, RFC 3810).
const (
	reportV1      = 131
	done          = 132
	reportV2      = 143
	solicitation  = 135
	advertisement = 136
)

// firstRegister is the first of those of four bytes. The one called 1 is the first
// four of them.
const firstRegister = 8

// reports drop what the kernel sends of its own accord when a link joins or
// leaves a group, or is asked by a router.
func reports(links string) []rule {
	leaves := func(protocol byte) []expr.Any {
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
			&expr.Lookup{SourceRegister: 1, SetName: links},
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
		}
	}
	verdict := &expr.Verdict{Kind: expr.VerdictDrop}
	kinds := []byte{reportV1, done, reportV2}
	rules := make([]rule, 0, 1+len(kinds))
	rules = append(rules, rule{"no IGMP from a virtual MAC address", append(leaves(unix.IPPROTO_IGMP), verdict)})
	for _, kind := range kinds {
		rules = append(rules, rule{
			fmt.Sprintf("no MLD (%d) from a virtual MAC address", kind),
			append(append(leaves(unix.IPPROTO_ICMPV6), icmpType(kind)...), verdict),
		})
	}
	return rules
}

// neighborDiscovery passes whatever Accept_Mode says (RFC 9568 section 6.1).
func neighborDiscovery() []rule {
	kinds := []byte{solicitation, advertisement}
	rules := make([]rule, 0, len(kinds))
	for _, kind := range kinds {
		says := []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_ICMPV6}},
		}
		says = append(append(says, icmpType(kind)...), &expr.Verdict{Kind: expr.VerdictReturn})
		rules = append(rules, rule{fmt.Sprintf("neighbor discovery (%d) passes", kind), says})
	}
	return rules
}

func icmpType(kind byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{kind}},
	}
}

// family is what differs between IPv4 and IPv6.
type family struct {
	digit       string
	protocol    byte
	address     nftables.SetDatatype
	destination uint32 // where the destination stands in the header
	length      uint32
}

//nolint:gochecknoglobals // constants
var (
	ipv4 = family{"4", unix.NFPROTO_IPV4, nftables.TypeIPAddr, 16, 4}
	ipv6 = family{"6", unix.NFPROTO_IPV6, nftables.TypeIP6Addr, 24, 16}
)

func (f family) has(a netip.Addr) bool { return a.Is4() == (f == ipv4) }

// destinationIn loads the destination of packets of the family.
func (f family) destinationIn(register uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{f.protocol}},
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: f.destination, Len: f.length},
	}
}

func (f family) drop(addresses string) rule {
	says := f.destinationIn(1)
	return rule{"addresses that are not accepted for", append(says,
		&expr.Lookup{SourceRegister: 1, SetName: addresses},
		&expr.Verdict{Kind: expr.VerdictDrop})}
}

func (f family) pass(services string) rule {
	protocol := firstRegister + f.length/4
	says := f.destinationIn(firstRegister)
	return rule{"services that are balanced to this machine", append(says,
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: protocol},
		&expr.Payload{DestRegister: protocol + 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: firstRegister, SetName: services},
		&expr.Verdict{Kind: expr.VerdictReturn})}
}

// remark is a rule's comment as the kernel keeps it.
func (r rule) remark() ([]byte, error) {
	sum := fnv.New32a()
	for _, e := range r.says {
		b, err := expr.Marshal(unix.NFPROTO_INET, e)
		if err != nil {
			return nil, err
		}
		_, _ = sum.Write(b) // Never fails.
	}
	return userdata.AppendString(nil, userdata.TypeComment, fmt.Sprintf("%s%s (%08x)", mark, r.comment, sum.Sum32())), nil
}

// add puts the whole table into a transaction.
func (r ruleset) add(c *nftables.Conn) error {
	table := c.AddTable(&nftables.Table{Name: TableName, Family: nftables.TableFamilyINet})
	for _, s := range r.sets {
		elements := make([]nftables.SetElement, len(s.keys))
		for i, key := range s.keys {
			elements[i].Key = key
		}
		made := &nftables.Set{Table: table, Name: s.name, KeyType: s.kind, KeyByteOrder: s.order, Concatenation: s.joined}
		if err := c.AddSet(made, elements); err != nil {
			return err
		}
	}
	for _, k := range r.chains {
		policy := nftables.ChainPolicyAccept
		made := c.AddChain(&nftables.Chain{
			Name: k.name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: &k.hook, Priority: &k.priority, Policy: &policy,
		})
		for _, rule := range k.rules {
			remark, err := rule.remark()
			if err != nil {
				return err
			}
			c.AddRule(&nftables.Rule{Table: table, Chain: made, Exprs: rule.says, UserData: remark})
		}
	}
	return nil
}
